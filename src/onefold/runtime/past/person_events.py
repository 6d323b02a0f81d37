"""All events of one person that can still be read: what history has, and from the log what it does not have yet."""

from collections.abc import Callable, Collection, Iterable, Iterator

import msgspec
from msgspec import structs

from onefold.core import batch
from onefold.core.identity.identifiers import finder_of
from onefold.errors import Damaged, NotFoundError
from onefold.language.stream import excerpt
from onefold.limits import HISTORY_LAG_MAX_BYTES
from onefold.model import effect, entry, position
from onefold.model.changes import Cursor
from onefold.model.effect import Admitted
from onefold.model.past import Past, PastRecast
from onefold.model.profile import Profile
from onefold.model.rules import Rules
from onefold.ports import Commit, HistoryReader, LogReader, State
from onefold.runtime.history.recasts import since

Place = tuple[int, int]
"""Partition, position."""

_admitted = effect.decoder(frozenset((Admitted,)))
_excerpts = excerpt.decoder((), ())


class PersonEvents:
    """Reads people's events from history and log. `rules` gives those in force in a partition."""

    def __init__(
        self, history: HistoryReader | None, log: LogReader, state: State, rules: Callable[[int], Rules]
    ) -> None:
        """Without a history only the latest events of a profile are found, as far as the log still has them."""
        self._history = history
        self._log = log
        self._state = state
        self._rules = rules

    def of(self, profile: Profile) -> list[Past]:
        """The person's events, each once, in no order. Fewer than `profile.events`: the others are no longer kept.

        Raises `Damaged` where the log cannot be read, `StorageError` and its kin.
        """
        people = {profile.id, *(merge.absorbed for merge in profile.merges)}
        owners = {(place >> 56, place & (1 << 56) - 1): profile.id for place in profile.recent}
        found: dict[Place, Past] = {}
        if self._history is not None:
            cursor = self._history.cursor()
            commits = self._state.commits(cursor, HISTORY_LAG_MAX_BYTES)
            late = _recast(since(self._state, self._log, cursor))
            formers = {former for owner, former in late.values() if owner in people}
            stored = ((p.partition, p.position, p) for p in self._history.of_profiles(people | formers))
            found = {(partition, position): past for partition, position, past in stored}
            for place, (owner, _) in late.items():
                if place in found:
                    found[place] = structs.replace(found[place], profile=owner)
            found = {place: past for place, past in found.items() if past.profile in people}
            came = ((place, late.get(place, (owner, 0))[0]) for place, owner in admitted_in(commits, people | formers))
            owners.update((place, owner) for place, owner in came if owner in people)
        for past in self.of_log(owners.keys() - found.keys()):
            place = past.partition, past.position
            found[place] = structs.replace(past, profile=owners[place])
        return list(found.values())

    def of_log(self, places: Iterable[Place]) -> Iterator[Past]:
        """The events at these places, as far as the log still has them; whose they are it does not say."""
        by_record: dict[Place, list[int]] = {}
        for partition, place in sorted(places):
            offset, index = position.split(place)
            by_record.setdefault((partition, offset), []).append(index)
        for (partition, offset), indexes in by_record.items():
            if (data := self._record(partition, offset)) is not None:
                yield from self._read(partition, offset, data, indexes)

    def _record(self, partition: int, offset: int) -> bytes | None:
        try:
            records = self._log.read(partition, offset, 1)
        except NotFoundError:
            return None
        return records[0].data if records and records[0].offset == offset else None

    def _read(self, partition: int, offset: int, data: bytes, indexes: list[int]) -> Iterator[Past]:
        try:
            whole, received = entry.decode(data), _excerpts(data)
        except msgspec.MsgspecError as error:
            raise Damaged(f"record {offset} of partition {partition} cannot be read: {error}") from error
        assert isinstance(whole, entry.Received)
        assert isinstance(received, entry.Received)
        incoming = batch.read(partition, Cursor(), [(offset, received)], finder_of(self._rules(partition))).incoming
        for index in indexes:
            one, event = incoming[index], whole.events[index]
            yield Past(
                partition=partition,
                position=one.position,
                profile=0,
                at_ms=one.at_ms,
                received_ms=one.received_ms,
                tie=one.fingerprint,
                source=one.source,
                name=event.event if event.type == "track" and event.event is not None else event.type,
                event=event,
            )


def _recast(recasts: Iterable[PastRecast]) -> dict[Place, tuple[int, int]]:
    """Events that recasts have made another's: whose each is now, and whose it was before all of these."""
    found: dict[Place, tuple[int, int]] = {}
    for each in recasts:
        place = each.event_partition, each.event_position
        if each.event_partition >= 0:
            found[place] = each.profile, found.get(place, (0, each.former))[1]
    return found


def admitted_in(commits: Iterable[Commit], people: Collection[int]) -> Iterator[tuple[Place, int]]:
    """Where events are that came as these people's, and whose each was then."""
    for later in commits:
        for each in _admitted(later.effects):
            if isinstance(each, Admitted) and each.profile in people:
                yield (later.partition, each.position), each.profile
