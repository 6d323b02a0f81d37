"""What a machine can judge of STYLE.md: tests over the source text itself."""
