"""Local time: days that are 23 or 25 hours long, clocks that skip midnight, and dates that come twice."""

from datetime import UTC, datetime, timedelta

import pytest

from onefold.language.instants import FIRST_MS, LAST_MS
from onefold.language.zones import ZONES, local, next_day_ms, next_hour_ms, zone, zone_file
from onefold.limits import DAY_MS, HOUR_MS, MINUTE_MS


def ms(text: str) -> int:
    """An instant in milliseconds."""
    return int(datetime.fromisoformat(text).timestamp() * 1000)


@pytest.mark.parametrize(
    ("name", "now", "next_day"),
    [
        ("UTC", "2025-01-31T12:00Z", "2025-02-01T00:00Z"),
        ("Europe/Berlin", "2025-07-01T21:59:59Z", "2025-07-01T22:00Z"),
        ("Asia/Kathmandu", "2025-07-01T18:15Z", "2025-07-02T18:15Z"),
    ],
)
def test_the_next_day(name: str, now: str, next_day: str) -> None:
    """A day ends at local midnight."""
    found = zone(name)
    assert found is not None
    assert next_day_ms(ms(now), found) == ms(next_day)


@pytest.mark.parametrize(
    "name", ["Europe/Berlin", "America/St_Johns", "Australia/Lord_Howe", "Africa/Cairo", "Asia/Beirut"]
)
@pytest.mark.parametrize("year", [2010, 2024])
def test_no_change_of_date_or_hour_is_missed(name: str, year: int) -> None:
    """Whoever wakes at each given instant sees every date and hour as it begins, over a year with its clock changes."""
    found = zone(name)
    assert found is not None
    for next_ms, step_ms, part in ((next_day_ms, 15 * MINUTE_MS, "date"), (next_hour_ms, 15 * MINUTE_MS, "hour")):
        start = ms(f"{year}-03-01T00:00Z")
        due_ms, seen = 0, None
        for now_ms in range(start, start + 280 * DAY_MS, step_ms):
            here = local(now_ms, found)
            assert here is not None
            value = here.date() if part == "date" else here.hour
            while due_ms <= now_ms:
                woken_ms = max(due_ms, start)
                at = local(woken_ms, found)
                assert at is not None
                seen = at.date() if part == "date" else at.hour
                due_ms = next_ms(woken_ms, found)
                assert due_ms > woken_ms
            assert value == seen, (name, here)


def test_a_day_may_have_23_or_25_hours() -> None:
    """Days end when the local date does, however long they were."""
    berlin = zone("Europe/Berlin")
    assert berlin is not None
    for first, hours in (("2025-03-30T00:00+01:00", 23), ("2025-10-26T00:00+02:00", 25)):
        now_ms, woken = ms(first), 0
        day = local(now_ms, berlin)
        assert day is not None
        while (here := local(now_ms, berlin)) is not None and here.date() == day.date():
            now_ms, woken = next_day_ms(now_ms, berlin), woken + 1
        assert now_ms - ms(first) == hours * HOUR_MS
        assert woken == 2


def test_only_names_of_zones_are_zones() -> None:
    """No name leads out of the list, and instants at the ends of the calendar have no local time."""
    assert zone("../zones") is None
    assert zone(3) is None
    assert zone("Mars/Olympus") is None
    for name in sorted(ZONES):
        found = zone(name)
        assert found is not None
        for at_ms in (FIRST_MS, LAST_MS):
            assert local(at_ms, found) is not None
    utc = zone("UTC")
    assert utc is not None
    assert local(FIRST_MS - 1, utc) is None
    assert local(LAST_MS + 1, utc) is None
    assert local(0, utc) == datetime(1970, 1, 1, tzinfo=UTC)
    assert (local(1, utc) or datetime.now(UTC)) - datetime(1970, 1, 1, tzinfo=UTC) == timedelta(milliseconds=1)


def test_the_file_of_a_zone_is_there_for_every_zone_and_nothing_else() -> None:
    """What other readers of the rules are given is what this process reads; names that are no zone's give nothing."""
    assert all((zone_file(name) or b"").startswith(b"TZif") for name in ZONES)
    assert [zone_file(name) for name in ("", "nowhere", "../zones", "Europe", None, 7)] == [None] * 6
