"""Instants and the calendar. An instant is milliseconds since 1970 UTC; a day may be given as a `date` alone.

What moves with time also says when: it gives its value at `now_ms`, and an instant no later than the next at which that
value changes; or, where a `level` is given, at which its comparison with that level can.
"""

import re
from collections.abc import Callable, Iterable
from datetime import UTC, date, datetime, timedelta
from functools import partial
from math import ceil, floor
from typing import Any
from zoneinfo import ZoneInfo

from onefold.language.instants import FIRST_MS, LAST_MS
from onefold.language.values import instant
from onefold.language.zones import local, midnight_ms, next_day_ms, next_hour_ms
from onefold.limits import HOUR_MS, NEVER_MS

Moment = int | date
Timed = tuple[Any, int]
"""A value, and when it can change by itself."""
Part = Callable[[Moment | None, ZoneInfo | None], int | None]
"""What is read of a moment in a zone."""
Turn = Callable[[int, ZoneInfo | None, float | None], int]
"""(moving instant, zone, level or None) → when what is read of that instant can change."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MS = timedelta(milliseconds=1)
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


# --- instants ----------------------------------------------------------------------------------------------------
def dated(at_ms: int | None) -> datetime | None:
    """An instant as a trait keeps it."""
    return None if at_ms is None else _EPOCH + at_ms * _MS


def undated(value: Any) -> int | None:
    """An instant out of a trait."""
    return (value - _EPOCH) // _MS if isinstance(value, datetime) else None


def add(at_ms: int | None, duration_ms: int) -> int | None:
    """The instant so much later; past the end of the calendar missing."""
    if at_ms is None or not FIRST_MS <= at_ms + duration_ms <= LAST_MS:
        return None
    return at_ms + duration_ms


def moment(value: Any) -> Moment | None:
    """What a string names: an instant, or a day where it is a date alone; that day is the same in every zone."""
    if type(value) is str and _DATE.fullmatch(value):
        try:
            return date.fromisoformat(value)
        except ValueError:
            return None
    return instant(value)


# --- calendar ----------------------------------------------------------------------------------------------------
def year(at: Moment | None, zone: ZoneInfo | None) -> int | None:
    """The local year."""
    return None if (day := _day(at, zone)) is None else day.year


def month(at: Moment | None, zone: ZoneInfo | None) -> int | None:
    """The local month, 1 to 12."""
    return None if (day := _day(at, zone)) is None else day.month


def day_of_month(at: Moment | None, zone: ZoneInfo | None) -> int | None:
    """The local day of the month, 1 to 31."""
    return None if (day := _day(at, zone)) is None else day.day


def weekday(at: Moment | None, zone: ZoneInfo | None) -> int | None:
    """The local day of the week, 1 (Monday) to 7 (Sunday)."""
    return None if (day := _day(at, zone)) is None else day.isoweekday()


def hour(at: Moment | None, zone: ZoneInfo | None) -> int | None:
    """The local hour, 0 to 23; of a date alone 0."""
    if zone is None or at is None:
        return None
    if isinstance(at, date):
        return 0
    here = local(at, zone)
    return None if here is None else here.hour


def days_between(start: Moment | None, end: Moment | None, zone: ZoneInfo | None) -> int | None:
    """Midnights from the first local day to the second; negative where that is the earlier one."""
    first, last = _day(start, zone), _day(end, zone)
    return None if first is None or last is None else last.toordinal() - first.toordinal()


def _day(at: Moment | None, zone: ZoneInfo | None) -> date | None:
    if zone is None or at is None:
        return None
    if isinstance(at, date):
        return at
    here = local(at, zone)
    return None if here is None else here.date()


# --- what moves with time ----------------------------------------------------------------------------------------
def turn_of_hour(moving_ms: int, zone: ZoneInfo | None, level: float | None = None) -> int:
    """When the local hour of an instant that moves with time, or how it compares with a level, can change next."""
    here = None if zone is None else local(moving_ms, zone)
    if zone is None or here is None:
        return NEVER_MS
    soon_ms = next_hour_ms(moving_ms, zone)
    if level is None:
        return soon_ms
    sides = (_side((here.hour + hours) % 24, level) for hours in range(1, 24))
    hours = next((n for n, side in enumerate(sides) if side != _side(here.hour, level)), None)
    if hours is None:
        return NEVER_MS
    later = local(soon_ms + hours * HOUR_MS, zone)
    constant = later is not None and later.utcoffset() == here.utcoffset()
    return soon_ms + hours * HOUR_MS if constant else soon_ms


def turn_of_date(moving_ms: int, zone: ZoneInfo | None, _level: float | None = None) -> int:
    """When the local date of an instant that moves with time can change next."""
    return NEVER_MS if zone is None or _day(moving_ms, zone) is None else next_day_ms(moving_ms, zone)


def turn_of_day(part: Part) -> Turn:
    """As `turn_of_hour`, of a part of the date."""
    return partial(_turn_of_part, part)


def _turn_of_part(part: Part, moving_ms: int, zone: ZoneInfo | None, level: float | None) -> int:
    today = _day(moving_ms, zone)
    if zone is None or today is None:
        return NEVER_MS
    if level is None or today.year > _LAST_YEAR:
        return next_day_ms(moving_ms, zone)

    def side(day: int) -> int:
        return _side(part(date.fromordinal(day), zone) or 0, level or 0)

    here = today.toordinal()
    ahead = range(here + 1, here + 32) if part in (day_of_month, weekday) else _firsts_of_months(today)
    coming = next((day for day in ahead if side(day) != side(here)), ahead[-1])
    if coming == here + 1 or side(here - 1) != side(here):
        return next_day_ms(moving_ms, zone)
    return midnight_ms(date.fromordinal(coming - 1), zone)


def _firsts_of_months(today: date) -> list[int]:
    months = (today.year * 12 + today.month + ahead for ahead in range(12))
    return [date(month // 12, month % 12 + 1, 1).toordinal() for month in months]


def _side(value: float, level: float) -> int:
    """-1 below the level, 0 at it, 1 above."""
    return (value > level) - (value < level)


def elapsed(at_ms: int | None, unit_ms: int, now_ms: int, level: float | None = None) -> Timed:
    """Whole units between an instant and now, rounded down; negative before it."""
    if at_ms is None:
        return None, NEVER_MS
    units = (now_ms - at_ms) // unit_ms
    steps = [units + 1] if level is None else [ceil(level), floor(level) + 1]
    turns = (at_ms + step * unit_ms for step in steps)
    return units, min((turn for turn in turns if turn > now_ms), default=NEVER_MS)


def days_from(at: Moment | None, moving_ms: int, zone: ZoneInfo | None, sign: int, level: float | None = None) -> Timed:
    """`sign` times the local days from a moment to an instant that moves with time; the turn is of that instant."""
    day = _day(at, zone)
    today = _day(moving_ms, zone)
    if zone is None or day is None or today is None:
        return None, NEVER_MS
    value = sign * (today.toordinal() - day.toordinal())
    if level is None:
        return value, next_day_ms(moving_ms, zone)
    edges = (sign * edge for edge in (floor(level), ceil(level)))
    return value, _turn(moving_ms, zone, today, (day.toordinal() + edge + later for edge in edges for later in (0, 1)))


def years_since(at: Moment | None, zone: ZoneInfo | None, now_ms: int, _level: float | None = None) -> Timed:
    """Whole years from a local day to today: how often its anniversary has come."""
    day, today = _day(at, zone), _day(now_ms, zone)
    if zone is None or day is None or today is None:
        return None, NEVER_MS
    last, following = _anniversaries(day, today)
    years = today.year - day.year - (_in_year(day, today.year) > today.toordinal())
    return years, _turn(now_ms, zone, today, (last, following))


def days_until_anniversary(at: Moment | None, zone: ZoneInfo | None, now_ms: int, level: float | None = None) -> Timed:
    """Days from today to the next anniversary of a local day; 0 on the anniversary itself."""
    day, today = _day(at, zone), _day(now_ms, zone)
    if zone is None or day is None or today is None:
        return None, NEVER_MS
    last, following = _anniversaries(day, today)
    coming = last if last == today.toordinal() else following
    value = coming - today.toordinal()
    if level is None:
        return value, next_day_ms(now_ms, zone)
    if not -1 <= level <= _DAYS_OF_YEAR:
        return value, NEVER_MS
    edges = (coming - floor(level), coming - floor(level) + 1, coming - ceil(level), coming - ceil(level) + 1)
    return value, _turn(now_ms, zone, today, (*edges, coming, coming + 1))


_DAYS_OF_YEAR = 366


def is_anniversary(at: Moment | None, zone: ZoneInfo | None, now_ms: int, _level: float | None = None) -> Timed:
    """Today has the day and month of a local day, whatever the year."""
    day, today = _day(at, zone), _day(now_ms, zone)
    if zone is None or day is None or today is None:
        return False, NEVER_MS
    last, following = _anniversaries(day, today)
    return last == today.toordinal(), _turn(now_ms, zone, today, (last, last + 1, following))


def _anniversaries(day: date, today: date) -> tuple[int, int]:
    """The latest that is not after today, and the one after it, as ordinals."""
    this = _in_year(day, today.year)
    if this <= today.toordinal():
        return this, _in_year(day, today.year + 1)
    return _in_year(day, today.year - 1), this


def _in_year(day: date, in_year: int) -> int:
    """The anniversary in a year; that of 29 February is 28 February where there is no 29th."""
    if not date.min.year <= in_year <= date.max.year:
        return 0 if in_year < date.min.year else date.max.toordinal()
    try:
        return day.replace(year=in_year).toordinal()
    except ValueError:
        return day.replace(year=in_year, day=28).toordinal()


def _turn(now_ms: int, zone: ZoneInfo, today: date, edges: Iterable[int]) -> int:
    """No later than when the local date next passes one of these days' beginnings.

    Beside one of them every change of date counts, since clocks put back at midnight bring a day twice.
    """
    days = [edge - today.toordinal() for edge in edges]
    if any(-1 <= day <= 1 for day in days):
        return next_day_ms(now_ms, zone)
    ahead = min((day for day in days if day > 0), default=None)
    if ahead is None or today.toordinal() + ahead > _LAST_DAY:
        return NEVER_MS
    return midnight_ms(date.fromordinal(today.toordinal() + ahead - 1), zone)


_LAST_DAY = date(9999, 12, 28).toordinal()
_LAST_YEAR = 9990
