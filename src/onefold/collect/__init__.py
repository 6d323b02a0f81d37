"""In: one module for each protocol that events arrive by."""
