"""Instants as events and definitions write them: RFC 3339, or a date alone, which is its midnight in UTC."""

import re
from datetime import UTC, datetime, timedelta

_PATTERN = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})"
    r"(?:[Tt ]([0-9]{2}:[0-9]{2}:[0-9]{2})(?:\.([0-9]{1,30}))?([Zz]|[+-][0-9]{2}:[0-9]{2})?)?"
)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MS = timedelta(milliseconds=1)

FIRST_MS = (datetime(1, 1, 3, tzinfo=UTC) - _EPOCH) // _MS
LAST_MS = (datetime(9999, 12, 29, tzinfo=UTC) - _EPOCH) // _MS
"""Between these two every instant has a local time in every zone; there are none beyond them."""


def parse_instant(text: str) -> int | None:
    """Milliseconds since 1970-01-01 UTC (finer digits cut off), or None where the text is no instant.

    A time of day without an offset is taken as UTC. A leap second is no instant.
    """
    match = _PATTERN.fullmatch(text)
    if match is None:
        return None
    day, clock, fraction, offset = match.groups()
    offset = "+00:00" if offset is None or offset in "Zz" else offset
    try:
        at = datetime.fromisoformat(f"{day}T{clock or '00:00:00'}{offset}")
    except ValueError:
        return None
    at_ms = (at - _EPOCH) // _MS + int((fraction or "0").ljust(3, "0")[:3])
    return at_ms if FIRST_MS <= at_ms <= LAST_MS else None


def show_instant(at_ms: int) -> str:
    """An instant between FIRST_MS and LAST_MS as RFC 3339 in UTC, to the millisecond."""
    return (_EPOCH + at_ms * _MS).isoformat(timespec="milliseconds").replace("+00:00", "Z")
