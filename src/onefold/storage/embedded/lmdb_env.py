"""One safe way to open an LMDB environment: durable flags, a map that grows, errors of our own kind.

LMDB keeps one memory map a process and finds its files locked by any second opening in the same process. So
environments are shared: a second `Environment` on the same path in this process gets the same map.
Resizing needs that no transaction is active in the process; a gate counts them.
"""

import errno
import fcntl
import os
import resource
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import lmdb

from onefold.errors import NotFoundError, StorageError, StorageFull
from onefold.limits import MIB
from onefold.storage.embedded.free_pages import Sweeps

T = TypeVar("T")
if TYPE_CHECKING:
    Txn = lmdb.Transaction[bytes]
else:
    Txn = lmdb.Transaction

MAP_BYTES = 16 * 1024 * MIB
"""Address space reserved at first; the file grows only as it is written."""
MAP_SLACK = 4
"""The map is doubled before a write when less than 1/MAP_SLACK of it is free."""
READER_CHECK_S = 10.0
"""How often dead processes' reader slots are cleared by a writer."""
KEY_MAX_BYTES = 511
"""What LMDB takes as a key."""
GATE_WAIT_S = 30.0
"""For how long a resize waits for this process's own transactions to end."""

_DURABLE = {"metasync": True, "sync": True, "map_async": False, "writemap": False, "lock": True}
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_TIGHT_BYTES = 1 * MIB
_BELL = "bell"
"""A file of one byte beside the data, which itself is written a hundred times for each commit."""


class Stats(NamedTuple):
    """What `doctor` shows of an environment."""

    map_bytes: int
    used_bytes: int
    readers: int
    oldest_reader_lag: int
    """Commits since the oldest reader began; pages freed since then wait for it."""


class Options(NamedTuple):
    """How to open an environment."""

    names: tuple[bytes, ...]
    """The named databases, created where they are missing unless `readonly`."""
    readonly: bool = False
    map_bytes: int = MAP_BYTES
    inspect: Callable[[lmdb.Environment], None] | None = None
    """Called before anything is created or written; what it raises keeps the environment as it was."""
    scratch: bool = False
    """It is thrown away when it is closed, so nothing waits for the disk; a crash may leave it broken."""
    sweeps: bool = False
    """Its free pages are used in sweeps, see `free_pages`. Only where one process writes, all along."""


class _Shared:
    """The map itself, one a process and path. `users` close it when the last one goes."""

    def __init__(self, path: Path, options: "Options") -> None:
        self.path = path
        self.names = options.names
        self.readonly = options.readonly
        self.map_bytes = options.map_bytes
        self.inspect = options.inspect
        self.scratch = options.scratch
        self.users = 0
        self.active = 0
        self.exclusive = False
        self.gate = threading.Condition()
        self.mine = threading.local()
        self.writer = threading.RLock()
        self.checked_s = 0.0
        self.bell = -1
        self.sweeps = Sweeps() if options.sweeps and not options.readonly else None
        self.open()

    def open(self) -> None:
        self.env = _open(self.path, Options(self.names, self.readonly, self.map_bytes, scratch=self.scratch))
        with ExitStack() as unless_opened:
            unless_opened.callback(self.env.close)
            assert _flags(scratch=self.scratch).items() <= self.env.flags().items(), self.env.flags()
            while True:
                try:
                    self._open_tables()
                except lmdb.MapResizedError:  # by another process, since the file was opened
                    self.env.set_mapsize(0)
                else:
                    break
            unless_opened.pop_all()
        self.page_bytes: int = self.env.stat()["psize"]
        self.env.reader_check()
        if self.bell < 0 and not self.readonly:
            self.bell = os.open(self.path / _BELL, os.O_WRONLY | os.O_CREAT, 0o600)

    def _open_tables(self) -> None:
        if self.inspect:
            self.inspect(self.env)
        try:
            self.dbs = [self.env.open_db(name, create=not self.readonly) for name in self.names]
        except lmdb.NotFoundError as error:
            raise NotFoundError(f"{self.path}: nothing was written here yet") from error

    def ring(self) -> None:
        # The commit is on disk: nothing that fails here may pass for its failure. Followers look now and then anyway.
        with suppress(OSError):
            os.pwrite(self.bell, b"\0", 0)

    def close(self) -> None:
        self._end_sweep()
        self.env.close()
        if self.bell >= 0:
            os.close(self.bell)
            self.bell = -1

    def _end_sweep(self) -> None:
        if self.sweeps is not None:
            self.sweeps.end()

    @contextmanager
    def entered(self) -> Iterator[None]:
        """A transaction of this process is active inside. A thread that is inside already does not wait."""
        mine = self.mine
        depth = getattr(mine, "depth", 0)
        with self.gate:
            while self.exclusive and not depth:
                self.gate.wait()
            self.active += 1
        mine.depth = depth + 1
        try:
            yield
        finally:
            mine.depth -= 1
            with self.gate:
                self.active -= 1
                if self.exclusive:
                    self.gate.notify_all()

    @contextmanager
    def alone(self) -> Iterator[None]:
        """No transaction of this process is active inside; waits for those that are, and lets no other begin."""
        wait_s = 0 if getattr(self.mine, "depth", 0) else GATE_WAIT_S
        with self.gate:
            while self.exclusive:
                self.gate.wait()
            self.exclusive = True
            ended = self.gate.wait_for(lambda: not self.active, wait_s)
        try:
            if not ended:
                raise StorageError(f"{self.path}: {self.active} open transactions keep the map from growing")
            self._end_sweep()
            yield
        finally:
            with self.gate:
                self.exclusive = False
                self.gate.notify_all()


