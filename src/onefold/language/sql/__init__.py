"""Definitions as DuckDB SQL over history: the second back end, equal to the first value by value."""
