"""What one append writes to one partition: a chunk, with its records, where it belongs, when, and a checksum.

Layout, little-endian: `checksum u64 · version u8 · zero u8 · partition u16 · count u32 · first offset u64 ·
written at, ms, u64 · count lengths u32 · the records`. The checksum is xxh3_64 over all that follows it, so a
chunk that lies under another offset or in another partition does not pass either.
"""

import struct
import sys
from array import array
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import accumulate, pairwise
from typing import NamedTuple

from xxhash import xxh3_64, xxh3_64_intdigest

from onefold.errors import Damaged, StorageError, TooNew
from onefold.limits import KIB, RECORD_MAX_BYTES
from onefold.ports import Record

VERSION = 1
CHUNK_MAX_BYTES = 256 * KIB
"""A longer append is cut into several chunks (one transaction still): a reader verifies whole chunks, LMDB needs the
pages of one in a row, and the C library gives larger pieces of memory back to the system after each append, to have
them zeroed again at the next. One record may be longer; then it is a chunk of its own."""

_CHECKSUM = struct.Struct("<Q")
_HEADER = struct.Struct("<BBHIQQ")
_BODY = _CHECKSUM.size + _HEADER.size
_record = partial(tuple.__new__, Record)


class Header(NamedTuple):
    """A chunk without its records."""

    first: int
    records: int
    written_at_ms: int

    @property
    def end(self) -> int:
        """The offset after its last record."""
        return self.first + self.records


def split(records: Sequence[bytes]) -> Iterator[Sequence[bytes]]:
    """The records in runs that each make one chunk. Raises `StorageError` where one is longer than any may be."""
    sizes = list(map(len, records))
    if sum(sizes) <= CHUNK_MAX_BYTES:
        yield records
        return
    if max(sizes) > RECORD_MAX_BYTES:
        raise StorageError(f"a record of {max(sizes)} bytes; the log takes at most {RECORD_MAX_BYTES}")
    start = size = 0
    for i, more in enumerate(sizes):
        if size + more > CHUNK_MAX_BYTES and i > start:
            yield records[start:i]
            start, size = i, 0
        size += more
    yield records[start:]


def encode(partition: int, header: Header, records: Sequence[bytes]) -> bytes:
    """The chunk as LMDB keeps it."""
    lengths = array("I", map(len, records))
    if sys.byteorder == "big":
        lengths.byteswap()
    head = _HEADER.pack(VERSION, 0, partition, header.records, header.first, header.written_at_ms) + lengths.tobytes()
    checksum = xxh3_64(head)
    for record in records:
        checksum.update(record)
    return b"".join((_CHECKSUM.pack(checksum.intdigest()), head, *records))


def peek(partition: int, offset: int, chunk: bytes | memoryview) -> Header:
    """The header alone, its checksum not verified; `offset` is the key it was found under. Raises `Damaged`."""
    if len(chunk) < _BODY:
        raise Damaged(f"log partition {partition}, offset {offset}: a chunk of {len(chunk)} bytes")
    version, _, at, count, first, written_at_ms = _HEADER.unpack_from(chunk, _CHECKSUM.size)
    if (at, first) != (partition, offset) or not count:
        raise Damaged(f"log partition {partition}, offset {offset}: the chunk here says {at}, {first}")
    if version > VERSION:
        raise TooNew(f"log partition {partition} holds chunks of format {version}; this Onefold knows {VERSION}")
    return Header(first, count, written_at_ms)


def first_bytes(chunk: bytes | memoryview) -> int:
    """How long the first record claims to be, nothing verified: what tells whether decoding is worth while."""
    return int.from_bytes(chunk[_BODY : _BODY + 4], "little")


def decode(partition: int, offset: int, chunk: bytes | memoryview) -> tuple[Header, list[Record]]:
    """All that a chunk holds, verified, and copied; `offset` is the key it was found under. Raises `Damaged`."""
    view = memoryview(chunk)
    if len(chunk) < _BODY or xxh3_64_intdigest(view[_CHECKSUM.size :]) != _CHECKSUM.unpack_from(chunk)[0]:
        raise Damaged(f"log partition {partition}, offset {offset}: the checksum does not match")
    header = peek(partition, offset, chunk)
    start = _BODY + 4 * header.records
    lengths = struct.unpack_from(f"<{header.records}I", chunk, _BODY)
    bounds = list(accumulate(lengths, initial=start))
    assert bounds[-1] == len(chunk), "the checksum held, so we wrote this"
    slices = [bytes(view[a:b]) for a, b in pairwise(bounds)]
    return header, list(map(_record, zip(range(header.first, header.end), slices, strict=True)))
