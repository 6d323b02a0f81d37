"""Which messages were admitted, and when: exact, with bounded memory, at a fraction of a microsecond each.

Inserting random fingerprints one by one into a large tree costs a page each. So each commit leaves its
messages in one value of `recent`, every process holds those in a dict, and every so often a commit moves all of
them, sorted, into the tree of their generation (a span of log time). A generation that no partition's
window reaches any more is dropped whole. Almost every look-up is for a message that was never seen; a filter, one a
generation and read from the map in place, answers most of these without touching the tree.
"""

import heapq
from collections.abc import Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from itertools import groupby
from typing import Any

from onefold.storage.lmdb_env import Txn
from onefold.storage.state_tables import (
    GENERATIONS_MAX,
    U64,
    Head,
    Tables,
    decode_messages,
    encode,
    read_head,
)

FILTER_BITS = 16
"""Bits of filter a message: with 1 probe, 6 % of unseen messages still look into the tree."""
FILTER_MIN_BYTES = 4096
FILTER_GROWTH = 4
"""A crowded filter is made at least this many times as large as it must be."""
FILTER_MAX_BYTES = 64 << 20
"""Beyond 32 million messages a generation the filter lets more look-ups through, and stays exact all the same."""


Picture = tuple[Tables, list[Any], Head]
"""Tables, slots of the generations, and the head as of a transaction."""


