"""What has happened, as Delta tables that any engine reads, and asked through DuckDB."""
