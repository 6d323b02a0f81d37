"""The native kernel keeps what Python keeps: after each event the same bytes, value and alarm."""

import random
import textwrap
from collections.abc import Iterator, Sequence
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onefold.language import nodes as n
from onefold.language.keeping import windows
from onefold.language.keeping.aggregates import MONOIDS
from onefold.language.keeping.monoids import monoid_of
from onefold.language.keeping.slots import keeping_of
from onefold.language.stream.putting import Around, put
from onefold.language.stream.source import CALLED, EventScope, Surroundings, prefix, slot_value
from onefold.language.values import identical
from onefold.limits import DAY_MS, HOUR_MS, MINUTE_MS, NEVER_MS, UNIQUE_VALUES_MAX, WINDOW_PANES_MAX

kernel = pytest.importorskip("onefold_kernel", reason="the native kernel is optional")

NOW_MS = 1_750_000_000_000
FIELD = n.Field(0, ("properties", "x"))
_FIELDS = ("within_ms", "until_ms", "calendar", "timezone", "number", "every_ms", "per")
_encode = msgspec.msgpack.encode

Happened = tuple[int, Any, bytes]
"""(how long after the one before, value, tie)."""


class InPython:
    """One slot of an otherwise empty profile, as the generated code of the stream keeps it."""

    def __init__(self, node: n.Aggregate) -> None:
        self.key = n.slot(node)
        self.slots: dict[str, Any] = {}
        self.profile = SimpleNamespace(due_ms=NEVER_MS)
        self.keeping = keeping_of(node, "UTC")
        among = Surroundings({}, "UTC")
        event = EventScope(among)
        lines = list(put(self.key, node, "*", event, Around((), ("some = True",))))
        scope = {**CALLED, "identical": identical, "add": windows.add, "pack": windows.NARROW.pack, "ONE": windows.ONE}
        monoids = {**MONOIDS, prefix(node): monoid_of(node)}
        parts = ("lift", "combine", "result", "total", "at", "put")
        scope |= {f"{name}_{part}": getattr(monoid, part) for name, monoid in monoids.items() for part in parts}
        scope |= {f"{name}_monoid": monoid for name, monoid in monoids.items()}
        scope[f"kept_{self.key}"] = self.keeping
        body = textwrap.indent("\n".join(["some = False", *event.lines(), *lines, "return some"]), "    ")
        level = ", level" if monoid_of(node).at is not None else ""
        source = f"def on(p, s, q, t, tie, now):\n{body}\n"
        source += f"def value(p, s, now, level):\n    return {slot_value(node, level=level)}\n"
        scope |= among.constants
        exec(compile(source, self.key, "exec"), scope)
        self._on, self._value = scope["on"], scope["value"]

    def put(self, value: Any, at_ms: int, tie: bytes, now_ms: int) -> bool:
        """Whether its value may be another."""
        some: bool = self._on(self.profile, self.slots, SimpleNamespace(f_x=value), at_ms, tie, now_ms)
        return some

    def value(self, now_ms: int, level: float | None) -> Any:
        """Its value at an instant."""
        return self._value(self.profile, self.slots, now_ms, level)

    @property
    def state(self) -> bytes | None:
        """As it is stored."""
        return _encode(self.slots[self.key]) if self.key in self.slots else None

    def expire(self, now_ms: int) -> tuple[bool, bool, int] | None:
        """What time does to it, as a profile is woken."""
        if self.key not in self.slots:
            return None
        state = self.slots[self.key]
        changed, empty = self.keeping.expire(state, now_ms), self.keeping.is_empty(state)
        if empty:
            del self.slots[self.key]
        return changed, empty, self.keeping.due_ms(state)


def params(node: n.Aggregate) -> dict[str, Any]:
    """What the compiler says of a slot."""
    return {name: given for name in _FIELDS if (given := getattr(node, name)) is not None}


