"""Calendar periods and windows against the plain calendar, around the nights in which clocks are changed."""

from typing import Any

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from onefold.language import nodes as n
from onefold.language.keeping.aggregates import MONOIDS
from onefold.language.keeping.calendars import Calendar, calendar_of
from onefold.language.keeping.periods import Periods
from onefold.language.zones import zone
from onefold.limits import DAY_MS, HOUR_MS, NEVER_MS
from onefold.model.profile import Profile
from onefold.testing.nights import NIGHTS, at
from onefold.testing.reference import behaviour as reference

ZONES = ("UTC", "Europe/Berlin", "America/New_York", "America/Sao_Paulo", "Asia/Kathmandu", "Australia/Lord_Howe",
         "Pacific/Apia", "Asia/Beirut")  # fmt: skip


instants = st.builds(
    lambda night, apart: night + apart,
    st.sampled_from(NIGHTS),
    st.integers(-3 * HOUR_MS, 3 * HOUR_MS) | st.integers(-400 * DAY_MS, 400 * DAY_MS) | st.sampled_from((-1, 0, 1)),
)


@settings(max_examples=400, deadline=None)
@given(instants, st.sampled_from(n.PERIODS), st.sampled_from(ZONES))
def test_periods_are_those_of_the_plain_calendar(at_ms: int, kind: str, name: str) -> None:
    """Begin and end are to the millisecond where the local date begins and ends the period."""
    in_zone = zone(name)
    assert in_zone is not None
    found, start_ms, end_ms = Periods(kind, in_zone).around(at_ms)
    assert start_ms <= at_ms < end_ms
    mine = reference.period(kind, at_ms, name)
    assert reference.period(kind, start_ms, name) == mine == reference.period(kind, end_ms - 1, name)
    assert reference.period(kind, end_ms, name) != mine != reference.period(kind, start_ms - 1, name)
    assert Periods(kind, in_zone).index(end_ms) in (found + 1, found + 2)


def _profile() -> Profile:
    return Profile(1, 0, 0, 0, 0)


def _window(node: n.Aggregate, calendar: Calendar, times: list[int], now_ms: int) -> Any:
    window = None
    for at_ms in times:
        window = calendar.add(window, at_ms, 1, now_ms)
        window = msgspec.msgpack.decode(msgspec.msgpack.encode(window))
    return window


@settings(max_examples=300, deadline=None)
@given(
    night_ms=st.sampled_from(NIGHTS),
    aparts=st.lists(st.integers(-80 * DAY_MS, 0) | st.integers(-30 * HOUR_MS, 0), max_size=12),
    which=st.sampled_from(tuple(n.CALENDARS)), zones=st.tuples(st.sampled_from(ZONES), st.sampled_from(ZONES)),
    whose=st.sampled_from(("person", "fixed")),
)  # fmt: skip
@example(
    night_ms=NIGHTS[1],
    aparts=[-1, -HOUR_MS, -2 * HOUR_MS - 1, -26 * HOUR_MS],
    which="this_day",
    zones=("UTC", "Europe/Berlin"),
    whose="person",
)
def test_calendar_windows_turn_when_their_period_does(
    night_ms: int, aparts: list[int], which: str, zones: tuple[str, str], *, whose: str
) -> None:
    """In a fixed zone, and in a person's own, which is another: counts are right now, and right after every turn."""
    name, own = zones
    timezone = n.PERSON if whose == "person" else own
    node = n.Aggregate(0, "count", "*", calendar=which, timezone=timezone)
    calendar = calendar_of(node, MONOIDS["count"], name)
    now_ms = night_ms
    times = [night_ms + apart for apart in aparts]
    window = _window(node, calendar, times, now_ms)
    for _ in range(4):
        profile = _profile()
        found = calendar.state(window, now_ms, profile, own)
        wanted = sum(reference.in_window(node, at_ms, now_ms, own) for at_ms in times)
        assert (found or 0) == wanted
        if profile.due_ms == NEVER_MS:
            break
        assert profile.due_ms > now_ms
        before_ms = profile.due_ms - 1
        held = sum(reference.in_window(node, at_ms, before_ms, own) for at_ms in times)
        assert (calendar.state(window, before_ms, _profile(), own) or 0) == held == wanted
        now_ms = profile.due_ms
        calendar.expire(window, now_ms)


@pytest.mark.parametrize("timezone", [n.PERSON, "Europe/Berlin"])
def test_merged_calendar_windows_hold_the_events_of_both(timezone: str) -> None:
    """Two profiles' months are one month."""
    node = n.Aggregate(0, "count", "*", calendar="this_month", timezone=timezone)
    calendar = calendar_of(node, MONOIDS["count"], "UTC")
    now_ms = at("2025-03-31T21:59:59")
    days = [now_ms - i * DAY_MS for i in range(40)]
    a, b = (_window(node, calendar, days[i::2], now_ms) for i in (0, 1))
    merged = calendar.merge(a, b)
    assert calendar.state(merged, now_ms, _profile(), "Europe/Berlin") == 31
    assert calendar.state(merged, now_ms + 1000, _profile(), "Europe/Berlin") is None
