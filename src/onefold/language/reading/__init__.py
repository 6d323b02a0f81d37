"""From the text of an expression to its checked tree, and back: the only rooms that know how it is written."""
