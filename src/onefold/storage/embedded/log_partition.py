r"""One partition of the embedded log: an LMDB environment whose keys are offsets and whose values are chunks.

Key `\\0` holds what must outlive every chunk: which partition this is, of how many, and the offset to go on from
when retention has removed all of them. It sorts before the 8-byte offsets.
"""

import struct
import threading
from collections.abc import Sequence
from contextlib import ExitStack
from itertools import accumulate, takewhile
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypeVar

import lmdb
from xxhash import xxh3_64_intdigest

from onefold.errors import Damaged, NotFoundError, SettingsError, StorageError, TooNew
from onefold.limits import MIB
from onefold.ports import Record, Retention
from onefold.storage import log_chunk
from onefold.storage.embedded import lmdb_file
from onefold.storage.embedded.lmdb_env import Environment, Options, Txn
from onefold.storage.log_chunk import Header

MAP_BYTES = 256 * MIB
"""Address space at first; it doubles as the log fills it."""
TRIM_BATCH = 512
"""Chunks that one transaction of `trim` removes: appends wait no longer than that."""

if TYPE_CHECKING:
    AnyTxn = Txn | lmdb.Transaction[memoryview]
    Cursor = lmdb.Cursor[memoryview]
    Chunk = TypeVar("Chunk", bytes, memoryview)

OPTIONS = Options(names=(), map_bytes=MAP_BYTES)
_IDENTITY_KEY = b"\0"
_CHECKSUM = struct.Struct("<Q")
_IDENTITY = struct.Struct("<BBHHHQ")
_KEY = struct.Struct(">Q")


class Identity(NamedTuple):
    """What a partition knows of itself; `floor` is the next offset while there is no chunk."""

    partition: int
    partitions: int
    floor: int = 0


class _Tail(NamedTuple):
    """The next offset, as this process left it with transaction `commit`."""

    commit: int
    end: int


