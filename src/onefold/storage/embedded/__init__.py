"""The engines of one machine: LMDB for log, state and deliveries, SQLite for the catalog and proposals."""
