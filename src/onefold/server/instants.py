"""Times as the API writes them: RFC 3339 in UTC with milliseconds."""

from datetime import UTC, datetime
from functools import lru_cache
from typing import Annotated

from litestar.params import KwargDefinition

Instant = Annotated[str, KwargDefinition(format="date-time")]
"""A time in an answer."""

_SECONDS = 4_096
"""Seconds that are remembered as text: the times of one person are often of one second."""
_LAST_MS = 253_402_300_799_999
"""The end of the year 9999, the last that RFC 3339 can write."""


def show(at_ms: int) -> str:
    """Milliseconds since 1970 as `2025-11-23T21:05:00.123Z`; what RFC 3339 cannot write is moved to its nearest end."""
    at_ms = min(max(at_ms, 0), _LAST_MS)
    return f"{_second(at_ms // 1000)}.{at_ms % 1000:03d}Z"


@lru_cache(_SECONDS)
def _second(at_s: int) -> str:
    return datetime.fromtimestamp(at_s, UTC).isoformat()[:19]
