"""What rules of identity ask of the past: whose every event was, its identifiers and times, and what people have said.

Of history only those columns are read, and of the JSON among them only what may hold an identifier. What history does
not have yet comes from the log. All of it is in the order in which it came: by log time, partition and position, which
within a partition is that of the log.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from heapq import merge
from operator import attrgetter
from typing import Any, NamedTuple

import msgspec

from onefold.core.identity.differing import said_by
from onefold.core.identity.identifiers import Finder, Who, finder_of
from onefold.errors import NotFoundError
from onefold.language.stream.excerpt import reader
from onefold.model import effect
from onefold.model import entry as entries
from onefold.model.effect import Admitted, Merged, Recast, Skipped, Split
from onefold.model.entry import Linked
from onefold.model.event import Event, Excerpt
from onefold.model.past import Past, PastMerge, PastRecast, ended, unsigned
from onefold.model.position import position, split
from onefold.model.profile import Word
from onefold.model.rules import Rules
from onefold.ports import Connection, HistoryReader, LogReader, State
from onefold.runtime.history.bodies import Bodies
from onefold.runtime.history.recasts import recasts
from onefold.storage.history.asking import bounded

_ROWS = 5_000
"""Fetched at once."""
_WHO_REMEMBERED = 500_000
"""Pairs of ids whose identifiers are remembered."""
_SCAN_BYTES = 8 << 20
_TAIL_BYTES = 64 << 20
"""Of effects that history does not have yet: far more than it is ever behind."""
_LINKED = b'{"kind":"linked"'
_IN_CONTEXT = ("traits", "externalIds", "device")
"""Parts of the context that carry identifiers without anybody saying so."""
_read_rest = msgspec.json.Decoder(dict[str, Any]).decode
_told = effect.decoder(frozenset((Admitted, Merged, Recast, Split)))

Place = tuple[int, int]
"""Partition, position."""


class Seen(NamedTuple):
    """One admitted event, as far as rules of identity ask."""

    at: tuple[int, int, int]
    """Log time, partition, position."""
    profile: int
    """Whose it was when it was admitted."""
    at_ms: int
    who: Who
    traits: dict[str, Any] | None
    """What an identify said of the person."""
    tie: bytes
    """Of an identify, that decides between equal times."""


class Sources(NamedTuple):
    """What is read."""

    history: HistoryReader
    log: LogReader
    state: State


class Reach(NamedTuple):
    """How far the log was folded when somebody looked: what is gone through is just what lies before."""

    ends: dict[int, int]
    """Partition → offset."""
    upto: int
    """All that commits up to this one have admitted lies before these ends."""
    admitted: dict[int, list[Admitted]]
    """Partition → what commits have admitted that history does not have, or that came since the reach before."""
    merges: list[PastMerge]
    """All by which anybody is another's now."""
    owners: dict[Place, int]
    """Events that recasts have made another's, of which history does not know yet → whose they are."""

    def in_history(self) -> dict[int, int]:
        """Partition → position before which events are history's to tell; the others are in `admitted`."""
        return {
            partition: self.admitted[partition][0].position if partition in self.admitted else position(end, 0)
            for partition, end in self.ends.items()
        }


def reach(sources: Sources) -> Reach:
    """As far as it is folded now."""
    found = _Reaching(sources, {})
    found.go_through(after := sources.history.cursor())
    past = [each for each in sources.history.merges() if split(each.position)[0] < found.ends[each.partition]]
    known = {(each.absorbed, each.partition, each.position) for each in past}
    late = [each for each in found.merges if (each.absorbed, each.partition, each.position) not in known]
    recasts = [*sources.history.recasts(), *found.recasts] if late or found.recasts else []
    merges = ended([*past, *late], recasts) if recasts else [*past, *late]
    return Reach(found.ends, max(found.newest, after), found.admitted, merges, found.owners())


def since(sources: Sources, before: Reach) -> Reach:
    """As far as it is folded now, of what came after another reach; merges are none."""
    found = _Reaching(sources, before.ends)
    found.go_through(before.upto)
    return Reach(found.ends, found.newest, found.admitted, [], found.owners())


