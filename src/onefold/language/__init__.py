"""The expression language of traits and audiences: parsed, checked, and compiled for each place that runs it."""
