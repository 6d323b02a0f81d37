"""Sightings: what somebody's events show of identity, what was told of them, and what people have said.

Events come from history and log (`person_events`); effects from the state, as long as it keeps them; people's words
from the profile or, where they are older than its keeping them, from the log.
"""

from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from typing import NamedTuple

import msgspec
from msgspec import structs

from onefold.core.explaining.retrace import read
from onefold.core.identity.identifiers import finder_of
from onefold.core.identity.rules import EXPLICIT
from onefold.errors import NotFoundError
from onefold.language.reading.check import checked
from onefold.language.stream.compile import compile_definitions
from onefold.language.stream.program import Program
from onefold.limits import EFFECT_PROBES_MAX, SIGHTINGS_CONDENSED_FROM
from onefold.model import effect, entry
from onefold.model.definitions import Definitions
from onefold.model.effect import AnyEffect
from onefold.model.entry import Linked
from onefold.model.identity import Identity
from onefold.model.past import Past
from onefold.model.position import split
from onefold.model.profile import Profile
from onefold.model.rules import Rules
from onefold.model.sighting import Bond, Place, Sighting
from onefold.ports import Commit, HistoryReader, LogReader, State
from onefold.runtime.identity.condensed import Some, Sources, condensed
from onefold.runtime.past.person_events import PersonEvents


class Seen(NamedTuple):
    """What is kept of somebody's events."""

    sightings: list[Sighting]
    """In the order of the log."""
    forgotten: int
    """Events of the person that neither history nor log keeps any more."""


class Sightings:
    """Reads what shows who people are. `rules` gives those in force in a partition."""

    def __init__(
        self,
        history: HistoryReader | None,
        log: LogReader,
        state: State,
        rules: Callable[[int], Rules],
        *,
        condensed_from: int = SIGHTINGS_CONDENSED_FROM,
    ) -> None:
        """Without a history only what the log still has is found, and of a profile its latest events.

        Of people of so many events those of the same identifiers are counted, and not read one by one.
        """
        self._history = history
        self._condensed_from = condensed_from
        self._events = PersonEvents(history, log, state, rules)
        self._log = log
        self._state = state
        self._rules = rules
        self._told: dict[Place, list[AnyEffect]] = {}

    def of(self, profile: Profile) -> Seen:
        """What the person's events show. Raises `StorageError` and its kin."""
        some = self._condensed(profile)
        if some is None:
            some = [Some(past, 1, past.at_ms) for past in self._events.of(profile)]
        times = {(each.past.partition, each.past.position): each for each in some}
        read = (_standing_for(each, times[each.place]) for each in self._read(each.past for each in some))
        found = sorted(read, key=lambda seen: (seen.received_ms, seen.place))
        return Seen(found, max(0, profile.events - sum(each.times for each in found)))

    def _condensed(self, profile: Profile) -> list[Some] | None:
        if self._history is None or profile.events < self._condensed_from:
            return None
        rules = dict.fromkeys(map(self._rules, range(self._log.partitions)))
        return condensed(Sources(self._history, self._log, self._state, self._events), profile, list(rules))

    def _read(self, pasts: Iterable[Past]) -> Iterator[Sighting]:
        by_partition: dict[int, list[Past]] = {}
        for past in pasts:
            by_partition.setdefault(past.partition, []).append(past)
        for partition, some in by_partition.items():
            rules = self._rules(partition)
            yield from _sightings(rules, some)

    def told(self, place: Place) -> list[AnyEffect]:
        """The effects of the entry or event at this place; none where the state no longer keeps them.

        Cost: as many reads as the number of commits has binary digits, times the partitions.
        """
        if place not in self._told:
            self._told[place] = list(effects_at(self._state, *place))
        return self._told[place]

    def said(self, bonds: Iterable[Bond]) -> list[Bond]:
        """The same with who said those that somebody said; what neither profile nor log keeps of it stays empty."""
        return [
            structs.replace(bond, by=self._by(bond.place)) if bond.rule == EXPLICIT and not bond.by else bond
            for bond in bonds
        ]

    def _by(self, place: Place) -> str:
        partition, position = place
        offset = split(position)[0]
        try:
            records = self._log.read(partition, offset, 1)
            found = entry.decode(records[0].data) if records and records[0].offset == offset else None
        except (NotFoundError, msgspec.MsgspecError):
            return ""
        return found.by if isinstance(found, Linked) else ""


def _standing_for(seen: Sighting, some: Some) -> Sighting:
    return seen if some.times == 1 else structs.replace(seen, times=some.times, until_ms=some.until_ms)


def _sightings(rules: Rules, pasts: list[Past]) -> Iterator[Sighting]:
    ordered = sorted(pasts, key=lambda past: (past.received_ms, past.partition, past.position))
    finder, freely = finder_of(rules), finder_of(unblocked(rules))
    for past, incoming in zip(ordered, read(_program(rules.identity), ordered), strict=True):
        identifiers = finder.find(incoming.event).identifiers
        everything = freely.find(incoming.event).identifiers
        yield Sighting(
            past.partition, past.position, past.at_ms, past.received_ms, past.source, past.event.type, past.name,
            past.event.messageId or "", identifiers, tuple(each for each in everything if each not in identifiers),
        )  # fmt: skip


def unblocked(rules: Rules) -> Rules:
    """The same as if no value were blocked."""
    identity = rules.identity
    types = tuple(structs.replace(kind, blocked=(), patterns=()) for kind in identity.types)
    free = structs.replace(identity, types=types, blocked=(), patterns=())
    return structs.replace(rules, blocked=frozenset(), identity=free)


@lru_cache(8)
def _program(identity: Identity) -> Program:
    """Definitions that ask of events nothing but who they are of."""
    return compile_definitions(checked(Definitions(identity=identity)), 0)


def effects_at(state: State, partition: int, position: int) -> Iterator[AnyEffect]:
    """The effects that the entry or event at this place had, as far as the state keeps them."""
    commit = _commit_of(state, partition, position)
    if commit is not None:
        yield from (each for each in effect.decode(commit.effects) if each.position == position)


def _commit_of(state: State, partition: int, position: int) -> Commit | None:
    """The latest commit of this partition whose first effect is not behind this position: positions ascend in it."""
    low, high, found, probes = 0, state.newest(), None, 0
    while low < high and probes < EFFECT_PROBES_MAX:
        middle = (low + high) // 2
        commit = None
        for probe in _following(state, middle, high):
            probes += 1
            if probe.partition == partition or probes >= EFFECT_PROBES_MAX:
                commit = probe if probe.partition == partition else None
                break
        if commit is None or effect.first(commit.effects).position > position:
            high = middle
        else:
            found, low = commit, commit.number
    return found


def _following(state: State, after: int, upto: int) -> Iterator[Commit]:
    """Commits with effects behind this number, one by one."""
    while commits := state.commits(after, 1):
        after = commits[0].number
        if after > upto:
            return
        yield commits[0]
