"""The log in memory: both ports in one value, with failures on command, for tests and the simulation.

It keeps its promises as the embedded engine does and runs through the same conformance suite.
"""

import threading
from collections.abc import Iterable, Mapping, Sequence
from itertools import takewhile
from typing import NamedTuple

from onefold.clock import Clock
from onefold.errors import NotFoundError, SettingsError
from onefold.limits import PARTITIONS_MAX
from onefold.ports import Record, Retention
from onefold.testing.clock import ManualClock


class _Failure(NamedTuple):
    error: BaseException
    after: int


class _Chunk(NamedTuple):
    written_at_ms: int
    records: list[Record]

    @property
    def end(self) -> int:
        return self.records[-1].offset + 1

    @property
    def size_bytes(self) -> int:
        return sum(len(record.data) for record in self.records)


class MemoryLog:
    """A log that lasts as long as this object: `close` keeps what was appended, so it can be opened again."""

    def __init__(self, partitions: int = 1, clock: Clock | None = None) -> None:
        if not 1 <= partitions <= PARTITIONS_MAX:
            raise SettingsError(f"partitions is {partitions}; it must be from 1 to {PARTITIONS_MAX}")
        self.partitions = partitions
        self._clock = clock or ManualClock()
        self._lock = threading.Lock()
        self._chunks: list[list[_Chunk]] = [[] for _ in range(partitions)]
        self._ends = [0] * partitions
        self._append: list[_Failure] = []
        self._read: list[_Failure] = []

    def fail_next(
        self, *, append: BaseException | None = None, read: BaseException | None = None, after: int = 0
    ) -> None:
        """Make the next append or read raise this; called again, the one after it too.

        An append first writes `after` of its partitions: with `after` less than their number that is a crash between
        two partitions, else one between the commit and the answer. A read first succeeds `after` times.
        """
        with self._lock:
            if append is not None:
                self._append.append(_Failure(append, after))
            if read is not None:
                self._read.append(_Failure(read, after))

    def append(self, batches: Mapping[int, Sequence[bytes]]) -> dict[int, int]:
        """As `LogWriter.append`."""
        with self._lock:
            failure = self._append.pop(0) if self._append else None
            lasts: dict[int, int] = {}
            for partition, records in batches.items():
                if failure and len(lasts) >= failure.after:
                    break
                if records:
                    lasts[partition] = self._write(partition, records)
            if failure:
                raise failure.error
            return lasts

    def read(self, partition: int, offset: int, max_bytes: int) -> list[Record]:
        """As `LogReader.read`."""
        with self._lock:
            self._fail_read()
            first, _ = self._bounds(partition)
            if offset < first:
                raise NotFoundError(f"log partition {partition}: retention has removed {offset}; it begins at {first}")
            found: list[Record] = []
            for chunk in self._chunks[partition]:
                for record in chunk.records if chunk.end > offset else ():
                    if record.offset < offset:
                        continue
                    max_bytes -= len(record.data)
                    if found and max_bytes < 0:
                        return found
                    found.append(record)
            return found

    def has_come(self, partition: int, offset: int) -> bool:
        """As `LogReader.has_come`."""
        return offset < self.ends(partition)[1]

    def ends(self, partition: int) -> tuple[int, int]:
        """As `LogReader.ends`."""
        with self._lock:
            return self._bounds(partition)

    def watch(self, partitions: Iterable[int]) -> int | None:  # noqa: ARG002 - as the port says
        """There are no signs."""
        return None

    def trim(self, partition: int, before: int, retention: Retention) -> int:
        """As `LmdbLogWriter.trim`; bytes are those of the records alone."""
        with self._lock:
            chunks = self._chunks[partition]
            now_ms = self._clock.now_ms()
            live = sum(chunk.size_bytes for chunk in chunks)

            def goes(chunk: _Chunk) -> bool:
                nonlocal live
                old = retention.age_ms is not None and chunk.written_at_ms < now_ms - retention.age_ms
                over = retention.size_bytes is not None and live > retention.size_bytes
                live -= chunk.size_bytes
                return chunk.end <= before and (old or over)

            gone = list(takewhile(goes, chunks))
            del chunks[: len(gone)]
            return sum(len(chunk.records) for chunk in gone)

    def close(self) -> None:
        """Nothing to let go of."""

    def _write(self, partition: int, records: Sequence[bytes]) -> int:
        """Returns the last one's offset."""
        first = self._ends[partition]
        numbered = [Record(first + i, bytes(data)) for i, data in enumerate(records)]
        self._chunks[partition].append(_Chunk(self._clock.now_ms(), numbered))
        self._ends[partition] = first + len(records)
        return self._ends[partition] - 1

    def _bounds(self, partition: int) -> tuple[int, int]:
        chunks = self._chunks[partition]
        return (chunks[0].records[0].offset if chunks else self._ends[partition]), self._ends[partition]

    def _fail_read(self) -> None:
        if not self._read:
            return
        error, after = self._read[0]
        if after:
            self._read[0] = _Failure(error, after - 1)
            return
        del self._read[0]
        raise error
