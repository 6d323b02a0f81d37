"""What the deliver role must not forget: progress, counts, and every delivery that waits for a retry or is parked.

One LMDB environment. The deliver role writes it; other processes read it, and ask for replays, which are a
queue in here that the role works off. Keys of deliveries are `destination NUL seq`, so that they lie in order;
payloads lie apart from the rows, because rows change with every attempt and payloads never.
"""

import fcntl
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import msgspec
from msgspec.structs import replace

from onefold.clock import Clock, SystemClock
from onefold.errors import NotFoundError, StorageError, Superseded
from onefold.model import delivery as deliveries
from onefold.model.delivery import Delivery, Kept, Progress, Request, Standing
from onefold.storage.embedded import file_watch
from onefold.storage.embedded.lmdb_env import Environment, Options, Txn

__all__ = ["DeliveryStore", "Kept", "Standing"]

T = TypeVar("T")

_TABLES = ("standings", "pending", "parked", "payloads", "replays", "meta")
_MARK = b"mark"
_HOLDER_FILE = "holder"


_standing_encoder = msgspec.msgpack.Encoder()
_standing_decoder = msgspec.msgpack.Decoder(Standing)
_request_decoder = msgspec.msgpack.Decoder(Request)


class DeliveryStore:
    """One process opens a path at most once. A read-only store may be opened before there is one: it is empty then."""

    def __init__(self, path: Path, readonly: bool = False, clock: Clock | None = None) -> None:  # noqa: FBT001, FBT002 - one flag, named at every call
        self._path = path
        self._readonly = readonly
        self._clock = clock or SystemClock()
        self._opened: Environment | None = None
        self._hold: int | None = None
        if not readonly:
            self._env()

    # --- reading, from any process ---------------------------------------------------------------------------
    def counts(self) -> dict[str, dict[str, int]]:
        """Destination → counts up to its low-water mark: taken = delivered + pending + `parked.…` + `filtered.…`."""
        return {name: standing.counts for name, standing in self._standings().items()}

    def standings(self) -> dict[str, Standing]:
        """Destination → where it stands."""
        return self._standings()

    def lag(self, newest_commit: int) -> dict[str, int]:
        """Destination that is followed → commits that are not wholly settled yet."""
        standings = self._standings().items()
        return {name: max(0, newest_commit - s.low_water) for name, s in standings if s.following}

    def low_water(self) -> int:
        """No destination, and none that may yet be defined, needs effects of commits up to this one again."""
        with self._read() as txn:
            if txn is None:
                return 0
            marks = [s.low_water for _, s in self._iter_standings(txn) if s.following]
            return min([self._mark(txn), *marks])

    def pending(self, destination: str, limit: int) -> list[Delivery]:
        """The oldest deliveries that wait for a retry, or behind one, with their payloads."""
        return self._rows("pending", destination, 0, limit)

    def parked(self, destination: str, after: int, limit: int) -> list[Delivery]:
        """Parked deliveries with seq > `after`, oldest first, with their payloads."""
        return self._rows("parked", destination, after + 1, limit)

    # --- asking for a replay, from any process ---------------------------------------------------------------
    def replay(self, destination: str | None, keys: Iterable[str] | None) -> int:
        """Ask that parked deliveries be sent again, of one destination or all, all of them or those with these keys.

        The deliver role does it: soon, or when it runs again. Also switches a destination on again that had
        answered 410. Returns how many are parked now and meant. Raises `NotFoundError` for an unknown destination.
        """
        request = Request(self._clock.now_ms(), destination, None if keys is None else frozenset(keys))
        return self._write(lambda txn: self._ask(txn, request))

    # --- keeping the book ------------------------------------------------------------------------------------
    def try_hold(self) -> bool:
        """Keep the book from now on, where nobody else does. The lock is a file's: it ends with `close` or the process.

        Nobody takes it from a process that is there, so one that was paused may go on.
        """
        self._must_write()
        if self._hold is None:
            self._hold = _locked(self._path / _HOLDER_FILE)
        return self._hold is not None

    def renew(self) -> None:
        """Raises `Superseded` where this handle does not keep the book."""
        if self._hold is None:
            raise Superseded(f"{self._path}: this process does not keep the book of deliveries")

    # --- for the deliver role --------------------------------------------------------------------------------
    def mark(self) -> int:
        """The commit after which destinations begin that nobody has heard of yet."""
        with self._read() as txn:
            return self._mark(txn) if txn else 0

    def load(self, destination: str) -> Kept:
        """What there is to go on from."""
        with self._read() as txn:
            standing = self._standing(txn, destination) if txn else None
            if txn is None or standing is None:
                return Kept(None, [], [])
            ahead = deliveries.sequence(standing.low_water + 1, 0)
            pending = list(self._scan(txn, "pending", destination, 0))
            return Kept(standing, pending, list(self._scan(txn, "parked", destination, ahead)))

    def payload(self, destination: str, seq: int) -> bytes:
        """The payload of a pending or parked delivery."""
        with self._read() as txn:
            assert txn is not None
            found = txn.get(_key(destination, seq), db=self._db("payloads"))
            assert found is not None, "a row without a payload"
            return bytes(found)

    def write(self, changes: Iterable[Progress], mark: int, following: Iterable[str]) -> None:
        """Write all of this in one durable transaction. Destinations not in `following` hold up nothing.

        Raises `StorageFull` or `StorageError`, having written nothing: call again with the same; `Superseded` where
        another keeps the book. Where nobody does, the first to write begins to.
        """
        self._held()
        rows, followed = list(changes), set(following)

        def body(txn: Txn) -> None:
            txn.put(_MARK, mark.to_bytes(8, "big"), db=self._db("meta"))
            for progress in rows:
                self._apply(txn, progress)
            for name, standing in list(self._iter_standings(txn)):
                if standing.following != (name in followed):
                    self._put_standing(txn, name, replace(standing, following=name in followed))

        self._write(body)

    def requests(self) -> dict[int, Request]:
        """Replays that were asked for and are not done, oldest first."""
        with self._read() as txn:
            if txn is None:
                return {}
            rows = txn.cursor(db=self._db("replays"))
            return {int.from_bytes(key, "big"): _request_decoder.decode(value) for key, value in rows}

    def watch(self) -> int | None:
        """A file descriptor that can be read from when somebody may have written here; None: look now and then."""
        return file_watch.written(self._env().file)

    def finish(self, request: int) -> None:
        """A replay is done, and written. Raises `Superseded` as `write`."""
        self._held()
        self._write(lambda txn: txn.delete(request.to_bytes(8, "big"), db=self._db("replays")))

    def parked_rows(self, destination: str, request: Request, after: int, limit: int) -> list[Delivery]:
        """Rows of parked deliveries with seq > `after` that a replay means, without payloads."""
        found: list[Delivery] = []
        with self._read() as txn:
            for row in self._scan(txn, "parked", destination, after + 1) if txn else ():
                if len(found) == limit:
                    break
                if request.asks_for(row):
                    found.append(row)
        return found

    def parked_before(self, destination: str, at_ms: int, limit: int) -> list[Delivery]:
        """Rows of the oldest deliveries, as far as they were parked before this instant, without payloads."""
        found: list[Delivery] = []
        with self._read() as txn:
            for row in self._scan(txn, "parked", destination, 0) if txn else ():
                if len(found) == limit or row.parked_at_ms >= at_ms:
                    break
                found.append(row)
        return found

    def close(self) -> None:
        """Let go of the book and of the files."""
        if self._hold is not None:
            os.close(self._hold)
            self._hold = None
        if self._opened:
            self._opened.close()
            self._opened = None

    # --- within ----------------------------------------------------------------------------------------------
    def _held(self) -> None:
        if not self.try_hold():
            raise Superseded(f"{self._path}: another process keeps the book of deliveries")

    def _env(self) -> Environment:
        if self._opened is None:
            names = tuple(name.encode() for name in _TABLES)
            self._opened = Environment(self._path, Options(names, readonly=self._readonly))
        return self._opened

    def _db(self, table: str) -> Any:
        return self._env().dbs[_TABLES.index(table)]

    @contextmanager
    def _read(self) -> Iterator[Txn | None]:
        """A consistent picture; None where the role has not made the store yet."""
        try:
            env = self._env()
        except NotFoundError:
            yield None
            return
        with env.read() as txn:
            yield txn

    def _must_write(self) -> None:
        if self._readonly:
            raise StorageError(f"{self._path}: opened for reading only")

    def _write(self, body: Callable[[Txn], T]) -> T:
        self._must_write()
        return self._env().write(body)

    def _ask(self, txn: Txn, request: Request) -> int:
        names = [name for name, _ in self._iter_standings(txn)]
        if request.destination is not None and request.destination not in names:
            raise NotFoundError(f"no deliveries are known to a destination named {request.destination!r}")
        meant = sum(self._meant(txn, name, request) for name in names if request.destination in (None, name))
        last = self._last_key(txn, "replays")
        txn.put((last + 1).to_bytes(8, "big"), msgspec.msgpack.encode(request), db=self._db("replays"))
        return meant

    def _apply(self, txn: Txn, progress: Progress) -> None:
        name = progress.destination
        for kind, rows in (("pending", progress.pending), ("parked", progress.parked)):
            for seq, row in rows.items():
                self._put_row(txn, kind, _key(name, seq), row)
        for seq in {*progress.pending, *progress.parked}:
            if not progress.pending.get(seq) and not progress.parked.get(seq):
                txn.delete(_key(name, seq), db=self._db("payloads"))
        self._put_standing(txn, name, Standing(progress.low_water, progress.counts, progress.off))

    def _put_row(self, txn: Txn, kind: str, key: bytes, row: Delivery | None) -> None:
        if row is None:
            txn.delete(key, db=self._db(kind))
            return
        txn.put(key, deliveries.encode(replace(row, payload=b"")), db=self._db(kind))
        if row.payload:
            txn.put(key, row.payload, db=self._db("payloads"))

    def _put_standing(self, txn: Txn, name: str, standing: Standing) -> None:
        txn.put(name.encode(), _standing_encoder.encode(standing), db=self._db("standings"))

    def _standing(self, txn: Txn, name: str) -> Standing | None:
        found = txn.get(name.encode(), db=self._db("standings"))
        return None if found is None else _standing_decoder.decode(found)

    def _standings(self) -> dict[str, Standing]:
        with self._read() as txn:
            return dict(self._iter_standings(txn)) if txn else {}

    def _iter_standings(self, txn: Txn) -> Iterator[tuple[str, Standing]]:
        for key, value in txn.cursor(db=self._db("standings")):
            yield key.decode(), _standing_decoder.decode(value)

    def _mark(self, txn: Txn) -> int:
        return int.from_bytes(txn.get(_MARK, db=self._db("meta")) or b"", "big")

    def _scan(self, txn: Txn, kind: str, destination: str, first: int) -> Iterator[Delivery]:
        cursor = txn.cursor(db=self._db(kind))
        prefix = destination.encode() + b"\0"
        if cursor.set_range(_key(destination, first)):
            for key, value in cursor:
                if not key.startswith(prefix):
                    return
                yield deliveries.decode(value)

    def _rows(self, kind: str, destination: str, first: int, limit: int) -> list[Delivery]:
        rows: list[Delivery] = []
        with self._read() as txn:
            if txn is None:
                return rows
            for row in self._scan(txn, kind, destination, first):
                if len(rows) == limit:
                    break
                payload = txn.get(_key(destination, row.seq), db=self._db("payloads"))
                rows.append(replace(row, payload=bytes(payload or b"")))
        return rows

    def _meant(self, txn: Txn, destination: str, request: Request) -> int:
        return sum(request.asks_for(row) for row in self._scan(txn, "parked", destination, 0))

    def _last_key(self, txn: Txn, kind: str) -> int:
        cursor = txn.cursor(db=self._db(kind))
        return int.from_bytes(cursor.key(), "big") if cursor.last() else 0


def _key(destination: str, seq: int) -> bytes:
    return destination.encode() + b"\0" + seq.to_bytes(10, "big")


def _locked(file: Path) -> int | None:
    """A descriptor of this file with its lock; None: another has the lock."""
    try:
        descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise StorageError(f"{file}: {error.strerror or error}") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor
