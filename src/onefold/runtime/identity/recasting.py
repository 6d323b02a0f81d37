"""Recasting: whoever is to be taken apart or put together is folded again from history, and brought into the log.

All that the answer depends on is looked for first: the people's events, what they were folded under, whoever else has
identifiers of theirs, and people whom a rule kept apart from them and who are concerned once an identifier goes to
somebody else. Then the people are folded twice: as they are, which must give them as they are (nothing is guessed),
and as they are to be. The entry that brings them holds only while nobody has touched them; else all is done again.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from msgspec import structs

from onefold.core.account_links import accounts_in
from onefold.core.batch import Incoming
from onefold.core.explaining.retrace import read
from onefold.core.identity.identifiers import Finder, finder_of
from onefold.core.identity.refold import Material, Refolded, Segment, recasting, refold
from onefold.core.identity.resolve import user_ids
from onefold.core.run import Parted
from onefold.errors import NotFoundError, NotInHistory, Overloaded, Unavailable
from onefold.limits import PROFILE_IDENTIFIERS_MAX, RECAST_MAX_BYTES, RECAST_MAX_EVENTS, RECAST_MAX_PROFILES
from onefold.model import entry as entries
from onefold.model import position
from onefold.model import profile as profiles
from onefold.model.catalog import VersionRow
from onefold.model.changes import Cursor
from onefold.model.past import Past
from onefold.model.profile import Profile
from onefold.model.recast import Recasting, reresolved_under
from onefold.model.rules import Rules
from onefold.ports import HistoryReader, LogReader, State
from onefold.runtime.folding.programs import Programs
from onefold.runtime.identity.relatives import Sought, naming, relatives
from onefold.runtime.past.counting_since import Versions
from onefold.runtime.past.person_events import PersonEvents
from onefold.runtime.past.profile_then import PastDefinitions

_TRIES = 20
"""Readings of people who change while they are read."""


class Sources(NamedTuple):
    """What is read."""

    history: HistoryReader | None
    log: LogReader
    state: State
    catalog: Versions
    definitions: PastDefinitions


class Prepared(NamedTuple):
    """People as they are, who they would be, and what brings that about."""

    before: dict[int, Profile]
    after: dict[int, Profile]
    body: Recasting
    events: int

    @property
    def changes(self) -> bool:
        """Whether anybody would have other identifiers, or be another one."""
        return _shape(self.before.values()) != _shape(self.after.values())


class Wanted(NamedTuple):
    """What is to be otherwise."""

    parted: Parted = Parted()
    segments: Sequence[Segment] | None = None
    """Under which definitions and rules; None: those that were in force when events came."""


def prepare(sources: Sources, people: Collection[int], wanted: Wanted) -> Prepared:
    """Fold these people, and whoever is concerned, as they are to be; nothing is written.

    Raises `NotInHistory` where history lacks what it takes, `Overloaded` beyond the bounds of one recast,
    `Unavailable` where the people change faster than they can be read; `StorageError` and its kin.
    """
    for _ in range(_TRIES):
        found = _Preparing(sources, wanted).prepare(people)
        if found is not None:
            return found
    raise Unavailable("these people change faster than they can be read: try again")


def _shape(people: Iterable[Profile]) -> set[tuple[int, frozenset[str]]]:
    return {(profile.id, frozenset(profile.identifiers)) for profile in people}


class _Preparing:
    def __init__(self, sources: Sources, wanted: Wanted) -> None:
        self._sources = sources
        self._wanted = wanted
        self._cursor = sources.state.cursor(0)
        self._rules = sources.state.rules(self._cursor.rules)
        self._now_ms = max(sources.state.cursor(n).now_ms for n in range(sources.log.partitions))
        self._finder = finder_of(self._rules)
        self._under: dict[int, Programs] = {}
        self._kept: dict[int, list[Past]] = {}
        self._sought: set[str] = set()
        """Identifiers whose relatives are known."""
        if sources.history is None:
            raise NotInHistory("no history is kept here, so nobody's events can be folded again: set `history = true`")
        if self._cursor.filled >= 0:
            raise Unavailable("definitions are being computed over history: wait until they are in force")
        self._history = sources.history

    def prepare(self, people: Collection[int]) -> Prepared | None:
        """None: they have changed meanwhile."""
        going = self._load(people)
        while True:
            material = self._material(going)
            found = refold(material)
            more = found.moved or (found.outsiders.keys() if self._hands_over else ()) or self._concerned(going, found)
            more = {one for one in self._load(more) if one not in going}
            if not more:
                again = self._as_they_are(going)
                more = _met_otherwise(again.outsiders, found.outsiders)
            if not more:
                break
            going |= self._load(more)
        if self._load(going) != going:
            return None
        reached = folded_so_far(self._sources.state, range(self._sources.log.partitions))
        self._require_the_same(going, again)
        _bring_over(_decoded(going).values(), again.people.values(), found.people.values())
        body = recasting(going, found, material.pasts)
        body.reached = reached
        if sum(map(len, body.coming)) > RECAST_MAX_BYTES:
            raise Overloaded(f"these people come to more than {RECAST_MAX_BYTES:,} bytes: too much for one entry")
        return Prepared(_decoded(going), found.people, body, len(material.pasts))

    @property
    def _hands_over(self) -> bool:
        """Whether identifiers change hands by the rules in force: who stands by now may have had others then."""
        return self._rules.identity.policy not in ("merge-any", "segment")

    def _load(self, people: Collection[int]) -> dict[int, bytes]:
        """Those who these are by now, as they are stored."""
        found = {profiles.decode(data).id: data for data in self._sources.state.survivors(people).values()}
        if len(found) > RECAST_MAX_PROFILES:
            raise Overloaded(f"more than {RECAST_MAX_PROFILES:,} people would be concerned: too many for one recast")
        return found

    # --- what is folded --------------------------------------------------------------------------------------
    def _material(self, going: Mapping[int, bytes], *, as_it_is: bool = False) -> Material:
        people = list(_decoded(going).values())
        pasts = self._pasts(people)
        wanted = None if as_it_is else self._wanted.segments
        segments = self._segments(people, pasts) if wanted is None else wanted
        incoming = read(segments[-1].program, pasts)
        mine = {name for profile in people for name in profile.identifiers}
        words = (word for profile in people if profile.notes is not None for word in profile.notes.words)
        named = naming(incoming, self._finder) | {name for word in words for name in (word.a, word.b)}
        others = self._sources.state.owners(named - mine)
        outsiders = _decoded(self._load(set(others.values()) - going.keys())).values()
        parted = Parted() if as_it_is else self._wanted.parted
        return Material(
            pasts,
            segments,
            people,
            self._now_ms,
            list(outsiders),
            accounts_named(self._sources.state, self._finder, incoming),
            parted,
            self._never(people),
        )

    def _pasts(self, people: Iterable[Profile]) -> list[Past]:
        """All of their events. Raises `NotInHistory` where some are no longer kept."""
        state = self._sources.state
        events = PersonEvents(self._history, self._sources.log, state, lambda _: self._rules)
        found: list[Past] = []
        for profile in people:
            if profile.events > RECAST_MAX_EVENTS:
                raise Overloaded(
                    f"{position.show(profile.id)} has {profile.events:,} events: no more than {RECAST_MAX_EVENTS:,}"
                    " are folded again"
                )
            mine = self._kept.get(profile.id)
            if mine is None:
                mine = self._kept[profile.id] = events.of(profile)
            if len(mine) < profile.events:
                raise NotInHistory(
                    f"{position.show(profile.id)} has had {profile.events:,} events, of which {len(mine):,} are kept "
                    "(`history_keep_days`, or history was switched on later): who they would be cannot be computed"
                )
            found += mine
        return found

    def _segments(self, people: Iterable[Profile], pasts: Sequence[Past]) -> list[Segment]:
        """What was in force from the first event on, with the rules that the people's past was brought under."""
        noted = (undone.why for each in people if each.notes is not None for undone in each.notes.undone)
        under = max(map(reresolved_under, noted), default=0)
        first_ms = min((past.received_ms for past in pasts), default=0)
        rows = [row for row in self._sources.catalog.versions() if row.version <= self._cursor.version]
        begun = since_when(self._sources.log, self._cursor, rows)
        before = max((version for version, since_ms in begun if since_ms <= first_ms), default=0)
        later = [each for each in begun if each[0] > before]
        return [self._segment(version, since_ms, under) for version, since_ms in [(before, 0), *later]]

    def _segment(self, version: int, since_ms: int, under: int) -> Segment:
        in_force = self._sources.definitions.of(version)
        program = in_force.program
        if under > version:
            program = self._programs_under(under).get(version)
        return Segment(since_ms, program, self._rules.with_identity(program.identity), in_force.counting)

    def _programs_under(self, version: int) -> Programs:
        if version not in self._under:
            self._under[version] = under_rules_of(self._sources.catalog, version)
        return self._under[version]

    def _never(self, people: Iterable[Profile]) -> dict[str, list[str]]:
        """Identifier → others of which it was said, before words were kept, that they are never its person's.

        Both keep the other's.
        """
        said: dict[str, list[str]] = {}
        for profile in people:
            words = [] if profile.notes is None else profile.notes.words
            said_so = {name for word in words if word.never for name in (word.a, word.b)}
            never = [] if profile.notes is None else [name for name in profile.notes.never if name not in said_so]
            for other in _decoded(self._load(set(self._sources.state.owners(never).values()))).values():
                for mine in (name for name in other.noted().never if name in profile.identifiers):
                    said.setdefault(mine, []).extend(name for name in never if name in other.identifiers)
        return said

    # --- who is concerned ------------------------------------------------------------------------------------
    def _concerned(self, going: Mapping[int, bytes], found: Refolded) -> set[int]:
        """Whoever may have been kept out by what somebody was who is another one now.

        Where identifiers change hands, whoever else has had one of theirs.
        """
        exposed = _exposed(_decoded(going).values(), found.people.values(), self._rules)
        if self._hands_over:
            exposed |= {name for profile in found.people.values() for name in profile.identifiers}
        exposed -= self._sought
        self._sought |= exposed
        program = self._sources.definitions.of(self._cursor.version).program
        return relatives(self._history, self._sources.state, Sought(frozenset(exposed), self._rules, program))

    def _as_they_are(self, going: Mapping[int, bytes]) -> Refolded:
        """Fold them with nothing otherwise."""
        return refold(self._material(going, as_it_is=True))

    def _is_same(self, again: Profile, profile: Profile) -> bool:
        """Whether folding gave what there is; of whom a timer is due, or who has an account, by events alone."""
        if profile.due_ms <= self._now_ms or accounts_in(profile.slots):
            return again.events == profile.events
        return _values(again) == _values(profile)

    def _are_the_same(self, going: Mapping[int, bytes], again: Refolded) -> bool:
        people = _decoded(going)
        return _shape(again.people.values()) == _shape(people.values()) and all(
            self._is_same(again.people[one], profile) for one, profile in people.items()
        )

    def _require_the_same(self, going: Mapping[int, bytes], again: Refolded) -> None:
        """Raises `NotInHistory` where folding them as they are gives others."""
        if self._are_the_same(going, again):
            return
        one = position.show(min(going))
        raise NotInHistory(
            f"folding what is kept of {one} again does not give the people as they are (rules that were in force then"
            " may not be known any more): who they would be cannot be computed"
        )


