"""The state on LMDB: commits take turns, any number of processes read beside them, and a crash leaves the last commit.

How it is written is in `state_commit`, how it lies on disk in `state_tables`, messages are in `messages`.
"""

import threading
from bisect import bisect_right
from collections.abc import Callable, Collection, Container, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from pathlib import Path
from typing import Any, NamedTuple

from onefold.errors import Conflict
from onefold.limits import DEDUPE_WINDOW_MS, NEVER_MS
from onefold.model import effect, rules
from onefold.model.account import ACCOUNTS, RELATION
from onefold.model.changes import Changed, Changes, Cursor
from onefold.model.effect import AnyEffect
from onefold.model.position import first_account
from onefold.model.quarantined import Quarantined
from onefold.model.rules import Rules
from onefold.ports import Commit, Loaded, at_once
from onefold.storage import state_bytes
from onefold.storage.embedded import file_watch, lmdb_env, state_commit, state_tables
from onefold.storage.embedded.lmdb_env import Txn
from onefold.storage.embedded.messages import MessageIndex, Picture, stored_messages
from onefold.storage.embedded.state_tables import Arrived, Tables
from onefold.storage.state_bytes import COUNT, PLACE, TIMER, U64
from onefold.storage.state_digest import digest_of
from onefold.storage.state_touched import TOUCHED_KEPT, is_told

MOVE_MESSAGES = 400_000
"""Messages in which one round of moving is made; half as many, about 30 MB, wait in memory."""
MOVE_COMMITS = 1_000
"""Commits in which a round is made even if they have few messages, so that opening stays quick."""
TRIM_COMMITS = 1_000
"""Commits whose effects one transaction forgets; trimming must not keep the worker waiting."""

MIGRATIONS: Mapping[int, state_tables.Migration] = {}
"""Format → what makes it the next; the first writer who opens an older state runs it."""


class Options(NamedTuple):
    """What may differ from state to state."""

    generation_ms: int = DEDUPE_WINDOW_MS
    """For a state that is made: log time by which messages are forgotten, so many at once."""
    map_bytes: int = lmdb_env.MAP_BYTES
    move_messages: int = MOVE_MESSAGES
    move_commits: int = MOVE_COMMITS
    scratch: bool = False
    """It is thrown away when it is closed: nothing waits for the disk."""
    sweeps: bool = False
    """Commits take pages that lie side by side (`free_pages`): for a state that only one process commits to."""
    migrations: Mapping[int, state_tables.Migration] = MIGRATIONS


class StateStats(NamedTuple):
    """What `doctor` shows of the state."""

    commit: int
    entries: dict[str, int]
    """Table → entries."""
    environment: lmdb_env.Stats


