"""Sliding windows over event time: exact to the millisecond, of bounded size, mergeable.

A window is `[quantum_ms, base_ms, last_ms, times, states, running, width]`: panes in time order, each the aggregate's
state over the events of one quantum, and the state over all of them where the aggregate can take states out again (else
None). The quantum is 1 ms until more than WINDOW_PANES_MAX instants lie in the window; then it doubles until they fit,
and the window's error is that quantum. An event at time t is in a window of length w at instant n when n - w < t <= n.

`times` packs the panes' times since `base_ms`, the last of which is `last_ms`, in `width` bytes each: a busy person's
thousands of panes are copied as they lie, in memory and into the state. So are `states` that are counts, in WIDTH bytes
each, or None where each pane counts one; any other states are a list.
"""

import sys
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from itertools import islice, repeat
from struct import Struct
from typing import Any

from onefold.language.keeping.aggregates import Monoid
from onefold.limits import NEVER_MS, WINDOW_PANES_MAX

Window = list[Any]

WIDTH = 4
"""Bytes of a time; twice as many where those do not reach."""
REACH_MS = 1 << 8 * WIDTH
NARROW = Struct("<I")
WIDE = Struct("<Q")
_ONE = 1
"""The state of a pane that counts one event."""
ONE = NARROW.pack(_ONE)
"""The same, packed."""

assert sys.byteorder == "little", "packed times are read in place"


def begin(at_ms: int, state: Any, monoid: Monoid, within_ms: int, quantum_ms: int = 1) -> Window:
    """A window with one event in it."""
    running = _own(state) if monoid.remove is not None else None
    pane = at_ms - at_ms % quantum_ms
    span_ms = within_ms + quantum_ms
    narrow = span_ms < REACH_MS
    times = (NARROW if narrow else WIDE).pack(span_ms)
    width = WIDTH if narrow else 2 * WIDTH
    return [quantum_ms, pane - span_ms, pane, times, _together([state], monoid), running, width]


def add(window: Window | None, at_ms: int, state: Any, monoid: Monoid, within_ms: int) -> Window:
    """The window with one more event in it; the window is reused."""
    if window is None:
        return begin(at_ms, state, monoid, within_ms)
    quantum_ms, base_ms, last_ms, times, states, running, width = window
    if monoid.remove is not None:
        window[5] = monoid.combine(running, state)
    pane = at_ms - at_ms % quantum_ms
    if type(states) is list:
        if pane > last_ms and (width != WIDTH or pane - base_ms < REACH_MS):
            window[2] = pane
            window[3] = times + (NARROW if width == WIDTH else WIDE).pack(pane - base_ms)
            states.append(state)
            if len(states) > WINDOW_PANES_MAX:
                _coarsen(window, monoid, within_ms)
            return window
        if pane == last_ms and times:
            states[-1] = monoid.combine(states[-1], state)
            return window
    elif pane == last_ms and times:
        counts = ONE * size(window) if states is None else states
        window[4] = counts[:-WIDTH] + NARROW.pack(NARROW.unpack_from(counts, len(counts) - WIDTH)[0] + state)
        return window
    if not 0 <= pane - base_ms < REACH_MS and (pane < base_ms or width == WIDTH):
        _fill(window, [time_ms for time_ms, _ in panes(window)], within_ms, pane)
    _put(window, pane, state, monoid)
    if size(window) > WINDOW_PANES_MAX:
        _coarsen(window, monoid, within_ms)
    return window


def _own(state: Any) -> Any:
    """A copy that a running total may change: states that can be taken out again are numbers, or lists of numbers."""
    return [_own(part) for part in state] if type(state) is list else state


def size(window: Window) -> int:
    """How many panes there are."""
    return len(window[3]) // int(window[6])


def panes(window: Window) -> list[tuple[int, Any]]:
    """(time, state) of each pane, in order."""
    base_ms = window[1]
    return [(base_ms + offset, state) for offset, state in zip(_offsets(window), _states(window), strict=True)]


def places(window: Window, start_ms: int, end_ms: int) -> tuple[int, int]:
    """The first of the panes that begin in [start, end), and the one behind the last; equal where none does."""
    if len(window[3]) == window[6]:
        one_ms = window[2]
        return int(one_ms < start_ms), int(one_ms < end_ms)
    offsets, base_ms = _offsets(window), window[1]
    return bisect_left(offsets, start_ms - base_ms), bisect_left(offsets, end_ms - base_ms)


def drop(window: Window, before_ms: int) -> bool:
    """Let go of the panes that begin before this, of a window without running total; True where there were any."""
    gone = bisect_left(_offsets(window), before_ms - window[1])
    if gone:
        window[3] = window[3][gone * window[6] :]
        window[4] = window[4][gone:]
    return gone > 0


