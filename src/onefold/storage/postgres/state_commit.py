"""How one batch's changes are written into the tables of the PostgreSQL state, in one round trip or in three.

First the row `head` is locked, which makes commits take turns, and checked; then everything is written; then the
cursor, and COMMIT. Columns are sent as arrays, in order of their keys, so that neighbours share pages: made before the
lock, but where somebody was in between lately, as most of it may be in vain. Where a batch was wrong about what is
there (a profile that it thought new), rows are written by a second statement, in the same transaction.

Who has been alone for long knows what `head` says from the commit before, and sends all at once, up to the COMMIT. Of
that nothing happens where somebody has committed since, or where the batch was wrong: it is written in turn then.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import cached_property
from typing import Any, NamedTuple

from onefold.errors import Conflict, StorageError, Unavailable
from onefold.limits import NEVER_MS
from onefold.model import effect, rules
from onefold.model.changes import Changes
from onefold.model.position import home
from onefold.ports import Loaded
from onefold.storage import state_touched
from onefold.storage.postgres import driver, messages
from onefold.storage.postgres.driver import Connection, Cursor, Uncertain, errors
from onefold.storage.postgres.messages import Messages
from onefold.storage.postgres.state_rows import Number, Uuids, bigints, byteas, ids, kept, smallints, texts, uuids
from onefold.storage.state_bytes import encode

_LOCK = "UPDATE head SET number = number + %b RETURNING number, generation_ms, forgotten_ms"
_LOCK_AT = "UPDATE head SET number = CASE WHEN number = %b THEN number + %b ELSE number %% 0 END"
"""Fails where the number is another, so that nothing of what is sent behind it happens."""
_TIMES = 'SELECT "partition", now_ms, forgotten_ms FROM cursors'
_TOUCHED = "SELECT number, data FROM touched WHERE number > %b ORDER BY number"
_PUT_NEW = """INSERT INTO profiles (profile, version, data) SELECT profile, %b, data
FROM unnest(%b, %b) AS t (profile, data) ON CONFLICT DO NOTHING"""
_PUT_KNOWN = """UPDATE profiles AS p SET version = %b, data = t.data
FROM unnest(%b, %b) AS t (profile, data) WHERE p.profile = t.profile"""
_ALL = "WITH put AS ({} RETURNING 1) SELECT CASE WHEN count(*) = %b THEN 0 ELSE count(*) %% 0 END FROM put"
"""Fails where there are fewer rows than that."""
_PUT_ALL_NEW = _ALL.format(_PUT_NEW)
_PUT_ALL_KNOWN = _ALL.format(_PUT_KNOWN)
_ABSORB = "DELETE FROM profiles WHERE profile = ANY(%b)"
_ABSORB_COUNTED = """WITH gone AS (DELETE FROM profiles WHERE profile = ANY(%b) RETURNING 1)
UPDATE cursors SET profiles = profiles - (SELECT count(*) FROM gone) WHERE "partition" = %b::smallint"""
_REDIRECT = """INSERT INTO redirects (profile, survivor) SELECT * FROM unnest(%b, %b)
ON CONFLICT (profile) DO UPDATE SET survivor = excluded.survivor"""
_RETURN = "DELETE FROM redirects WHERE profile = ANY(%b)"
_FREE = "DELETE FROM identifiers WHERE identifier = ANY(%b)"
_IDENTIFY = """INSERT INTO identifiers (identifier, profile) SELECT * FROM unnest(%b, %b)
ON CONFLICT (identifier) DO UPDATE SET profile = excluded.profile"""
_DISARM = """DELETE FROM timers AS t USING unnest(%b, %b, %b) AS u (home, due_ms, profile)
WHERE t.home = u.home AND t.due_ms = u.due_ms AND t.profile = u.profile"""
_ARM = "INSERT INTO timers (home, due_ms, profile) SELECT * FROM unnest(%b, %b, %b) ON CONFLICT DO NOTHING"
_LEAVE = """WITH gone AS (
DELETE FROM members AS m USING unnest(%b, %b) AS u (audience, profile)
WHERE m.audience = u.audience AND m.profile = u.profile RETURNING m.audience)
INSERT INTO sizes AS s (audience, size) SELECT audience, -count(*) FROM gone GROUP BY audience
ON CONFLICT (audience) DO UPDATE SET size = s.size + excluded.size"""
_ENTER = "INSERT INTO members (audience, profile, entered_ms) SELECT * FROM unnest(%b, %b, %b)"
_GROW = """INSERT INTO sizes AS s (audience, size) SELECT * FROM unnest(%b, %b)
ON CONFLICT (audience) DO UPDATE SET size = s.size + excluded.size"""
_NO_SIZE = "DELETE FROM sizes WHERE size = 0"
_COUNT = """INSERT INTO counts AS c ("partition", name, amount) SELECT %b::smallint, * FROM unnest(%b, %b)
ON CONFLICT ("partition", name) DO UPDATE SET amount = c.amount + excluded.amount"""
_NO_COUNT = "DELETE FROM counts WHERE amount = 0"
_EFFECTS = 'INSERT INTO effects (number, "partition", data) VALUES (%b, %b::smallint, %b)'
_TOUCH = "INSERT INTO touched (number, data) VALUES (%b, %b)"
_UNTOUCH = "DELETE FROM touched WHERE number <= %b"
_QUARANTINE = """INSERT INTO quarantine ("partition", "position", data) SELECT * FROM unnest(%b, %b, %b)
ON CONFLICT ("partition", "position") DO UPDATE SET data = excluded.data"""
_RULE = """INSERT INTO rules (fingerprint, data) VALUES (%b, %b)
ON CONFLICT (fingerprint) DO UPDATE SET data = excluded.data"""
_FORGET = "UPDATE head SET forgotten_ms = %b"
_MOVE = """INSERT INTO cursors AS c ("partition", log_offset, now_ms, forgotten_ms, profiles, data)
VALUES (%b::smallint, %b, %b, %b, %b, %b) ON CONFLICT ("partition") DO UPDATE SET log_offset = excluded.log_offset,
now_ms = excluded.now_ms, forgotten_ms = excluded.forgotten_ms, profiles = c.profiles + excluded.profiles,
data = excluded.data"""

Write = tuple[str, tuple[Any, ...]]


class Part(NamedTuple):
    """What one partition has changed, made ready before the lock."""

    changes: Changes
    new: tuple[int, Any, Any]
    """Profiles that the batch has not read: how many, their ids, their data."""
    known: tuple[int, Any, Any]
    messages: Messages
    touched: bytes
    writes: list[Write]
    """All other statements but those that need the commit's number."""


