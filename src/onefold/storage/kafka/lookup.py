"""Records of a log on Kafka at any place: for who asks for single ones, as the API and deliveries do.

A consumer is moved to where it is asked for. What its fetch brought beyond that is kept for a while, since whoever
asks for one record mostly asks for its neighbours next.
"""

import threading
import time
from collections import OrderedDict
from collections.abc import Iterable
from typing import TYPE_CHECKING

from onefold.errors import Damaged, NotFoundError
from onefold.limits import KIB, MIB
from onefold.ports import Record
from onefold.storage.kafka.client import KafkaOptions, Link, bounds_of, consumer, ends_of

if TYPE_CHECKING:
    from confluent_kafka import KafkaError, Message

CACHE_BYTES = 16 * MIB
_FETCH_BYTES = 64 * KIB
"""Of compressed records, or one batch where that is longer: enough neighbours, and still quick."""
_BEYOND_MAX = 256
"""Records kept beyond those that a read wanted."""
_SETTINGS = {
    "fetch.message.max.bytes": _FETCH_BYTES,
    "queued.min.messages": 1,
    "queued.max.messages.kbytes": 1_024,
    # A broker's answer is outstanding for so long at the end of a log, and a move waits for it.
    "fetch.wait.max.ms": 1,
    "fetch.error.backoff.ms": 50,
    # The next fetch looks so often whether it may begin: mostly the one before has been taken at once.
    "fetch.queue.backoff.ms": 2,
}
_DOING = "read the log"


class Lookup:
    """Reads anywhere, one read at a time; any number of threads may ask."""

    def __init__(self, options: KafkaOptions) -> None:
        self._link = Link(options)
        self._consumer = consumer(self._link, _SETTINGS)
        self._lock = threading.Lock()
        self._cache = _Cache()
        self._at: tuple[int, int] | None = None
        """Where the consumer goes on, partition and offset; None: nowhere."""
        self._broken: tuple[int, KafkaError] | None = None
        """The offset of a batch that is damaged, of which librdkafka tells before it gives what comes before that."""

    def read(self, partition: int, offset: int, max_bytes: int) -> list[Record]:
        """As `LogReader.read`. What was fetched before retention removed it may still be given."""
        with self._lock:
            found, room = self._cache.run(partition, offset, max_bytes)
            if room < 0:
                return found
            end = ends_of(self._link, self._consumer, [partition])[partition]
            self._fetch(partition, found, (offset, end), room)
            return found

    def ends(self, partition: int) -> tuple[int, int]:
        """As `LogReader.ends`."""
        with self._lock:
            return bounds_of(self._link, self._consumer, partition)

    def last(self, partitions: Iterable[int]) -> dict[int, int]:
        """Partition → the offset after its last record."""
        with self._lock:
            return ends_of(self._link, self._consumer, partitions)

    def close(self) -> None:
        """Leave the brokers."""
        with self._lock:
            self._consumer.close()

    def _fetch(self, partition: int, found: list[Record], span: tuple[int, int], room: int) -> None:
        """Go on from what was found until the end of the span, or until there is no more room."""
        offset, end = span[0] + len(found), span[1]
        if offset >= end:
            if not found:
                self._refuse_removed(partition, offset)
            return
        deadline_s = time.monotonic() + self._link.options.timeout_s
        self._move(partition, offset)
        while offset < end:
            if self._broken is not None and offset >= self._broken[0]:
                error = self._broken[1]
                self._stop()
                if found:
                    return
                raise self._link.error(error, _DOING)
            message = self._consumer.poll(max(0.0, deadline_s - time.monotonic()))
            if message is None:
                self._stop()
                raise self._link.unavailable(_DOING)
            if self._tells_of_damage(message, offset):
                continue
            record = self._record(message, partition, offset)
            self._cache.put(partition, record)
            room -= len(record.data)
            if found and room < 0:
                break
            found.append(record)
            offset += 1
            deadline_s = time.monotonic() + self._link.options.timeout_s
        self._keep_beyond(partition, end)

    def _keep_beyond(self, partition: int, end: int) -> None:
        assert self._at is not None
        for message in self._consumer.consume(_BEYOND_MAX, 0):
            if message.error() is not None:  # Whoever asks for what comes there will be told.
                self._stop()
                return
            self._cache.put(partition, self._record(message, partition, self._at[1]))
        if self._at[1] >= end:
            self._stop()

    def _record(self, message: "Message", partition: int, offset: int) -> Record:
        """The record in a message, which must be this one. Raises `NotFoundError`, `Damaged`, `StorageError`."""
        if (error := message.error()) is not None:
            self._stop()
            if error.name() == "_AUTO_OFFSET_RESET":
                self._refuse_removed(partition, offset)
            raise self._link.error(error, _DOING)
        if message.offset() != offset:
            self._stop()
            raise missing(partition, offset, message.offset())
        self._at = (partition, offset + 1)
        return Record(offset, message.value() or b"")

    def _tells_of_damage(self, message: "Message", offset: int) -> bool:
        error, at = message.error(), message.offset()
        if error is None or error.name() == "_AUTO_OFFSET_RESET" or at is None or at < offset:
            return False
        self._broken = (at, error)
        return True

    def _refuse_removed(self, partition: int, offset: int) -> None:
        first, _ = bounds_of(self._link, self._consumer, partition)
        if offset < first:
            raise removed(partition, offset, first)

    def _move(self, partition: int, offset: int) -> None:
        if self._at != (partition, offset):
            self._at = (partition, offset)
            self._broken = None
            with self._link.translated(_DOING):
                self._consumer.assign([self._link.place(partition, offset)])

    def _stop(self) -> None:
        self._at = self._broken = None
        self._consumer.unassign()


class _Cache:
    """The records fetched last, of at most `CACHE_BYTES`, or one that is longer."""

    def __init__(self) -> None:
        self._records: OrderedDict[tuple[int, int], Record] = OrderedDict()
        self._bytes = 0

    def run(self, partition: int, offset: int, max_bytes: int) -> tuple[list[Record], int]:
        """Records from `offset` on as far as they are here, and how many bytes more fit; negative: the read is full."""
        found: list[Record] = []
        while (record := self._records.get((partition, offset + len(found)))) is not None:
            max_bytes -= len(record.data)
            if found and max_bytes < 0:
                break
            found.append(record)
        return found, max_bytes

    def put(self, partition: int, record: Record) -> None:
        """Keep a record, and let go of the oldest beyond the bound."""
        key = (partition, record.offset)
        if key in self._records:
            return
        self._records[key] = record
        self._bytes += len(record.data)
        while self._bytes > CACHE_BYTES and len(self._records) > 1:
            _, gone = self._records.popitem(last=False)
            self._bytes -= len(gone.data)


def removed(partition: int, offset: int, first: int) -> NotFoundError:
    """What to raise where retention has removed a record."""
    return NotFoundError(f"log partition {partition}: retention has removed {offset}; it begins at {first}")


def missing(partition: int, offset: int, found: int | None) -> Damaged:
    """What to raise where a partition has a gap."""
    return Damaged(f"log partition {partition}: offsets {offset} to {found} are missing; restore from a backup")
