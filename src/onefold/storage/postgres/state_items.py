"""Everything in a PostgreSQL state that counts, in the order and the form in which every engine gives it."""

from collections.abc import Iterator, Sequence
from typing import Any

from onefold.model import effect
from onefold.storage.postgres.driver import Connection, Row
from onefold.storage.postgres.state_rows import Number, adapt, given
from onefold.storage.state_bytes import COUNT, PLACE, TIMER, U64

_ROWS = 5_000
"""Fetched at once."""
_BEGIN = "BEGIN TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY"
_PROFILES = "SELECT profile, data FROM profiles ORDER BY profile"
_REDIRECTS = """WITH RECURSIVE chain (profile, survivor) AS (
SELECT profile, survivor FROM redirects
UNION SELECT c.profile, r.survivor FROM chain AS c JOIN redirects AS r ON r.profile = c.survivor)
SELECT profile, survivor FROM chain AS c WHERE NOT EXISTS (SELECT 1 FROM redirects AS r WHERE r.profile = c.survivor)
ORDER BY profile"""
_IDENTIFIERS = "SELECT identifier, profile FROM identifiers ORDER BY identifier"
_TIMERS = "SELECT home, due_ms, profile FROM timers ORDER BY home, due_ms, profile"
_MEMBERS = "SELECT audience, profile, entered_ms FROM members ORDER BY audience, profile"
_PARTITIONS = 'SELECT DISTINCT "partition" FROM effects ORDER BY "partition"'
_EFFECTS = 'SELECT data FROM effects WHERE "partition" = %b ORDER BY number'
_FORGOTTEN = (
    """SELECT greatest((SELECT forgotten_ms FROM head), (SELECT coalesce(min(forgotten_ms), 0) FROM cursors))"""
)
_MESSAGES = """SELECT fingerprint, max(at_ms) FROM messages WHERE at_ms >= %b
GROUP BY fingerprint ORDER BY fingerprint"""
_QUARANTINE = 'SELECT "partition", "position", data FROM quarantine ORDER BY "partition", "position"'
_COUNTS = 'SELECT "partition", name, amount FROM counts ORDER BY "partition", name'
_CURSORS = 'SELECT "partition", data FROM cursors ORDER BY "partition"'
_RULES = "SELECT fingerprint, data FROM rules ORDER BY fingerprint"

Item = tuple[str, bytes, bytes]


def items(connection: Connection) -> Iterator[Item]:
    """(part, key, value) of everything, of one moment; the connection is in a transaction until it is closed."""
    adapt(connection)
    connection.execute(_BEGIN)
    yield from _people(connection)
    yield from _effects(connection)
    ((forgotten_ms,),) = _rows(connection, _FORGOTTEN)
    for message, at_ms in _rows(connection, _MESSAGES, [Number(forgotten_ms)]):
        yield "messages", message, U64.pack(at_ms)
    yield from _accounts(connection)


def _people(connection: Connection) -> Iterator[Item]:
    for profile, data in _rows(connection, _PROFILES):
        yield "profiles", U64.pack(given(profile)), data
    for profile, survivor in _rows(connection, _REDIRECTS):
        yield "redirects", U64.pack(given(profile)), U64.pack(given(survivor))
    for name, profile in _rows(connection, _IDENTIFIERS):
        yield "identifiers", name, U64.pack(given(profile))
    for where, due_ms, profile in _rows(connection, _TIMERS):
        yield "timers", TIMER.pack(where, due_ms, given(profile)), b""
    for audience, profile, entered_ms in _rows(connection, _MEMBERS):
        yield "members", audience.encode() + b"\0" + U64.pack(given(profile)), U64.pack(entered_ms)


def _effects(connection: Connection) -> Iterator[Item]:
    """The effects kept, as one sequence a partition."""
    for (partition,) in list(_rows(connection, _PARTITIONS)):
        n = 0
        for (data,) in _rows(connection, _EFFECTS, [Number(partition)]):
            for one in effect.decode(data):
                yield "effects", PLACE.pack(partition, n), effect.encode([one])
                n += 1


def _accounts(connection: Connection) -> Iterator[Item]:
    for partition, position, data in _rows(connection, _QUARANTINE):
        yield "quarantine", PLACE.pack(partition, position), data
    for partition, name, amount in _rows(connection, _COUNTS):
        yield "counts", bytes((partition,)) + name.encode(), COUNT.pack(amount)
    for partition, data in _rows(connection, _CURSORS):
        yield "cursors", bytes((partition,)), data
    for fingerprint, data in _rows(connection, _RULES):
        yield "rules", U64.pack(given(fingerprint)), data


def _rows(connection: Connection, statement: str, parameters: Sequence[Any] = ()) -> Iterator[Row]:
    """The rows of a statement, some at a time."""
    with connection.cursor("items", binary=True) as cursor:
        cursor.itersize = _ROWS
        cursor.execute(statement.encode(), parameters)
        yield from cursor
