"""Definitions that are to come, computed over history while the stream goes on."""
