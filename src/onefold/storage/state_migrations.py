"""How a state of an older format becomes one of the next: format → migration, run by the first writer who opens it."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec
from msgspec import Struct

from onefold.storage.lmdb_env import Txn
from onefold.storage.messages_lmdb import extend_filters
from onefold.storage.state_tables import (
    GENERATIONS_MAX,
    Arrived,
    Head,
    Migration,
    Tables,
    encode,
    write_head,
)


class _Head1(Struct, array_like=True):
    generation_ms: int
    number: int
    moved: int
    pending: int
    generations: list[int]
    times: dict[int, int]


def _messages_by_slice(txn: Txn, tables: Tables, slots: Sequence[Any]) -> None:
    """Format 1 moved all messages at once: a record was just its messages, and a generation had one filter."""
    found = txn.get(b"head", db=tables.meta)
    assert found is not None
    old = msgspec.msgpack.decode(found, type=_Head1)
    decode = msgspec.msgpack.Decoder(dict[bytes, int]).decode
    for key, value in list(txn.cursor(tables.recent)):
        txn.put(key, encode(Arrived(0, 0, 0, decode(value))), db=tables.recent)
    txn.drop(tables.filters, delete=False)
    for generation in old.generations:
        slot = slots[generation % GENERATIONS_MAX]
        extend_filters(txn, tables, (generation, slots), _keys(txn, slot))
    head = Head(old.generation_ms, old.number, old.moved, old.moved, 0, old.generations, old.times)
    write_head(txn, tables, head)


def _keys(txn: Txn, slot: Any) -> Iterator[bytes]:
    cursor = txn.cursor(slot)
    if cursor.first():
        yield from cursor.iternext(keys=True, values=False)


MIGRATIONS: Mapping[int, Migration] = {1: _messages_by_slice}