_shared: dict[tuple[int, str], _Shared] = {}
_shared_lock = threading.Lock()


class Environment:
    """An open LMDB environment with its named databases, `dbs`, in the order of `names`."""

    def __init__(self, path: Path, options: Options) -> None:
        """Open. Raises `NotFoundError` where a reader finds nothing."""
        self._key = (os.getpid(), str(path.resolve()))
        with _shared_lock:
            shared = _shared.get(self._key)
            if shared is None:
                with translated(path):
                    shared = _shared[self._key] = _Shared(path, options)
            elif shared.readonly and not options.readonly:
                raise StorageError(f"{path} is open in this process for reading only")
            assert shared.names == options.names
            shared.users += 1
        self._shared: _Shared = shared
        self._closed = False

    @property
    def dbs(self) -> list[Any]:
        """Handles of the named databases; those of one moment, as a repaired environment has new ones."""
        return self._shared.dbs

    @property
    def file(self) -> Path:
        """What is written to when a commit is done, once: followers watch it."""
        return self._shared.path / _BELL

    @contextmanager
    def read(self) -> Iterator[Txn]:
        """A consistent picture. Keep it short: while it lasts, pages freed since cannot be used again."""
        with self._begun(False) as (txn,):
            yield txn

    @contextmanager
    def read_in_place(self) -> "Iterator[lmdb.Transaction[memoryview]]":
        """The same, of which what is read is in the map itself, not copied, and there no longer than this lasts."""
        with self._begun(True) as (txn,):
            yield txn

    @contextmanager
    def read_both(self) -> "Iterator[tuple[Txn, lmdb.Transaction[memoryview]]]":
        """Two read transactions of the same commit: one that gives bytes, one that gives buffers of the map itself."""
        with self._begun(False, True) as (txn, buffers):
            yield txn, buffers

    @contextmanager
    def _begun(self, *kinds: bool) -> Iterator[list[Any]]:
        shared = self._shared
        with translated(shared.path):
            while True:
                failure: lmdb.Error | None = None
                with shared.entered(), ExitStack() as stack:
                    try:
                        begin: Callable[..., Any] = shared.env.begin
                        txns = [stack.enter_context(begin(buffers=kind)) for kind in kinds]
                    except (lmdb.MapResizedError, lmdb.PanicError, lmdb.ReadersFullError) as error:
                        failure = error
                    else:
                        if len({txn.id() for txn in txns}) == 1:
                            yield txns
                            return
                if failure is not None:
                    self._recover(failure)

    def write(self, body: Callable[[Txn], T]) -> T:
        """Run `body` in one durable write transaction and return what it returned, once it is on disk.

        `body` may run more than once (the map was full, or another process had grown it) and must not have side
        effects outside of the transaction. Where it raises, nothing is written. Raises `StorageFull` where the disk
        is full; the environment stays usable.
        """
        shared = self._shared
        with translated(shared.path), shared.writer:
            self._prepare()
            while True:
                try:
                    with shared.entered(), shared.env.begin(write=True) as txn:
                        if shared.sweeps is not None:
                            shared.sweeps.look(shared.env, txn, shared.dbs)
                        result = body(txn)
                except (lmdb.MapFullError, lmdb.MapResizedError, lmdb.PanicError) as error:
                    self._recover(error)
                else:
                    shared.ring()
                    return result

    def copy(self, target: Path) -> None:
        """Write a compacted copy of the newest commit into the directory `target`, while others read and write."""
        with translated(target):
            target.mkdir(parents=True, exist_ok=True)
            if any(target.iterdir()):
                raise StorageError(f"{target} is not empty")
            with self._shared.entered():
                self._shared.env.copy(str(target), compact=True)
            _sync(target / "data.mdb")
            _sync(target)

    def stats(self) -> Stats:
        """Sizes and readers, as they are now."""
        env = self._shared.env
        info = env.info()
        readers = [line.split() for line in env.readers().splitlines()[1:]]
        begun = [int(reader[2]) for reader in readers if len(reader) == 3 and reader[2].isdecimal()]
        return Stats(
            map_bytes=info["map_size"],
            used_bytes=(info["last_pgno"] + 1) * self._shared.page_bytes,
            readers=len(readers),
            oldest_reader_lag=max((info["last_txnid"] - txn for txn in begun), default=0),
        )

    def close(self) -> None:
        """Let go; the last user in this process closes the files. May be called twice."""
        if self._closed:
            return
        self._closed = True
        with _shared_lock:
            self._shared.users -= 1
            if not self._shared.users:
                del _shared[self._key]
                self._shared.close()

    def _prepare(self) -> None:
        """Before a write: clear readers that died, and grow the map while nothing waits for it."""
        shared = self._shared
        if (now_s := time.monotonic()) - shared.checked_s > READER_CHECK_S:
            shared.checked_s = now_s
            shared.env.reader_check()
        info = shared.env.info()
        used = (info["last_pgno"] + 1) * shared.page_bytes
        if used > info["map_size"] * (MAP_SLACK - 1) // MAP_SLACK and not shared.active:
            self._grow(info["map_size"])

    def _recover(self, error: lmdb.Error) -> None:
        shared = self._shared
        if isinstance(error, lmdb.MapFullError):
            self._grow(shared.env.info()["map_size"])
            return
        if isinstance(error, lmdb.ReadersFullError):
            if not shared.env.reader_check():
                raise error
            return
        with shared.alone():
            if isinstance(error, lmdb.MapResizedError):
                shared.env.set_mapsize(0)
            else:
                # A failed write of the meta page leaves the handle unusable, not the file: open it anew.
                shared.env.close()
                shared.open()

    def _grow(self, map_bytes: int) -> None:
        shared = self._shared
        with shared.alone():
            if shared.env.info()["map_size"] > map_bytes:
                return
            try:
                shared.env.set_mapsize(2 * map_bytes)
            except (lmdb.Error, MemoryError) as error:
                raise StorageFull(f"{shared.path}: its map of {map_bytes} bytes cannot grow: {error}") from error


