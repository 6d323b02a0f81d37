"""Reads query strings, within bounds."""

from urllib.parse import parse_qsl

FIELDS_MAX = 200
"""More than any pixel has; a bound for the reader."""


def pairs(query: bytes) -> list[tuple[str, str]]:
    """Names and values in order; empty where there are too many. Bytes that are not UTF-8 become U+FFFD."""
    try:
        return parse_qsl(query.decode("latin-1"), keep_blank_values=True, max_num_fields=FIELDS_MAX)
    except ValueError:
        return []


def first(query: bytes, *names: str) -> list[str]:
    """The first value of the first of these names that is there; empty without one."""
    found = dict(reversed(pairs(query)))
    return next(([found[name]] for name in names if name in found), [])
