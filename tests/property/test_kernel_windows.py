"""The kernel's windows between two ages and of the calendar against Python's: the same bytes, values and instants."""

import random
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onefold.language import nodes as n
from onefold.language.keeping.calendars import PersonCalendar, spans_of
from onefold.language.keeping.monoids import monoid_of, periods_of
from onefold.language.keeping.slots import ByCalendar, keeping_of
from onefold.language.keeping.stretches import Between
from onefold.language.zones import ZONES, zone, zone_file
from onefold.limits import DAY_MS, HOUR_MS, MINUTE_MS, NEVER_MS, SECOND_MS

kernel = pytest.importorskip("onefold_kernel")
kernel.read_zones_with(zone_file, sorted(ZONES))

START_MS = 1_750_000_000_000
WORKSPACE = "America/New_York"
ZONE_NAMES = (None, "Europe/Berlin", "Asia/Kathmandu", "Pacific/Kiritimati", "nowhere", 7)
FUNCTIONS = tuple(n.AGGREGATES)


class Profile:
    """What a value arms."""

    due_ms = NEVER_MS


@st.composite
def aggregates(draw: st.DrawFn) -> n.Aggregate:
    """An aggregate between two ages or over a calendar window."""
    function = draw(st.sampled_from(FUNCTIONS))
    shape = n.AGGREGATES[function]
    field = n.Field(0, ("properties", "it")) if shape.field else None
    within_ms = until_ms = calendar = timezone = None
    if draw(st.booleans()):
        until_ms = draw(st.sampled_from((SECOND_MS, MINUTE_MS, HOUR_MS)))
        within_ms = until_ms + draw(st.sampled_from((1, SECOND_MS, MINUTE_MS, DAY_MS, 60 * DAY_MS)))
    else:
        calendar = draw(st.sampled_from(sorted(n.CALENDARS)))
        timezone = draw(st.sampled_from((None, "Europe/Berlin", "Australia/Lord_Howe", n.PERSON)))
    if shape.by_day and timezone == n.PERSON:
        timezone = None
    number = draw(st.sampled_from((1, 25, 50, 99.9 if function == "percentile" else 3))) if shape.number else None
    return n.Aggregate(0, function, "*", field, None, within_ms, until_ms, calendar, timezone=timezone, number=number)


def described(node: n.Aggregate) -> tuple[str, dict[str, Any]]:
    """The aggregate as the kernel is told of it."""
    names = ("within_ms", "until_ms", "calendar", "timezone", "number", "every_ms", "per")
    return node.function, {name: getattr(node, name) for name in names} | {"workspace_zone": WORKSPACE}


