"""Out: one module for each system that deliveries go to."""
