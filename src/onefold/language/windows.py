"""Sliding windows over event time: exact to the millisecond, of bounded size, mergeable.

A window is `[quantum_ms, times, states, running]`: panes in time order, each the aggregate's state over the events of
one quantum, and the state over all of them where the aggregate can take states out again (else None). The quantum is
1 ms until more than WINDOW_PANES_MAX instants lie in the window; then it doubles until they fit, and the window's error
is that quantum. An event at time t is in a window of length w at instant n when n - w < t <= n.
"""

from bisect import bisect_left
from typing import Any

from onefold.language.aggregates import Monoid
from onefold.limits import NEVER_MS, WINDOW_PANES_MAX

Window = list[Any]


def add(window: Window | None, at_ms: int, state: Any, monoid: Monoid) -> Window:
    """The window with one more event in it; the window is reused."""
    if window is None:
        return [1, [at_ms], [state], _own(state) if monoid.remove is not None else None]
    quantum, times, states, running = window
    if monoid.remove is not None:
        window[3] = monoid.combine(running, state)
    _put(times, states, at_ms - at_ms % quantum, state, monoid)
    if len(times) > WINDOW_PANES_MAX:
        _coarsen(window, monoid)
    return window


def _own(state: Any) -> Any:
    """A copy that a running total may change."""
    return list(state) if type(state) is list else state


def _put(times: list[int], states: list[Any], pane: int, state: Any, monoid: Monoid) -> None:
    if not times or pane > times[-1]:
        times.append(pane)
        states.append(state)
        return
    i = bisect_left(times, pane)
    if times[i] == pane:
        states[i] = monoid.combine(states[i], state)
    else:
        times.insert(i, pane)
        states.insert(i, state)


def _coarsen(window: Window, monoid: Monoid) -> None:
    quantum, times, states, _ = window
    while len(times) > WINDOW_PANES_MAX:
        quantum *= 2
        old_times, old_states = times, states
        times, states = [], []
        for at_ms, state in zip(old_times, old_states, strict=True):
            _put(times, states, at_ms - at_ms % quantum, state, monoid)
    window[:3] = [quantum, times, states]


def expire(window: Window, now_ms: int, within_ms: int, monoid: Monoid) -> bool:
    """Drop what has left the window; True where anything did. A window may end up without panes."""
    quantum, times, states, running = window
    gone = bisect_left(times, now_ms - within_ms - quantum + 2)
    if gone == 0:
        return False
    if monoid.remove is not None:
        for state in states[:gone]:
            running = monoid.remove(running, state)
        window[3] = running
    del times[:gone]
    del states[:gone]
    return True


def next_expiry_ms(window: Window, within_ms: int) -> int:
    """When the oldest pane leaves: its last possible event plus the window's length."""
    times = window[1]
    return int(times[0]) + int(window[0]) - 1 + within_ms if times else NEVER_MS


def merge(a: Window, b: Window, monoid: Monoid) -> Window:
    """Both windows' events in one; the coarser is reused, the other must not be used again."""
    if a[0] < b[0]:
        a, b = b, a
    quantum, times, states, running = a
    for at_ms, state in zip(b[1], b[2], strict=True):
        _put(times, states, at_ms - at_ms % quantum, state, monoid)
    if monoid.remove is not None:
        a[3] = monoid.combine(running, b[3])
    if len(times) > WINDOW_PANES_MAX:
        _coarsen(a, monoid)
    return a