class Partition:
    """An open partition. Any number of threads and processes may use it side by side."""

    def __init__(self, path: Path, identity: Identity, options: Options = OPTIONS) -> None:
        """Open what `make` has made, and verify its last chunk. Raises `Damaged`, `SettingsError`."""
        self._path = path
        self._number = identity.partition
        if not lmdb_file.check(path):
            raise Damaged(f"{path} is missing; restore it from a backup")
        self._options = options
        self._env = Environment(path, options)
        self._reopening = threading.Lock()
        self._tail: _Tail | None = None
        with ExitStack() as stack:
            stack.callback(self._env.close)
            try:
                with self._env.read() as txn:
                    self._verify(txn, identity)
            except lmdb.Error as error:
                raise self._broken(error) from error
            stack.pop_all()

    def _verify(self, txn: Txn, identity: Identity) -> None:
        found = _identity(self._path, txn)
        if (found.partition, found.partitions) != (identity.partition, identity.partitions):
            raise SettingsError(
                f"{self._path} is partition {found.partition} of {found.partitions}, not {identity.partition} of "
                f"{identity.partitions}: it belongs to another log, or `partitions` is not what it was"
            )
        with txn.cursor() as cursor:
            if cursor.last() and len(cursor.key()) == _KEY.size:
                log_chunk.decode(self._number, *_item(cursor))

    @property
    def file(self) -> Path:
        """What is written to when an append is done."""
        return self._env.file

    @staticmethod
    def make(path: Path, identity: Identity) -> None:
        """Make an empty partition, durable but for the name of its directory."""
        env = Environment(path, OPTIONS)
        try:
            env.write(lambda txn: txn.put(_IDENTITY_KEY, _sealed(identity)))
        finally:
            env.close()

    def append(self, runs: Sequence[Sequence[bytes]], now_ms: int) -> int:
        """Append runs of records, a chunk each, in one durable transaction; returns the first one's offset.

        After a failure nothing of this call may be relied upon; the environment is opened anew.
        """
        env = self._env
        try:
            first, self._tail = env.write(lambda txn: self._append(txn, runs, now_ms))
        except StorageError:
            self._reopen(env)
            raise
        return first

    def read(self, offset: int, max_bytes: int) -> list[Record]:
        """As `LogReader.read`."""
        found: list[Record] = []
        with self._env.read_in_place() as txn, txn.cursor() as cursor:
            try:
                if not self._seek(txn, cursor, offset):
                    return found
                while True:
                    key, chunk = _item(cursor)
                    if found and log_chunk.first_bytes(chunk) > max_bytes:
                        return found
                    self._follows(found[-1].offset + 1 if found else key, key)
                    header, records = log_chunk.decode(self._number, key, chunk)
                    taken = _fitting(records[max(0, offset - header.first) :], max_bytes, at_least=not found)
                    found += taken
                    max_bytes -= sum(len(record.data) for record in taken)
                    if not found and cursor.next():
                        self._follows(header.end, _KEY.unpack(cursor.key())[0])
                    if not taken or taken[-1] is not records[-1] or not cursor.next():
                        return found
            except lmdb.Error as error:
                raise self._broken(error) from error

    def has_come(self, offset: int) -> bool:
        """As `LogReader.has_come`. The header of the last chunk says it, which `read` would copy and verify whole."""
        with self._env.read_in_place() as txn:
            return offset < self._end(txn)

    def ends(self) -> tuple[int, int]:
        """As `LogReader.ends`."""
        with self._env.read_in_place() as txn, txn.cursor() as cursor:
            if not cursor.set_range(_KEY.pack(0)):
                floor = _identity(self._path, txn).floor
                return floor, floor
            first = _KEY.unpack(cursor.key())[0]
            return first, self._end(txn)

    def trim(self, before: int, retention: Retention, now_ms: int) -> int:
        """Remove whole chunks from the head; returns how many records. See `LmdbLogWriter.trim`."""
        cut = self._cut(before, retention, now_ms)
        removed = batch = 0
        while cut and (batch := self._env.write(lambda txn: self._remove(txn, cut))):
            removed += batch
        return removed

    def close(self) -> None:
        """Let go of the files."""
        self._env.close()

    def _append(self, txn: Txn, runs: Sequence[Sequence[bytes]], now_ms: int) -> tuple[int, _Tail]:
        commit = txn.id()
        tail = self._tail
        # Transaction numbers have no gaps: where the last one was ours, nobody else has appended.
        first = end = tail.end if tail and tail.commit == commit - 1 else self._end(txn)
        for records in runs:
            header = Header(end, len(records), now_ms)
            chunk = log_chunk.encode(self._number, header, records)
            txn.put(_KEY.pack(end), chunk, overwrite=False, append=True)
            end = header.end
        return first, _Tail(commit, end)

    def _end(self, txn: "AnyTxn") -> int:
        with txn.cursor() as cursor:
            cursor.last()
            if len(cursor.key()) != _KEY.size:
                return _identity(self._path, txn).floor
            return log_chunk.peek(self._number, _KEY.unpack(cursor.key())[0], cursor.value()).end

    def _seek(self, txn: "lmdb.Transaction[memoryview]", cursor: "Cursor", offset: int) -> bool:
        """Move to the last chunk that begins at or before `offset`; False where the log is empty."""
        if cursor.set_range(_KEY.pack(offset)):
            if _KEY.unpack(cursor.key())[0] == offset:
                return True
            cursor.prev()
        else:
            cursor.last()
        if len(cursor.key()) == _KEY.size:
            return True
        first = _KEY.unpack(cursor.key())[0] if cursor.next() else _identity(self._path, txn).floor
        if offset < first:
            raise NotFoundError(f"log partition {self._number}: retention has removed {offset}; it begins at {first}")
        return False

    def _follows(self, end: int, key: int) -> None:
        if end != key:
            raise Damaged(f"log partition {self._number}: offsets {end} to {key} are missing; restore from a backup")

    def _cut(self, before: int, retention: Retention, now_ms: int) -> int:
        """The offset up to which chunks may go. Looks at headers only, in the map itself."""
        cut = 0
        with self._env.read_in_place() as txn, txn.cursor() as cursor:
            stat = txn.stat()
            pages = stat["branch_pages"] + stat["leaf_pages"] + stat["overflow_pages"]
            live_bytes = pages * stat["psize"]
            if not cursor.set_range(_KEY.pack(0)):
                return 0
            while True:
                key, chunk = _item(cursor)
                header = log_chunk.peek(self._number, key, chunk)
                old = retention.age_ms is not None and header.written_at_ms < now_ms - retention.age_ms
                over = retention.size_bytes is not None and live_bytes > retention.size_bytes
                if header.end > before or not (old or over):
                    return cut
                cut = header.end
                live_bytes -= len(chunk)
                if not cursor.next():
                    return cut

    def _remove(self, txn: Txn, cut: int) -> int:
        last = self._end(txn)
        with txn.cursor() as cursor:
            more = cursor.set_range(_KEY.pack(0))
            first = after = _KEY.unpack(cursor.key())[0] if more else cut
            for _ in range(TRIM_BATCH):
                if not more or after >= cut:
                    break
                cursor.delete()
                # Deleting moves to what followed, or to nowhere.
                more = len(cursor.key()) == _KEY.size
                after = _KEY.unpack(cursor.key())[0] if more else last
        if not more:
            txn.put(_IDENTITY_KEY, _sealed(_identity(self._path, txn)._replace(floor=last)))
        return int(after - first)

    def _reopen(self, failed: Environment) -> None:
        """No later answer may rest on a handle whose write or fsync has failed."""
        with self._reopening:
            if self._env is failed:
                self._tail = None
                failed.close()
                self._env = Environment(self._path, self._options)

    def _broken(self, error: lmdb.Error) -> Damaged:
        return Damaged(f"log partition {self._number} in {self._path}: {error}; restore it from a backup")


def _item(cursor: "lmdb.Cursor[Chunk]") -> "tuple[int, Chunk]":
    key, chunk = cursor.item()
    return _KEY.unpack(key)[0], chunk


def _fitting(records: list[Record], max_bytes: int, *, at_least: int) -> list[Record]:
    sizes = accumulate(len(record.data) for record in records)
    return records[: max(at_least, sum(1 for _ in takewhile(lambda size: size <= max_bytes, sizes)))]


def _sealed(identity: Identity) -> bytes:
    rest = _IDENTITY.pack(log_chunk.VERSION, 0, identity.partition, identity.partitions, 0, identity.floor)
    return _CHECKSUM.pack(xxh3_64_intdigest(rest)) + rest


def _identity(path: Path, txn: "AnyTxn") -> Identity:
    stored = bytes(txn.get(_IDENTITY_KEY) or b"")
    if len(stored) != _CHECKSUM.size + _IDENTITY.size:
        raise Damaged(f"{path} is no partition of a log; restore it from a backup")
    if xxh3_64_intdigest(stored[_CHECKSUM.size :]) != _CHECKSUM.unpack_from(stored)[0]:
        raise Damaged(f"{path}: the checksum of its identity does not match; restore it from a backup")
    version, _, partition, partitions, _, floor = _IDENTITY.unpack_from(stored, _CHECKSUM.size)
    if version > log_chunk.VERSION:
        raise TooNew(f"{path} was written by a newer Onefold (log format {version})")
    return Identity(partition, partitions, floor)
