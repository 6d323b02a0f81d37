"""Hypothesis strategies for definitions and the histories that they look at."""