class LmdbState:
    """`ports.State` in one LMDB environment. One thread loads, one commits; any thread may read."""

    local = True

    def __init__(self, path: Path, *, readonly: bool = False, options: Options | None = None) -> None:
        """Open, making or migrating what is there unless `readonly`.

        Raises `TooNew`, having written nothing, where a newer Onefold made it; `NotFoundError` where there is
        nothing yet to read.
        """
        self._options = options or Options()
        self._env = lmdb_env.Environment(
            path,
            lmdb_env.Options(
                state_tables.NAMES,
                readonly,
                self._options.map_bytes,
                state_tables.refuse_newer,
                self._options.scratch,
                self._options.sweeps,
            ),
        )
        with ExitStack() as unless_prepared:
            unless_prepared.callback(self._env.close)
            self._prepare(readonly=readonly)
            unless_prepared.pop_all()
        self._messages = MessageIndex(self._options.move_messages, self._options.move_commits)
        self._computing = threading.Lock()
        """Held by who looks for messages, or changes what is known of them in memory."""
        self._own: dict[int, None] = {}

    def cursor(self, partition: int) -> Cursor:
        """How far this partition has been folded."""
        with self._env.read() as txn:
            found = txn.get(bytes((partition,)), db=self._tables.cursors)
        return state_bytes.decode_cursor(found) if found else Cursor()

    def rules(self, fingerprint: int) -> Rules:
        """The rules of this fingerprint."""
        if fingerprint == rules.DEFAULT:
            return Rules()
        with self._env.read() as txn:
            found = txn.get(state_tables.rules_key(fingerprint), db=self._tables.meta)
        assert found is not None
        return rules.decode(found)

    def load(
        self,
        identifiers: Iterable[str],
        profiles: Iterable[int],
        messages: Iterable[bytes],
        known: Container[int] = (),
    ) -> Loaded:
        """One consistent picture of these identifiers, of their profiles and of `profiles`, and of these messages."""
        names, wanted = sorted({name.encode() for name in identifiers}), set(profiles)
        asked = messages if isinstance(messages, Collection) else list(messages)
        with self._computing, self._env.read_both() as (txn, buffers):
            tables = self._tables
            head = state_tables.read_head(txn, tables)
            homes = {key.decode(): U64.unpack(at)[0] for key, at in txn.cursor(tables.identifiers).getmulti(names)}
            wanted.update(home for home in homes.values() if home not in known)
            keys = list(map(U64.pack, sorted(wanted)))
            found = {U64.unpack(key)[0]: value for key, value in txn.cursor(tables.profiles).getmulti(keys)}
            seen = self._messages.seen((txn, buffers), (tables, self._slots, head), asked)
        return Loaded(head.number, homes, found, seen)

    def touched_since(self, snapshot: int) -> tuple[int, Changed | None]:
        """The newest snapshot, and what others' commits changed since `snapshot`; None: too much to say."""
        with self._env.read() as txn:
            tables = self._tables
            number = state_tables.read_head(txn, tables).number
            if not is_told(snapshot, number):
                return number, None
            changed = Changed(set(), set())
            for other in range(snapshot + 1, number + 1):
                if other not in self._own:
                    touched = state_commit.read_touched(txn, tables, other)
                    changed.profiles.update(touched.profiles)
                    changed.identifiers.update(touched.identifiers)
        return number, changed

    def turn(self) -> AbstractContextManager[object]:
        """Nothing: a commit here has what it needs in memory, and is made again as quickly."""
        return nullcontext()

    def commit(
        self,
        parts: Sequence[Changes],
        loaded: Loaded,
        encoded: Mapping[int, bytes],
        waiting: Callable[[], object] = at_once,
    ) -> int:
        """Write what was changed in one durable transaction and return the new snapshot number."""
        assert all(changes.profiles.keys().isdisjoint(changes.absorbed) for changes in parts)

        def write(txn: Txn) -> tuple[int, list[Arrived]]:
            with self._computing:
                written = self._write(txn, parts, loaded, encoded)
            waiting()
            return written

        newest, arrivals = self._env.write(write)
        numbers = range(newest - len(parts) + 1, newest + 1)
        with self._computing:
            for number, arrived in zip(numbers, arrivals, strict=True):
                self._messages.committed(number, arrived)
        for number in numbers:
            self._own[number] = None
            if len(self._own) > TOUCHED_KEPT:
                del self._own[next(iter(self._own))]
        return newest

    def due(self, partition: int, until_ms: int, limit: int) -> list[tuple[int, int]]:
        """Armed timers (due, profile id) of this partition with due <= until_ms, earliest first."""
        timers = []
        for key, _ in self._rows("timers", bytes((partition,)), limit):
            _, due_ms, profile = TIMER.unpack(key)
            if key[0] != partition or due_ms > until_ms:
                break
            timers.append((due_ms, profile))
        return timers

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
        rows = self._rows("profiles", U64.pack(first), limit) if first <= last else []
        ids = [U64.unpack(key)[0] for key, _ in rows]
        return ids[: bisect_right(ids, last)]

    def lookup(self, identifier: str) -> int | None:
        """The profile that has this identifier."""
        key = identifier.encode()
        if not 0 < len(key) <= lmdb_env.KEY_MAX_BYTES:
            return None
        with self._env.read() as txn:
            found = txn.get(key, db=self._tables.identifiers)
        return U64.unpack(found)[0] if found else None

    def owners(self, identifiers: Iterable[str]) -> dict[str, int]:
        """Each of these identifiers → the profile that has it; those that nobody has are left out."""
        keys = sorted({name.encode() for name in identifiers})
        keys = [key for key in keys if 0 < len(key) <= lmdb_env.KEY_MAX_BYTES]
        with self._env.read() as txn:
            found = txn.cursor(self._tables.identifiers).getmulti(keys)
            return {key.decode(): U64.unpack(owner)[0] for key, owner in found}

    def profile(self, profile: int) -> bytes | None:
        """The profile with this id, or the survivor of its merges."""
        with self._env.read() as txn:
            return txn.get(_survivor(txn, self._tables, U64.pack(profile)), db=self._tables.profiles)

    def survivors(self, profiles: Iterable[int]) -> dict[int, bytes]:
        """Each of these ids → what `profile` says of it; those of whom there is nothing are left out."""
        found = {}
        with self._env.read() as txn:
            tables = self._tables
            for profile in profiles:
                data = txn.get(_survivor(txn, tables, U64.pack(profile)), db=tables.profiles)
                if data is not None:
                    found[profile] = data
        return found

    def members(self, audience: str, after: int, limit: int) -> list[tuple[int, int]]:
        """(profile id, entered at) of members with id > after, ascending."""
        prefix = state_tables.member_prefix(audience)
        found = []
        for key, value in self._rows("members", prefix + U64.pack(max(after + 1, 0)), limit):
            if not key.startswith(prefix):
                break
            found.append((U64.unpack(key[len(prefix) :])[0], U64.unpack(value)[0]))
        return found

    def sizes(self) -> dict[str, int]:
        """Members of each audience that has any, in O(audiences)."""
        with self._env.read() as txn:
            return {key.decode(): COUNT.unpack(value)[0] for key, value in _behind(txn.cursor(self._tables.sizes))}

    def size(self, relation: str) -> int:
        """Members of one audience, or of one account."""
        with self._env.read() as txn:
            found = txn.get(relation.encode(), db=self._tables.sizes)
        return COUNT.unpack(found)[0] if found else 0

    def counts(self) -> dict[str, int]:
        """Sums over partitions of all counts, and `profiles`, which are people's."""
        with self._env.read() as txn:
            sums = {"profiles": int(txn.stat(self._tables.profiles)["entries"])}
            for key, value in txn.cursor(self._tables.counts):
                name = key[1:].decode()
                sums[name] = sums.get(name, 0) + COUNT.unpack(value)[0]
        sums["profiles"] -= sums.get(ACCOUNTS, 0)
        return sums

    def effects(self, after: int, limit: int) -> list[tuple[int, int, list[AnyEffect]]]:
        """Up to `limit` commits with effects, after the commit numbered `after`: (number, partition, effects)."""
        rows = self._rows("effects", U64.pack(max(after + 1, 0)), limit)
        return [(U64.unpack(key)[0], value[0], effect.decode(value[1:])) for key, value in rows]

    def commits(self, after: int, max_bytes: int) -> list[Commit]:
        """Commits with effects, after the one numbered `after`: as few as come to `max_bytes`, or all there are."""
        found: list[Commit] = []
        with self._env.read() as txn:
            cursor = txn.cursor(self._tables.effects)
            if max_bytes > 0 and cursor.set_range(U64.pack(max(after + 1, 0))):
                for key, value in cursor.iternext():
                    found.append(Commit(U64.unpack(key)[0], value[0], value[1:]))
                    max_bytes -= len(value)
                    if max_bytes <= 0:
                        break
        return found

    def newest(self) -> int:
        """The number of the newest commit."""
        with self._env.read() as txn:
            return state_tables.read_head(txn, self._tables).number

    def watch(self) -> int | None:
        """A file descriptor that can be read from when there may be a new commit; None: look now and then."""
        return file_watch.written(self._env.file)

    def quarantined(self, after: tuple[int, int], limit: int) -> list[Quarantined]:
        """Quarantined events after this (partition, position), in that order."""
        partition, position = after
        start = PLACE.pack(partition, position + 1) if partition >= 0 and position >= -1 else b"\0"
        return [state_bytes.decode_quarantined(value) for _, value in self._rows("quarantine", start, limit)]

    def trim_effects(self, before: int) -> int:
        """Forget the effects of commits numbered below `before`; returns how many commits."""
        trimmed = 0
        while batch := self._env.write(lambda txn: _trim(txn, self._tables, before)):
            trimmed += batch
        return trimmed

    def digest(self) -> dict[str, str]:
        """Hex digests by part (`profiles`, `identifiers`, …); equal logs give equal digests, whatever the batches."""
        return digest_of(self.items())

    def items(self) -> Iterator[tuple[str, bytes, bytes]]:
        """Everything that counts, as (part, key, value), in a defined order: what `digest` is made from.

        All of one commit, so it holds one transaction until it is exhausted or closed, while which a live state cannot
        use freed pages again and its file grows: read a copy (`backup`) of such a state instead.
        """
        with self._env.read() as txn:
            tables = self._tables
            for part in ("profiles", "redirects", "identifiers", "timers", "members"):
                for key, value in txn.cursor(getattr(tables, part)):
                    yield part, key, _survivor(txn, tables, value) if part == "redirects" else value
            yield from _effect_items(txn, tables)
            head = state_tables.read_head(txn, tables)
            forgotten_ms = head.forgotten_ms()
            for message, at_ms in stored_messages(txn, (tables, self._slots, head)):
                if at_ms >= forgotten_ms:
                    yield "messages", message, U64.pack(at_ms)
            for part in ("quarantine", "counts", "cursors"):
                for key, value in txn.cursor(getattr(tables, part)):
                    yield part, key, value
            for fingerprint, data in state_tables.read_rules(txn, tables):
                yield "rules", fingerprint, data

    def backup(self, target: Path) -> None:
        """Write a compacted copy of the newest commit into the empty directory `target`, while others go on."""
        self._env.copy(target)

    def stats(self) -> StateStats:
        """Sizes and readers, as they are now."""
        with self._env.read() as txn:
            tables = self._tables
            head = state_tables.read_head(txn, tables)
            entries = {name: txn.stat(table)["entries"] for name, table in zip(Tables._fields, tables, strict=True)}
            slots = self._slots
            entries["messages"] = sum(
                txn.stat(slots[generation % len(slots)])["entries"] for generation in head.generations
            )
        return StateStats(head.number, entries, self._env.stats())

    def close(self) -> None:
        """Let go of files and connections."""
        self._env.close()

    @property
    def _tables(self) -> Tables:
        return Tables._make(self._env.dbs[: len(Tables._fields)])

    @property
    def _slots(self) -> list[Any]:
        return self._env.dbs[len(Tables._fields) :]

    def _prepare(self, *, readonly: bool) -> None:
        with self._env.read() as txn:
            if readonly:
                state_tables.require_current(txn, self._tables)
            if state_tables.is_current(txn, self._tables):
                return
        span_ms, migrations = self._options.generation_ms, self._options.migrations
        self._env.write(lambda txn: state_tables.prepare(txn, (self._tables, self._slots), span_ms, migrations))

    def _write(
        self, txn: Txn, parts: Sequence[Changes], loaded: Loaded, encoded: Mapping[int, bytes]
    ) -> tuple[int, list[Arrived]]:
        tables = self._tables
        head = state_tables.read_head(txn, tables)
        picture: Picture = (tables, self._slots, head)
        if head.number != loaded.snapshot:
            self._check(txn, picture, parts, loaded)
        arrivals = []
        for changes in parts:
            head.number += 1
            head.times[changes.partition] = changes.cursor.now_ms
            head.forgotten[changes.partition] = changes.cursor.forgotten_ms
            state_commit.write(txn, tables, (changes, head.number), encoded)
            if changes is not parts[-1]:
                arrivals.append(self._messages.skip(txn, picture))
        arrivals.append(self._messages.write(txn, picture, _messages(parts)))
        state_tables.write_head(txn, tables, head)
        return head.number, arrivals

    def _check(self, txn: Txn, picture: Picture, parts: Sequence[Changes], loaded: Loaded) -> None:
        tables, _, head = picture
        for changes in parts:
            state_commit.check(txn, tables, head, (changes, loaded))
        asked = loaded.seen.keys() | {message for changes in parts for message in changes.messages}
        seen = self._messages.seen((txn, txn), picture, asked)
        if any(loaded.seen.get(message) != at_ms for message, at_ms in seen.items()):
            raise Conflict("another commit admitted a message of this batch")

    def _rows(self, table: str, start: bytes, limit: int) -> list[tuple[bytes, bytes]]:
        """Up to `limit` rows from `start` on."""
        rows: list[tuple[bytes, bytes]] = []
        with self._env.read() as txn:
            cursor = txn.cursor(getattr(self._tables, table))
            if limit > 0 and cursor.set_range(start):
                for row in cursor.iternext():
                    rows.append(row)
                    if len(rows) >= limit:
                        break
        return rows


