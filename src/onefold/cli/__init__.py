"""The `onefold` command, one file a verb."""

from onefold.cli.app import main

__all__ = ["main"]
