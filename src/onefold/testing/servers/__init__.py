"""Real servers for tests, benchmarks and demonstrations: each on free ports of 127.0.0.1, gone without a trace."""