def _values(profile: Profile) -> tuple[Any, ...]:
    declared = {name: said.value for name, said in profile.declared.items()}
    return profile.events, declared, profile.computed, profile.audiences.keys()


def accounts_named(state: State, finder: Finder, incoming: Iterable[Incoming]) -> dict[str, Profile]:
    """The accounts that these events name, by identifier, as they are now."""
    named = {who.identifiers[0] for each in incoming if (who := finder.find_account(each.event)) is not None}
    owners = state.owners(named)
    stored = state.survivors(set(owners.values()))
    return {name: profiles.decode(stored[one]) for name, one in owners.items() if one in stored}


def folded_so_far(state: State, partitions: Collection[int]) -> dict[int, int]:
    """Partition → how far it is folded, for a recast of people who were read before this; of one partition nothing.

    What made them as they were read lies before it, whatever was folded meanwhile.
    """
    return {each: state.cursor(each).offset for each in partitions} if len(partitions) > 1 else {}


def since_when(log: LogReader, cursor: Cursor, rows: Iterable[VersionRow]) -> list[tuple[int, int]]:
    """(version, from when on it was in force), both ascending, so that each event is under one of them.

    Whoever saved a version may have had another clock than those before and after.
    """
    found: list[tuple[int, int]] = []
    since_ms = said_ms = 0
    for row in rows:
        said_ms = in_force_since(log, cursor, row)
        since_ms = max(since_ms, said_ms)
        found.append((row.version, since_ms))
    return [(version, min(each_ms, said_ms)) for version, each_ms in found]


