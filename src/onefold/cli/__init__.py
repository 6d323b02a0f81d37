"""The `onefold` command, one file a verb."""
