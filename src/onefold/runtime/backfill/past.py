"""What a backfill reads of history: of each person's events just what is asked for, person by person."""

from collections.abc import Generator, Mapping
from typing import Any

from msgspec import Struct

from onefold.core.gather import PastEvent
from onefold.language.nodes import Kept, events_of
from onefold.language.stream.compile import event_fields
from onefold.model.past import signed, unsigned
from onefold.ports import Connection, HistoryReader
from onefold.storage.history.asking import bounded

_ROWS = 2_000
"""Fetched at once."""
_MEMORY = "512MB"
_THREADS = 1
"""Live events go on meanwhile."""
_OBJECTS = ("properties", "context", "traits")


People = Generator[tuple[int, PastEvent], None, None]


class Wanted(Struct, frozen=True):
    """Which events, and what of them."""

    before: Mapping[int, int]
    """Partition → position below which an event lies."""
    names: frozenset[str] | None
    """None: events of any name."""
    objects: frozenset[str]
    """Of `properties`, `context` and `traits` those that are asked for."""


class Lacking(Struct, frozen=True):
    """What definitions that are to come need kept of events, and those in force do not, by slot."""

    of_people: dict[str, Kept]
    of_accounts: dict[str, Kept]
    accounts: bool
    """Whether accounts themselves: who is whose member, and all that is known of each."""

    def __bool__(self) -> bool:
        return bool(self.of_people or self.of_accounts or self.accounts)


def wanted(lacking: Lacking, before: Mapping[int, int]) -> Wanted:
    """What is asked of events below these positions for states to be kept."""
    kept = [*lacking.of_people.values(), *lacking.of_accounts.values()]
    names = frozenset().union(*map(events_of, kept))
    roots = frozenset(str(field.path[0]) for each in kept for field in event_fields(each))
    if lacking.of_accounts or lacking.accounts:
        roots |= {"context"}
    if lacking.accounts:
        roots |= {"traits"}
    everything = "*" in names or lacking.accounts
    return Wanted(before, None if everything else names, roots & frozenset(_OBJECTS))


def people(history: HistoryReader, home: int, after: int, what: Wanted) -> People:
    """(profile, event) for profiles at home in this partition with id > `after`, in the order of their ids.

    The profile is whose the event was when it came. All of one snapshot; what does not fit _MEMORY is sorted on disk.
    Raises `StorageError`, after which it has nothing more.
    """
    with bounded(history, _MEMORY, _THREADS) as connection:
        _select(connection, home, after, what)
        while rows := connection.fetchmany(_ROWS):
            for profile, partition, position, *event in rows:
                yield unsigned(profile), PastEvent._make((*event, partition << 56 | position))


def _select(connection: Connection, home: int, after: int, what: Wanted) -> None:
    objects = ", ".join(name if name in what.objects else "NULL" for name in _OBJECTS)
    values: list[Any] = [signed(max(after, home << 56)), signed((home + 1 << 56) - 1)]
    conditions = ["profile > ?", "profile <= ?"]
    if what.names is not None:
        conditions.append("name IN (SELECT unnest(?::VARCHAR[]))")
        values.append(sorted(what.names))
    conditions.append(f"({' OR '.join('(partition = ? AND position < ?)' for _ in what.before)})")
    values += [number for place in what.before.items() for number in place]
    query = f"SELECT profile, partition, position, at_ms, tie, type, name, {objects}, group_id FROM events WHERE {' AND '.join(conditions)} ORDER BY profile"  # noqa: E501, S608 (nothing in it comes from users)
    connection.execute(query, values)
