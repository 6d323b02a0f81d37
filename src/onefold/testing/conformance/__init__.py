"""One suite for each port; every engine passes it unchanged."""
