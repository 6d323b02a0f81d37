"""Where the core meets the world: workers, deliveries, supervision."""
