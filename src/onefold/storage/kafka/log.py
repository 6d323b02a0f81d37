"""The log on the Kafka protocol: one topic a workspace, `onefold.<workspace>`, whose offsets are the log's.

Nothing here uses transactions, and the topic is never compacted, so that offsets are contiguous. How the topic is made
and why an acknowledgement means durable: `topic`.
"""

import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import zip_longest
from typing import TYPE_CHECKING, NamedTuple

from onefold.clock import Clock, SystemClock
from onefold.errors import NotFoundError, SettingsError, StorageError
from onefold.limits import KIB, PARTITIONS_MAX, RECORD_MAX_BYTES
from onefold.ports import Record, Retention
from onefold.storage.kafka import topic
from onefold.storage.kafka.client import MESSAGE_MAX_BYTES, KafkaOptions, Link, library
from onefold.storage.kafka.feed import Feed
from onefold.storage.kafka.lookup import Lookup
from onefold.storage.kafka.topic import partitions_of

if TYPE_CHECKING:
    from confluent_kafka import KafkaError, Message, Producer

__all__ = ["KafkaLogReader", "KafkaLogWriter", "KafkaOptions", "partitions_of"]

BATCH_BYTES = 1_024 * KIB
"""Of one partition's records that go out as one batch, which readers see whole, and decompress for any part of it."""
_FRAME_BYTES = 100
"""More than Kafka puts around a record in a batch."""
_GRACE_S = 1.5
"""librdkafka looks for records past their time once a second."""


class KafkaLogWriter:
    """Appends to a workspace's log, made first where it is missing, and trims it. May be used by many threads."""

    def __init__(self, options: KafkaOptions, partitions: int, clock: Clock | None = None) -> None:
        """Connect. Raises `SettingsError` where the log has another number of partitions, `Unavailable`."""
        if not 1 <= partitions <= PARTITIONS_MAX:
            raise SettingsError(f"partitions is {partitions}; it must be from 1 to {PARTITIONS_MAX}")
        self.partitions = partitions
        self._link = Link(options)
        self._clock = clock or SystemClock()
        self._admin = topic.admin(self._link)
        found = topic.make(self._link, self._admin, partitions)
        if found != partitions:
            raise SettingsError(
                f"the log in the Kafka topic {options.topic} has {found} partitions, the settings say {partitions}: "
                f"set `partitions` to {found}; to have another number, start with a new workspace"
            )
        self._appending = threading.Lock()
        self._producer: Producer | None = self._connect()

    def append(self, batches: Mapping[int, Sequence[bytes]]) -> dict[int, int]:
        """As `LogWriter.append`: acknowledged by all replicas in sync.

        A partition's records up to `BATCH_BYTES` are one batch, adjacent and seen together. Raises `Unavailable`
        where an acknowledgement did not come in time, when the records may or may not be there, now or later.
        """
        runs = {partition: records for partition, records in batches.items() if records}
        longest = max((len(record) for records in runs.values() for record in records), default=0)
        if longest > RECORD_MAX_BYTES:
            raise StorageError(f"a record of {longest} bytes; the log takes at most {RECORD_MAX_BYTES}")
        if not runs:
            return {}
        # Whoever is before us gives up in time; more than one of them is a queue that does not move.
        if not self._appending.acquire(timeout=self._link.options.timeout_s + _GRACE_S):
            raise self._link.unavailable("append to the log")
        try:
            return self._append(runs)
        finally:
            self._appending.release()

    def trim(self, partition: int, before: int, retention: Retention) -> int:
        """Remove the head of a partition up to `before`, as far as it is old, and return how many records that were.

        Old is what was written longer ago than `age_ms`. Size is the broker's to bound, by the topic's
        `retention.bytes`, and `size_bytes` does nothing here: how large a partition is on disk no client is told.
        """
        if retention.age_ms is None:
            return 0
        until_ms = max(0, self._clock.now_ms() - retention.age_ms)
        first = topic.first_of(self._link, self._admin, partition)
        return topic.trim(self._link, self._admin, (partition, first, before), until_ms)

    def close(self) -> None:
        """Let go of the connections. May be called twice."""
        with self._appending:
            self._producer = None

    def _append(self, runs: Mapping[int, Sequence[bytes]]) -> dict[int, int]:
        producer = self._producer = self._producer or self._connect()
        group = _Group(sum(map(len, runs.values())))
        deadline_s = time.monotonic() + self._link.options.timeout_s + _GRACE_S
        try:
            with self._link.translated("append to the log"):
                # A batch of each partition after the other: librdkafka turns in circles while one waits for another.
                for turn in zip_longest(*(_batches(partition, records) for partition, records in runs.items())):
                    for batch in filter(None, turn):
                        self._produce(producer, batch, group)
                    # While a flush waits, nothing waits for company: what has gathered goes out at once.
                    if producer.flush(max(0.0, deadline_s - time.monotonic())) or group.error is not None:
                        break
        except BaseException:
            self._abandon(producer)
            raise
        if group.waiting or group.error is not None:
            self._abandon(producer)
            if group.error is not None:
                raise self._link.error(group.error, "append to the log")
            raise self._link.unavailable("append to the log")
        return group.lasts

    def _produce(self, producer: "Producer", batch: "_Batch", group: "_Group") -> None:
        topic, now_ms = self._link.options.topic, self._clock.now_ms()
        for record in batch.records:
            producer.produce(topic, record, partition=batch.partition, timestamp=now_ms, on_delivery=group.acknowledge)

    def _abandon(self, producer: "Producer") -> None:
        """After a failure nothing that was under way may be tried again: the next append has a new producer."""
        self._producer = None
        producer.purge()

    def _connect(self) -> "Producer":
        timeout_ms = int(self._link.options.timeout_s * 1000)
        settings = {
            "enable.idempotence": True,
            "acks": "all",
            # Records wait for each other until the append has handed all of them over.
            "linger.ms": timeout_ms // 2,
            "batch.size": BATCH_BYTES + _FRAME_BYTES,
            "batch.num.messages": 1_000_000,
            "message.max.bytes": MESSAGE_MAX_BYTES,
            "message.timeout.ms": timeout_ms,
            "compression.type": "lz4",
            # An append's batches of one turn fit; there is no more than one append under way.
            "queue.buffering.max.kbytes": PARTITIONS_MAX * RECORD_MAX_BYTES // KIB,
            "queue.buffering.max.messages": 0,
        }
        with self._link.translated("make a producer"):
            return library("confluent_kafka").Producer(self._link.config(settings))  # type: ignore[no-any-return]


