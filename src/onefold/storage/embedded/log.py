"""The embedded log: one LMDB environment a partition, at `<path>/<partition>/`.

Why LMDB, what a record looks like on disk and what each failure does: docs/decisions/0001-log-records.md.
"""

import fcntl
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

from onefold.clock import Clock, SystemClock
from onefold.errors import NotFoundError, SettingsError
from onefold.limits import PARTITIONS_MAX
from onefold.ports import Record, Retention
from onefold.settings import Settings
from onefold.storage import log_chunk
from onefold.storage.embedded import file_watch
from onefold.storage.embedded.lmdb_env import translated
from onefold.storage.embedded.log_partition import Identity, Partition

_COUNT_FILE = "partitions"
"""Written last when a log is made: while it is absent, making the log has not ended."""
_LOCK_FILE = ".lock"


def partitions_for(path: Path, settings: Settings) -> int:
    """How many partitions the log at `path` has, or is to have where it is yet to be made."""
    return settings.partitions or _count(path) or settings.workers


class LmdbLogWriter:
    """Appends to the log at `path`, made first where it is missing, and trims it. May be used by many threads."""

    def __init__(self, path: Path, partitions: int, clock: Clock | None = None) -> None:
        """Open. Raises `SettingsError` where the log has another number of partitions, `Damaged`, `StorageFull`."""
        if not 1 <= partitions <= PARTITIONS_MAX:
            raise SettingsError(f"partitions is {partitions}; it must be from 1 to {PARTITIONS_MAX}")
        self.partitions = partitions
        self._clock = clock or SystemClock()
        with translated(path):
            found = _count(path) or _make(path, partitions)
        if found != partitions:
            raise SettingsError(
                f"the log in {path} has {found} partitions, the settings say {partitions}: set `partitions` to "
                f"{found}; to have another number, start with a new data directory"
            )
        self._partitions = _open(path, partitions)

    def append(self, batches: Mapping[int, Sequence[bytes]]) -> dict[int, int]:
        """As `LogWriter.append`: one durable transaction for each partition, one after the other."""
        runs = {partition: list(log_chunk.split(records)) for partition, records in batches.items() if records}
        now_ms = self._clock.now_ms()
        return {
            partition: self._partitions[partition].append(run, now_ms) + len(batches[partition]) - 1
            for partition, run in runs.items()
        }

    def trim(self, partition: int, before: int, retention: Retention) -> int:
        """Remove whole chunks from the head of a partition, and return how many records that were.

        A chunk goes where all its offsets are below `before` (everyone has read it) and `retention` lets it go:
        it was written longer ago than `age_ms`, or the partition still holds more than `size_bytes`. Done in short
        transactions, so appends go on. The file does not shrink; its free pages are used by later appends.
        """
        return self._partitions[partition].trim(before, retention, self._clock.now_ms())

    def close(self) -> None:
        """Let go of the files. May be called twice."""
        for partition in self._partitions:
            partition.close()


class LmdbLogReader:
    """Reads the log at `path`. May be used by many threads."""

    def __init__(self, path: Path) -> None:
        """Open. Raises `NotFoundError` where no log was made yet, `Damaged` where its files are."""
        with translated(path):
            count = _count(path)
        if not count:
            raise NotFoundError(f"there is no log in {path} yet")
        self.partitions = count
        self._partitions = _open(path, count)

    def read(self, partition: int, offset: int, max_bytes: int) -> list[Record]:
        """As `LogReader.read`. Verifies the checksum of every chunk that it touches, at about 1 us a record."""
        return self._partitions[partition].read(offset, max_bytes)

    def has_come(self, partition: int, offset: int) -> bool:
        """As `LogReader.has_come`; to the record."""
        return self._partitions[partition].has_come(offset)

    def ends(self, partition: int) -> tuple[int, int]:
        """As `LogReader.ends`."""
        return self._partitions[partition].ends()

    def watch(self, partitions: Iterable[int]) -> int | None:
        """As `LogReader.watch`."""
        return file_watch.written(*(self._partitions[partition].file for partition in partitions))

    def close(self) -> None:
        """Let go of the files. May be called twice."""
        for partition in self._partitions:
            partition.close()


def _open(path: Path, partitions: int) -> list[Partition]:
    with ExitStack() as stack:
        opened = [
            stack.enter_context(closing(Partition(path / str(number), Identity(number, partitions))))
            for number in range(partitions)
        ]
        # All are open, so nobody closes them here.
        stack.pop_all()
    return opened


def _count(path: Path) -> int:
    """How many partitions were made; 0 where making the log has not ended."""
    try:
        text = (path / _COUNT_FILE).read_text(errors="replace").strip()
    except FileNotFoundError:
        return 0
    if not (text.isascii() and text.isdecimal()) or not 1 <= int(text) <= PARTITIONS_MAX:
        raise SettingsError(f"{path / _COUNT_FILE} should hold the number of partitions, and holds {text[:20]!r}")
    return int(text)


def _make(path: Path, partitions: int) -> int:
    """Make what is missing, each part complete before it gets its name; returns the number that there is then."""
    path.mkdir(parents=True, mode=0o700, exist_ok=True)
    _sync(path.parent)
    with _locked(path):
        if found := _count(path):
            return found
        for number in range(partitions):
            if (final := path / str(number)).exists():
                continue
            draft = path / f"{number}.new"
            shutil.rmtree(draft, ignore_errors=True)
            Partition.make(draft, Identity(number, partitions))
            _sync(draft)
            draft.rename(final)
        _sync(path)
        _write(path / _COUNT_FILE, f"{partitions}\n".encode())
    return partitions


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    descriptor = os.open(path / _LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _write(file: Path, content: bytes) -> None:
    draft = file.with_suffix(".new")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        os.write(descriptor, content)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    draft.replace(file)
    _sync(file.parent)


def _sync(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
