"""What a profile keeps of its events: monoids, windows, calendars, sequences; how each merges and expires."""
