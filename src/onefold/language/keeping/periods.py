"""Calendar periods in a time zone: which day, week, month, quarter or year an instant lies in, and when it begins.

A period is a whole number: days count from 1970-01-01, weeks (from Monday) from that of 1970-01-01, months, quarters
and years from the year 0. Periods are half-open and leave no gap: where clocks skip midnight, the day begins when they
do.
"""

from datetime import date, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from onefold.language.instants import FIRST_MS, LAST_MS
from onefold.language.zones import local, midnight_ms

_DAY_0 = date(1970, 1, 1)
_MONDAY = 3
"""1970-01-01 was three days after a Monday."""
_STARTS_MAX = 1_024
"""Beginnings that are remembered: a few years of days."""
_MONTHS = {"month": 1, "quarter": 3, "year": 12}


class Periods:
    """The periods of one kind in one zone. Remembers where the latest one began: most instants are near each other."""

    def __init__(self, kind: str, in_zone: ZoneInfo) -> None:
        self._kind = kind
        self._zone = in_zone
        self._bounds = (0, 0, 0)
        self._starts: dict[int, int] = {}

    def index(self, at_ms: int) -> int:
        """The period that the instant lies in; beyond all calendars, that of their first or last day."""
        return self.around(at_ms)[0]

    def around(self, at_ms: int) -> tuple[int, int, int]:
        """The period that the instant lies in, when it begins, and when the next one does."""
        found, start_ms, end_ms = self._bounds
        if start_ms <= at_ms < end_ms:
            return self._bounds
        at_ms = min(max(at_ms, FIRST_MS), LAST_MS)
        here = local(at_ms, self._zone)
        assert here is not None
        found = self._of(here.date())
        start_ms, end_ms = self.start_ms(found), self.start_ms(found + 1)
        # Where clocks are put back over midnight, the hour that is repeated belongs to the day that had begun.
        if at_ms >= end_ms:
            found, start_ms, end_ms = found + 1, end_ms, self.start_ms(found + 2)
        self._bounds = found, start_ms, end_ms
        return self._bounds

    def start_ms(self, index: int) -> int:
        """When a period begins; of those before the first date or after the last, that date."""
        found = self._starts.get(index)
        if found is None:
            if len(self._starts) >= _STARTS_MAX:
                self._starts.clear()
            found = self._starts[index] = self._start_ms(index)
        return found

    def _start_ms(self, index: int) -> int:
        try:
            return midnight_ms(self._date(index), self._zone)
        except (OverflowError, ValueError):
            return FIRST_MS if index < 0 else LAST_MS

    def _of(self, day: date) -> int:
        if self._kind == "day":
            return (day - _DAY_0).days
        if self._kind == "week":
            return ((day - _DAY_0).days + _MONDAY) // 7
        return (day.year * 12 + day.month - 1) // _MONTHS[self._kind]

    def _date(self, index: int) -> date:
        if self._kind == "day":
            return _DAY_0 + timedelta(index)
        if self._kind == "week":
            return _DAY_0 + timedelta(7 * index - _MONDAY)
        year, month = divmod(index * _MONTHS[self._kind], 12)
        return date(year, month + 1, 1)


@lru_cache(maxsize=1024)
def periods(kind: str, in_zone: ZoneInfo) -> Periods:
    """The periods of this kind, one of `nodes.PERIODS`, in this zone."""
    return Periods(kind, in_zone)
