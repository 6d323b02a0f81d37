"""Windows of which only a stretch is asked for: between two and one days ago, or this month of wherever somebody is.

Such a window (`windows`) keeps no running total over all its panes. Where states are numbers, which can be taken out of
a total again, it keeps that of the stretch that was asked for last, `[start, end, total]`, in its place: a stretch that
moves on costs what comes into it and what leaves it. Any others are added up whenever somebody asks.
"""

from typing import Any

from onefold.language.keeping import windows
from onefold.language.keeping.aggregates import Monoid
from onefold.language.keeping.windows import Window
from onefold.limits import NEVER_MS, WINDOW_PANES_MAX

TOTAL = 5
"""Where a window has its running total."""


class Stretches:
    """How the windows of one aggregate are kept."""

    def __init__(self, monoid: Monoid, within_ms: int, quantum_ms: int = 1) -> None:
        self._monoid = monoid
        self._bare = monoid._replace(remove=None)
        self._lift, self._combine, self._absorb = monoid.lift, monoid.combine, monoid.absorb
        self._within_ms = within_ms
        self._quantum_ms = quantum_ms

    def add(self, window: Window | None, at_ms: int, state: Any) -> Window:
        """The window with one more event in it; the window is reused."""
        if window is None:
            return windows.begin(at_ms, state, self._bare, self._within_ms, self._quantum_ms)
        quantum_ms, asked = window[0], window[TOTAL]
        pane = at_ms - at_ms % quantum_ms
        if pane == window[2] and window[3]:  # most events, at no more cost than this
            states = window[4]
            states[-1] = self._combine(states[-1], state)
        else:
            window = windows.add(window, at_ms, state, self._bare, self._within_ms)
            if asked is not None and window[0] != quantum_ms:
                window[TOTAL] = None
                return window
        if asked is not None and asked[0] <= pane < asked[1]:
            asked[2] = self._combine(asked[2], state)
        return window

    def put(self, slots: dict[str, Any], key: str, value: Any, at_ms: int, tie: bytes) -> bool:
        """One event into the window of this key, as `lift` and `add` do; False where it does not count."""
        window, absorb = slots.get(key), self._absorb
        if window is not None and absorb is not None:
            quantum_ms, _, pane, times, states, asked, _ = window
            if times and pane <= at_ms < pane + quantum_ms:
                state = absorb(states[-1], value)
                if state is None:
                    return False
                states[-1] = state
                if asked is not None and asked[0] <= pane < asked[1]:
                    asked[2] = absorb(asked[2], value)
                return True
        state = self._lift(value, at_ms, tie)
        if state is None:
            return False
        if window is None or not self._append(window, at_ms, state):
            slots[key] = self.add(window, at_ms, state)
        return True

    def _append(self, window: Window, at_ms: int, state: Any) -> bool:
        """A pane after all others, if there is room for one."""
        quantum_ms, base_ms, last_ms, times, states, asked, width = window
        pane = at_ms - at_ms % quantum_ms
        if pane <= last_ms or width == windows.WIDTH or len(states) >= WINDOW_PANES_MAX:
            return False
        window[2] = pane
        window[3] = times + windows.WIDE.pack(pane - base_ms)
        states.append(state)
        if asked is not None and asked[0] <= pane < asked[1]:
            asked[2] = self._combine(asked[2], state)
        return True

    def merge(self, a: Window, b: Window) -> Window:
        """Both windows' events in one; neither must be used again."""
        merged = windows.merge(a, b, self._bare, self._within_ms)
        merged[TOTAL] = None
        return merged

    def drop(self, window: Window, before_ms: int) -> bool:
        """Let go of the panes that begin before this; True where there were any."""
        asked = window[TOTAL]
        if asked is not None and asked[0] < before_ms:
            self.total(window, before_ms, max(before_ms, asked[1]))
        return windows.drop(window, before_ms)

    def total(self, window: Window, start_ms: int, end_ms: int) -> Any:
        """The state over the panes that begin in [start, end), not to be changed; None where none does."""
        remove, asked = self._monoid.remove, window[TOTAL]
        if asked is not None and asked[0] == start_ms and asked[1] == end_ms:
            return asked[2]
        states = window[4]
        first, last = windows.places(window, start_ms, end_ms)
        if first == last:
            window[TOTAL] = None
            return None
        if remove is None:
            return states[first] if last == first + 1 else self._monoid.total(states[first:last])
        if asked is None or not asked[0] <= start_ms <= asked[1] <= end_ms:
            total = self._monoid.total(states[first:last])
        else:
            was_first, was_last = windows.places(window, asked[0], asked[1])
            total = asked[2]
            for state in states[was_first:first]:
                total = remove(total, state)
            for state in states[was_last:last]:
                total = self._monoid.combine(total, state)
        window[TOTAL] = [start_ms, end_ms, total]
        return total


class Between:
    """Windows over (now - within, now - until], as a slot is kept (`slots.Keeping`)."""

    expires = True

    def __init__(self, monoid: Monoid, within_ms: int, until_ms: int) -> None:
        self._within_ms = within_ms
        self._until_ms = until_ms
        self._stretches = Stretches(monoid, within_ms)
        self.add, self.merge = self._stretches.add, self._stretches.merge

    def expire(self, window: Window, now_ms: int) -> bool:
        """Drop the panes that have left."""
        return self._stretches.drop(window, self._from_ms(window, now_ms))

    def is_empty(self, window: Window) -> bool:
        """No pane is left."""
        return not windows.size(window)

    def due_ms(self, window: Window) -> int:
        """When the oldest pane leaves."""
        return windows.next_expiry_ms(window, self._within_ms)

    def state(self, window: Window | None, now_ms: int, profile: Any) -> Any:
        """The state over the window at an instant.

        Arms the profile for when the next event comes into the window; when one leaves it, expiry does.
        """
        if not window or not window[3]:
            return None
        quantum_ms = window[0]
        # A pane has come into the window when its last instant has.
        edge_ms = now_ms - self._until_ms - quantum_ms + 2
        coming_ms = windows.first_from_ms(window, edge_ms)
        if coming_ms != NEVER_MS:
            profile.due_ms = min(profile.due_ms, coming_ms + quantum_ms - 1 + self._until_ms)
        return self._stretches.total(window, self._from_ms(window, now_ms), edge_ms)

    def _from_ms(self, window: Window, now_ms: int) -> int:
        """No pane that begins before this is in the window any more."""
        return int(now_ms - self._within_ms - window[0] + 2)