def native(node: n.Aggregate) -> Any:
    """The slot in the kernel."""
    return kernel.Slot(node.function, params(node), NEVER_MS)


def counts(node: n.Aggregate, at_ms: int, now_ms: int) -> bool:
    """Whether generated code would put the event in, by its time."""
    return node.within_ms is None or at_ms > now_ms - node.within_ms


def hold_together(
    node: n.Aggregate, happened: Sequence[Happened], level: float | None = None, stored_every: int = 0, *, woken: bool
) -> None:
    """Put the events into both, and hold them against each other after each."""
    python, rust = InPython(node), native(node)
    at_ms = now_ms = NOW_MS
    for number, (apart_ms, value, tie) in enumerate(happened):
        at_ms += apart_ms
        now_ms = max(now_ms, at_ms)
        if stored_every and number % stored_every == 0 and python.state is not None:
            rust.load(python.state)
            python.slots[python.key] = msgspec.msgpack.decode(python.state)
        some = python.put(value, at_ms, tie, now_ms)
        if counts(node, at_ms, now_ms):
            assert rust.put(value, 0, at_ms, tie, now_ms) == some
        assert rust.state() == python.state
        assert rust.due_ms == python.profile.due_ms
        assert _encode(rust.value(now_ms, level)) == _encode(python.value(now_ms, level))
        assert rust.due_ms == python.profile.due_ms
        assert rust.state() == python.state
        if woken:
            assert rust.expire(now_ms) == python.expire(now_ms)
            assert rust.state() == python.state


NUMBERS = (
    st.integers(-3, 3)
    | st.integers(-(1 << 63), (1 << 63) - 1)
    | st.integers((1 << 53) - 2, (1 << 53) + 2)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.floats(-10, 10).map(lambda x: round(x, 2))
    | st.sampled_from((0.0, -0.0, 1.0, -1.0, 2.0, 0.1, 1e16, 1e-5, 1e-4, 1e290, -1e290, 1e291, 1e140, 2.0**53))
)
JSON = st.recursive(
    NUMBERS | st.text(max_size=3) | st.none() | st.booleans(),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=2), inner, max_size=2),
    max_leaves=4,
)
VALUES = NUMBERS | st.sampled_from(("", "a", "b", "1", "é", "é😀", True, False, None)) | JSON
STEPS = st.sampled_from((0, 0, 1, -1, 7, MINUTE_MS, -MINUTE_MS, HOUR_MS, -HOUR_MS, DAY_MS, 60 * DAY_MS))
TIES = st.sampled_from((b"\0" * 16, b"\1" * 16, b"\2" * 16))
HAPPENED = st.lists(st.tuples(STEPS, VALUES, TIES), max_size=25)
WINDOWS = st.sampled_from((None, None, 1, 1_000, HOUR_MS, DAY_MS, 49 * DAY_MS, 50 * DAY_MS, 90 * DAY_MS))
FUNCTIONS = (
    "count", "sum", "avg", "min", "max", "first", "last", "most_frequent", "unique", "unique_count", "top",
    "percentile", "stddev", "time_since",
)  # fmt: skip
NUMERIC = frozenset(("sum", "avg", "min", "max", "percentile", "stddev"))
WITHOUT_FIELD = frozenset(("count", "time_since"))


def aggregate(function: str, within_ms: int | None = None, number: float | None = None) -> n.Aggregate:
    """An aggregate of the events of all names."""
    field = None if function in WITHOUT_FIELD else FIELD
    if number is None:
        number = {"top": 2, "percentile": 90}.get(function)
    every_ms = HOUR_MS if function == "time_since" else None
    return n.Aggregate(0, function, "*", field, within_ms=within_ms, number=number, every_ms=every_ms)