class _Reaching:
    def __init__(self, sources: Sources, begun: Mapping[int, int]) -> None:
        self._sources, self._begun = sources, begun
        self.newest = sources.state.newest()
        """Read before the ends, so that what is up to here lies before those."""
        self.ends = {home: sources.state.cursor(home).offset for home in range(sources.log.partitions)}
        self.admitted: dict[int, list[Admitted]] = {}
        self.merges: list[PastMerge] = []
        self.recasts: list[PastRecast] = []

    def go_through(self, after: int) -> None:
        """Take what commits after this one tell of what lies between."""
        for commit in self._sources.state.commits(after, _TAIL_BYTES):
            home = commit.partition
            first, end = self._begun.get(home, 0), self.ends[home]
            effects = _told(commit.effects)
            for one in effects:
                if isinstance(one, Skipped) or not first <= split(one.position)[0] < end:
                    continue
                if isinstance(one, Admitted):
                    self.admitted.setdefault(home, []).append(one)
                elif isinstance(one, Merged):
                    self.merges.append(PastMerge(one.absorbed, one.profile, home, one.position, one.at_ms))
            if any(isinstance(one, Recast | Split) for one in effects):
                self.recasts += recasts(self._sources.log, commit, effects)

    def owners(self) -> dict[Place, int]:
        """Whose events are that recasts have made another's."""
        recasts = sorted((each for each in self.recasts if each.event_partition >= 0), key=lambda each: each.seq)
        return {(each.event_partition, each.event_position): each.profile for each in recasts}


class IdentityPast:
    """Reads events for one set of rules."""

    def __init__(self, rules: Rules) -> None:
        self._finder: Finder = finder_of(rules)
        fields = [path.split(".") for kind in rules.identity.types for path in kind.fields]
        self._of_properties = sorted({path[1] for path in fields if path[0] == "properties"})
        self._of_context = sorted({path[1] for path in fields if path[0] == "context"} | {*_IN_CONTEXT})
        self._groups = any(path[0] == "groupId" for path in fields)
        self._read = reader(self._of_properties, self._of_context)
        self.missing = 0
        """Events that `of_log` has not found."""
        self._plain: dict[tuple[str | None, str | None, str | None], Who] = {}

    def of_history(self, connection: Connection, before: Mapping[int, int]) -> Iterator[Seen]:
        """The events of a connection's snapshot before these positions, in order."""
        connection.execute(self._query(before))
        plain = self._plain
        while rows := connection.fetchmany(_ROWS):
            for received_ms, partition, place, profile, at_ms, tie, user, anonymous, group, kind, *parts in rows:
                if kind is None:
                    traits = None
                    key = (user, anonymous, group)
                    if (who := plain.get(key)) is None:
                        who = self._remember(key)
                else:
                    found = self._excerpt(kind, user, anonymous, group, parts)
                    traits, who = said_by(found), self._finder.find(found)
                yield Seen((received_ms, partition, place), unsigned(profile), at_ms, who, traits, tie or b"")

    def of_log(self, bodies: Bodies, admitted: Mapping[int, Sequence[Admitted]]) -> list[Seen]:
        """The events of these effects, in order; those that are no longer in the log are left out, and counted."""
        found = [
            self._of_past(partition, past)
            for partition, each in admitted.items()
            for past in bodies.pasts(partition, each)
        ]
        self.missing += bodies.missing
        return sorted(found, key=attrgetter("at"))

    def _query(self, before: Mapping[int, int]) -> str:
        """Nothing in it comes from strangers but names of fields, which are quoted."""
        reached = " OR ".join(f"(partition = {each} AND position < {place})" for each, place in before.items())
        context = _mentions("context", self._of_context)
        properties = _mentions("properties", self._of_properties)
        telling = f"type IN ('identify', 'alias') OR {context} OR {properties}"
        columns = [
            "received_ms", "partition", "position", "profile", "at_ms",
            "CASE WHEN type = 'identify' THEN tie END", "user_id", "anonymous_id",
            "group_id" if self._groups else "NULL",
            f"CASE WHEN {telling} THEN type END",
            f"CASE WHEN {properties} THEN properties END",
            f"CASE WHEN {context} THEN context END",
            "CASE WHEN type = 'identify' THEN traits END",
            "CASE WHEN type = 'alias' THEN rest END",
        ]  # fmt: skip
        return f"SELECT {', '.join(columns)} FROM events WHERE {reached} ORDER BY received_ms, partition, position"  # noqa: S608

    def _remember(self, key: tuple[str | None, str | None, str | None]) -> Who:
        if len(self._plain) >= _WHO_REMEMBERED:
            self._plain.clear()
        user, anonymous, group = key
        who = self._finder.find(Excerpt("track", userId=user, anonymousId=anonymous, groupId=group))
        self._plain[key] = who
        return who

    def _excerpt(
        self, kind: str, user: str | None, anonymous: str | None, group: str | None, parts: list[str | None]
    ) -> Excerpt:
        properties, context, traits, rest = parts
        found = self._read(kind, "", properties, context, traits)
        found.userId, found.anonymousId, found.groupId = user, anonymous, group
        if rest is not None:
            found.previousId = _read_rest(rest).get("previousId")
        return found

    def _of_past(self, partition: int, past: Past) -> Seen:
        event = past.event
        parts = [None if each is None else msgspec.json.encode(each).decode() for each in _parts(event)]
        found = self._excerpt(event.type, None, None, None, [*parts, None])
        found.userId, found.anonymousId = event.userId, event.anonymousId
        found.groupId, found.previousId = event.groupId, event.previousId
        at = past.received_ms, partition, past.position
        return Seen(at, past.profile, past.at_ms, self._finder.find(found), said_by(found), past.tie)


