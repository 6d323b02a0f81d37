"""The state as plain dictionaries: slow, obvious, in memory, and failing on command. The reference for every engine."""

import copy
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext

import msgspec

from onefold.errors import Conflict
from onefold.limits import DEDUPE_WINDOW_MS, NEVER_MS
from onefold.model import effect
from onefold.model import rules as rulings
from onefold.model.account import RELATION
from onefold.model.changes import Changed, Changes, Cursor
from onefold.model.effect import AnyEffect
from onefold.model.position import home, is_account
from onefold.model.quarantined import Quarantined
from onefold.model.rules import Rules
from onefold.ports import Commit, Loaded, at_once
from onefold.storage.state_digest import digest_of

RECORDS_KEPT = 1_000
GENERATIONS_MAX = 32

_encode = msgspec.msgpack.encode


class MemoryState:
    """`ports.State` in dictionaries. `fail_next` makes a coming call raise, before or after it took effect."""

    local = True

    def __init__(self, generation_ms: int = DEDUPE_WINDOW_MS) -> None:
        self._generation_ms = generation_ms
        self._profiles: dict[int, bytes] = {}
        self._redirects: dict[int, int] = {}
        self._identifiers: dict[str, int] = {}
        self._timers: set[tuple[int, int, int]] = set()
        self._members: dict[tuple[str, int], int] = {}
        self._messages: dict[bytes, int] = {}
        self._effects: dict[int, tuple[int, list[AnyEffect]]] = {}
        self._quarantine: dict[tuple[int, int], Quarantined] = {}
        self._counts: dict[tuple[int, str], int] = {}
        self._cursors: dict[int, Cursor] = {}
        self._rules: dict[int, Rules] = {}
        self._touched: dict[int, tuple[int, set[int], set[str]]] = {}
        self._failures: dict[str, list[tuple[Exception, bool]]] = {}
        self._own: set[int] = set()

    def another(self) -> "MemoryState":
        """Another worker's handle on the same state: its commits are others' commits to this one."""
        handle = copy.copy(self)
        handle.__dict__.update(_failures={}, _own=set())
        return handle

    @property
    def _number(self) -> int:
        return len(self._touched)

    def fail_next(self, method: str, error: Exception, *, after: bool = False) -> None:
        """The next call of `method` raises `error`; with `after`, only once it has taken effect. Calls queue up."""
        self._failures.setdefault(method, []).append((error, after))

    def cursor(self, partition: int) -> Cursor:
        """How far this partition has been folded."""
        self._fail("cursor")
        return self._cursors.get(partition, Cursor())

    def rules(self, fingerprint: int) -> Rules:
        """The rules of this fingerprint."""
        self._fail("rules")
        return Rules() if fingerprint == rulings.DEFAULT else self._rules[fingerprint]

    def load(
        self,
        identifiers: Iterable[str],
        profiles: Iterable[int],
        messages: Iterable[bytes],
        known: Container[int] = (),
    ) -> Loaded:
        """One consistent picture of these identifiers, of their profiles and of `profiles`, and of these messages."""
        self._fail("load")
        homes = {name: self._identifiers[name] for name in identifiers if name in self._identifiers}
        wanted = {*profiles, *(profile for profile in homes.values() if profile not in known)}
        found = {profile: self._profiles[profile] for profile in wanted if profile in self._profiles}
        return Loaded(self._number, homes, found, {m: self._messages[m] for m in messages if m in self._messages})

    def touched_since(self, snapshot: int) -> tuple[int, Changed | None]:
        """The newest snapshot, and what others' commits changed since `snapshot`; None: too much to say."""
        self._fail("touched_since")
        if not self._number - RECORDS_KEPT <= snapshot <= self._number:
            return self._number, None
        others = set(range(snapshot + 1, self._number + 1)) - self._own
        touched = [self._touched[number] for number in others]
        return self._number, Changed(
            {profile for _, profiles, _ in touched for profile in profiles},
            {identifier for _, _, identifiers in touched for identifier in identifiers},
        )

    def turn(self) -> AbstractContextManager[object]:
        """Nothing: threads take turns as they come."""
        return nullcontext()

    def commit(
        self,
        parts: Sequence[Changes],
        loaded: Loaded,
        encoded: Mapping[int, bytes],
        waiting: Callable[[], object] = at_once,  # noqa: ARG002 - it never waits
    ) -> int:
        """Take over what was changed and return the new snapshot number; `Conflict` as the port says."""
        if failure := self._failure("commit", after=False):
            raise failure
        for changes in parts:
            self._check(changes, loaded)
        for number, changes in enumerate(parts, start=self._number + 1):
            self._write(changes, encoded, number)
            profiles = {*changes.profiles, *changes.absorbed}
            self._touched[number] = (changes.partition, profiles, {*changes.identifiers, *changes.freed})
            self._own.add(number)
        if failure := self._failure("commit", after=True):
            raise failure
        return number

    def due(self, partition: int, until_ms: int, limit: int) -> list[tuple[int, int]]:
        """Armed timers (due, profile id) of this partition with due <= until_ms, earliest first."""
        self._fail("due")
        return sorted((due, p) for where, due, p in self._timers if where == partition and due <= until_ms)[:limit]

    def next_due_ms(self, partition: int) -> int:
        """When the earliest timer of this partition is due; NEVER_MS without one."""
        self._fail("next_due_ms")
        return min((due for where, due, _ in self._timers if where == partition), default=NEVER_MS)

    def profile_ids(self, partition: int, after: int, limit: int) -> list[int]:
        """Ids > after of the people's profiles at home in this partition, ascending."""
        self._fail("profile_ids")
        return self._ids(partition, after, accounts=False)[:limit]

    def account_ids(self, partition: int, after: int, limit: int) -> list[int]:
        """Ids > after of the accounts at home in this partition, ascending."""
        self._fail("account_ids")
        return self._ids(partition, after, accounts=True)[:limit]

    def _ids(self, partition: int, after: int, *, accounts: bool) -> list[int]:
        return sorted(p for p in self._profiles if home(p) == partition and p > after and is_account(p) == accounts)

    def lookup(self, identifier: str) -> int | None:
        """The profile that has this identifier."""
        self._fail("lookup")
        return self._identifiers.get(identifier)

    def owners(self, identifiers: Iterable[str]) -> dict[str, int]:
        """Each of these identifiers → the profile that has it; those that nobody has are left out."""
        self._fail("owners")
        return {name: self._identifiers[name] for name in identifiers if name in self._identifiers}

    def profile(self, profile: int) -> bytes | None:
        """The profile with this id, or the survivor of its merges."""
        self._fail("profile")
        return self._profiles.get(self._survivor(profile))

    def survivors(self, profiles: Iterable[int]) -> dict[int, bytes]:
        """Each of these ids → what `profile` says of it; those of whom there is nothing are left out."""
        self._fail("survivors")
        found = {profile: self._profiles.get(self._survivor(profile)) for profile in profiles}
        return {profile: data for profile, data in found.items() if data is not None}

    def members(self, audience: str, after: int, limit: int) -> list[tuple[int, int]]:
        """(profile id, entered at) of members with id > after, ascending."""
        self._fail("members")
        rows = ((p, at) for (name, p), at in self._members.items() if name == audience and p > after)
        return sorted(rows)[:limit]

    def sizes(self) -> dict[str, int]:
        """Members of each audience that has any."""
        self._fail("sizes")
        sizes: dict[str, int] = {}
        for audience, _ in self._members:
            if not audience.startswith(RELATION):
                sizes[audience] = sizes.get(audience, 0) + 1
        return sizes

    def size(self, relation: str) -> int:
        """Members of one audience, or of one account."""
        self._fail("size")
        return sum(name == relation for name, _ in self._members)

    def counts(self) -> dict[str, int]:
        """Sums over partitions of all counts, and `profiles`, which are people's."""
        self._fail("counts")
        sums = {"profiles": sum(not is_account(profile) for profile in self._profiles)}
        for (_, name), amount in self._counts.items():
            sums[name] = sums.get(name, 0) + amount
        return sums

    def effects(self, after: int, limit: int) -> list[tuple[int, int, list[AnyEffect]]]:
        """Up to `limit` commits with effects, after the commit numbered `after`: (number, partition, effects)."""
        self._fail("effects")
        return [(n, p, list(rows)) for n, (p, rows) in sorted(self._effects.items()) if n > after][:limit]

    def commits(self, after: int, max_bytes: int) -> list[Commit]:
        """Commits with effects, after the one numbered `after`: as few as come to `max_bytes`, or all there are."""
        self._fail("commits")
        found = []
        for number, (partition, rows) in sorted(self._effects.items()):
            if number > after and max_bytes > 0:
                found.append(Commit(number, partition, effect.encode(rows)))
                max_bytes -= len(found[-1].effects) + 1
        return found

    def newest(self) -> int:
        """The number of the newest commit."""
        self._fail("newest")
        return self._number

    def watch(self) -> int | None:
        """Nothing to wait on: look now and then."""
        return None

    def quarantined(self, after: tuple[int, int], limit: int) -> list[Quarantined]:
        """Quarantined events after this (partition, position), in that order."""
        self._fail("quarantined")
        return [event for place, event in sorted(self._quarantine.items()) if place > after][:limit]

    def trim_effects(self, before: int) -> int:
        """Forget the effects of commits numbered below `before`; returns how many commits."""
        self._fail("trim_effects")
        old = [number for number in self._effects if number < before]
        for number in old:
            del self._effects[number]
        return len(old)

    def digest(self) -> dict[str, str]:
        """Hex digests by part; equal logs give equal digests, whatever the batches."""
        return digest_of(self.items())

    def items(self) -> Iterator[tuple[str, bytes, bytes]]:
        """Everything that counts, as (part, key, value), in a defined order: what `digest` is made from."""
        self._fail("items")
        for profile, data in sorted(self._profiles.items()):
            yield "profiles", _u64(profile), data
        for absorbed in sorted(self._redirects):
            yield "redirects", _u64(absorbed), _u64(self._survivor(absorbed))
        for name, profile in sorted((name.encode(), profile) for name, profile in self._identifiers.items()):
            yield "identifiers", name, _u64(profile)
        for partition, due, profile in sorted(self._timers):
            yield "timers", _place(partition, due) + _u64(profile), b""
        yield from self._more_items()

    def _more_items(self) -> Iterator[tuple[str, bytes, bytes]]:
        rows = sorted((audience.encode() + b"\0" + _u64(p), at) for (audience, p), at in self._members.items())
        for key, entered_at in rows:
            yield "members", key, _u64(entered_at)
        for partition in sorted({partition for partition, _ in self._effects.values()}):
            mine = [one for _, (p, rows) in sorted(self._effects.items()) if p == partition for one in rows]
            for n, one in enumerate(mine):
                yield "effects", _place(partition, n), effect.encode([one])
        forgotten_ms = min((cursor.forgotten_ms for cursor in self._cursors.values()), default=0)
        for message, at_ms in sorted(self._messages.items()):
            if at_ms >= forgotten_ms:
                yield "messages", message, _u64(at_ms)
        for place, event in sorted(self._quarantine.items()):
            yield "quarantine", _place(*place), _encode(event)
        for key, amount in sorted((bytes([p]) + name.encode(), n) for (p, name), n in self._counts.items()):
            yield "counts", key, amount.to_bytes(8, "big", signed=True)
        for partition, cursor in sorted(self._cursors.items()):
            yield "cursors", bytes([partition]), _encode(cursor)
        for fingerprint, rules in sorted(self._rules.items()):
            yield "rules", _u64(fingerprint), rulings.encode(rules)

    def close(self) -> None:
        """Nothing to let go of; what was committed stays readable."""

    def _check(self, changes: Changes, loaded: Loaded) -> None:
        if not self._number - RECORDS_KEPT <= loaded.snapshot <= self._number:
            raise Conflict("the snapshot is too old")
        profiles = {*loaded.profiles, *loaded.identifiers.values(), *changes.profiles, *changes.absorbed, *changes.due}
        identifiers = {*loaded.identifiers, *changes.identifiers, *changes.freed}
        for message in {*loaded.seen, *changes.messages} & self._messages.keys():
            if loaded.snapshot < self._number and self._messages[message] != loaded.seen.get(message):
                raise Conflict("another commit admitted a message of this batch")
        for number in range(loaded.snapshot + 1, self._number + 1):
            partition, others, names = self._touched[number]
            if partition == changes.partition or profiles & others or identifiers & names:
                raise Conflict(f"commit {number} touched what this batch had loaded")

    def _write(self, changes: Changes, encoded: Mapping[int, bytes], number: int) -> None:
        for profile in changes.profiles:
            self._profiles[profile] = encoded[profile]
        for absorbed in changes.absorbed:
            self._profiles.pop(absorbed, None)
        self._write_leads(changes)
        self._write_timers(changes)
        self._write_members(changes)
        for message, at_ms in changes.messages.items():
            self._messages[message] = max(at_ms, self._messages.get(message, 0))
        if changes.effects:
            self._effects[number] = (changes.partition, list(changes.effects))
        for event in changes.quarantined:
            self._quarantine[event.partition, event.position] = event
        for name, amount in changes.counts.items():
            if amount:
                self._counts[changes.partition, name] = self._counts.get((changes.partition, name), 0) + amount
        self._cursors[changes.partition] = changes.cursor
        if changes.rules is not None:
            self._rules[changes.cursor.rules] = changes.rules
        self._forget()

    def _write_leads(self, changes: Changes) -> None:
        """What leads to people: ids that they had before, and identifiers."""
        self._redirects.update(changes.absorbed)
        for profile in changes.returned:
            self._redirects.pop(profile, None)
        for identifier in changes.freed:
            self._identifiers.pop(identifier, None)
        self._identifiers.update(changes.identifiers)

    def _write_timers(self, changes: Changes) -> None:
        for profile, (before, after) in changes.due.items():
            self._timers.discard((home(profile), before, profile))
            if after < NEVER_MS and profile not in changes.absorbed:
                self._timers.add((home(profile), after, profile))

    def _write_members(self, changes: Changes) -> None:
        moves = ((audience, *move) for audience, moved in changes.members.items() for move in moved.items())
        for audience, profile, entered_at in moves:
            if entered_at:
                self._members[audience, profile] = entered_at
            else:
                self._members.pop((audience, profile), None)

    def _survivor(self, profile: int) -> int:
        while profile in self._redirects:
            profile = self._redirects[profile]
        return profile

    def _forget(self) -> None:
        """Keep the messages of the generations that some partition has not forgotten."""
        span = self._generation_ms
        reached = min(cursor.forgotten_ms for cursor in self._cursors.values()) // span
        newest = max(cursor.now_ms for cursor in self._cursors.values()) // span
        oldest = max(0, reached, newest - GENERATIONS_MAX + 1)
        for message, at_ms in list(self._messages.items()):
            if at_ms // span < oldest:
                del self._messages[message]

    def _fail(self, method: str) -> None:
        if failure := self._failure(method, after=False) or self._failure(method, after=True):
            raise failure

    def _failure(self, method: str, *, after: bool) -> Exception | None:
        queue = self._failures.get(method, [])
        return queue.pop(0)[0] if queue and queue[0][1] == after else None


def _u64(number: int) -> bytes:
    return number.to_bytes(8, "big")


def _place(partition: int, number: int) -> bytes:
    return bytes([partition]) + _u64(number)
