"""Real servers for tests and measurements, each started on a free port of 127.0.0.1 and removed without a trace."""