def _parts(event: Event) -> tuple[Any, ...]:
    return event.properties, event.context, event.traits if event.type == "identify" else None


def _mentions(column: str, names: Iterable[str]) -> str:
    """Whether a column of JSON has one of these names anywhere; one too many is no harm."""
    texts = [msgspec.json.encode(name).decode().replace("'", "''") for name in names]
    return "(" + (" OR ".join(f"contains({column}, '{text}')" for text in texts) or "false") + ")"


def everything(sources: Sources, past: IdentityPast, said: Iterable[Word], reached: Reach) -> Iterator[Seen | Word]:
    """All events and all that was said, in order."""
    late = past.of_log(Bodies(sources.log), reached.admitted)
    with bounded(sources.history, _MEMORY, _THREADS) as connection:
        timed = sorted(_timed(connection, each) for each in said)
        # DuckDB has one result at a time, so what was said comes first.
        events = past.of_history(connection, reached.in_history())
        if not late and not timed:
            yield from events
            return
        runs: list[Iterable[Seen | Word]] = [events, late, timed]
        yield from merge(*runs, key=_AT)


_AT: Callable[[Seen | Word], tuple[int, int, int]] = attrgetter("at")
_MEMORY = "1GB"
_THREADS = 2


def _timed(connection: Connection, said: Word) -> Word:
    """With the log time of its partition, which the clock of whoever said it may have been behind."""
    query = "SELECT max(received_ms) FROM events WHERE partition = ? AND position < ?"
    ((latest,),) = connection.execute(query, [said.partition, said.position]).fetchall()
    return said if latest is None else said._replace(at_ms=max(said.at_ms, latest))


def said_in(log: LogReader, ends: Mapping[int, int], begun: Mapping[int, int]) -> list[Word]:
    """What people have said before these ends (partition → offset), from where it was `begun` on.

    As far as the log still has it. Cost: the log is read, and nothing of it decoded that is something else.
    """
    return [each for home, end in ends.items() for each in _said_in(log, home, begun.get(home, 0), end)]


def _said_in(log: LogReader, partition: int, offset: int, end: int) -> Iterator[Word]:
    offset = max(offset, log.ends(partition)[0])
    while offset < end:
        try:
            records = log.read(partition, offset, _SCAN_BYTES)
        except NotFoundError:  # Retention was faster.
            offset = log.ends(partition)[0]
            continue
        if not records:
            return
        for record in records:
            if record.offset < end and record.data.startswith(_LINKED):
                entry = entries.decode(record.data)
                assert isinstance(entry, Linked)
                by = entry.by if entry.matched is None else entry.matched.rule
                place = position(record.offset, 0)
                yield Word(entry.at_ms, partition, place, entry.a, entry.b, by, entry.never)
        offset = records[-1].offset + 1