class KafkaLogReader:
    """Reads a workspace's log. May be used by many threads.

    Partitions that were given to `watch` are followed: they are fetched ahead of being read, and a read gives what has
    come so far, up to `max_bytes`. Others are read wherever one asks.
    """

    def __init__(self, options: KafkaOptions) -> None:
        """Connect. Raises `NotFoundError` where no log was made yet, `Unavailable`."""
        self.partitions = partitions_of(options)
        if not self.partitions:
            raise NotFoundError(f"there is no log in the Kafka topic {options.topic} yet")
        self._options = options
        self._opening = threading.Lock()
        self._lookup: Lookup | None = None
        self._feed: Feed | None = None

    def read(self, partition: int, offset: int, max_bytes: int) -> list[Record]:
        """As `LogReader.read`. Raises `Unavailable` where the brokers do not answer in time."""
        if self._feed is not None and (found := self._feed.read(partition, offset, max_bytes)) is not None:
            return found
        return self._anywhere().read(partition, offset, max_bytes)

    def has_come(self, partition: int, offset: int) -> bool:
        """As `LogReader.has_come`. Of partitions that are not followed nothing is known."""
        return self._feed is None or self._feed.has_come(partition, offset)

    def ends(self, partition: int) -> tuple[int, int]:
        """As `LogReader.ends`."""
        return self._anywhere().ends(partition)

    def watch(self, partitions: Iterable[int]) -> int | None:
        """As `LogReader.watch`. From now on these partitions are followed."""
        watched = frozenset(partitions)
        feed = self.feed()
        feed.follow(watched, at_end=True)
        return feed.watch(watched)

    def close(self) -> None:
        """Let go of the connections. May be called twice."""
        with self._opening:
            for part in (self._feed, self._lookup):
                if part is not None:
                    part.close()
            self._feed = self._lookup = None

    def _anywhere(self) -> Lookup:
        with self._opening:
            self._lookup = self._lookup or Lookup(self._options)
            return self._lookup

    def feed(self) -> Feed:
        """The partitions that are followed."""
        lookup = self._anywhere()
        with self._opening:
            self._feed = self._feed or Feed(self._options, lookup)
            return self._feed


class _Batch(NamedTuple):
    """Records of a partition that go out together."""

    partition: int
    records: Sequence[bytes]


class _Group:
    """The records of one append: how many are not answered yet, where each partition's end, what went wrong."""

    def __init__(self, records: int) -> None:
        self.waiting = records
        self.lasts: dict[int, int] = {}
        self.error: KafkaError | None = None

    def acknowledge(self, error: "KafkaError | None", message: "Message") -> None:
        """One record's answer."""
        self.waiting -= 1
        if error is not None:
            self.error = error
            return
        partition, offset = message.partition(), message.offset()
        assert partition is not None
        assert offset is not None
        self.lasts[partition] = max(self.lasts.get(partition, offset), offset)


def _batches(partition: int, records: Sequence[bytes]) -> Iterator[_Batch]:
    """The records in order, each batch as long as it may be; one that is longer by itself is alone."""
    first = size = 0
    for n, record in enumerate(records):
        framed = len(record) + _FRAME_BYTES
        if n > first and size + framed > BATCH_BYTES:
            yield _Batch(partition, records[first:n])
            first, size = n, 0
        size += framed
    yield _Batch(partition, records[first:])
