"""Definitions over HTTP: what there is, what a change would do, and making it."""
