"""State, deliveries, catalog and proposals on the PostgreSQL protocol."""
