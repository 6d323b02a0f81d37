"""The pure verbs: what an event does to people. No I/O, no clock, no randomness."""
