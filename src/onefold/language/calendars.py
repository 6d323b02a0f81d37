"""Calendar windows: this month, yesterday, last week, in a zone that is fixed or each person's own.

The state is that of a window (`windows`) without a running total. In a fixed zone its panes are the periods
themselves, of which at most two are kept, so that it is exact whatever happens. In a person's own zone, which may
change, they are quarters of an hour: where days begin in every zone of today; beyond WINDOW_PANES_MAX of them they
coarsen, as windows do.
"""

from collections.abc import Mapping
from typing import Any

from onefold.language import nodes as n
from onefold.language import windows
from onefold.language.aggregates import Monoid
from onefold.language.periods import periods
from onefold.language.windows import Window
from onefold.language.zones import zone
from onefold.limits import DAY_MS, NEVER_MS

QUARTER_MS = 15 * 60 * 1000
SPAN_MS = 2 * 366 * DAY_MS
"""No calendar window reaches back further."""
ZONE_FIELD = "timezone"
"""The declared trait, and the field of an event's context, that name a person's zone."""
_UTC = "UTC"

PERSON_ZONE = n.Aggregate(0, "last", "*", n.Field(0, ("context", ZONE_FIELD)))
"""What is kept of a person's events to know their zone where they have not declared one."""


class Calendar:
    """One calendar window of one aggregate."""

    def __init__(self, aggregate: n.Aggregate, monoid: Monoid, workspace_zone: str) -> None:
        assert aggregate.calendar is not None
        self._kind, self._ago = n.CALENDARS[aggregate.calendar]
        self._monoid = monoid._replace(remove=None)
        self._personal = aggregate.timezone == n.PERSON
        self._fallback = zone(workspace_zone if self._personal else aggregate.timezone or _UTC)
        assert self._fallback is not None, aggregate.timezone
        self._periods = periods(self._kind, self._fallback)

    # --- events ----------------------------------------------------------------------------------------------
    def add(self, window: Window | None, at_ms: int, state: Any, now_ms: int) -> Window | None:
        """The state with one more event; one that is older than the window and cannot come into it changes nothing."""
        if at_ms < self._oldest_ms(now_ms):
            return window
        if not self._personal:
            return windows.add(window, self._periods.around(at_ms)[1], state, self._monoid, SPAN_MS)
        if window is None:
            return windows.begin(at_ms, state, self._monoid, SPAN_MS, QUARTER_MS)
        return windows.add(window, at_ms, state, self._monoid, SPAN_MS)

    def merge(self, a: Window, b: Window) -> Window:
        """The state of two profiles; both are used up."""
        return windows.merge(a, b, self._monoid, SPAN_MS)

    def expire(self, window: Window, now_ms: int) -> None:
        """Let go of what can never be in the window again."""
        windows.drop(window, self._oldest_ms(now_ms) - window[0] + 1)

    def _oldest_ms(self, now_ms: int) -> int:
        """An event of the window, or of one that is to come, is no older."""
        spare_ms = 2 * DAY_MS if self._personal else 0
        found, _, _ = self._periods.around(now_ms - spare_ms)
        return self._periods.start_ms(found - self._ago) - spare_ms

    # --- value -----------------------------------------------------------------------------------------------
    def state(self, window: Window | None, now_ms: int, profile: Any, zone_name: Any = None) -> Any:
        """The aggregate's state over the window at an instant; arms the profile for when that is another window."""
        if not window or not window[3]:
            return None
        own = zone(zone_name) if self._personal else None
        found = self._periods if own is None else periods(self._kind, own)
        index, start_ms, turn_ms = found.around(now_ms)
        profile.due_ms = min(profile.due_ms, turn_ms)
        end_ms = turn_ms
        if self._ago:
            start_ms, end_ms = found.start_ms(index - self._ago), found.start_ms(index - self._ago + 1)
        states = windows.between(window, start_ms, end_ms)
        return states[0] if len(states) == 1 else self._monoid.total(states) if len(states) else None


def zone_name(declared: Mapping[str, Any], last: list[Any] | None) -> Any:
    """What names a person's zone: the declared trait where that names one, else the latest event's context."""
    said = declared.get(ZONE_FIELD)
    if said is not None and zone(said.value) is not None:
        return said.value
    return None if last is None else last[2]


def between(window: Window | None, now_ms: int, bounds: tuple[int, int], monoid: Monoid, profile: Any) -> Any:
    """The state over (now - within, now - until] of a window that keeps (now - within, now].

    Arms the profile for when the next event comes into the window; when one leaves it, the window's own expiry does.
    """
    if not window or not window[3]:
        return None
    within_ms, until_ms = bounds
    quantum_ms = window[0]
    # A pane has come into the window when its last instant has.
    edge_ms = now_ms - until_ms - quantum_ms + 2
    coming_ms = windows.first_from_ms(window, edge_ms)
    if coming_ms != NEVER_MS:
        profile.due_ms = min(profile.due_ms, coming_ms + quantum_ms - 1 + until_ms)
    states = windows.between(window, now_ms - within_ms - quantum_ms + 2, edge_ms)
    return monoid.total(states) if len(states) else None
