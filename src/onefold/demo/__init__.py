"""A simulated shop, a receiver of webhooks and a screen that shows what the platform makes of it, over public HTTP only."""