@contextmanager
def translated(path: Path) -> Iterator[None]:
    """Raise LMDB's and the system's failures as ours: full is `StorageFull`, the rest `StorageError`."""
    try:
        yield
    except lmdb.Error as error:
        kind = StorageFull if error.code in _FULL or (error.code == errno.EIO and _tight(path)) else StorageError
        raise kind(f"{path}: {error}") from error
    except OSError as error:
        kind = StorageFull if error.errno in _FULL else StorageError
        raise kind(f"{path}: {error.strerror or error}") from error


def _tight(path: Path) -> bool:
    """Whether the disk, or the size that this process may give a file, is used up: LMDB calls a short write EIO."""
    try:
        space = os.statvfs(path)
        if space.f_bavail * space.f_frsize < _TIGHT_BYTES:
            return True
        limit, _ = resource.getrlimit(resource.RLIMIT_FSIZE)
        return limit != resource.RLIM_INFINITY and (path / "data.mdb").stat().st_size + _TIGHT_BYTES > limit
    except OSError:
        return False


def _make(path: Path) -> None:
    """Make an empty environment, complete before it gets its name: a power cut leaves either none or a whole one."""
    path.mkdir(parents=True, mode=0o700, exist_ok=True)
    _sync(path.parent)
    made = path / "data.mdb"
    lock = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not made.exists():
            (path / _BELL).touch(0o600)
            draft = path / "new"
            with lmdb.open(str(draft), map_size=MIB, mode=0o600) as env, env.begin(write=True) as txn:
                # Something must be written, or LMDB commits, and syncs, nothing.
                txn.put(b"made", b"")
                txn.delete(b"made")
            (draft / "data.mdb").rename(made)
            (draft / "lock.mdb").unlink()
            draft.rmdir()
            os.fsync(lock)
    finally:
        os.close(lock)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _flags(*, scratch: bool) -> dict[str, bool]:
    return _DURABLE | {"metasync": not scratch, "sync": not scratch}


def _open(path: Path, options: Options) -> lmdb.Environment:
    map_bytes = options.map_bytes
    if not (path / "data.mdb").exists():
        if options.readonly:
            raise NotFoundError(f"{path}: nothing was written here yet")
        _make(path)
    while True:
        try:
            return lmdb.open(str(path), map_size=map_bytes, max_dbs=len(options.names), readonly=options.readonly,
                             create=not options.readonly, max_readers=512, max_spare_txns=4, mode=0o600,
                             sync=not options.scratch, metasync=not options.scratch)  # fmt: skip
        except (lmdb.MemoryError, MemoryError, lmdb.Error) as error:
            # A process with little address space starts with a smaller map, which grows as far as it may.
            if getattr(error, "code", errno.ENOMEM) != errno.ENOMEM or map_bytes <= 64 * MIB:
                raise
            map_bytes //= 2
