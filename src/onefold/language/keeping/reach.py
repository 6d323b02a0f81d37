"""Reach: between which instants the events lie that something kept looks at."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from onefold.language import nodes as n
from onefold.language.keeping.calendars import PERSON_ZONE, zone_name
from onefold.language.keeping.periods import periods
from onefold.language.zones import zone

_UTC = "UTC"


class Reach(NamedTuple):
    """Events later than `after_ms` and up to `until_ms`; None: there is no such bound."""

    after_ms: int | None
    until_ms: int | None

    def holds(self, at_ms: int) -> bool:
        """An event of this time lies within."""
        after = self.after_ms is None or at_ms > self.after_ms
        return after and (self.until_ms is None or at_ms <= self.until_ms)


def reach(kept: n.Kept, profile: Any, now_ms: int, workspace_zone: str) -> Reach:
    """What a checked node looks at, at this instant, for this person."""
    if isinstance(kept, n.Sequence):
        return Reach(None if kept.during_ms is None else now_ms - kept.during_ms, None)
    if kept.calendar is not None:
        return _calendar(kept.calendar, now_ms, zone(_zone_of(kept, profile, workspace_zone)))
    if kept.within_ms is None:
        return Reach(None, None)
    return Reach(now_ms - kept.within_ms, None if kept.until_ms is None else now_ms - kept.until_ms)


def _calendar(name: str, now_ms: int, in_zone: Any) -> Reach:
    period, ago = n.CALENDARS[name]
    found = periods(period, in_zone)
    index, start_ms, turn_ms = found.around(now_ms)
    if not ago:
        return Reach(start_ms - 1, turn_ms - 1)
    return Reach(found.start_ms(index - ago) - 1, found.start_ms(index - ago + 1) - 1)


def _zone_of(kept: n.Aggregate, profile: Any, workspace_zone: str) -> str:
    """The name of the zone that a calendar window is in; one that names none is the workspace's."""
    if kept.timezone != n.PERSON:
        return kept.timezone or _UTC
    declared: Mapping[str, Any] = profile.declared
    found = zone_name(declared, profile.slots.get(n.slot(PERSON_ZONE)))
    return found if isinstance(found, str) and zone(found) is not None else workspace_zone
