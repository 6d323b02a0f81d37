"""Unmerge: what somebody wants undone becomes links that never were, and their people are recast without these.

A link is undone for good: events that have both identifiers join them no more, whenever they come. Other evidence may.
What an event joined is the link between its first identifier and each other one; what was joined after an instant is
every link that no event had shown by then. An identifier that joins nobody stays with whom its first event names.
"""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from onefold.clock import Clock
from onefold.core.batch import Incoming
from onefold.core.explaining.retrace import read
from onefold.core.identity import parting
from onefold.core.identity.explicit import is_matched
from onefold.core.identity.identifiers import finder_of
from onefold.core.identity.rules import EXPLICIT
from onefold.core.run import Parted
from onefold.errors import InvalidRequest, NotFoundError, NotInHistory, Overloaded, Unavailable
from onefold.language.instants import show_instant
from onefold.limits import PARTED_MAX
from onefold.model import entry as entries
from onefold.model import position
from onefold.model import profile as profiles
from onefold.model import recast as bodies
from onefold.model.past import Past
from onefold.model.profile import Profile
from onefold.ports import HistoryReader, LogWriter
from onefold.runtime.identity.recasting import Prepared, Sources, Wanted, prepare
from onefold.runtime.identity.saying import spelled
from onefold.runtime.identity.written import applied, is_folded
from onefold.runtime.past.person_events import PersonEvents
from onefold.storage.history import layout
from onefold.storage.history.asking import bounded

BY_MAX_CHARS = 100
WHY_MAX_CHARS = 500
_TRIES = 20
"""Recasts that may meet somebody who has changed."""
_WAIT_S = 10.0
"""For a worker to fold what was written."""


class Link(NamedTuple):
    """Two identifiers are not one person's."""

    a: str
    b: str


class Event(NamedTuple):
    """What an event has joined, which is named by its message id, or by its place: `00-3f0000`."""

    name: str


class Identifier(NamedTuple):
    """An identifier joins nobody."""

    name: str


class After(NamedTuple):
    """What was joined of a person (an identifier, or prf_…) after an instant of log time."""

    who: str
    at_ms: int


Wish = Link | Event | Identifier | After


class Undoing(NamedTuple):
    """A wish, understood."""

    people: frozenset[int]
    parted: Parted
    said: str
    """In one line."""


class Done(NamedTuple):
    """What came of it."""

    prepared: Prepared
    said: str
    partition: int
    offset: int
    folded: bool
    """False: it is in the log, and no worker has come so far yet."""


def planned(sources: Sources, wish: Wish) -> tuple[Undoing, Prepared]:
    """Who there would be; nothing is written.

    Raises `InvalidRequest` where there is nothing to undo, `NotFoundError` for whom nobody knows, and as `prepare`.
    """
    undoing = _Understanding(sources).of(wish)
    found = prepare(sources, undoing.people, Wanted(undoing.parted))
    if not found.changes:
        raise InvalidRequest(_nothing(undoing, found))
    return undoing, found


def unmerge(sources: Sources, writer: LogWriter, clock: Clock, wish: Wish, said: tuple[str, str]) -> Done:
    """Undo it: written into the log, and folded before this returns where a worker runs. `said`: by whom, and why.

    Raises as `planned`; `Unavailable` where the people change all the time.
    """
    by, why = said
    for _ in range(_TRIES):
        undoing, found = planned(sources, wish)
        text = f"{undoing.said}: {why}" if why else undoing.said
        entry = entries.Recast(clock.now_ms(), by[:BY_MAX_CHARS], text[:WHY_MAX_CHARS], bodies.encode(found.body))
        home = position.home(min(found.before)) % writer.partitions
        before = sources.state.newest()
        offset = writer.append({home: [entries.encode(entry)]})[home]
        folded = is_folded(sources.state, clock, (home, offset), _WAIT_S)
        if not folded or applied(sources.state, before, home, offset):
            return Done(found, text, home, offset, folded)
    raise Unavailable("these people change faster than they can be taken apart: try again")


# --- understanding -------------------------------------------------------------------------------------------


