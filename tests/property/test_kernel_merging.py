"""The kernel makes one of two people's states as Python does: to the same bytes."""

import random
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onefold.language import nodes as n
from onefold.language.keeping.slots import keeping_of
from onefold.language.zones import ZONES, zone_file
from onefold.limits import DAY_MS, HOUR_MS, MINUTE_MS, NEVER_MS

kernel = pytest.importorskip("onefold_kernel", reason="the native kernel is optional")
kernel.read_zones_with(zone_file, sorted(ZONES))

NOW_MS = 1_750_000_000_000
FIELD = n.Field(0, ("properties", "x"))
FUNCTIONS = tuple(n.AGGREGATES)
WINDOWS = st.sampled_from((None, None, 1, 1_000, HOUR_MS, DAY_MS, 49 * DAY_MS, 90 * DAY_MS))
VALUES = (
    st.integers(-3, 3)
    | st.integers(-(1 << 63) + 1, (1 << 63) - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from((0.0, -0.0, 0.1, 1e16, 1e290, "", "a", "b", "1", "é😀", True, False, None))
)
APART = st.sampled_from((0, 0, 1, -1, 7, MINUTE_MS, -MINUTE_MS, HOUR_MS, DAY_MS))
TIES = st.sampled_from((b"\0" * 16, b"\1" * 16, b"\2" * 16))
HAPPENED = st.lists(st.tuples(APART, VALUES, TIES), max_size=12)
Happened = list[tuple[int, Any, bytes]]


def aggregate(function: str, within_ms: int | None) -> n.Aggregate:
    """An aggregate of the events of all names."""
    shape = n.AGGREGATES[function]
    number = (2 if function == "top" else 90) if shape.number else None
    every_ms = HOUR_MS if function in ("time_since", "session_count", "session_length", "session_time") else None
    return n.Aggregate(
        0, function, "*", FIELD if shape.field else None, within_ms=within_ms, number=number, every_ms=every_ms
    )


def slot(node: n.Aggregate) -> Any:
    """The slot in the kernel, with nothing in it."""
    names = ("within_ms", "until_ms", "calendar", "timezone", "number", "every_ms", "per")
    params = {name: getattr(node, name) for name in names} | {"workspace_zone": "UTC"}
    return kernel.Slot(node.function, params, NEVER_MS)


def kept(node: n.Aggregate, happened: Happened) -> bytes | None:
    """The state of these events."""
    rust = slot(node)
    at_ms = now_ms = NOW_MS
    for apart_ms, value, tie in happened:
        at_ms += apart_ms
        now_ms = max(now_ms, at_ms)
        if node.within_ms is None or at_ms > now_ms - node.within_ms:
            rust.put(value, 0, at_ms, tie, now_ms)
    state: bytes | None = rust.state()
    return state


def hold_together(node: n.Aggregate, first: Happened, second: Happened) -> None:
    """Merge both, either way round, and hold the kernel's against Python's."""
    states = kept(node, first), kept(node, second)
    for mine, theirs in (states, states[::-1]):
        if mine is None or theirs is None:
            return
        decode = msgspec.msgpack.decode
        merged = keeping_of(node, "UTC").merge(decode(mine), decode(theirs))
        rust, other = slot(node), slot(node)
        rust.load(mine)
        other.load(theirs)
        rust.merge(other)
        assert rust.state() == msgspec.msgpack.encode(merged)


@pytest.mark.parametrize("function", FUNCTIONS)
@settings(max_examples=60, deadline=None)
@given(first=HAPPENED, second=HAPPENED, within_ms=WINDOWS)
def test_two_states_become_the_same_one(
    function: str, first: Happened, second: Happened, within_ms: int | None
) -> None:
    """Whatever each of both people has done."""
    hold_together(aggregate(function, within_ms), first, second)


@pytest.mark.parametrize("within_ms", [None, HOUR_MS, 60 * DAY_MS])
@pytest.mark.parametrize("function", FUNCTIONS)
@settings(max_examples=2, deadline=None)
@given(seed=st.integers(0, 1 << 32), sizes=st.sampled_from(((3_000, 3_000), (3_000, 10), (700, 700), (1_500, 900))))
def test_states_beyond_the_bounds_become_the_same_one(
    function: str, within_ms: int | None, seed: int, sizes: tuple[int, int]
) -> None:
    """Windows that are coarse, each to its own quantum, samples of values and histograms among them."""
    rng = random.Random(seed)

    def crowd(size: int) -> Happened:
        values = rng.choice((lambda: rng.randrange(size), rng.random, lambda: f"{rng.randrange(2 * size)}"))
        return [(rng.choice((0, 1, 20, rng.randrange(2_000))), values(), rng.randbytes(16)) for _ in range(size)]

    hold_together(aggregate(function, within_ms), crowd(sizes[0]), crowd(sizes[1]))