class Batch:
    """A commit as it is sent."""

    def __init__(self, changes: Sequence[Changes], loaded: Loaded, encoded: Mapping[int, bytes], notify: str) -> None:
        """`notify` is said once it is committed; empty: nothing."""
        self.changes = changes
        self.loaded = loaded
        self.notify = notify
        self._encoded = encoded

    def make_ready(self) -> None:
        """Make its columns now; at the latest they are made when they are to be written."""
        self.parts  # noqa: B018 - kept from now on

    @cached_property
    def parts(self) -> list[Part]:
        """All that does not depend on what other commits have done."""
        there = self.loaded.profiles.keys() | self.loaded.identifiers.values()
        return [_prepared(changes, there, self._encoded) for changes in self.changes]


class Head(NamedTuple):
    """What commits are numbered and forget by: the row `head`, and the partitions' times beside it."""

    newest: int
    """The number of the newest commit."""
    generation_ms: int
    forgotten_ms: int
    times: Mapping[int, tuple[int, int]]
    """Partition → its time, and its `forgotten_ms`."""

    def after(self, batch: Batch) -> "Head":
        """The same once this is committed."""
        cursors = {changes.partition: changes.cursor for changes in batch.changes}
        times = {**self.times, **{n: (cursor.now_ms, cursor.forgotten_ms) for n, cursor in cursors.items()}}
        forgotten_ms = messages.forgotten_ms(self.generation_ms, times)
        return Head(self.newest + len(batch.changes), self.generation_ms, forgotten_ms, times)

    def precedes(self, batch: Batch) -> bool:
        """Whether the batch was made on this, and moves no partition that was never moved before."""
        known = all(changes.partition in self.times for changes in batch.changes)
        return known and self.newest == batch.loaded.snapshot


