"""The kernel's sessions, active days and time zones against Python's: the same bytes, values and instants."""

import random
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onefold.language import nodes as n
from onefold.language.instants import FIRST_MS, LAST_MS
from onefold.language.keeping.monoids import monoid_of, periods_of
from onefold.language.zones import ZONES, zone, zone_file
from onefold.limits import DAY_MS, NEVER_MS

kernel = pytest.importorskip("onefold_kernel")
kernel.read_zones_with(zone_file, sorted(ZONES))

START_MS = 1_750_000_000_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Profile:
    """What a value arms."""

    due_ms = NEVER_MS


def described(node: n.Aggregate) -> tuple[str, dict[str, Any]]:
    """The aggregate as the kernel is told of it."""
    return node.function, {"every_ms": node.every_ms, "per": node.per, "timezone": node.timezone}


class Both:
    """One slot over all events, kept by Python and by the kernel."""

    def __init__(self, node: n.Aggregate) -> None:
        self._monoid = monoid_of(node)
        self._index = periods_of(node).index if n.AGGREGATES[node.function].by_day else None
        self._slots: dict[str, Any] = {}
        self._profile = Profile()
        self._slot = kernel.Slot(*described(node), NEVER_MS)

    def put(self, at_ms: int) -> None:
        """An event in both."""
        assert self._monoid.put is not None
        value = self._index(at_ms) if self._index else None
        changed = self._monoid.put(self._slots, "k", value, at_ms, b"")
        assert self._slot.put(None, 0, at_ms, b"", at_ms) == changed
        assert self._slot.state() == msgspec.msgpack.encode(self._slots["k"])

    def judge(self, now_ms: int) -> None:
        """The value, and the instant that it moves at."""
        state = self._slots.get("k")
        at = self._monoid.at
        expected = self._monoid.result(state) if at is None else at(state, now_ms, self._profile)
        found = self._slot.value(now_ms)
        assert (found, type(found)) == (expected, type(expected))
        assert self._slot.due_ms == self._profile.due_ms

    def reload(self) -> None:
        """The kernel goes on from what is stored."""
        self._slot.load(self._slot.state())
        self._slot.due_ms = self._profile.due_ms = NEVER_MS


FUNCTIONS = st.sampled_from(tuple(name for name in n.AGGREGATES if "session" in name or n.AGGREGATES[name].by_day))
ZONE_NAMES = st.sampled_from((None, "Europe/Berlin", "America/Sao_Paulo", "Australia/Lord_Howe", "Asia/Kathmandu"))
aggregates = st.builds(
    lambda function, timezone, per, every_ms: n.Aggregate(
        0, function, "*", timezone=timezone, per=per, every_ms=every_ms
    ),
    FUNCTIONS, ZONE_NAMES, st.sampled_from((None, "week", "month")), st.sampled_from((None, 1_000, DAY_MS)),
)  # fmt: skip


@settings(max_examples=100, deadline=None)
@given(node=aggregates, seed=st.integers(0, 1 << 30), size=st.sampled_from((3, 30, 900)))
def test_the_kernel_leaves_what_python_leaves(node: n.Aggregate, seed: int, size: int) -> None:
    """In order, late, and past what is kept."""
    both = Both(node)
    chance = random.Random(seed)
    pace_ms = chance.choice((1_000, 3_600_000, DAY_MS, 40 * DAY_MS))
    now_ms = START_MS
    for _ in range(size):
        now_ms += chance.randrange(2 * pace_ms)
        both.put(now_ms - (chance.randrange(20 * pace_ms) if chance.random() < 0.3 else 0))
        if chance.random() < 0.2:
            both.judge(now_ms + chance.randrange(3 * pace_ms))
        if chance.random() < 0.1:
            both.reload()
    both.judge(now_ms)


def _turns(name: str) -> list[int]:
    """Instants around which clocks change in this zone, to the day, and those near the ends of the calendar."""
    in_zone = zone(name)
    assert in_zone is not None
    found = [FIRST_MS, LAST_MS]
    for year in (*range(1850, 2110), 2399, 2400, 2499, 2500, 2501, 2899, 4000, 9998):
        at = datetime(year, 1, 1, tzinfo=UTC)
        before = at.astimezone(in_zone).utcoffset()
        for _ in range(52):
            at += timedelta(7)
            if (after := at.astimezone(in_zone).utcoffset()) != before:
                found.append((at - _EPOCH) // timedelta(milliseconds=1))
                before = after
    return found


@pytest.mark.parametrize("name", sorted(ZONES)[::7])
def test_days_begin_when_python_says(name: str) -> None:
    """In each zone, in the weeks in which its clocks have ever changed: the day of an instant, and when days begin."""
    node = n.Aggregate(0, "streak", "*", timezone=name)
    chance = random.Random(name)
    for turn_ms in _turns(name):
        for _ in range(12):
            both = Both(node)
            at_ms = turn_ms - chance.randrange(9 * DAY_MS) + DAY_MS
            both.put(at_ms - at_ms % 1_800_000 + chance.choice((-1, 0, 1)))
            both.judge(at_ms)
