"""Public test tools: a clock moved by hand, ports in memory, the reference, conformance suites."""
