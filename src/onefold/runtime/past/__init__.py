"""What can still be known of the past: people's events, who they were and what was told, and SQL over all of it."""
