"""Times as the API writes them: RFC 3339 in UTC with milliseconds."""

from datetime import UTC, datetime
from typing import Annotated

from litestar.params import KwargDefinition

Instant = Annotated[str, KwargDefinition(format="date-time")]
"""A time in an answer."""

_LAST_MS = 253_402_300_799_999
"""The end of the year 9999, the last that RFC 3339 can write."""


def show(at_ms: int) -> str:
    """Milliseconds since 1970 as `2025-11-23T21:05:00.123Z`; what RFC 3339 cannot write is moved to its nearest end."""
    at_ms = min(max(at_ms, 0), _LAST_MS)
    return f"{datetime.fromtimestamp(at_ms // 1000, UTC).isoformat()[:19]}.{at_ms % 1000:03d}Z"