class Written(NamedTuple):
    """What a commit became."""

    head: Head
    """As it has left it."""
    abreast: bool
    """Whether nobody had committed since its snapshot, and all was as it was read."""


class _Doubtful(Exception):
    """Somebody has committed since, or something is not as it was read: all is to be written anew, in turn."""


class _Written(NamedTuple):
    """What the server will say of the statements that wrote a part's profiles."""

    new: Cursor | None
    known: Cursor | None
    gone: Cursor | None


def _prepared(changes: Changes, there: Collection[int], encoded: Mapping[int, bytes]) -> Part:
    known = sorted(profile for profile in changes.profiles if profile in there)
    new = sorted(changes.profiles.keys() - there)
    return Part(
        changes,
        (len(new), ids(new), byteas([encoded[profile] for profile in new])),
        (len(known), ids(known), byteas([encoded[profile] for profile in known])),
        Messages.of(changes.messages),
        state_touched.record(changes),
        list(_writes(changes)),
    )


def write(connection: Connection, batch: Batch, before: Head | None) -> Written:
    """Commit. Raises `Conflict`, having changed nothing; `Uncertain`.

    `before`: what is so if nobody was faster, and all is to be sent at once.
    """
    hoped = before if before is not None and before.precedes(batch) else None
    if hoped is not None:
        with suppress(_Doubtful), _undone_unless_made(connection):
            return Written(_at_once(connection, batch, hoped), abreast=True)
    with _undone_unless_made(connection):
        head = _in_turn(connection, batch)
    return Written(head, hoped is None and head.newest - len(batch.changes) == batch.loaded.snapshot)


@contextmanager
def _undone_unless_made(connection: Connection) -> Iterator[None]:
    try:
        yield
    except BaseException:
        with suppress(errors.Error):
            connection.execute("ROLLBACK")
        raise


def _at_once(connection: Connection, batch: Batch, before: Head) -> Head:
    """Commit, where all is as it was. Raises `_Doubtful`, having changed nothing."""
    driver.require_alive(connection)
    after = before.after(batch)
    with _certain() as made, _unless_doubtful(), connection.pipeline():
        _execute(connection, "BEGIN")
        _execute(connection, _LOCK_AT, Number(before.newest), Number(len(batch.parts)))
        for number, part in enumerate(batch.parts, start=before.newest + 1):
            _put_all(connection, part, Number(number))
            _write_part(connection, part, Number(number))
        _finish(connection, batch, (before, after), [part.new[0] for part in batch.parts], made)
    return after


@contextmanager
def _unless_doubtful() -> Iterator[None]:
    """What fails within because something is not as it was is `_Doubtful`."""
    try:
        yield
    except errors.DivisionByZero as error:
        raise _Doubtful from error


def _in_turn(connection: Connection, batch: Batch) -> Head:
    """Lock the head, check the batch, write it and commit. Raises `Conflict`."""
    before = _checked(connection, batch)
    after = before.after(batch)
    with connection.pipeline():
        seen = None
        if before.newest > batch.loaded.snapshot:
            seen = _execute(connection, messages.SEEN, _messages(batch))
        written = []
        for number, part in enumerate(batch.parts, start=before.newest + 1):
            written.append(_put(connection, part, Number(number)))
            _write_part(connection, part, Number(number))
    if seen is not None:
        _require_unseen(batch, messages.latest(seen))
    more = [
        _difference(connection, part, written[n], Number(before.newest + 1 + n)) for n, part in enumerate(batch.parts)
    ]
    with _certain() as made, connection.pipeline():
        _finish(connection, batch, (before, after), more, made)
    return after