@pytest.mark.parametrize("function", FUNCTIONS)
@settings(max_examples=60, deadline=None)
@given(
    happened=HAPPENED,
    within_ms=WINDOWS,
    level=st.none() | st.sampled_from((-1.5, 0, 0.5, 1, 2.5, 30, 1e300)),
    stored_every=st.integers(0, 3),
    woken=st.booleans(),
)
def test_any_events_leave_the_same(
    function: str,
    happened: list[Happened],
    within_ms: int | None,
    level: float | None,
    stored_every: int,
    *,
    woken: bool,
) -> None:
    """Late ones, duplicates of instants and odd values included; read again from its bytes now and then."""
    hold_together(aggregate(function, within_ms), happened, level, stored_every, woken=woken)


def _crowd(seed: int, spread: int, *, numbers: bool) -> Iterator[Happened]:
    """More events, instants and values than anything keeps, some of them late."""
    rng = random.Random(seed)
    for number in range(2 * WINDOW_PANES_MAX):
        apart_ms = -rng.randrange(50_000) if rng.random() < 0.05 else rng.choice((0, 1, 20, rng.randrange(2_000)))
        value = rng.randrange(-spread, spread) * rng.choice((1, 0.37)) if numbers else f"{rng.randrange(spread)}"
        yield apart_ms, rng.choice((value, float(number), 3)), rng.randbytes(16)


@pytest.mark.parametrize("within_ms", [None, 50_000, HOUR_MS, 60 * DAY_MS])
@pytest.mark.parametrize("function", FUNCTIONS)
@settings(max_examples=2, deadline=None)
@given(seed=st.integers(0, 1 << 32), numbers=st.booleans(), spread=st.sampled_from((50, 3_000, 1 << 30)))
def test_beyond_the_bounds_it_is_the_same(
    function: str, within_ms: int | None, seed: int, *, numbers: bool, spread: int
) -> None:
    """Windows coarsen, tallies keep a sample, percentiles become histograms: at the same event, to the same bytes."""
    python, rust = InPython(node := aggregate(function, within_ms)), native(node)
    at_ms = now_ms = NOW_MS
    for number, (apart_ms, value, tie) in enumerate(_crowd(seed, spread, numbers=numbers or function in NUMERIC)):
        at_ms += apart_ms
        now_ms = max(now_ms, at_ms)
        some = python.put(value, at_ms, tie, now_ms)
        assert not counts(node, at_ms, now_ms) or rust.put(value, 0, at_ms, tie, now_ms) == some
        if number % 97 == 0 or abs(number - UNIQUE_VALUES_MAX) < 3:
            assert rust.state() == python.state
            assert _encode(rust.value(now_ms)) == _encode(python.value(now_ms, None))
        if number % 300 == 299:
            assert rust.expire(now_ms) == python.expire(now_ms)
    assert rust.state() == python.state
    assert rust.due_ms == python.profile.due_ms


@pytest.mark.parametrize("function", FUNCTIONS)
@settings(max_examples=60, deadline=None)
@given(stored=st.binary(max_size=40) | JSON.map(_encode), within_ms=st.sampled_from((None, HOUR_MS)), data=st.data())
def test_a_state_of_another_shape_is_refused(
    function: str, stored: bytes, within_ms: int | None, data: st.DataObject
) -> None:
    """What no such slot holds is left to Python: it is neither changed nor does it end the process."""
    node = aggregate(function, within_ms)
    if data.draw(st.booleans()):
        python = InPython(node)
        python.put(3, NOW_MS, b"t" * 16, NOW_MS)
        assert python.state is not None
        at = data.draw(st.integers(0, len(python.state) - 1))
        stored = python.state[:at] + data.draw(st.binary(max_size=2)) + python.state[at + 1 :]
    rust = native(node)
    rust.load(stored)
    try:
        rust.put(3, 0, NOW_MS, b"t" * 16, NOW_MS)
    except ValueError:
        assert rust.state() == stored
    else:
        rust.value(NOW_MS)
        rust.expire(NOW_MS + DAY_MS)
