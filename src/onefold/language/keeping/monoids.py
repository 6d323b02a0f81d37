"""Which monoid an aggregate has: that of its function, made for its numbers, gaps and time zone."""

from collections.abc import Callable, Sequence
from functools import lru_cache
from math import ceil, floor
from typing import Any

from onefold.language import nodes as n
from onefold.language.keeping.activity import DAYS_ACTIVE, LONGEST_STREAK, streak
from onefold.language.keeping.aggregates import MONOIDS, Monoid
from onefold.language.keeping.leaders import top
from onefold.language.keeping.periods import Periods, periods
from onefold.language.keeping.quantiles import percentile
from onefold.language.keeping.sessions import sessions
from onefold.language.keeping.spread import STDDEV
from onefold.language.zones import zone
from onefold.limits import DAY_MS

DAY = "day"
"""What `days_active` counts, and the period of a streak that names none."""
SESSION_GAP_MS = 30 * 60 * 1000
"""The gap that ends a session where none is named, as in web analytics at large."""
UTC = "UTC"


def monoid_of(aggregate: n.Aggregate) -> Monoid:
    """The monoid of a checked aggregate. Equal aggregates have the same."""
    make = _MADE.get(aggregate.function)
    return MONOIDS[aggregate.function] if make is None else make(aggregate)


def periods_of(aggregate: n.Aggregate) -> Periods:
    """The periods that an aggregate over days counts."""
    in_zone = zone(aggregate.timezone or UTC)
    assert in_zone is not None, aggregate.timezone
    return periods(aggregate.per or DAY, in_zone)


# --- time_since: the latest event's time -------------------------------------------------------------------
def _when(_value: Any, at_ms: int, _tie: bytes) -> int:
    return at_ms


def _put_when(slots: dict[str, Any], key: str, _value: Any, at_ms: int, _tie: bytes) -> bool:
    state = slots.get(key)
    if state is not None and at_ms <= state:
        return False
    slots[key] = at_ms
    return True


def _latest(states: Sequence[int]) -> int | None:
    return max(states, default=None)


def _itself(state: int | None) -> int | None:
    return state


@lru_cache(maxsize=256)
def _time_since(unit_ms: int) -> Monoid:
    def since(at_ms: int | None, now_ms: int, profile: Any, level: float | None = None) -> int | None:
        """Whole units that have passed. Where it is only compared with a level, time wakes the profile only there."""
        if at_ms is None:
            return None
        passed = (now_ms - at_ms) // unit_ms
        turn = passed + 1
        if level is not None and (turn := ceil(level)) <= passed and (turn := floor(level) + 1) <= passed:
            return passed
        if (due_ms := at_ms + turn * unit_ms) < profile.due_ms:
            profile.due_ms = due_ms
        return passed

    return Monoid(_when, max, _itself, _latest, at=since, put=_put_when)


_MADE: dict[str, Callable[[n.Aggregate], Monoid]] = {
    "top": lambda a: top(int(a.number or 0)),
    "percentile": lambda a: percentile(a.number or 0),
    "stddev": lambda _: STDDEV,
    "time_since": lambda a: _time_since(a.every_ms or DAY_MS),
    "days_active": lambda _: DAYS_ACTIVE,
    "longest_streak": lambda _: LONGEST_STREAK,
    "streak": lambda a: streak(periods_of(a)),
    **dict.fromkeys(
        ("session_count", "session_length", "session_time"),
        lambda a: sessions(a.function, a.every_ms or SESSION_GAP_MS),
    ),
}

assert MONOIDS.keys() | _MADE.keys() == n.AGGREGATES.keys()
