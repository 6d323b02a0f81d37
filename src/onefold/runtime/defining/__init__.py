"""Definitions on their way: read from files or a request, compared with those in force, kept as versions."""
