"""Which messages were admitted, and when: exact, with bounded memory, at about a microsecond each.

Inserting random fingerprints one by one into a large tree costs a page each. So each commit leaves its messages
in one value of `recent`, and every process holds those that wait in a dict. All commits together walk round the
space of fingerprints in slices: each moves, sorted, what waits in the next slices into the tree of its generation (a
span of log time), about as many messages as it adds itself, so that no commit stalls. A generation that
every partition has forgotten is dropped whole. Almost every look-up is for a message that was never seen;
filters, one a slice and generation and read from the map in place, answer most of these without touching the tree.
"""

import heapq
from collections.abc import Collection, Iterable, Iterator
from itertools import chain, groupby
from typing import Any

from onefold.limits import NEVER_MS
from onefold.storage.embedded.filters import FILTERS, extend_filters, filter_keys
from onefold.storage.embedded.lmdb_env import Txn
from onefold.storage.embedded.state_tables import ROUND, SLICES, Arrived, Head, Tables, read_head
from onefold.storage.embedded.waiting import Slices, Waiting, slices_between
from onefold.storage.state_bytes import GENERATIONS_MAX, U64, encode

TRIM_RECORDS = 4
"""Records that one commit forgets: more than the one that it adds, and few enough to take no time."""

Picture = tuple[Tables, list[Any], Head]
"""Tables, slots of the generations, and the head as of a transaction."""


class MessageIndex:
    """The messages of one state. Holds those that wait in memory; one thread loads and commits."""

    def __init__(self, move_messages: int, move_commits: int) -> None:
        self._move_messages = move_messages
        self._move_commits = move_commits
        self._waiting: Waiting | None = None

    def seen(self, txns: tuple[Txn, Any], picture: Picture, messages: Collection[bytes]) -> dict[bytes, int]:
        """Fingerprint → log time of those that were admitted. `txns`: two of one moment, the second gives buffers."""
        if not messages:
            return {}
        txn, buffers = txns
        tables, slots, head = picture
        found = self._as_of(txn, tables, head).slices.among(messages)
        if not head.generations:
            return found
        numbers, cursor = FILTERS.slices(messages), buffers.cursor(tables.filters)
        filters = [cursor.getmulti(filter_keys(generation, numbers)) for generation in head.generations]
        for generation, maybe in zip(head.generations, FILTERS.perhaps(messages, filters), strict=True):
            for key, value in txn.cursor(slots[generation % GENERATIONS_MAX]).getmulti(maybe):
                found[key] = max(U64.unpack(value)[0], found.get(key, 0))
        return found

    def write(self, txn: Txn, picture: Picture, messages: dict[bytes, int]) -> Arrived:
        """Add a commit's messages; `head` has its number and times already, and is changed further."""
        tables, slots, head = picture
        waiting = self._as_of(txn, tables, read_head(txn, tables))
        oldest = oldest_generation(head)
        _expire(txn, tables, slots, head, oldest)
        step = max(len(messages) * ROUND // self._move_messages, ROUND // self._move_commits)
        arrived = Arrived(head.place, head.place + min(step, ROUND), oldest, messages)
        for number in slices_between(arrived.before, arrived.after):
            _move(txn, picture, (waiting.slices, number), oldest)
        txn.put(U64.pack(head.number), encode(arrived), db=tables.recent, append=True)
        head.place = arrived.after
        if head.place >= ROUND:
            head.place -= ROUND
            head.moved, head.began = head.began, head.number - 1
        _trim(txn, tables, head.moved)
        return arrived

    def skip(self, txn: Txn, picture: Picture) -> Arrived:
        """Write that this commit brings none: those of a part come with the last part of its transaction.

        What a part brings, a later one may not move yet: it waits only once it is committed.
        """
        tables, _, head = picture
        arrived = Arrived(head.place, head.place, oldest_generation(head), {})
        txn.put(U64.pack(head.number), encode(arrived), db=tables.recent, append=True)
        return arrived

    def committed(self, number: int, arrived: Arrived) -> None:
        """Take note of a commit of this process, once it is on disk; who looked since then has done so already."""
        if self._waiting is not None and self._waiting.known == number - 1:
            self._waiting.apply(arrived)

    def _as_of(self, txn: Txn, tables: Tables, head: Head) -> Waiting:
        """What waits as of this head, from memory and from what other processes left since."""
        waiting = self._waiting
        if waiting is None or not head.moved <= waiting.known <= head.number:
            waiting = self._waiting = Waiting(head.generation_ms, head.moved)
        waiting.catch_up(txn, tables, head)
        return waiting


def oldest_generation(head: Head) -> int:
    """The first generation that any partition has not forgotten; messages before it are let go of."""
    reached, newest_ms = head.forgotten_ms() // head.generation_ms, max(head.times.values(), default=0)
    return max(0, reached, newest_ms // head.generation_ms - GENERATIONS_MAX + 1)


def stored_messages(txn: Txn, picture: Picture) -> Iterator[tuple[bytes, int]]:
    """Every message that `seen` would find, with its log time, sorted."""
    tables, slots, head = picture
    waiting = Waiting(head.generation_ms, head.moved)
    waiting.catch_up(txn, tables, head)
    rows = chain.from_iterable(waiting.slices.rows(number, 0, NEVER_MS) for number in range(SLICES))
    runs: list[Iterable[tuple[bytes, int]]] = [((key, U64.unpack(value)[0]) for key, value in rows)]
    for generation in head.generations:
        moved = txn.cursor(slots[generation % GENERATIONS_MAX])
        runs.append((key, U64.unpack(value)[0]) for key, value in moved)
    for message, entries in groupby(heapq.merge(*runs), key=lambda entry: entry[0]):
        yield message, max(at_ms for _, at_ms in entries)


def _expire(txn: Txn, tables: Tables, slots: list[Any], head: Head, oldest: int) -> None:
    while head.generations and head.generations[0] < oldest:
        generation = head.generations.pop(0)
        txn.drop(slots[generation % GENERATIONS_MAX], delete=False)
        for key in filter_keys(generation, range(SLICES)):
            txn.delete(key, db=tables.filters)


def _move(txn: Txn, picture: Picture, place: tuple[Slices, int], oldest: int) -> None:
    """Put a slice's messages into their generations, from the oldest one on."""
    (slices, number), (tables, slots, head) = place, picture
    between = slices.span(number)
    if between is None:
        return
    span = head.generation_ms
    for generation in range(max(between[0] // span, oldest), between[1] // span + 1):
        rows = slices.rows(number, generation * span, (generation + 1) * span)
        if rows:
            _put_latest(txn, slots[generation % GENERATIONS_MAX], rows)
            extend_filters(txn, tables, (generation, slots), [message for message, _ in rows])
            if generation not in head.generations:
                head.generations = sorted([*head.generations, generation])


def _put_latest(txn: Txn, slot: Any, rows: list[tuple[bytes, bytes]]) -> None:
    """Insert sorted messages; one that is there already keeps the later of its times."""
    consumed, added = txn.cursor(slot).putmulti(rows, dupdata=False, overwrite=False)
    if added < consumed:
        for message, at in rows:
            if txn.get(message, b"", db=slot) < at:
                txn.put(message, at, db=slot)


def _trim(txn: Txn, tables: Tables, moved: int) -> None:
    """Forget a few records of messages that a whole round has moved since."""
    cursor = txn.cursor(tables.recent)
    for _ in range(TRIM_RECORDS):
        if not cursor.first() or U64.unpack(cursor.key())[0] > moved:
            return
        cursor.delete()
