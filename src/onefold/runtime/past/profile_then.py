"""A person as they were at an instant: computed again from the events of then, under the definitions of then.

By default it is what the platform knew then: events that had come by that instant (log time), joined by the merges that
had happened. With `late` it is what is known of that instant now: events that had happened by it, whenever they came.
Memberships are those that were told (`past.told`), where history reaches so far back, else they are computed, too.

Exact within the bounds of the language (docs/language.md, "Exactness"), but for the moment in which workers take up new
definitions: those are in force here from the instant at which they were saved.
"""

import threading
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import NamedTuple

from msgspec import Struct, structs

from onefold.core.batch import Incoming
from onefold.core.explaining.retrace import read, retrace_since
from onefold.core.identity.identifiers import Finder, finder_of
from onefold.errors import NotFoundError, NotInHistory
from onefold.language.instants import show_instant
from onefold.language.stream.program import Program
from onefold.model.past import Past, PastMerge, holds, survivors
from onefold.model.profile import Merge, Profile
from onefold.model.rules import Rules
from onefold.ports import HistoryReader, LogReader, State
from onefold.runtime.folding.programs import Programs
from onefold.runtime.folding.recent import Recent
from onefold.runtime.identity.together_then import Engines, together
from onefold.runtime.past import told
from onefold.runtime.past.counting_since import Versions, counting_from_now
from onefold.runtime.past.person_events import PersonEvents

_VERSIONS = 8
"""Of which is remembered since when they count."""


class InForce(NamedTuple):
    """Definitions of the past, ready to run."""

    program: Program
    counting: Mapping[str, int]
    """Slot → since when it counts, where that is not from ever."""


class PastDefinitions:
    """The definitions that were in force at instants; the last few stay compiled. May be asked by many threads."""

    def __init__(self, catalog: Versions) -> None:
        self._catalog = catalog
        self._programs = Programs(catalog.definitions)
        self._counting: Recent[int, dict[str, int]] = Recent(_VERSIONS)
        self._lock = threading.Lock()

    def at(self, at_ms: int) -> InForce:
        """Those that were the latest. Raises `DefinitionError` where checks have become stricter since."""
        return self.of(version_at(self._catalog, at_ms))

    def of(self, version: int) -> InForce:
        """Those of a version. Raises as `at`."""
        with self._lock:
            counting = self._counting.get(version)
            if counting is None:
                counting = counting_from_now(self._catalog, version)
                self._counting.put(version, counting)
            return InForce(self._programs.get(version), counting)


class Sources(NamedTuple):
    """What is read."""

    history: HistoryReader
    log: LogReader
    state: State
    definitions: PastDefinitions
    rules: Callable[[int], Rules]


class Then(Struct, frozen=True):
    """A profile of then, and how far the answer reaches."""

    profile: Profile
    at_ms: int
    now: int
    """The profile that has become of it."""
    pasts: list[Past]
    """Its events that this was computed from."""
    in_force: InForce
    forgotten: int
    """Events of the person, of any time, that are no longer kept: values may lack them."""
    told: bool
    """Its memberships are those that were told; else they were computed."""


def profile_then(sources: Sources, now: Profile, wanted: int | str, at_ms: int, *, late: bool = False) -> Then:
    """Whoever had the identifier `wanted` at this instant, or what had become by then of the profile `wanted`.

    `now` is who that is now. Raises `NotFoundError` where nobody was there yet, `NotInHistory` where it cannot be told,
    `DefinitionError` where the definitions of then are none any more, `StorageError` and its kin.
    """
    return _Looking(sources, now, at_ms, late=late).then(wanted)


def version_at(catalog: Versions, at_ms: int) -> int:
    """The version of the definitions that was the latest at this instant; 0: there was none."""
    return max((row.version for row in catalog.versions() if row.created_at_ms <= at_ms), default=0)


