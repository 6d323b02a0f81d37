"""Engines in memory, which keep the promises of their ports and fail on command."""
