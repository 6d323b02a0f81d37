"""Onefold: a real-time customer data platform that can undo, explain and prove."""

__version__ = "0.1.0"