def in_force_since(log: LogReader, cursor: Cursor, row: VersionRow) -> int:
    """From when on a version was in force: of the latest as the log says, else when it was saved."""
    if row.version != cursor.version:
        return row.created_at_ms
    try:
        records = log.read(0, cursor.since, 1)
    except NotFoundError:
        return row.created_at_ms
    entry = entries.decode(records[0].data) if records else None
    return entry.at_ms if isinstance(entry, entries.Defined) else row.created_at_ms


def under_rules_of(catalog: Versions, version: int) -> Programs:
    """Programs of all versions, each with the rules of identity of this one."""
    identity = catalog.definitions(version).identity if version else Rules().identity
    return Programs(lambda each: structs.replace(catalog.definitions(each), identity=identity))


def _decoded(stored: Mapping[int, bytes]) -> dict[int, Profile]:
    return {one: profiles.decode(data) for one, data in stored.items()}


def _met_otherwise(again: Mapping[int, Profile], found: Mapping[int, Profile]) -> set[int]:
    """Outsiders whose identifiers others of those who are folded have seen than did: that counts with the outsiders."""
    return {one for one, profile in again.items() if one in found and _met(profile) != _met(found[one])}


def _met(profile: Profile) -> dict[str, int]:
    return {} if profile.notes is None else profile.notes.met