class MessageIndex:
    """The messages of one state. Holds those of recent commits in memory; one thread loads and commits."""

    def __init__(self, window_ms: int, move_messages: int, move_commits: int) -> None:
        self._window_ms = window_ms
        self._move_messages = move_messages
        self._move_commits = move_commits
        self._recent: dict[bytes, int] = {}
        self._moved = 0
        self._known = 0

    def seen(self, txns: tuple[Txn, Any], picture: Picture, messages: AbstractSet[bytes]) -> dict[bytes, int]:
        """Fingerprint → log time of those that were admitted. `txns`: two of one moment, the second gives buffers."""
        txn, buffers = txns
        tables, slots, head = picture
        self._refresh(txn, tables, head)
        since_ms = self._oldest(head) * head.generation_ms
        recent = self._recent
        found = {m: recent[m] for m in messages & recent.keys() if recent[m] >= since_ms}
        if not head.generations or not messages:
            return found
        keys = list(messages)
        halves = first_halves(keys)
        for generation in head.generations:
            bits = buffers.get(U64.pack(generation), db=tables.filters)
            mask = len(bits) * 8 - 1
            maybe = [m for m, h in zip(keys, halves, strict=True) if bits[(h & mask) >> 3] >> (h & 7) & 1]
            if maybe and generation * head.generation_ms >= since_ms:
                maybe.sort()
                for key, value in txn.cursor(slots[generation % GENERATIONS_MAX]).getmulti(maybe):
                    found[key] = max(U64.unpack(value)[0], found.get(key, 0))
        return found

    def write(self, txn: Txn, picture: Picture, messages: Mapping[bytes, int]) -> None:
        """Add a commit's messages; `head` has its number and times already, and is changed further."""
        tables, slots, head = picture
        before = read_head(txn, tables)
        forgotten = self._oldest(before)
        if self._oldest(head) < forgotten:
            # A partition that lags behind all others has come: what was forgotten already must stay so.
            self._move(txn, picture, {}, forgotten)
            head.moved, head.pending = before.number, 0
        self._expire(txn, tables, slots, head)
        head.pending += len(messages)
        if head.pending < self._move_messages and head.number - head.moved < self._move_commits:
            if messages:
                txn.put(U64.pack(head.number), encode(messages), db=tables.recent, append=True)
        else:
            self._move(txn, picture, messages, self._oldest(head))
            head.moved, head.pending = head.number, 0

    def committed(self, head: Head, messages: Mapping[bytes, int]) -> None:
        """Take note of a commit of this process, once it is on disk."""
        if head.moved == head.number:
            self._recent.clear()
            self._known = self._moved = head.moved
        elif self._known == head.number - 1 and self._moved == head.moved:
            self._recent = _merged(self._recent, messages)
            self._known = head.number

    def _refresh(self, txn: Txn, tables: Tables, head: Head) -> None:
        """Learn what commits of other processes (or of earlier ones, after opening) left in `recent`."""
        if head.moved != self._moved or head.number < self._known:
            self._recent.clear()
            self._known = self._moved = head.moved
        if head.number > self._known:
            for _, messages in _recent(txn, tables, self._known):
                self._recent = _merged(self._recent, messages)
            self._known = head.number

    def _oldest(self, head: Head) -> int:
        return oldest_generation(head.times, head.generation_ms, self._window_ms)

    def _expire(self, txn: Txn, tables: Tables, slots: list[Any], head: Head) -> None:
        oldest = self._oldest(head)
        while head.generations and head.generations[0] < oldest:
            generation = head.generations.pop(0)
            txn.drop(slots[generation % GENERATIONS_MAX], delete=False)
            txn.delete(U64.pack(generation), db=tables.filters)

    def _move(self, txn: Txn, picture: Picture, more: Mapping[bytes, int], oldest: int) -> None:
        """Put all of `recent`, and these, into their generations, from the oldest one on."""
        tables, slots, head = picture
        self._refresh(txn, tables, read_head(txn, tables))
        messages = _merged(dict(self._recent), more)
        txn.drop(tables.recent, delete=False)
        if not messages:
            return
        ordered, span = sorted(messages), head.generation_ms
        first, last = min(messages.values()) // span, max(messages.values()) // span
        for generation in range(max(first, oldest), last + 1):
            keys = ordered if first == last else [m for m in ordered if messages[m] // span == generation]
            if keys:
                slot = slots[generation % GENERATIONS_MAX]
                _put_latest(txn, slot, keys, messages)
                _extend_filter(txn, tables, (generation, slot), keys)
                head.generations = sorted({*head.generations, generation})


def oldest_generation(times: Mapping[int, int], generation_ms: int, window_ms: int) -> int:
    """The first generation that any partition's window still reaches; messages before it are forgotten."""
    if not times:
        return 0
    reached = (min(times.values()) - window_ms) // generation_ms
    return max(0, reached, max(times.values()) // generation_ms - GENERATIONS_MAX + 1)


def stored_messages(txn: Txn, picture: Picture, window_ms: int) -> Iterator[tuple[bytes, int]]:
    """Every message that `seen` would find, with its log time, sorted."""
    tables, slots, head = picture
    since_ms = oldest_generation(head.times, head.generation_ms, window_ms) * head.generation_ms
    recent: dict[bytes, int] = {}
    for _, messages in _recent(txn, tables, head.moved):
        recent = _merged(recent, messages)
    runs: list[Iterable[tuple[bytes, int]]] = [sorted(recent.items())]
    for generation in head.generations:
        rows = txn.cursor(slots[generation % GENERATIONS_MAX])
        runs.append((key, U64.unpack(value)[0]) for key, value in rows)
    for message, entries in groupby(heapq.merge(*runs), key=lambda entry: entry[0]):
        at_ms = max(at_ms for _, at_ms in entries)
        if at_ms >= since_ms:
            yield message, at_ms


def _recent(txn: Txn, tables: Tables, after: int) -> Iterator[tuple[int, dict[bytes, int]]]:
    cursor = txn.cursor(tables.recent)
    if cursor.set_range(U64.pack(after + 1)):
        for key, value in cursor.iternext():
            yield U64.unpack(key)[0], decode_messages(value)


def _merged(into: dict[bytes, int], messages: Mapping[bytes, int]) -> dict[bytes, int]:
    """Add messages to a dict, in place. A message admitted twice keeps its latest log time."""
    if into.keys().isdisjoint(messages):
        into.update(messages)
    else:
        for message, at_ms in messages.items():
            into[message] = max(at_ms, into.get(message, 0))
    return into


def first_halves(messages: Iterable[bytes]) -> list[int]:
    """The first 8 bytes of each fingerprint as a number: a hash already, good for any number of bits."""
    return memoryview(b"".join(messages)).cast("Q").tolist()[::2]


def _put_latest(txn: Txn, slot: Any, ordered: list[bytes], messages: Mapping[bytes, int]) -> None:
    """Insert sorted messages; one that is there already keeps the later of its times."""
    times = map(U64.pack, map(messages.__getitem__, ordered))
    consumed, added = txn.cursor(slot).putmulti(zip(ordered, times, strict=True), dupdata=False, overwrite=False)
    if added < consumed:
        for message in ordered:
            at = U64.pack(messages[message])
            if txn.get(message, b"", db=slot) < at:
                txn.put(message, at, db=slot)


def _extend_filter(txn: Txn, tables: Tables, place: tuple[int, Any], added: list[bytes]) -> None:
    """Add messages to the filter of their generation, first made larger where it gets crowded.

    A bit's place is the low bits of a hash, so a filter repeated says "perhaps" of all that it said it of before.
    """
    generation, slot = place
    bits = bytearray(txn.get(U64.pack(generation), b"", db=tables.filters)) or bytearray(FILTER_MIN_BYTES)
    wanted = txn.stat(slot)["entries"] * FILTER_BITS // 8
    if len(bits) < wanted:
        while len(bits) < min(FILTER_GROWTH * wanted, FILTER_MAX_BYTES):
            bits *= 2
    mask = len(bits) * 8 - 1
    for half in first_halves(added):
        bits[(half & mask) >> 3] |= 1 << (half & 7)
    txn.put(U64.pack(generation), bits, db=tables.filters)
