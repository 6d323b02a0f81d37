"""Calendar windows: this month, yesterday, last week, in a zone that is fixed or each person's own.

In a fixed zone the state is that of the aggregate over a whole period, at most of two, so that it is exact whatever
happens. In a person's own zone, which may change, it is a window (`windows`), whose panes are quarters of an hour:
where days begin in every zone of today; beyond WINDOW_PANES_MAX of them they coarsen, as windows do. Periods are
stretches of it (`stretches`).
"""

from collections.abc import Mapping
from functools import lru_cache
from operator import itemgetter
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from onefold.language import nodes as n
from onefold.language.keeping import windows
from onefold.language.keeping.aggregates import Monoid
from onefold.language.keeping.periods import Periods, periods
from onefold.language.keeping.stretches import TOTAL, Stretches
from onefold.language.keeping.windows import Window
from onefold.language.zones import zone
from onefold.limits import DAY_MS

QUARTER_MS = 15 * 60 * 1000
SPAN_MS = 2 * 366 * DAY_MS
"""No calendar window reaches back further."""
_SPARE_MS = 2 * DAY_MS
"""More than zones are apart."""
ZONE_FIELD = "timezone"
"""The declared trait, and the field of an event's context, that name a person's zone."""
_UTC = "UTC"

PERSON_ZONE = n.Aggregate(0, "last", "*", n.Field(0, ("context", ZONE_FIELD)))
"""What is kept of a person's events to know their zone where they have not declared one."""


class FixedCalendar:
    """A calendar window in one zone. The state is `[begin_ms, state, begin_ms, state]`, of two periods at most."""

    def __init__(self, name: str, in_zone: ZoneInfo, monoid: Monoid) -> None:
        self._ago = n.CALENDARS[name][1]
        self._combine = monoid.combine
        self._periods = Periods(n.CALENDARS[name][0], in_zone)
        self._late = Periods(n.CALENDARS[name][0], in_zone)
        """Of late events, so that they do not make the present one be looked up again."""
        self._window = (0, 0, 0, 0)
        """(begin of the window, begin of the next, begin of this period, begin of the next): as of late."""

    def _at(self, now_ms: int) -> tuple[int, int, int, int]:
        if not self._window[2] <= now_ms < self._window[3]:
            index, begin_ms, turn_ms = self._periods.around(now_ms)
            first_ms, next_ms = begin_ms, turn_ms
            if self._ago:
                first_ms, next_ms = (self._periods.start_ms(index - ago) for ago in (self._ago, self._ago - 1))
            self._window = first_ms, next_ms, begin_ms, turn_ms
        return self._window

    def add(self, window: Window | None, at_ms: int, state: Any, now_ms: int) -> Window | None:
        """The state with one more event; one that is older than the window changes nothing."""
        oldest_ms, _, this_ms, turn_ms = self._window
        if not this_ms <= now_ms < turn_ms:
            oldest_ms, _, this_ms, turn_ms = self._at(now_ms)
        if at_ms < oldest_ms:
            return window
        begin_ms = this_ms if this_ms <= at_ms < turn_ms else self._late.around(at_ms)[1]
        if not window:
            return [begin_ms, state]
        if window[-2] == begin_ms:
            window[-1] = self._combine(window[-1], state)
            return window
        return self.merge(window, [begin_ms, state])

    def merge(self, a: Window, b: Window) -> Window:
        """The state of two profiles; both are used up."""
        found = dict(zip(a[::2], a[1::2], strict=True))
        for begin_ms, state in zip(b[::2], b[1::2], strict=True):
            found[begin_ms] = self._combine(found[begin_ms], state) if begin_ms in found else state
        return [each for pair in sorted(found.items(), key=itemgetter(0))[-2:] for each in pair]

    def expire(self, window: Window, now_ms: int) -> None:
        """Let go of what can never be in the window again."""
        oldest_ms = self._at(now_ms)[0]
        while window and window[0] < oldest_ms:
            del window[:2]

    def is_empty(self, window: Window) -> bool:
        """Nothing is left."""
        return not window

    def state(self, window: Window | None, now_ms: int, profile: Any, _zone: Any = None) -> Any:
        """The aggregate's state over the window at an instant; arms the profile for when that is another window."""
        if not window:
            return None
        first_ms, _, this_ms, turn_ms = self._window
        if not this_ms <= now_ms < turn_ms:
            first_ms, _, _, turn_ms = self._at(now_ms)
        if turn_ms < profile.due_ms:  # noqa: PLR1730 - a call less for each event
            profile.due_ms = turn_ms
        if window[-2] == first_ms:
            return window[-1]
        return window[1] if window[0] == first_ms else None


