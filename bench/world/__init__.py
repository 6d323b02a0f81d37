"""A simulated world of people whose events are known to be theirs: who did it, of which household, on which device."""
