"""The history role, and how it makes rows of effects, the log and the definitions."""