class PersonCalendar:
    """A calendar window in each person's own zone."""

    def __init__(self, name: str, workspace_zone: ZoneInfo, monoid: Monoid) -> None:
        self._stretches = Stretches(monoid, SPAN_MS, QUARTER_MS)
        self._spans = spans_of(name, workspace_zone)
        self.put = self._stretches.put
        """(slots, key, value, event time, tie): an event that is in the window in some zone (`Spans.oldest_ms`)."""

    def add(self, window: Window | None, at_ms: int, state: Any, now_ms: int) -> Window | None:
        """The state with one more event; one that is older than the window in every zone changes nothing."""
        return window if at_ms < self._spans.oldest_ms(now_ms) else self._stretches.add(window, at_ms, state)

    def merge(self, a: Window, b: Window) -> Window:
        """The state of two profiles; both are used up."""
        return self._stretches.merge(a, b)

    def expire(self, window: Window, now_ms: int) -> None:
        """Let go of what can never be in the window again, in whatever zone."""
        self._stretches.drop(window, self._spans.oldest_ms(now_ms) - window[0] + 1)

    def is_empty(self, window: Window) -> bool:
        """No pane is left."""
        return not windows.size(window)

    def state(self, window: Window | None, now_ms: int, profile: Any, zone_name: Any = None) -> Any:
        """The aggregate's state over the window at an instant; arms the profile for when that is another window."""
        return self.over(window, self._spans.at(zone_name, now_ms), profile) if window else None

    def over(self, window: Window | None, span: "Span", profile: Any) -> Any:
        """The same over the span of the window in the person's zone at that instant (`Spans.at`)."""
        if not window or not window[3]:
            return None
        start_ms, end_ms, _, turn_ms = span
        if turn_ms < profile.due_ms:  # noqa: PLR1730 - a call less for each event
            profile.due_ms = turn_ms
        asked = window[TOTAL]
        if asked is not None and asked[0] == start_ms and asked[1] == end_ms:
            return asked[2]
        return self._stretches.total(window, start_ms, end_ms)


class Span(NamedTuple):
    """A calendar window as of some instants."""

    start_ms: int
    end_ms: int
    """Exclusive."""
    since_ms: int
    turn_ms: int
    """It is this window from `since_ms` on, and another from `turn_ms` on."""


class Spans:
    """The spans of one calendar window in whatever zones people live in; the latest of each zone is remembered."""

    def __init__(self, name: str, workspace_zone: ZoneInfo) -> None:
        self._kind, self._ago = n.CALENDARS[name]
        self._here = periods(self._kind, workspace_zone)
        self._behind = Periods(self._kind, workspace_zone)
        self._latest: dict[str | None, Span] = {}
        """Name of a zone → its span; None: the workspace's, for whoever names none."""
        self._oldest = (0, 0, 0)
        """(from, until, the oldest event that any window of an instant between these can hold)."""

    def at(self, zone_name: Any, now_ms: int) -> Span:
        """The span in the zone of this name, or where there is none, in the workspace's."""
        name = zone_name if type(zone_name) is str else None
        found = self._latest.get(name)
        if found is None and zone(name) is None:
            found, name = self._latest.get(None), None
        if found is None or not found.since_ms <= now_ms < found.turn_ms:
            found = self._latest[name] = self._found(name, now_ms)
        return found

    def _found(self, name: str | None, now_ms: int) -> Span:
        in_zone = zone(name)
        of_zone = self._here if in_zone is None else periods(self._kind, in_zone)
        index, start_ms, turn_ms = of_zone.around(now_ms)
        if not self._ago:
            return Span(start_ms, turn_ms, start_ms, turn_ms)
        return Span(of_zone.start_ms(index - self._ago), of_zone.start_ms(index - self._ago + 1), start_ms, turn_ms)

    def oldest_ms(self, now_ms: int) -> int:
        """No event that is older is in the window at this instant or later, in whatever zone."""
        if not self._oldest[0] <= now_ms < self._oldest[1]:
            index, begin_ms, end_ms = self._behind.around(now_ms - _SPARE_MS)
            oldest_ms = self._behind.start_ms(index - self._ago) - _SPARE_MS
            self._oldest = begin_ms + _SPARE_MS, end_ms + _SPARE_MS, oldest_ms
        return self._oldest[2]


@lru_cache(maxsize=256)
def spans_of(name: str, workspace_zone: ZoneInfo) -> Spans:
    """The spans of the calendar window of this name: equal windows share them."""
    return Spans(name, workspace_zone)


Calendar = FixedCalendar | PersonCalendar


def calendar_of(aggregate: n.Aggregate, monoid: Monoid, workspace_zone: str) -> Calendar:
    """The calendar window of a checked aggregate."""
    assert aggregate.calendar is not None
    personal = aggregate.timezone == n.PERSON
    in_zone = zone(workspace_zone if personal else aggregate.timezone or _UTC)
    assert in_zone is not None, aggregate.timezone
    return (PersonCalendar if personal else FixedCalendar)(aggregate.calendar, in_zone, monoid)


def zone_name(declared: Mapping[str, Any], last: list[Any] | None) -> Any:
    """What names a person's zone: the declared trait where that names one, else the latest event's context."""
    said = declared.get(ZONE_FIELD)
    if said is not None and zone(said.value) is not None:
        return said.value
    return None if last is None else last[2]