def _bring_over(before: Iterable[Profile], again: Iterable[Profile], after: Iterable[Profile]) -> None:
    """Give identifiers, whosever they are now, what outsiders' events have made of them.

    How many have seen them, and whether they are hot for it: what folding these people alone has not given again.
    """
    own = {name: _met(profile).get(name, 0) for profile in again for name in profile.identifiers}
    mine = {name: profile for profile in after for name in profile.identifiers}
    for profile in before:
        for name, met in _met(profile).items():
            if name in mine and met > own.get(name, 0):
                now = mine[name].noted()
                now.met[name] = now.met.get(name, 0) + met - own.get(name, 0)


def _exposed(before: Iterable[Profile], after: Iterable[Profile], rules: Rules) -> set[str]:
    """Identifiers that come to somebody whom rules allow more than whose they were: others may have been kept out.

    Without rules of the workspace that is by user ids alone, by what was said to be never, and by sheer number.
    """
    now = {name: profile for profile in after for name in profile.identifiers}
    alone = rules.identity == Rules().identity
    found: set[str] = set()
    for profile in before:
        full = len(profile.identifiers) > PROFILE_IDENTIFIERS_MAX // 2
        for name in profile.identifiers:
            owner = now.get(name)
            if (
                owner is None
                or full
                or (not alone and owner.identifiers.keys() != profile.identifiers.keys())
                or user_ids(owner.identifiers) != user_ids(profile.identifiers)
                or _never(owner) != _never(profile)
            ):
                found.add(name)
    return found


def _never(profile: Profile) -> list[str]:
    return [] if profile.notes is None else profile.notes.never