class Both:
    """One slot, kept by Python as the generated code does it, and by the kernel."""

    def __init__(self, node: n.Aggregate) -> None:
        self._node = node
        self._monoid = monoid_of(node)
        keeping = keeping_of(node, WORKSPACE)
        assert isinstance(keeping, Between | ByCalendar)
        self._keeping = keeping
        self._slots: dict[str, Any] = {}
        self._profile = Profile()
        self._slot = kernel.Slot(*described(node), NEVER_MS)

    def put(self, value: Any, at_ms: int, tie: bytes, now_ms: int) -> None:
        """An event in both."""
        if self._node.within_ms is not None and at_ms <= now_ms - self._node.within_ms:
            return
        changed = self._slot.put(value, 0, at_ms, tie, now_ms)
        assert changed == self._put(value, at_ms, tie, now_ms)
        assert self._slot.state() == self.stored()
        assert self._slot.due_ms == self._profile.due_ms

    def _put(self, value: Any, at_ms: int, tie: bytes, now_ms: int) -> bool:
        node, keeping, profile = self._node, self._keeping, self._profile
        if n.AGGREGATES[node.function].by_day:
            value = periods_of(node).index(at_ms)
        if isinstance(keeping, ByCalendar) and isinstance(keeping.calendar, PersonCalendar):
            in_zone = zone(WORKSPACE)
            assert in_zone is not None
            spans = spans_of(node.calendar or "", in_zone)
            return at_ms >= spans.oldest_ms(now_ms) and keeping.calendar.put(self._slots, "k", value, at_ms, tie)
        if (state := self._monoid.lift(value, at_ms, tie)) is None:
            return False
        if isinstance(keeping, ByCalendar):
            window = keeping.calendar.add(self._slots.get("k"), at_ms, state, now_ms)
            if window is not None:
                self._slots["k"] = window
            return window is not None
        assert node.until_ms is not None
        assert node.within_ms is not None
        self._slots["k"] = keeping.add(self._slots.get("k"), at_ms, state)
        is_in = at_ms + node.until_ms <= now_ms
        profile.due_ms = min(profile.due_ms, at_ms + (node.within_ms if is_in else node.until_ms))
        return is_in

    def stored(self) -> bytes | None:
        """What Python stores."""
        return msgspec.msgpack.encode(self._slots["k"]) if self._slots else None

    def judge(self, now_ms: int, person: Any) -> None:
        """The value, the instant that it moves at, and what asking has left."""
        expected = self._value(now_ms, person)
        found = self._slot.value(now_ms, None, person)
        assert repr(found) == repr(expected)
        assert self._slot.due_ms == self._profile.due_ms
        assert self._slot.state() == self.stored()

    def _value(self, now_ms: int, person: Any) -> Any:
        keeping, profile = self._keeping, self._profile
        window = self._slots.get("k")
        if isinstance(keeping, ByCalendar):
            state = keeping.calendar.state(window, now_ms, profile, person)
        else:
            state = keeping.state(window, now_ms, profile)
        return self._monoid.at(state, now_ms, profile) if self._monoid.at else self._monoid.result(state)

    def turn(self, now_ms: int) -> None:
        """Time takes out what it does, in both; both go on from what is stored then."""
        if (window := self._slots.get("k")) is None:
            assert self._slot.expire(now_ms) is None
            return
        changed, empty = self._keeping.expire(window, now_ms), self._keeping.is_empty(window)
        assert self._slot.expire(now_ms) == (changed, empty, self._keeping.due_ms(window))
        if empty:
            del self._slots["k"]
        else:
            assert self._slot.state() == self.stored()
            self._slots["k"] = msgspec.msgpack.decode(self.stored() or b"")
            self._slot.load(self.stored())
        self._slot.due_ms = self._profile.due_ms = NEVER_MS


VALUES: Sequence[Any] = (1, 2, -7, 0.1, 2.5, 1e17, 1 << 60, -0.0, True, None, "a", "b", ["a"])


@settings(max_examples=150, deadline=None)
@given(node=aggregates(), seed=st.integers(0, 1 << 30), size=st.sampled_from((3, 30, 200, 2_500)))
def test_the_kernel_leaves_what_python_leaves(node: n.Aggregate, seed: int, size: int) -> None:
    """In order, late, past what is kept, asked from many zones; and after time has taken something out."""
    both, chance = Both(node), random.Random(seed)
    pace_ms = chance.choice((2, SECOND_MS, MINUTE_MS, HOUR_MS, DAY_MS))
    asked = min(0.3, 60 / size)
    now_ms = START_MS + chance.randrange(300) * DAY_MS
    for _ in range(size):
        now_ms += chance.randrange(2 * pace_ms)
        late_ms = chance.choice((0, chance.randrange(20 * pace_ms)))
        both.put(chance.choice(VALUES), now_ms - late_ms, chance.randbytes(8), now_ms)
        if chance.random() < asked:
            both.judge(now_ms + chance.choice((0, pace_ms, HOUR_MS)), chance.choice(ZONE_NAMES))
        if chance.random() < asked / 4:
            both.turn(now_ms)
    both.judge(now_ms, None)
