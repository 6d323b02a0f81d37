"""Filters of the messages that were moved into their generations: what a filter rules out is in no tree.

A filter is one for each slice and generation, and is read from the map in place. A message has one bit in it: the low
bits of a hash say which, as many as the filter's size needs.
"""

from collections.abc import Collection, Iterable, Sequence
from itertools import groupby
from typing import Any

from onefold import kernel
from onefold.storage.embedded.lmdb_env import Txn
from onefold.storage.embedded.state_tables import SLICES, Tables
from onefold.storage.state_bytes import GENERATIONS_MAX, U64

FILTER_BITS = 16
"""Bits of filter a message: with 1 probe, 6 % of unseen messages still look into the tree."""
FILTER_MIN_BYTES = 4096
FILTER_GROWTH = 4
"""A crowded filter is made at least this many times as large as it must be: repeating it repeats its set bits."""
FILTER_MAX_BYTES = (64 << 20) // SLICES
"""Beyond 32 million messages a generation the filter lets more look-ups through, and stays exact all the same."""
_BIT = tuple(1 << (byte & 7) for byte in range(256))
"""The second byte of a fingerprint → its bit in a byte of the filter; the bytes after it say which byte."""

Row = tuple[Any, Any]
"""The key of a filter, and its bits: bytes, or a buffer of the map."""


class Filters:
    """Asks them, and fills them. The kernel has the same."""

    @staticmethod
    def slices(messages: Collection[bytes]) -> bytes:
        """The numbers of the slices that these messages are in, sorted."""
        return bytes(sorted({message[0] for message in messages}))

    @staticmethod
    def perhaps(messages: Collection[bytes], generations: Sequence[Iterable[Row]]) -> list[list[bytes]]:
        """For each generation, of which these are the filters: those of the messages that may be in it, sorted."""
        keys = sorted(messages)
        halves, found = _first_halves(keys), []
        for rows in generations:
            filters: list[tuple[Any, int]] = [(b"\0", 0)] * SLICES
            for key, bits in rows:
                filters[key[-1]] = (bits, len(bits) - 1)
            found.append([
                m
                for m, half in zip(keys, halves, strict=True)
                for bits, mask in (filters[m[0]],)
                if bits[half >> 16 & mask] & _BIT[m[1]]
            ])  # fmt: skip
        return found

    @staticmethod
    def filled(bits: bytes, messages: Collection[bytes]) -> bytes:
        """The filter with these messages of its slice."""
        filled, mask, keys = bytearray(bits), len(bits) - 1, list(messages)
        for message, half in zip(keys, _first_halves(keys), strict=True):
            filled[half >> 16 & mask] |= _BIT[message[1]]
        return bytes(filled)


FILTERS: Any = Filters if kernel.native is None else kernel.native.Filters
"""The kernel's where there is one."""


def filter_keys(generation: int, numbers: Iterable[int]) -> list[bytes]:
    """Where the filters of these slices of a generation lie."""
    prefix = U64.pack(generation)
    return [prefix + bytes((number,)) for number in numbers]


def extend_filters(txn: Txn, tables: Tables, place: tuple[int, Sequence[Any]], added: Iterable[bytes]) -> None:
    """Add messages, in order of their slices, to the filters of their generation, first made larger where crowded.

    A bit's place is the low bits of a hash, so a filter repeated says "perhaps" of all that it said it of before.
    A generation is expected to become as large as the one before it.
    """
    generation, slots = place
    entries = max(txn.stat(slots[g % GENERATIONS_MAX])["entries"] for g in (generation, generation - 1))
    wanted = entries * FILTER_BITS // 8 // SLICES
    for number, messages in groupby(added, key=lambda message: message[0]):
        (key,) = filter_keys(generation, (number,))
        bits = txn.get(key, b"", db=tables.filters) or bytes(FILTER_MIN_BYTES)
        if len(bits) < wanted:
            while len(bits) < min(FILTER_GROWTH * wanted, FILTER_MAX_BYTES):
                bits *= 2
        txn.put(key, FILTERS.filled(bits, list(messages)), db=tables.filters)


def _first_halves(messages: Iterable[bytes]) -> list[int]:
    """The first 8 bytes of each fingerprint as a number, the first byte lowest: a hash, good for any number of bits."""
    return memoryview(b"".join(messages)).cast("Q").tolist()[::2]
