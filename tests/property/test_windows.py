"""Packed windows against a plain dictionary of instants."""

from collections.abc import Sequence
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onefold.language.keeping import windows
from onefold.language.keeping.aggregates import MONOIDS
from onefold.limits import DAY_MS, NEVER_MS, WINDOW_PANES_MAX

START_MS = 1_700_000_000_000
WITHIN = st.sampled_from([1_000, 3_600_000, 30 * DAY_MS, 400 * DAY_MS])
STEP = st.one_of(st.integers(0, 3), st.integers(-50, 5_000), st.integers(-40 * DAY_MS, 40 * DAY_MS))


def _walk(steps: Sequence[int]) -> list[int]:
    at_ms, found = START_MS, []
    for step in steps:
        at_ms = max(0, at_ms + step)
        found.append(at_ms)
    return found


def _window(function: str, times: Sequence[int], within_ms: int) -> Any:
    monoid, window = MONOIDS[function], None
    for at_ms in times:
        state = monoid.lift(at_ms % 7, at_ms, b"t")
        window = windows.add(window, at_ms, state, monoid, within_ms)
        window = msgspec.msgpack.decode(msgspec.msgpack.encode(window))
    return window


def _value(function: str, window: Any) -> Any:
    monoid = MONOIDS[function]
    if monoid.remove is not None:
        return monoid.result(window[5])
    return monoid.result(monoid.total([state for _, state in windows.panes(window)]))


def _expected(function: str, times: Sequence[int]) -> Any:
    monoid = MONOIDS[function]
    states = [state for at_ms in times if (state := monoid.lift(at_ms % 7, at_ms, b"t")) is not None]
    return monoid.result(monoid.total(states))


@pytest.mark.parametrize("function", ["count", "sum", "max", "last", "most_frequent"])
@given(steps=st.lists(STEP, min_size=1, max_size=40), later=st.integers(0, 50 * DAY_MS), within_ms=WITHIN)
def test_windows_hold_what_is_in_them(function: str, steps: list[int], later: int, within_ms: int) -> None:
    """In any order, however far apart, kept and read again: what is in the window at an instant, to the millisecond."""
    times = _walk(steps)
    window = _window(function, times, within_ms)
    assert [at_ms for at_ms, _ in windows.panes(window)] == sorted(set(times))
    assert windows.next_expiry_ms(window, within_ms) == min(times) + within_ms
    now_ms = max(times) + later
    left = [at_ms for at_ms in times if at_ms > now_ms - within_ms]
    assert windows.expire(window, now_ms, within_ms, MONOIDS[function]) == (len(left) < len(times))
    assert windows.size(window) == len(set(left))
    assert (windows.next_expiry_ms(window, within_ms) == NEVER_MS) == (not left)
    if left:
        assert _value(function, window) == _expected(function, left)


@pytest.mark.parametrize("function", ["count", "sum", "last"])
@given(a=st.lists(STEP, min_size=1, max_size=20), b=st.lists(STEP, min_size=1, max_size=20), within_ms=WITHIN)
def test_a_merge_is_one_window_over_both(function: str, a: list[int], b: list[int], within_ms: int) -> None:
    """Two windows become the window of all their events, and go on as such."""
    of_a, of_b = _walk(a), _walk(b)
    merged = windows.merge(
        _window(function, of_a, within_ms), _window(function, of_b, within_ms), MONOIDS[function], within_ms
    )
    merged = windows.add(
        merged, START_MS, MONOIDS[function].lift(START_MS % 7, START_MS, b"t"), MONOIDS[function], within_ms
    )
    whole = [*of_a, *of_b]
    assert [at_ms for at_ms, _ in windows.panes(merged)] == sorted({*whole, START_MS})
    assert _value(function, merged) == _expected(function, [*whole, START_MS])


@settings(max_examples=10, deadline=None)
@given(gap_ms=st.integers(1, 10_000), late=st.lists(st.integers(0, 2_000), max_size=50))
def test_a_crowded_window_coarsens(gap_ms: int, late: list[int]) -> None:
    """Past its panes a window loses resolution, never events, and never more than it must."""
    times = [START_MS + n * gap_ms for n in range(2 * WINDOW_PANES_MAX)]
    times += [START_MS + gap_ms * n + 1 for n in late]
    window, within_ms = None, 30 * DAY_MS
    for at_ms in times:
        window = windows.add(window, at_ms, 1, MONOIDS["count"], within_ms)
    assert window is not None
    assert window[5] == len(times) == sum(state for _, state in windows.panes(window))
    assert WINDOW_PANES_MAX // 4 <= windows.size(window) <= WINDOW_PANES_MAX
    assert all(at_ms % window[0] == 0 for at_ms, _ in windows.panes(window))
