"""One module for each published claim; `python -m bench` runs them all and prints one table."""
