"""Patterns: `like` and regular expressions, on an engine whose time is linear in the text whatever the pattern (RE2).

DuckDB has the same engine, so that a pattern means the same over history.
"""

from collections.abc import Callable
from functools import lru_cache

import re2

Search = Callable[[str], bool]

_MEMORY_MAX_BYTES = 1 << 20
"""Of one compiled pattern; what needs more is refused."""


def search(pattern: str) -> Search:
    """Whether a text has a match of the pattern anywhere in it. Raises `ValueError`, saying why, where it is none."""
    return _search(pattern)


def why_not(pattern: str) -> str:
    """What is wrong with a pattern; empty where nothing is."""
    try:
        search(pattern)
    except ValueError as error:
        return str(error)
    return ""


@lru_cache(maxsize=4_096)
def _search(pattern: str, *, dot_is_all: bool = False) -> Search:
    options = re2.Options()
    options.log_errors = False
    options.max_mem = _MEMORY_MAX_BYTES
    options.dot_nl = dot_is_all
    try:
        find = re2.compile(pattern, options).search
    except re2.error as error:
        reason = error.args[0] if error.args else ""
        raise ValueError(reason.decode(errors="replace") if isinstance(reason, bytes) else str(reason)) from error
    return lambda text: find(text) is not None


def like(pattern: str) -> Search:
    """Whether a whole text is like the pattern: `%` is any characters, `_` is one, anything else is itself."""
    steps = {"%": ".*", "_": "."}
    return _search(r"\A" + "".join(steps.get(c) or re2.escape(c) for c in pattern) + r"\z", dot_is_all=True)
