"""Audiences over HTTP: what they are, who is in them, and that as a file."""