def _checked(connection: Connection, batch: Batch) -> Head:
    """Lock the head, and return what is so before the batch. Raises `Conflict` where others were faster with it."""
    loaded = batch.loaded
    with connection.pipeline():
        _execute(connection, "BEGIN")
        locked = _execute(connection, _LOCK, Number(len(batch.changes)))
        times, records = _execute(connection, _TIMES), _execute(connection, _TOUCHED, Number(loaded.snapshot))
    ((newest, generation_ms, forgotten_ms),) = locked.fetchall()
    found = {partition: (now_ms, partition_ms) for partition, now_ms, partition_ms in times.fetchall()}
    before = Head(newest - len(batch.changes), generation_ms, forgotten_ms, found)
    state_touched.require_told(loaded.snapshot, before.newest)
    touched = [(other, state_touched.decode(data)) for other, data in records]
    assert len(touched) == before.newest - loaded.snapshot
    for changes in batch.changes:
        state_touched.require_untouched(changes, loaded, touched)
    return before


def _require_unseen(batch: Batch, seen: Mapping[bytes, int]) -> None:
    if any(batch.loaded.seen.get(message) != at_ms for message, at_ms in seen.items()):
        raise Conflict("another commit admitted a message of this batch")


def _messages(batch: Batch) -> Uuids:
    """Those that others must not have admitted since they were looked for."""
    return uuids(
        list(batch.loaded.seen.keys() | {message for changes in batch.changes for message in changes.messages})
    )


def _put_all(connection: Connection, part: Part, version: Number) -> None:
    """Write the profiles of a part, which fails where the batch was wrong about any."""
    for statement, (many, *columns) in ((_PUT_ALL_KNOWN, part.known), (_PUT_ALL_NEW, part.new)):
        if many:
            _execute(connection, statement, version, *columns, Number(many))
    if absorbed := part.changes.absorbed:
        _execute(connection, _ABSORB_COUNTED, ids(absorbed), Number(part.changes.partition))


def _put(connection: Connection, part: Part, version: Number) -> _Written:
    """Write the profiles of a part as far as the batch was right."""
    known = _execute(connection, _PUT_KNOWN, version, *part.known[1:]) if part.known[0] else None
    new = _execute(connection, _PUT_NEW, version, *part.new[1:]) if part.new[0] else None
    absorbed = part.changes.absorbed
    return _Written(new, known, _execute(connection, _ABSORB, ids(absorbed)) if absorbed else None)


def _write_part(connection: Connection, part: Part, version: Number) -> None:
    """Write all of a part but its profiles and its cursor."""
    changes = part.changes
    if part.messages.many:
        _execute(connection, messages.ADD, *part.messages[1:])
    for statement, parameters in part.writes:
        _execute(connection, statement, *parameters)
    if changes.effects:
        _execute(connection, _EFFECTS, version, Number(changes.partition), effect.encode(changes.effects))
    _execute(connection, _TOUCH, version, part.touched)


def _difference(connection: Connection, part: Part, written: _Written, version: Number) -> int:
    """By how many profiles there are more; what the batch was wrong about is written by another statement."""
    difference = _rows(written.new) - _rows(written.gone)
    if _rows(written.known) < part.known[0]:
        difference += _rows(_execute(connection, _PUT_NEW, version, *part.known[1:]))
    if _rows(written.new) < part.new[0]:
        _execute(connection, _PUT_KNOWN, version, *part.new[1:])
    return difference


@contextmanager
def _certain() -> Iterator[list[Cursor]]:
    """Takes the COMMIT. What fails within raises `Uncertain` where nobody knows whether that has happened."""
    made: list[Cursor] = []
    try:
        with driver.translated():
            yield made
    except StorageError as error:
        if made and made[0].statusmessage == "COMMIT":
            return  # Only the sign failed, which nobody relies on.
        if isinstance(error, Unavailable):
            raise Uncertain(f"whether a commit has happened is not known: {error}") from error
        raise


def _finish(
    connection: Connection, batch: Batch, heads: tuple[Head, Head], profiles: list[int], made: list[Cursor]
) -> None:
    """Move the cursors, forget what is old, and commit. `heads`: before and after, `profiles`: more in each part."""
    _forget(connection, batch, *heads)
    for part, more in zip(batch.parts, profiles, strict=True):
        cursor = part.changes.cursor
        numbers = [part.changes.partition, cursor.offset, cursor.now_ms, cursor.forgotten_ms, more]
        _execute(connection, _MOVE, *map(Number, numbers), encode(cursor))
    made.append(_execute(connection, "COMMIT"))
    if batch.notify:
        _execute(connection, batch.notify)


