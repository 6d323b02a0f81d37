"""Instants at which the calendar is not as it mostly is: clocks are changed, a day is added, or left out."""

from datetime import UTC, datetime

from onefold.limits import DAY_MS, HOUR_MS, MINUTE_MS


def at(text: str) -> int:
    """Milliseconds of a UTC time."""
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


NIGHTS = tuple(at(text) for text in (
    "2025-03-30T01:00", "2025-10-26T01:00", "2024-02-29T00:00", "2025-03-09T07:00", "2025-11-02T06:00",
    "2024-12-30T00:00", "2025-04-05T15:00", "2025-10-04T15:30", "2018-11-04T03:00", "2011-12-30T10:00",
    "2025-03-29T22:00", "2000-02-29T12:00",
))  # fmt: skip
"""Changes of clocks on four continents, leap days, a week of two years, a day that Samoa left out."""
_BEFORE_MS = (0, 1, 999, MINUTE_MS, HOUR_MS, HOUR_MS + 1, 3 * HOUR_MS, DAY_MS, DAY_MS + HOUR_MS, 29 * DAY_MS)


def before_a_night(seed: int) -> int:
    """When a history of this seed begins, so that one of the nights falls into it."""
    return NIGHTS[seed % len(NIGHTS)] - _BEFORE_MS[seed // len(NIGHTS) % len(_BEFORE_MS)]
