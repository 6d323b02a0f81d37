"""Which messages were admitted, and when: exact, with bounded memory, at about a microsecond each.

Inserting random fingerprints one by one into a large tree costs a page each. So each commit leaves its messages
in one value of `recent`, and every process holds those that wait in a dict. All commits together walk round the
space of fingerprints in slices: each moves, sorted, what waits in the next slices into the tree of its generation (a
span of log time), about as many messages as it adds itself, so that no commit stalls. A generation that no
partition's window reaches any more is dropped whole. Almost every look-up is for a message that was never seen;
filters, one a slice and generation and read from the map in place, answer most of these without touching the tree.
"""

import heapq
from collections.abc import Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from itertools import groupby
from typing import Any

from onefold.storage.lmdb_env import Txn
from onefold.storage.state_tables import (
    GENERATIONS_MAX,
    ROUND,
    SLICES,
    U64,
    Arrived,
    Head,
    Tables,
    decode_arrived,
    encode,
    read_head,
)

FILTER_BITS = 16
"""Bits of filter a message: with 1 probe, 6 % of unseen messages still look into the tree."""
FILTER_MIN_BYTES = 16
FILTER_MAX_BYTES = (64 << 20) // SLICES
"""Beyond 32 million messages a generation the filter lets more look-ups through, and stays exact all the same."""
TRIM_RECORDS = 4
"""Records that one commit forgets: more than the one that it adds, and few enough to take no time."""

Picture = tuple[Tables, list[Any], Head]
"""Tables, slots of the generations, and the head as of a transaction."""


class Waiting:
    """The messages that are not in their generations yet, as of one commit: what the records in `recent` add up to."""

    def __init__(self, generation_ms: int, known: int) -> None:
        self.times: dict[bytes, int] = {}
        """Fingerprint → log time."""
        self.known = known
        """The commit as of which this is."""
        self._generation_ms = generation_ms
        self._oldest = 0
        self._slices: list[list[bytes]] = [[] for _ in range(SLICES)]

    def catch_up(self, txn: Txn, tables: Tables, head: Head) -> None:
        """Apply what commits left since; their records must all be there still."""
        assert head.moved <= self.known
        cursor = txn.cursor(tables.recent)
        if self.known < head.number and cursor.set_range(U64.pack(self.known + 1)):
            for _, value in cursor.iternext():
                self.apply(decode_arrived(value))
        self.known = head.number

    def apply(self, arrived: Arrived) -> None:
        """Take what one commit left: first its messages come, then slices go, and what is too old."""
        messages = arrived.messages
        if self.times.keys().isdisjoint(messages):
            self._place(messages)
            self.times.update(messages)
        else:
            self._place(messages.keys() - self.times.keys())
            self.times = _merged(self.times, messages)
        for number in slices_between(arrived.before, arrived.after):
            for message in self._slices[number]:
                del self.times[message]
            self._slices[number] = []
        since_ms = arrived.oldest * self._generation_ms
        if arrived.oldest > self._oldest or min(messages.values(), default=since_ms) < since_ms:
            self._forget(since_ms)
        self._oldest = arrived.oldest
        self.known += 1

    def going(self, before: int, after: int, more: Mapping[bytes, int]) -> dict[bytes, int]:
        """What moves when the round goes on from `before` to `after` and `more` comes; sorted but for one turn."""
        numbers = slices_between(before, after)
        wanted = set(numbers)
        late: dict[int, list[bytes]] = {number: [] for number in numbers}
        for message in more:
            if message[0] in wanted:
                late[message[0]].append(message)
        ordered = [m for number in numbers for m in sorted(self._slices[number] + late[number])]
        times = self.times
        found = {m: times[m] if m in times else more[m] for m in ordered}
        for again in found.keys() & more.keys() & times.keys():
            found[again] = max(more[again], times[again])
        return found

    def _place(self, messages: Iterable[bytes]) -> None:
        slices = self._slices
        for message in messages:
            slices[message[0]].append(message)

    def _forget(self, since_ms: int) -> None:
        """Forget what is older, which happens about once a generation."""
        self.times = {m: at_ms for m, at_ms in self.times.items() if at_ms >= since_ms}
        self._slices = [[] for _ in range(SLICES)]
        self._place(self.times)


