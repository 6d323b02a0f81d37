"""What moves with time alone does not change before the instant that it gives as its next turn."""

from collections.abc import Callable
from datetime import date
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from onefold.language.durations import UNITS_MS
from onefold.language.scalars import dates
from onefold.language.zones import zone
from onefold.limits import DAY_MS, HOUR_MS, NEVER_MS

START_MS = 1_700_000_000_000
ZONES = ("UTC", "Europe/Berlin", "America/St_Johns", "Australia/Lord_Howe", "Africa/Cairo", "Pacific/Apia")
zones = st.sampled_from(ZONES).map(zone)
instants = st.integers(START_MS, START_MS + 800 * DAY_MS)
hours = st.integers(START_MS // HOUR_MS, START_MS // HOUR_MS + 800 * 24).map(lambda hour: hour * HOUR_MS)
now = instants | hours | hours.map(lambda at_ms: at_ms - 1)
moments = now | st.dates(date(1950, 1, 1), date(2030, 1, 1)) | st.just(date(2000, 2, 29)) | st.none()
levels = st.none() | st.integers(-40, 400) | st.sampled_from((0.5, -1.5, 29.9, 364.2, 1e300, -1e300))
passing = st.lists(st.floats(0, 1, exclude_max=True), min_size=1, max_size=8)
Give = Callable[[int, Any], dates.Timed]


def assert_still(give: Give, now_ms: int, level: Any, parts: list[float]) -> None:
    """Up to its turn a value, or how it compares with a level, is what it was."""
    value, turn_ms = give(now_ms, level)
    assert turn_ms > now_ms
    until_ms = min(turn_ms, now_ms + 900 * DAY_MS)
    for later_ms in {until_ms - 1, *(now_ms + int(part * (until_ms - now_ms)) for part in parts)}:
        later, _ = give(later_ms, level)
        if level is None or value is None or isinstance(value, bool):
            assert later == value, (later_ms, turn_ms)
        else:
            assert (later < level, later > level) == (value < level, value > level), (later_ms, turn_ms)


@settings(max_examples=300, deadline=None)
@given(
    what=st.sampled_from(("years", "until", "is", "days", "-days")), at=moments, in_zone=zones, now_ms=now,
    level=levels, parts=passing,
)  # fmt: skip
def test_the_calendar_turns_when_it_says(
    *, what: str, at: Any, in_zone: Any, now_ms: int, level: Any, parts: list[float]
) -> None:
    """Ages, anniversaries and days between, in zones with odd clocks."""
    sign = -1 if what == "-days" else 1
    gives: dict[str, Give] = {
        "years": lambda ms, level: dates.years_since(at, in_zone, ms, level),
        "until": lambda ms, level: dates.days_until_anniversary(at, in_zone, ms, level),
        "is": lambda ms, level: dates.is_anniversary(at, in_zone, ms, level),
        "days": lambda ms, level: dates.days_from(at, ms, in_zone, sign, level),
        "-days": lambda ms, level: dates.days_from(at, ms, in_zone, sign, level),
    }
    assert_still(gives[what], now_ms, level, parts)


@given(instants, st.sampled_from(sorted(UNITS_MS)), now, levels, passing)
def test_elapsed_turns_when_it_says(at_ms: int, unit: str, now_ms: int, level: Any, parts: list[float]) -> None:
    """In every unit, before the instant and after it."""
    assert_still(lambda ms, level: dates.elapsed(at_ms, UNITS_MS[unit], ms, level), now_ms, level, parts)


@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from((dates.hour, dates.day_of_month, dates.weekday, dates.month, dates.year)), zones, now,
    st.none() | st.integers(-1, 32) | st.sampled_from((0.5, 22.5, 2023, 2024, 2030)), passing,
)  # fmt: skip
def test_parts_of_the_present_turn_when_they_say(
    part: Callable[[Any, Any], Any], in_zone: Any, now_ms: int, level: Any, parts: list[float]
) -> None:
    """Hours and days of an instant that moves, and how they compare with a number."""
    turn = dates.turn_of_hour if part is dates.hour else dates.turn_of_day(part)
    assert_still(lambda ms, level: (part(ms, in_zone), turn(ms, in_zone, level)), now_ms, level, parts)


def test_beyond_the_calendar_there_is_nothing() -> None:
    """Instants without a local time give nothing, and never come."""
    utc = zone("UTC")
    for far_ms in (-(1 << 60), 1 << 60):
        assert dates.days_from(far_ms, START_MS, utc, 1) == (None, NEVER_MS)
        assert dates.hour(far_ms, utc) is None
        assert dates.years_since(far_ms, utc, START_MS) == (None, NEVER_MS)
    for day in (date.min, date.max, date(9999, 12, 31)):
        for give in (dates.years_since, dates.days_until_anniversary, dates.is_anniversary):
            assert give(day, utc, START_MS)[1] > START_MS
            assert give(day, utc, START_MS, 5)[1] > START_MS
    assert dates.elapsed(-(1 << 50), 1000, START_MS)[0] > 0
