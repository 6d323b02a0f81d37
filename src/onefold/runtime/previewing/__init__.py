"""Before definitions change: who would match them, now and over thirty days, and who in those in force."""
