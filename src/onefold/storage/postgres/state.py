"""The state on the PostgreSQL protocol: commits take turns, any number of processes read beside them.

A commit locks the one row of `head` first, and holds it until it is on the server's disk. So commits have numbers
without gaps, in the order in which they become visible: who follows the effects can never miss one. It also bounds
what one state can take: the server writes one batch at a time, and a second worker gains what is computed beside
that, no more. One or two round trips pass under the lock, so a state should be near its workers.

How a commit is written is in `state_commit`, messages are in `messages`, digests in
`state_items`, turns of dear commits in `turns`; connections, time-outs and errors are in `driver`.
"""

from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, closing
from functools import partial
from typing import Any, NamedTuple

from onefold.errors import NotFoundError
from onefold.limits import DEDUPE_WINDOW_MS, NEVER_MS
from onefold.model import effect, rules
from onefold.model.account import ACCOUNTS, RELATION
from onefold.model.changes import Changed, Changes, Cursor
from onefold.model.effect import AnyEffect
from onefold.model.position import first_account
from onefold.model.quarantined import Quarantined
from onefold.model.rules import Rules
from onefold.ports import Commit, Loaded, at_once
from onefold.storage import state_touched
from onefold.storage.postgres import driver, messages, migration, signs, state_commit, state_items, state_rows
from onefold.storage.postgres.driver import (
    DEFAULT_WORKSPACE,
    Address,
    Connection,
    Pool,
    Row,
    Timeouts,
    executed,
    fetched,
)
from onefold.storage.postgres.state_rows import Number, bigints, byteas, given, ids, kept, uuids
from onefold.storage.postgres.turns import Turns
from onefold.storage.state_bytes import U64_MAX, decode_cursor, decode_quarantined
from onefold.storage.state_digest import digest_of
from onefold.storage.state_touched import TOUCHED_KEPT, is_told

TRIM_COMMITS = 1_000
"""Commits whose effects one transaction forgets."""
_AFTER_RELATIONS = chr(ord(RELATION) + 1)
"""Names of relations between accounts and members come before it, and those of audiences after it."""
PAGE_COMMITS = 256
"""Commits that one statement gives to a follower at the most."""

_HEAD_ROW, _IDENTIFIER, _MESSAGE = 0, 1, 3
_NEW = """INSERT INTO head (one, number, generation_ms, forgotten_ms) VALUES (true, 0, %b, 0)
ON CONFLICT DO NOTHING"""
_HEAD = "SELECT 0::smallint AS kind, number, NULL::bytea AS key, NULL::bytea AS data, NULL::uuid AS message FROM head"
_IDENTIFIERS = """SELECT 1, i.profile, i.identifier, p.data, NULL
FROM identifiers AS i LEFT JOIN profiles AS p ON p.profile = i.profile WHERE i.identifier = ANY(%b)"""
_OWNERS = "SELECT identifier, profile FROM identifiers WHERE identifier = ANY(%b)"
_PROFILES = "SELECT 2, profile, NULL, data, NULL FROM profiles WHERE profile = ANY(%b)"
_MESSAGES = f"SELECT 3, at_ms, NULL, NULL, fingerprint {messages.FOUND}"
_TOUCHED = """SELECT h.number, t.number, t.data FROM head AS h LEFT JOIN touched AS t
ON t.number > %b AND t.number <> ALL(%b) AND %b >= h.number - %b ORDER BY t.number"""
_SURVIVORS = """WITH RECURSIVE chain (asked, profile) AS (
SELECT a, a FROM unnest(%b) AS a
UNION SELECT c.asked, r.survivor FROM chain AS c JOIN redirects AS r ON r.profile = c.profile)
SELECT c.asked, p.data FROM chain AS c JOIN profiles AS p ON p.profile = c.profile
WHERE NOT EXISTS (SELECT 1 FROM redirects AS r WHERE r.profile = c.profile)"""
_DUE = "SELECT due_ms, profile FROM timers WHERE home = %b AND due_ms <= %b ORDER BY due_ms, profile LIMIT %b"
_IDS = "SELECT profile FROM profiles WHERE profile BETWEEN %b AND %b ORDER BY profile LIMIT %b"
_MEMBERS = """SELECT profile, entered_ms FROM members WHERE audience = %b AND profile >= %b
ORDER BY profile LIMIT %b"""
_COUNTS = """SELECT name, sum(amount)::bigint FROM counts GROUP BY name
UNION ALL SELECT 'profiles', coalesce(sum(profiles), 0)::bigint FROM cursors"""
_EFFECTS = 'SELECT number, "partition", data FROM effects WHERE number > %b ORDER BY number LIMIT %b'
_COMMITS = """SELECT number, "partition", data FROM (
SELECT number, "partition", data, sum(octet_length(data) + 1) OVER (ORDER BY number) - octet_length(data) - 1 AS before
FROM (SELECT number, "partition", data FROM effects WHERE number > %b ORDER BY number LIMIT %b) AS page) AS sized
WHERE before < %b ORDER BY number"""
_QUARANTINED = """SELECT data FROM quarantine WHERE ("partition", "position") > (%b::smallint, %b)
ORDER BY "partition", "position" LIMIT %b"""
_TRIM = """DELETE FROM effects WHERE number = ANY(ARRAY(
SELECT number FROM effects WHERE number < %b ORDER BY number LIMIT %b))"""


