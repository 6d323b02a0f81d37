"""Definitions as straight-line Python for the stream: the one code generator, and what its programs are made of."""