class _Looking:
    def __init__(self, sources: Sources, now: Profile, at_ms: int, *, late: bool) -> None:
        self._sources = sources
        self._now = now
        self._at_ms = at_ms
        self._late = late
        found = together(Engines(sources.history, sources.log, sources.state), now, at_ms)
        self._people, self._merges = found.people, found.merges
        """With those who were one with them then and are not any more."""
        self._owners = survivors(self._merges, at_ms)
        self._one = len({self._owner(one) for one in found.ids()}) == 1
        """Whether all that is these people's now was one profile's then."""
        self._given = _given(found.people)
        events = PersonEvents(sources.history, sources.log, sources.state, sources.rules)
        kept = [past for profile in found.people for past in events.of(profile)]
        self._kept = [_owned(past, found.owners) for past in kept] if found.owners else kept
        self._known = [past for past in self._kept if self._is_known(past)]

    def then(self, wanted: int | str) -> Then:
        at_ms, in_force = self._at_ms, self._sources.definitions.at(self._at_ms)
        program = in_force.program
        said = {} if self._one else self._said(program)
        one = self._owner(wanted) if isinstance(wanted, int) else self._had(wanted, said)
        pasts = [past for past in self._known if self._owner(past.profile) == one]
        if not pasts:
            self._refuse()
        identifiers = {
            name: since_ms
            for name, since_ms in self._given.items()
            if since_ms <= at_ms and (self._one or said.get(name) == one)
        }
        incoming = self._incoming(program, pasts)
        if program.of_account:
            self._require_no_account(incoming)
        profile = retrace_since(program, incoming, at_ms, identifiers, in_force.counting)
        self._complete(profile, one)
        is_told = self._tell(profile, one)
        forgotten = max(0, sum(each.events for each in self._people) - len(self._kept))
        return Then(profile, at_ms, self._now.id, pasts, in_force, forgotten, is_told)

    # --- who it was ------------------------------------------------------------------------------------------
    def _owner(self, profile: int) -> int:
        """Who had become of a profile by then."""
        return self._owners.get(profile, profile)

    def _said(self, program: Program) -> dict[str, int]:
        """Identifier → whose it was then: an identifier is given to the profile of the event that first has it."""
        given = self._given
        finders: dict[int, Finder] = {}
        said: dict[str, int] = {}
        ordered = sorted(self._known, key=_arrival)
        for past, event in zip(ordered, read(program, ordered), strict=True):
            if past.partition not in finders:
                finders[past.partition] = finder_of(self._sources.rules(past.partition))
            for name in finders[past.partition].find(event.event).identifiers:
                if given.get(name, self._at_ms + 1) <= min(past.received_ms, self._at_ms):
                    said.setdefault(name, self._owner(past.profile))
        return said

    def _had(self, identifier: str, said: dict[str, int]) -> int:
        since_ms = self._given.get(identifier)
        if since_ms is not None and since_ms > self._at_ms:
            raise NotFoundError(f"nobody had this identifier then: it was first seen at {show_instant(since_ms)}")
        if self._one:
            return self._owner(self._now.id)
        if identifier not in said:
            raise NotInHistory("whose this identifier was then cannot be told: the events that said it are not kept")
        return said[identifier]

    def _refuse(self) -> None:
        if self._now.created_at_ms > self._at_ms:
            raise NotFoundError(f"there was no such profile then: it begins at {show_instant(self._now.created_at_ms)}")
        raise NotInHistory("no event that this profile had by then is kept any more (`history_keep_days`)")

    def _require_no_account(self, incoming: Iterable[Incoming]) -> None:
        finder = Finder(self._sources.rules(0))
        if any(finder.find_account(each.event) is not None for each in incoming):
            raise NotInHistory(
                "this person had an account then, and definitions of then read what it had: that is not computed of an "
                "instant that has passed; who was in an audience is known: `onefold audience members NAME --as-of`"
            )

    # --- what it was -----------------------------------------------------------------------------------------
    def _is_known(self, past: Past) -> bool:
        return (past.at_ms if self._late else past.received_ms) <= self._at_ms

    def _incoming(self, program: Program, pasts: Collection[Past]) -> list[Incoming]:
        """In the order in which they came; what came later is taken as if it had come then."""
        incoming = read(program, pasts)
        return [structs.replace(each, received_ms=min(each.received_ms, self._at_ms)) for each in incoming]

    def _complete(self, profile: Profile, one: int) -> None:
        """What a retraced profile has from elsewhere."""
        mine, at_ms = profile.identifiers, self._at_ms
        profile.id = one
        links = [link for each in self._people for link in each.links]
        profile.links = [link for link in links if link.at_ms <= at_ms and link.a in mine and link.b in mine]
        merges = self._into(one)
        profile.merges = [Merge(each.absorbed, each.partition, each.position, each.at_ms) for each in merges]
        profile.recent = []

    def _into(self, one: int) -> Iterable[PastMerge]:
        held = (merge for merge in self._merges if holds(merge, self._at_ms))
        return (merge for merge in held if self._owner(merge.absorbed) == one)

    def _tell(self, profile: Profile, one: int) -> bool:
        """Put in the memberships that were told, where that is known and asked for."""
        if self._late:
            return False
        engines = told.Engines(self._sources.history, self._sources.state)
        try:
            profile.audiences = told.audiences_of(engines, one, self._into(one), self._at_ms)
        except NotInHistory:
            return False
        return True


def _given(people: Iterable[Profile]) -> dict[str, int]:
    """Identifier → since when one of these has it."""
    found: dict[str, int] = {}
    for profile in people:
        for name, since_ms in profile.identifiers.items():
            found[name] = min(since_ms, found.get(name, since_ms))
    return found


def _owned(past: Past, owners: Mapping[tuple[int, int], int]) -> Past:
    """The event with whose it was then."""
    return structs.replace(past, profile=owners.get((past.partition, past.position), past.profile))


def _arrival(past: Past) -> tuple[int, int, int]:
    return past.received_ms, past.partition, past.position
