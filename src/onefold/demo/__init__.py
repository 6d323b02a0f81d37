"""A simulated shop, a receiver of webhooks, and a screen of what the platform makes of them; public HTTP only."""