def first_from_ms(window: Window, at_ms: int) -> int:
    """When the first pane begins that does not begin before this; NEVER_MS where none does."""
    offsets = _offsets(window)
    i = bisect_left(offsets, at_ms - window[1])
    return int(window[1]) + offsets[i] if i < len(offsets) else NEVER_MS


def _states(window: Window) -> Iterable[Any]:
    states = window[4]
    if states is None:
        return repeat(_ONE, size(window))
    return memoryview(states).cast("I") if type(states) is bytes else states


def _offsets(window: Window) -> Sequence[int]:
    return memoryview(window[3]).cast("I" if window[6] == WIDTH else "Q")


def _together(states: list[Any], monoid: Monoid) -> list[Any] | bytes | None:
    """States as a window keeps them."""
    if monoid.remove is None or type(states[0]) is not int:
        return states
    return None if all(state == _ONE for state in states) else b"".join(map(NARROW.pack, states))


def _fill(window: Window, times: Sequence[int], within_ms: int, coming_ms: int) -> None:
    """Set the window's times, in order, so that one at `coming_ms` can follow.

    They count from where hardly anything can be earlier that is still in the window.
    """
    latest_ms = max(times[-1], coming_ms)
    base_ms = min(times[0], coming_ms, latest_ms - within_ms - window[0])
    narrow = latest_ms - base_ms < REACH_MS
    pack = (NARROW if narrow else WIDE).pack
    window[1:4] = [base_ms, times[-1], b"".join([pack(at_ms - base_ms) for at_ms in times])]
    window[6] = WIDTH if narrow else 2 * WIDTH


def _put(window: Window, pane: int, state: Any, monoid: Monoid) -> None:
    _, base_ms, last_ms, times, states, _, width = window
    packed = (NARROW if width == WIDTH else WIDE).pack(pane - base_ms)
    i = size(window) if pane > last_ms else bisect_left(_offsets(window), pane - base_ms)
    there = times[i * width : (i + 1) * width] == packed
    if type(states) is list:
        if there:
            states[i] = monoid.combine(states[i], state)
        else:
            states.insert(i, state)
    elif there or states is not None or state != _ONE:
        counts = ONE * size(window) if states is None else states
        count = state + NARROW.unpack_from(counts, i * WIDTH)[0] if there else state
        window[4] = counts[: i * WIDTH] + NARROW.pack(count) + counts[(i + there) * WIDTH :]
    if not there:
        window[2] = max(pane, last_ms)
        window[3] = times[: i * width] + packed + times[i * width :]


def _coarsen(window: Window, monoid: Monoid, within_ms: int) -> None:
    found = panes(window)
    while len(found) > WINDOW_PANES_MAX:
        window[0] *= 2
        finer, found = found, []
        for at_ms, state in finer:
            pane = at_ms - at_ms % window[0]
            if found and found[-1][0] == pane:
                found[-1] = (pane, monoid.combine(found[-1][1], state))
            else:
                found.append((pane, state))
    window[4] = _together([state for _, state in found], monoid)
    _fill(window, [at_ms for at_ms, _ in found], within_ms, found[-1][0])


def expire(window: Window, now_ms: int, within_ms: int, monoid: Monoid) -> bool:
    """Drop what has left the window; True where anything did. A window may end up without panes."""
    quantum, base_ms, _, times, states, running, width = window
    gone = bisect_left(_offsets(window), now_ms - within_ms - quantum + 2 - base_ms)
    if gone == 0:
        return False
    if monoid.remove is not None:
        for state in islice(_states(window), gone):
            running = monoid.remove(running, state)
        window[5] = running
    window[3] = times[gone * width :]
    if states is not None:
        window[4] = states[gone * (WIDTH if type(states) is bytes else 1) :]
    return True


def next_expiry_ms(window: Window, within_ms: int) -> int:
    """When the oldest pane leaves: its last possible event plus the window's length."""
    if not window[3]:
        return NEVER_MS
    return int(window[1]) + _offsets(window)[0] + int(window[0]) - 1 + within_ms


def merge(a: Window, b: Window, monoid: Monoid, within_ms: int) -> Window:
    """Both windows' events in one; the coarser is reused, the other must not be used again."""
    if a[0] < b[0]:
        a, b = b, a
    if monoid.remove is not None:
        a[5] = monoid.combine(a[5], b[5])
    found = dict(panes(a))
    for at_ms, state in panes(b):
        pane = at_ms - at_ms % a[0]
        found[pane] = monoid.combine(found[pane], state) if pane in found else state
    times = sorted(found)
    a[4] = _together([found[at_ms] for at_ms in times], monoid)
    _fill(a, times, within_ms, times[-1])
    if size(a) > WINDOW_PANES_MAX:
        _coarsen(a, monoid, within_ms)
    return a