class _Understanding:
    def __init__(self, sources: Sources) -> None:
        self._sources = sources
        self._rules = sources.state.rules(sources.state.cursor(0).rules)
        self._finder = finder_of(self._rules)

    def of(self, wish: Wish) -> Undoing:
        """What is to be undone for it."""
        match wish:
            case Link(a, b):
                return self._link(spelled(a, self._rules), spelled(b, self._rules))
            case Event(name):
                return self._event(name)
            case Identifier(name):
                one = spelled(name, self._rules)
                (owner,) = self._owners(one)
                return Undoing(frozenset({owner}), Parted(loose=frozenset({one})), f"unmerge identifier {one}")
            case After(who, at_ms):
                return self._after(who, at_ms)

    def _link(self, a: str, b: str) -> Undoing:
        if a == b:
            raise InvalidRequest(f"{a} is one identifier: to let it join nobody, unmerge the identifier")
        one, other = self._owners(a, b)
        if one != other:
            shown = position.show(one), position.show(other)
            raise InvalidRequest(f"{a} ({shown[0]}) and {b} ({shown[1]}) are not one person: there is nothing to undo")
        return Undoing(frozenset({one}), _apart([(a, b)]), f"unmerge link {a} {b}")

    def _event(self, name: str) -> Undoing:
        past = self._find_event(name)
        (incoming,) = self._read([past])
        found = self._finder.find(incoming.event).identifiers
        if len(found) < 2:
            raise InvalidRequest(f"the event {name} has one identifier, {found[0]}: it has joined nothing")
        owners = self._sources.state.owners(found)
        pairs = [(found[0], other) for other in found[1:]]
        return Undoing(frozenset(owners.values()), _apart(pairs), f"unmerge event {name}")

    def _after(self, who: str, at_ms: int) -> Undoing:
        profile = self._profile(who)
        history, state = self._history(), self._sources.state
        pasts = PersonEvents(history, self._sources.log, state, lambda _: self._rules).of(profile)
        by_then = {
            pair for each in self._read(p for p in pasts if p.received_ms <= at_ms) for pair in self._pairs(each)
        }
        later = [pair for each in self._read(p for p in pasts if p.received_ms > at_ms) for pair in self._pairs(each)]
        said = [(link.a, link.b) for link in profile.links if _is_said(link.rule) and link.at_ms > at_ms]
        pairs = sorted({*later, *said} - by_then - parting.parted_in([profile]).pairs)
        shown = f"unmerge {position.show(profile.id)} after {show_instant(at_ms)}"
        if not pairs:
            raise InvalidRequest(f"{who} was joined by nothing after {show_instant(at_ms)}")
        if len(pairs) > PARTED_MAX:
            raise Overloaded(
                f"{len(pairs):,} links came after {show_instant(at_ms)}: {PARTED_MAX:,} are undone at most"
            )
        return Undoing(frozenset({profile.id}), _apart(pairs), shown)

    def _pairs(self, incoming: Incoming) -> Iterator[tuple[str, str]]:
        first, *others = self._finder.find(incoming.event).identifiers or ("",)
        return ((first, other) for other in others)

    def _read(self, pasts: Iterable[Past]) -> list[Incoming]:
        version = self._sources.state.cursor(0).version
        return read(self._sources.definitions.of(version).program, pasts)

    # --- who and what ----------------------------------------------------------------------------------------
    def _owners(self, *names: str) -> list[int]:
        owners = self._sources.state.owners(names)
        for name in names:
            if name not in owners:
                raise NotFoundError(f"nobody has {name}")
        return [owners[name] for name in names]

    def _profile(self, who: str) -> Profile:
        number = position.parse(who)
        if number is None:
            (number,) = self._owners(spelled(who, self._rules))
        data = self._sources.state.profile(number)
        if data is None:
            raise NotFoundError(f"there is no profile {who}")
        return profiles.decode(data)

    def _find_event(self, name: str) -> Past:
        """The one event of this message id, or at this place."""
        place = _place(name)
        if place is not None and (latest := self._in_the_log(*place)):
            return latest[0]
        condition = "message_id = ?" if place is None else "partition = ? AND position = ?"
        columns = ", ".join(layout.EVENTS)
        query = f"SELECT {columns} FROM events WHERE {condition} LIMIT 3"  # noqa: S608 (columns of ours)
        with bounded(self._history(), "1GB", 2) as connection:
            rows = connection.execute(query, [name] if place is None else list(place)).fetchall()
        found = [layout.past(row) for row in rows]
        if not found:
            raise NotFoundError(f"history has no event {name} (the latest events take some seconds to come there)")
        if len(found) > 1:
            places = ", ".join(f"{each.partition:02x}-{each.position:x}" for each in found)
            raise InvalidRequest(f"several events have the message id {name}: say which by its place, one of {places}")
        return found[0]

    def _in_the_log(self, partition: int, place: int) -> list[Past]:
        """The event at this place, where the log still has it, and somebody's it is."""
        if partition >= self._sources.log.partitions or not 0 <= place < 1 << 55:
            return []
        offset, index = position.split(place)
        first, end = self._sources.log.ends(partition)
        if not first <= offset < end:
            return []
        entry = entries.decode(self._sources.log.read(partition, offset, 1)[0].data)
        if not isinstance(entry, entries.Received) or index >= len(entry.events):
            return []
        events = PersonEvents(None, self._sources.log, self._sources.state, lambda _: self._rules)
        return events.of(Profile(0, 0, 0, 0, 0, recent=[partition << 56 | place]))

    def _history(self) -> HistoryReader:
        history = self._sources.history
        if history is None:
            raise NotInHistory("no history is kept here, so nobody can be taken apart: set `history = true`")
        return history


def _place(name: str) -> tuple[int, int] | None:
    partition, dash, place = name.partition("-")
    try:
        return (int(partition, 16), int(place, 16)) if dash and len(partition) == 2 else None
    except ValueError:
        return None


def _is_said(rule: str) -> bool:
    return rule == EXPLICIT or is_matched(rule)


def _apart(pairs: Iterable[tuple[str, str]]) -> Parted:
    return Parted(frozenset(both for a, b in pairs for both in ((a, b), (b, a))))


def _nothing(undoing: Undoing, found: Prepared) -> str:
    """Why nobody would be another one."""
    for a, b in sorted(undoing.parted.pairs):
        for profile in found.after.values():
            if a in profile.identifiers and b in profile.identifiers:
                path = " · ".join(f"{link.a} = {link.b}" for link in _path(profile, a, b))
                return f"{a} and {b} stay one person by other evidence: {path or 'rules of the workspace'}"
    return "nobody would be another one: there is nothing to undo"


def _path(profile: Profile, a: str, b: str) -> list[profiles.Link]:
    """The links that lead from one identifier to the other; as few as there need be."""
    ways: dict[str, list[profiles.Link]] = {a: []}
    waiting = [a]
    while waiting and b not in ways:
        here = waiting.pop(0)
        for link in profile.links:
            for one, other in ((link.a, link.b), (link.b, link.a)):
                if one == here and other not in ways:
                    ways[other] = [*ways[here], link]
                    waiting.append(other)
    return ways.get(b, [])