def _forget(connection: Connection, batch: Batch, before: Head, after: Head) -> None:
    """Remove what nobody asks for any more: records of old commits, messages past their window."""
    _execute(connection, _UNTOUCH, Number(after.newest - state_touched.TOUCHED_KEPT))
    if after.forgotten_ms != before.forgotten_ms:
        _execute(connection, _FORGET, Number(after.forgotten_ms))
    if after.forgotten_ms:
        many = sum(part.messages.many for part in batch.parts)
        _execute(connection, messages.REMOVE, *messages.removal(after.forgotten_ms, many))


def _writes(changes: Changes) -> Iterable[Write]:
    """Statements that need neither the commit's number nor what others have done."""
    if changes.absorbed:
        yield _REDIRECT, (ids(changes.absorbed), ids(changes.absorbed.values()))
    if changes.returned:
        yield _RETURN, (ids(changes.returned),)
    if changes.freed:
        yield _FREE, (byteas([name.encode() for name in changes.freed]),)
    if changes.identifiers:
        names = sorted((name.encode(), profile) for name, profile in changes.identifiers.items())
        yield _IDENTIFY, (byteas([name for name, _ in names]), ids(profile for _, profile in names))
    yield from _timers(changes)
    yield from _members(changes)
    if counts := {name: amount for name, amount in changes.counts.items() if amount}:
        names_, amounts = texts([name.encode() for name in counts]), bigints(counts.values())
        yield _COUNT, (Number(changes.partition), names_, amounts)
        if min(counts.values()) < 0:
            yield _NO_COUNT, ()
    if events := {(event.partition, event.position): event for event in changes.quarantined}:
        places = smallints(partition for partition, _ in events), bigints(position for _, position in events)
        yield _QUARANTINE, (*places, byteas([encode(event) for event in events.values()]))
    if changes.rules is not None:
        yield _RULE, (kept(changes.cursor.rules), rules.encode(changes.rules))


def _timers(changes: Changes) -> Iterable[Write]:
    disarmed = sorted((home(p), before, p) for p, (before, _) in changes.due.items() if before < NEVER_MS)
    armed = sorted(
        (home(p), after, p) for p, (_, after) in changes.due.items() if after < NEVER_MS and p not in changes.absorbed
    )
    for statement, timers in ((_DISARM, disarmed), (_ARM, armed)):
        if timers:
            homes, due_ms, profiles = zip(*timers, strict=True)
            yield statement, (smallints(homes), bigints(due_ms), ids(profiles))


def _members(changes: Changes) -> Iterable[Write]:
    """Whoever moved leaves first, so that sizes are right by what was there, not by what the batch thinks was there."""
    moved = [(name.encode(), sorted(moves)) for name, moves in sorted(changes.members.items())]
    names = texts([name for name, profiles in moved for _ in profiles])
    if any(profiles for _, profiles in moved):
        yield _LEAVE, (names, ids(profile for _, profiles in moved for profile in profiles))
    entered = [
        (name.encode(), sorted((profile, at_ms) for profile, at_ms in moves.items() if at_ms))
        for name, moves in sorted(changes.members.items())
    ]
    if any(profiles for _, profiles in entered):
        names = texts([name for name, profiles in entered for _ in profiles])
        rows = [row for _, profiles in entered for row in profiles]
        yield _ENTER, (names, ids(profile for profile, _ in rows), bigints(at_ms for _, at_ms in rows))
        grown = [(name, len(profiles)) for name, profiles in entered if profiles]
        yield _GROW, (texts([name for name, _ in grown]), bigints(size for _, size in grown))
    if moved:
        yield _NO_SIZE, ()


def _execute(connection: Connection, statement: str, *parameters: Any) -> Cursor:
    return driver.executed(connection, statement, parameters)


def _rows(cursor: Cursor | None) -> int:
    return 0 if cursor is None else cursor.rowcount