def _behind(cursor: Any) -> Iterator[tuple[bytes, bytes]]:
    """The rows whose names come behind all relations between accounts and members: those of audiences."""
    return cursor.iternext() if cursor.set_range(_AFTER_RELATIONS) else iter(())


_AFTER_RELATIONS = bytes((ord(RELATION) + 1,))


def _messages(parts: Sequence[Changes]) -> dict[bytes, int]:
    """What all of them have admitted; of a message that is there twice the later time."""
    if len(parts) == 1:
        return parts[0].messages
    found: dict[bytes, int] = {}
    for changes in parts:
        for message, at_ms in changes.messages.items():
            found[message] = max(at_ms, found.get(message, 0))
    return found


def _survivor(txn: Txn, tables: Tables, profile: bytes) -> bytes:
    """Follow redirects to the profile that is there; chains are short, as the survivor is mostly the older one."""
    while next_one := txn.get(profile, db=tables.redirects):
        profile = next_one
    return profile


def _effect_items(txn: Txn, tables: Tables) -> Iterator[tuple[str, bytes, bytes]]:
    """The effects kept, as one sequence a partition."""
    partitions = sorted({value[0] for _, value in txn.cursor(tables.effects)})
    for partition in partitions:
        n = 0
        for _, value in txn.cursor(tables.effects):
            if value[0] == partition:
                for one in effect.decode(value[1:]):
                    yield "effects", PLACE.pack(partition, n), effect.encode([one])
                    n += 1


def _trim(txn: Txn, tables: Tables, before: int) -> int:
    cursor = txn.cursor(tables.effects)
    trimmed = 0
    while trimmed < TRIM_COMMITS and cursor.first() and U64.unpack(cursor.key())[0] < before:
        cursor.delete()
        trimmed += 1
    return trimmed