class Options(NamedTuple):
    """What may differ from state to state."""

    generation_ms: int = DEDUPE_WINDOW_MS
    """For a state that is made: log time by which messages are forgotten, so many at once."""
    hopeful_commits: int = 20
    """After so many commits with nobody in between the next is made as if there were nobody else: in one round trip."""
    timeouts: Timeouts = Timeouts()
    role: str = "onefold state"
    """What the server's `pg_stat_activity` calls its connections."""


class PostgresState:
    """`ports.State` in one schema of a database. One thread loads, one commits; any thread may read.

    Broken connections are replaced: a restart of the server between two calls costs nothing, in the middle of one it
    costs one `Unavailable`. Where that was a commit, whether it has happened is to be read from the cursor, and
    `touched_since` tells of it as of another's.
    """

    local = False

    def __init__(
        self, url: str, workspace: str = DEFAULT_WORKSPACE, *, readonly: bool = False, options: Options | None = None
    ) -> None:
        """Open, making or migrating the workspace's schema unless `readonly`.

        Raises `TooNew`, having written nothing, where a newer Onefold made it; `NotFoundError` where there is
        nothing yet to read; `Unavailable` where the server cannot be reached.
        """
        self._options = options or Options()
        schema = driver.schema_of(workspace)
        self._address = Address(url, schema, self._options.role, self._options.timeouts)
        self._channel = f"{schema}_state"
        self._notify = ""
        answer_s = self._options.timeouts.answer_s
        self._writer = Pool(self._connect, answer_s, 2)
        """The connections that load and commit: one may do so while the other does."""
        self._readers = Pool(self._connect, answer_s)
        self._signs = signs.Signs(self._address, self._channel)
        self._turns = Turns(self._connect)
        self._own: dict[int, None] = {}
        self._abreast = 0
        """Commits of ours since somebody else has committed."""
        self._head: state_commit.Head | None = None
        """What the last of them has left."""
        with ExitStack() as unless_open:
            unless_open.callback(self.close)
            if readonly:
                self._readers.run(partial(migration.require_current, schema=schema))
                if not self._read("SELECT number FROM head"):
                    raise NotFoundError("there is no state yet; it is being made")
            else:
                migration.migrate(url, schema)
                self._readers.run(self._prepare)
            unless_open.pop_all()

    def cursor(self, partition: int) -> Cursor:
        """How far this partition has been folded."""
        found = self._read('SELECT data FROM cursors WHERE "partition" = %b', Number(partition))
        return decode_cursor(found[0][0]) if found else Cursor()

    def rules(self, fingerprint: int) -> Rules:
        """The rules of this fingerprint."""
        if fingerprint == rules.DEFAULT:
            return Rules()
        ((data,),) = self._read("SELECT data FROM rules WHERE fingerprint = %b", kept(fingerprint))
        return rules.decode(data)

    def load(
        self,
        identifiers: Iterable[str],
        profiles: Iterable[int],
        messages: Iterable[bytes],
        known: Container[int] = (),
    ) -> Loaded:
        """One consistent picture of these identifiers, of their profiles and of `profiles`, and of these messages.

        One statement, so one round trip.
        """
        wanted = set(profiles)
        parts = [_HEAD]
        parameters: list[Any] = []
        if names := {name.encode() for name in identifiers}:
            parts.append(_IDENTIFIERS)
            parameters.append(byteas(list(names)))
        if wanted:
            parts.append(_PROFILES)
            parameters.append(ids(wanted))
        if asked := set(messages):
            parts.append(_MESSAGES)
            parameters.append(uuids(list(asked)))
        statement = " UNION ALL ".join(parts)
        return _picture(self._writer.run(lambda connection: fetched(connection, statement, parameters)), wanted, known)

    def touched_since(self, snapshot: int) -> tuple[int, Changed | None]:
        """The newest snapshot, and what others' commits changed since `snapshot`; None: too much to say."""
        own = [number for number in list(self._own) if number > snapshot]
        since = Number(snapshot)
        parameters = [since, bigints(own), since, Number(TOUCHED_KEPT)]
        rows = self._writer.run(lambda connection: fetched(connection, _TOUCHED, parameters))
        newest = rows[0][0]
        if not is_told(snapshot, newest):
            return newest, None
        changed = Changed(set(), set())
        records = [state_touched.decode(data) for _, number, data in rows if number is not None]
        assert len(records) == newest - snapshot - len(own)
        for touched in records:
            changed.profiles.update(touched.profiles)
            changed.identifiers.update(touched.identifiers)
        return newest, changed

    def turn(self) -> AbstractContextManager[object]:
        """Wait until nobody else is within such a turn; one must not be within it already."""
        return self._turns.turn()

    def commit(
        self,
        parts: Sequence[Changes],
        loaded: Loaded,
        encoded: Mapping[int, bytes],
        waiting: Callable[[], object] = at_once,
    ) -> int:
        """Write what was changed in one durable transaction and return the new snapshot number."""
        assert all(changes.profiles.keys().isdisjoint(changes.absorbed) for changes in parts)
        batch = state_commit.Batch(parts, loaded, encoded, self._notify)
        if self._abreast:
            batch.make_ready()
        waiting()
        hoped = self._head if self._abreast >= self._options.hopeful_commits else None
        made = self._writer.run(lambda connection: state_commit.write(connection, batch, hoped))
        newest = made.head.newest
        self._head, self._abreast = made.head, self._abreast + 1 if made.abreast else 0
        for number in range(newest - len(parts) + 1, newest + 1):
            self._own[number] = None
            if len(self._own) > TOUCHED_KEPT:
                del self._own[next(iter(self._own))]
        return newest

    def due(self, partition: int, until_ms: int, limit: int) -> list[tuple[int, int]]:
        """Armed timers (due, profile id) of this partition with due <= until_ms, earliest first."""
        rows = self._read(_DUE, *map(Number, (partition, until_ms, limit)))
        return [(due_ms, given(profile)) for due_ms, profile in rows]

    def next_due_ms(self, partition: int) -> int:
        """When the earliest timer of this partition is due; NEVER_MS without one."""
        earliest = self.due(partition, NEVER_MS, 1)
        return earliest[0][0] if earliest else NEVER_MS

    def profile_ids(self, partition: int, after: int, limit: int) -> list[int]:
        """Ids > after of the people's profiles at home in this partition, ascending."""
        return self._ids(max(after + 1, partition << 56), first_account(partition) - 1, limit)

    def account_ids(self, partition: int, after: int, limit: int) -> list[int]:
        """Ids > after of the accounts at home in this partition, ascending."""
        return self._ids(max(after + 1, first_account(partition)), ((partition + 1) << 56) - 1, limit)

    def _ids(self, first: int, last: int, limit: int) -> list[int]:
        if first > last:
            return []
        return [given(profile) for (profile,) in self._read(_IDS, kept(first), kept(last), Number(limit))]

    def lookup(self, identifier: str) -> int | None:
        """The profile that has this identifier."""
        found = self._read("SELECT profile FROM identifiers WHERE identifier = %b", identifier.encode())
        return given(found[0][0]) if found else None

    def owners(self, identifiers: Iterable[str]) -> dict[str, int]:
        """Each of these identifiers → the profile that has it; those that nobody has are left out."""
        rows = self._read(_OWNERS, byteas([name.encode() for name in identifiers]))
        return {name.decode(): given(profile) for name, profile in rows}

    def profile(self, profile: int) -> bytes | None:
        """The profile with this id, or the survivor of its merges."""
        return self.survivors([profile]).get(profile)

    def survivors(self, profiles: Iterable[int]) -> dict[int, bytes]:
        """Each of these ids → what `profile` says of it; those of whom there is nothing are left out."""
        return {given(asked): data for asked, data in self._read(_SURVIVORS, ids(profiles))}

    def members(self, audience: str, after: int, limit: int) -> list[tuple[int, int]]:
        """(profile id, entered at) of members with id > after, ascending."""
        if "\0" in audience or after >= U64_MAX:
            return []
        rows = self._read(_MEMBERS, audience, kept(max(after + 1, 0)), Number(limit))
        return [(given(profile), entered_ms) for profile, entered_ms in rows]

    def sizes(self) -> dict[str, int]:
        """Members of each audience that has any, in O(audiences)."""
        return dict(self._read("SELECT audience, size FROM sizes WHERE audience >= %b", _AFTER_RELATIONS))

    def size(self, relation: str) -> int:
        """Members of one audience, or of one account."""
        found = self._read("SELECT size FROM sizes WHERE audience = %b", relation)
        return int(found[0][0]) if found else 0

    def counts(self) -> dict[str, int]:
        """Sums over partitions of all counts, and `profiles`, which are people's."""
        sums: dict[str, int] = dict(self._read(_COUNTS))
        sums["profiles"] -= sums.get(ACCOUNTS, 0)
        return sums

    def effects(self, after: int, limit: int) -> list[tuple[int, int, list[AnyEffect]]]:
        """Up to `limit` commits with effects, after the commit numbered `after`: (number, partition, effects)."""
        rows = self._read(_EFFECTS, Number(after), Number(limit))
        return [(number, partition, effect.decode(data)) for number, partition, data in rows]

    def commits(self, after: int, max_bytes: int) -> list[Commit]:
        """Commits with effects, after the one numbered `after`: as few as come to `max_bytes`, or all there are."""
        found: list[Commit] = []
        while max_bytes > 0:
            rows = self._read(_COMMITS, Number(after), Number(PAGE_COMMITS), Number(max_bytes))
            found += map(Commit._make, rows)
            max_bytes -= sum(len(data) + 1 for _, _, data in rows)
            if len(rows) < PAGE_COMMITS:
                break
            after = found[-1].number
        return found

    def newest(self) -> int:
        """The number of the newest commit."""
        number: int = self._read("SELECT number FROM head")[0][0]
        return number

    def watch(self) -> int | None:
        """A file descriptor that can be read from when there may be a new commit; None: look now and then.

        A server without LISTEN has none, and behind a pooler that shares connections none is ever readable.
        """
        return self._signs.watch()

    def quarantined(self, after: tuple[int, int], limit: int) -> list[Quarantined]:
        """Quarantined events after this (partition, position), in that order."""
        rows = self._read(_QUARANTINED, *map(Number, (*after, limit)))
        return [decode_quarantined(data) for (data,) in rows]

    def trim_effects(self, before: int) -> int:
        """Forget the effects of commits numbered below `before`; returns how many commits."""
        trimmed, removed = 0, TRIM_COMMITS
        parameters = [Number(before), Number(TRIM_COMMITS)]
        while removed == TRIM_COMMITS:
            removed = self._readers.run(lambda connection: executed(connection, _TRIM, parameters).rowcount)
            trimmed += removed
        return trimmed

    def digest(self) -> dict[str, str]:
        """Hex digests by part (`profiles`, `identifiers`, …); equal logs give equal digests, whatever the batches."""
        return digest_of(self.items())

    def items(self) -> Iterator[tuple[str, bytes, bytes]]:
        """Everything that counts, as (part, key, value), in a defined order: what `digest` is made from.

        All of one commit, in one transaction on a connection of its own until it is exhausted or closed, while which
        the server keeps every row that others replace: read a copy of a busy state instead.
        """
        patient = self._address._replace(timeouts=self._address.timeouts._replace(idle_s=0))
        with driver.translated(), closing(driver.connect(patient)) as connection:
            yield from state_items.items(connection)

    def close(self) -> None:
        """Let go of files and connections."""
        self._signs.close()
        self._turns.close()
        self._writer.close()
        self._readers.close()

    def _connect(self) -> Connection:
        connection = driver.tune(driver.connect(self._address))
        state_rows.adapt(connection)
        return connection

    def _prepare(self, connection: Connection) -> None:
        """Make the head of a new state."""
        executed(connection, _NEW, [Number(self._options.generation_ms)])
        if driver.is_genuine(connection):
            self._notify = f'NOTIFY "{self._channel}"'

    def _read(self, statement: str, *parameters: Any) -> list[Row]:
        return self._readers.run(lambda connection: fetched(connection, statement, parameters))


def _picture(rows: list[Row], wanted: set[int], known: Container[int]) -> Loaded:
    snapshot = 0
    homes: dict[str, int] = {}
    profiles: dict[int, bytes] = {}
    seen: dict[bytes, int] = {}
    for kind, number, key, data, message in rows:
        if kind == _MESSAGE:
            seen[message] = max(number, seen.get(message, 0))
        elif kind == _HEAD_ROW:
            snapshot = number
        else:
            profile = given(number)
            if kind == _IDENTIFIER:
                homes[key.decode()] = profile
            if data is not None and (profile in wanted or profile not in known):
                profiles[profile] = data
    return Loaded(snapshot, homes, profiles, seen)