class MessageIndex:
    """The messages of one state. Holds those that wait in memory; one thread loads and commits."""

    def __init__(self, window_ms: int, move_messages: int, move_commits: int) -> None:
        self._window_ms = window_ms
        self._move_messages = move_messages
        self._move_commits = move_commits
        self._waiting: Waiting | None = None

    def seen(self, txns: tuple[Txn, Any], picture: Picture, messages: AbstractSet[bytes]) -> dict[bytes, int]:
        """Fingerprint → log time of those that were admitted. `txns`: two of one moment, the second gives buffers."""
        if not messages:
            return {}
        txn, buffers = txns
        tables, slots, head = picture
        recent = self._as_of(txn, tables, head).times
        found = {m: recent[m] for m in messages & recent.keys()}
        if not head.generations:
            return found
        keys = list(messages)
        halves = first_halves(keys)
        for generation in head.generations:
            filters = _filters(buffers, tables, generation, {key[0] for key in keys})
            maybe = [
                m
                for m, h in zip(keys, halves, strict=True)
                if (bits := filters[m[0]])[h >> 11 & len(bits) - 1] >> (h >> 8 & 7) & 1
            ]
            maybe.sort()
            for key, value in txn.cursor(slots[generation % GENERATIONS_MAX]).getmulti(maybe):
                found[key] = max(U64.unpack(value)[0], found.get(key, 0))
        return found

    def write(self, txn: Txn, picture: Picture, messages: dict[bytes, int]) -> Arrived:
        """Add a commit's messages; `head` has its number and times already, and is changed further."""
        tables, slots, head = picture
        waiting = self._as_of(txn, tables, read_head(txn, tables))
        oldest = oldest_generation(head.times, head.generation_ms, self._window_ms)
        _expire(txn, tables, slots, head, oldest)
        step = max(len(messages) * ROUND // self._move_messages, ROUND // self._move_commits)
        arrived = Arrived(head.place, head.place + min(step, ROUND), oldest, messages)
        _move(txn, picture, waiting.going(arrived.before, arrived.after, messages), oldest)
        txn.put(U64.pack(head.number), encode(arrived), db=tables.recent, append=True)
        head.place = arrived.after
        if head.place >= ROUND:
            head.place -= ROUND
            head.moved, head.began = head.began, head.number
        _trim(txn, tables, head.moved)
        return arrived

    def committed(self, arrived: Arrived) -> None:
        """Take note of a commit of this process, once it is on disk."""
        assert self._waiting
        self._waiting.apply(arrived)

    def _as_of(self, txn: Txn, tables: Tables, head: Head) -> Waiting:
        """What waits as of this head, from memory and from what other processes left since."""
        waiting = self._waiting
        if waiting is None or not head.moved <= waiting.known <= head.number:
            waiting = self._waiting = Waiting(head.generation_ms, head.moved)
        waiting.catch_up(txn, tables, head)
        return waiting


def oldest_generation(times: Mapping[int, int], generation_ms: int, window_ms: int) -> int:
    """The first generation that any partition's window still reaches; messages before it are forgotten."""
    if not times:
        return 0
    reached = (min(times.values()) - window_ms) // generation_ms
    return max(0, reached, max(times.values()) // generation_ms - GENERATIONS_MAX + 1)


def slices_between(before: int, after: int) -> list[int]:
    """The slices whose turn it is when the round goes on from one place to another, at most a whole round away."""
    size = ROUND // SLICES
    return [number % SLICES for number in range(before // size, after // size)]


def stored_messages(txn: Txn, picture: Picture) -> Iterator[tuple[bytes, int]]:
    """Every message that `seen` would find, with its log time, sorted."""
    tables, slots, head = picture
    waiting = Waiting(head.generation_ms, head.moved)
    waiting.catch_up(txn, tables, head)
    runs: list[Iterable[tuple[bytes, int]]] = [sorted(waiting.times.items())]
    for generation in head.generations:
        rows = txn.cursor(slots[generation % GENERATIONS_MAX])
        runs.append((key, U64.unpack(value)[0]) for key, value in rows)
    for message, entries in groupby(heapq.merge(*runs), key=lambda entry: entry[0]):
        yield message, max(at_ms for _, at_ms in entries)


def first_halves(messages: Iterable[bytes]) -> list[int]:
    """The first 8 bytes of each fingerprint as a number, the first byte lowest: a hash, good for any number of bits."""
    return memoryview(b"".join(messages)).cast("Q").tolist()[::2]


def extend_filters(txn: Txn, tables: Tables, place: tuple[int, Any], added: Iterable[bytes]) -> None:
    """Add messages, in order of their slices, to the filters of their generation, first made larger where crowded.

    A bit's place is the low bits of a hash, so a filter repeated says "perhaps" of all that it said it of before.
    """
    generation, slot = place
    wanted = txn.stat(slot)["entries"] * FILTER_BITS // 8 // SLICES
    for number, messages in groupby(added, key=lambda message: message[0]):
        key = filter_key(generation, number)
        bits = bytearray(txn.get(key, b"", db=tables.filters)) or bytearray(FILTER_MIN_BYTES)
        while len(bits) < min(wanted, FILTER_MAX_BYTES):
            bits *= 2
        mask = len(bits) - 1
        for half in first_halves(messages):
            bits[half >> 11 & mask] |= 1 << (half >> 8 & 7)
        txn.put(key, bits, db=tables.filters)


def filter_key(generation: int, number: int) -> bytes:
    """Where the filter of a slice of a generation lies."""
    return U64.pack(generation) + bytes((number,))


def _filters(buffers: Any, tables: Tables, generation: int, numbers: Iterable[int]) -> dict[int, Any]:
    get, table = buffers.get, tables.filters
    return {number: get(filter_key(generation, number), b"\0", db=table) for number in numbers}


def _expire(txn: Txn, tables: Tables, slots: list[Any], head: Head, oldest: int) -> None:
    while head.generations and head.generations[0] < oldest:
        generation = head.generations.pop(0)
        txn.drop(slots[generation % GENERATIONS_MAX], delete=False)
        for number in range(SLICES):
            txn.delete(filter_key(generation, number), db=tables.filters)


def _move(txn: Txn, picture: Picture, messages: Mapping[bytes, int], oldest: int) -> None:
    """Put these, which are sorted, into their generations, from the oldest one on."""
    if not messages:
        return
    tables, slots, head = picture
    span = head.generation_ms
    first, last = min(messages.values()) // span, max(messages.values()) // span
    for generation in range(max(first, oldest), last + 1):
        keys = list(messages) if first == last else [m for m, at_ms in messages.items() if at_ms // span == generation]
        if keys:
            slot = slots[generation % GENERATIONS_MAX]
            _put_latest(txn, slot, keys, messages)
            extend_filters(txn, tables, (generation, slot), keys)
            head.generations = sorted({*head.generations, generation})


def _put_latest(txn: Txn, slot: Any, ordered: list[bytes], messages: Mapping[bytes, int]) -> None:
    """Insert sorted messages; one that is there already keeps the later of its times."""
    times = map(U64.pack, map(messages.__getitem__, ordered))
    consumed, added = txn.cursor(slot).putmulti(zip(ordered, times, strict=True), dupdata=False, overwrite=False)
    if added < consumed:
        for message in ordered:
            at = U64.pack(messages[message])
            if txn.get(message, b"", db=slot) < at:
                txn.put(message, at, db=slot)


def _trim(txn: Txn, tables: Tables, moved: int) -> None:
    """Forget a few records of messages that a whole round has moved since."""
    cursor = txn.cursor(tables.recent)
    for _ in range(TRIM_RECORDS):
        if not cursor.first() or U64.unpack(cursor.key())[0] > moved:
            return
        cursor.delete()


def _merged(into: dict[bytes, int], messages: Mapping[bytes, int]) -> dict[bytes, int]:
    """Add messages to a dict, in place. A message admitted twice keeps its latest log time."""
    for message, at_ms in messages.items():
        into[message] = max(at_ms, into.get(message, 0))
    return into
