"""Deciding: which of a person's events made each part of an expression what it is.

The set of a part decides it: folded alone, or together with any other of the person's events, it gives the part the
same value. So where one condition of an `and` is false, its events decide the whole; where all are true, those of all
do. Of several sets that would do, the smallest is taken.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from onefold.core.batch import Incoming
from onefold.language import nodes as n
from onefold.language.keeping.accounts import AT, TIE, link
from onefold.language.keeping.aggregates import tally_of
from onefold.language.keeping.calendars import PERSON_ZONE, ZONE_FIELD
from onefold.language.keeping.reach import Reach, reach
from onefold.language.stream.probe import Probe
from onefold.language.values import number
from onefold.model.profile import Profile

Chosen = frozenset[int]
"""Places in the list of the person's events."""


class Counted(NamedTuple):
    """One event that counts in an aggregate, and what its field holds."""

    place: int
    event: Incoming
    value: Any


class Deciding:
    """The deciding events of every part of a definition and of those it rests on, asked in dependency order."""

    def __init__(
        self, profile: Profile, events: Sequence[Incoming], counting: Mapping[str, Sequence[int]], timezone: str
    ) -> None:
        """`profile` is the state's at its `now_ms`; `counting`: which of the events count in each slot."""
        self._profile = profile
        self._events = events
        self._counting = counting
        self._at_ms = profile.now_ms
        self._timezone = timezone
        self._of_other: dict[str, Chosen] = {}
        self._known: dict[int, Chosen] = {}
        """By the identity of probes, which whoever asks keeps."""

    def whole(self, name: str, probe: Probe) -> Chosen:
        """The deciding events of a definition; it is known from then on to those that name it."""
        self._of_other[name] = self.of(probe)
        return self._of_other[name]

    def of(self, probe: Probe) -> Chosen:
        """The deciding events of one part."""
        chosen = self._known.get(id(probe))
        if chosen is None:
            chosen = self._known[id(probe)] = self._of(probe)
        return chosen

    def _of(self, probe: Probe) -> Chosen:  # noqa: PLR0911 (a table, one case for each)
        match probe.node:
            case n.And():
                return self._decisive(probe, stopping=False)
            case n.Or():
                return self._decisive(probe, stopping=True)
            case n.Case(conditions=conditions):
                return self._case(probe, len(conditions))
            case n.Aggregate(function=function, timezone=zone):
                choose = _CHOICES.get(function, _all)
                chosen = frozenset(each.place for each in choose(self.counted(probe)))
                return chosen | self._zone() if zone == n.PERSON else chosen
            case n.Sequence():
                return frozenset(each.place for each in self.counted(probe))
            case n.TraitRef(name=name) | n.InAudience(name=name):
                return self._of_other.get(name, frozenset())
            case n.Builtin(name=name):
                return frozenset(self._seen(name))
            case n.Declared(path=(root, *_)):
                return frozenset(self._declaring(str(root)))
            case n.OfAccount():
                return frozenset(self._naming())
        return frozenset().union(*map(self.of, probe.parts))

    def counted(self, probe: Probe) -> list[Counted]:
        """The events that count in what is kept for a part, in the order in which they were admitted."""
        assert isinstance(probe.node, n.Kept)
        within, field = self.reach(probe.node), probe.field
        found = [(index, self._events[index]) for index in self._counting.get(n.slot(probe.node), ())]
        return [
            Counted(index, each, field(each.event, each.at_ms) if field else None)
            for index, each in found
            if within.holds(each.at_ms)
        ]

    def reach(self, kept: n.Kept) -> Reach:
        """Between which instants events count."""
        return reach(kept, self._profile, self._at_ms, self._timezone)

    def _zone(self) -> Chosen:
        """The events that say in which zone the person is."""
        said = [(index, self._events[index]) for index in self._counting.get(n.slot(PERSON_ZONE), ())]
        latest = max(said, key=lambda each: (each[1].at_ms, each[1].fingerprint), default=None)
        return frozenset(self._declaring(ZONE_FIELD)) | (frozenset() if latest is None else {latest[0]})

    def _decisive(self, probe: Probe, *, stopping: bool) -> Chosen:
        """Of an `and` (which stops at false) or an `or` (at true): one part that stops it, or else all."""
        stops = [self.of(part) for part in probe.parts if self._holds(part) == stopping]
        return min(stops, key=len) if stops else frozenset().union(*map(self.of, probe.parts))

    def _case(self, probe: Probe, conditions: int) -> Chosen:
        """The conditions up to the first that is true, and the value beside it; or all of them, and what else it is."""
        asked, values = probe.parts[:conditions], probe.parts[conditions:]
        hit = next((index for index, each in enumerate(asked) if self._holds(each)), None)
        needed = (*asked[: conditions if hit is None else hit + 1], *values[conditions if hit is None else hit :][:1])
        return frozenset().union(*map(self.of, needed))

    def _holds(self, probe: Probe) -> bool:
        return probe.value(self._profile, self._at_ms) is True

    def _seen(self, builtin: str) -> Iterable[int]:
        places = range(len(self._events))
        if builtin == "events" or not places:
            return places
        choose = min if builtin == "first_seen" else max
        return (choose(places, key=lambda index: self._events[index].at_ms),)

    def _declaring(self, trait: str) -> Iterable[int]:
        """The event whose value of a declared trait is in force."""
        declared = self._profile.declared.get(trait)
        if declared is None:
            return ()
        return self._said(declared.at_ms, declared.tie)

    def _naming(self) -> Iterable[int]:
        """The event that says which account is the person's."""
        found = link(self._profile.slots)
        return () if found is None else self._said(found[AT], found[TIE])

    def _said(self, *said: Any) -> Iterable[int]:
        return [i for i, event in enumerate(self._events) if (event.at_ms, event.fingerprint) == said][:1]


def _all(counted: list[Counted]) -> list[Counted]:
    return counted


def _one(choose: Callable[..., Counted], key: Callable[[Counted], Any]) -> Callable[[list[Counted]], list[Counted]]:
    return lambda counted: [choose(counted, key=key)] if counted else []


def _when(one: Counted) -> tuple[int, bytes]:
    return one.event.at_ms, one.event.fingerprint


def _least(one: Counted) -> tuple[Any, bool]:
    """Of equal numbers the whole one is the value."""
    value = number(one.value)
    return value, type(value) is not int


def _greatest(one: Counted) -> tuple[Any, bool]:
    value = number(one.value)
    return value, type(value) is int


def _one_of_each(counted: list[Counted]) -> list[Counted]:
    """One event for each different value."""
    found: dict[str, Counted] = {}
    for one in counted:
        for key in tally_of(one.value, 0, b"") or ():
            found.setdefault(key, one)
    return list(found.values())


_CHOICES: dict[str, Callable[[list[Counted]], list[Counted]]] = {
    "first": _one(min, _when),
    "last": _one(max, _when),
    "min": _one(min, _least),
    "max": _one(max, _greatest),
    "time_since": _one(max, _when),
    "unique": _one_of_each,
    "unique_count": _one_of_each,
}
"""Aggregates that some of the events that count in them decide; of all others all do."""
