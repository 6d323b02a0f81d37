"""Followed partitions of a log on Kafka: a thread consumes them into memory, where a worker's reads find them.

A partition's records stay until a read asks for what comes after them, so that who takes a part of what was read finds
the rest still there. Above a mark the partition is paused, while the thread goes on polling for the others.
"""

import os
import threading
import time
from collections import deque
from collections.abc import Iterable
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

from onefold.errors import StorageError
from onefold.limits import KIB, MIB
from onefold.ports import Record
from onefold.storage.kafka.client import KafkaOptions, Link, consumer
from onefold.storage.kafka.lookup import Lookup, removed

if TYPE_CHECKING:
    from confluent_kafka import Consumer, KafkaError, Message

LANES_BYTES = 64 * MIB
"""Records of all followed partitions in memory; beyond, each waits that holds more than its share."""
_LANE_MAX_BYTES = 32 * MIB
_LANE_MIN_BYTES = 1 * MIB
_PREFETCH_BYTES = 8 * MIB
"""What librdkafka may hold besides. A pause throws it away, so that it should be little beside a lane."""
_SETTINGS = {
    "queued.min.messages": 100_000,
    "queued.max.messages.kbytes": _PREFETCH_BYTES // KIB,
    # Of compressed records, which may be far larger when they have come.
    "fetch.message.max.bytes": 256 * KIB,
    # A partition that is begun or goes on after a pause may wait for so long, while a broker has nothing to say.
    "fetch.wait.max.ms": 200,
    "fetch.error.backoff.ms": 50,
    "fetch.queue.backoff.ms": 10,
}
_POLL_S = 0.05
"""A partition that a read begins elsewhere, or that may go on, waits for so long while nothing comes."""
_BUNCH = 100
"""Messages taken over at once, before a lane is looked at again."""
_DOING = "follow the log"


class Feed:
    """Follows partitions from where they are first read. Any number of threads may read, each its own partitions."""

    def __init__(self, options: KafkaOptions, lookup: Lookup) -> None:
        """`lookup` answers where partitions end."""
        self._link = Link(options)
        self._lookup = lookup
        self._changed = threading.Condition()
        self._lanes: dict[int, _Lane] = {}
        self._moved: set[int] = set()
        """Partitions whose lane begins elsewhere than the consumer goes on."""
        self._watches: list[_Watch] = []
        self._closed = False
        self._thread = threading.Thread(
            target=self._run, args=(consumer(self._link, _SETTINGS),), name="onefold-follow", daemon=True
        )
        self._thread.start()

    def follow(self, partitions: Iterable[int], *, at_end: bool) -> None:
        """Serve these from memory from now on; what comes is told to watches at once, or once they were first read."""
        with self._changed:
            new = [partition for partition in partitions if partition not in self._lanes]
        ends = self._lookup.last(new) if at_end and new else {}
        with self._changed:
            for partition in new:
                self._lanes[partition] = _Lane()
                if partition in ends:
                    self._begin(partition, ends[partition])
            self._tell(set(new))

    def unfollow(self, partitions: Iterable[int]) -> None:
        """Forget these and stop to fetch them."""
        with self._changed:
            gone = {partition for partition in partitions if self._lanes.pop(partition, None) is not None}
            self._tell(gone)
            self._changed.notify_all()

    def tell(self, partitions: Iterable[int]) -> None:
        """Have whoever watches these look again."""
        with self._changed:
            self._tell(set(partitions))

    def asked(self) -> dict[int, int]:
        """Partition → the offset that it was last read from; of those that were read since they are followed."""
        with self._changed:
            return {partition: lane.asked for partition, lane in self._lanes.items() if lane.asked is not None}

    def held_bytes(self) -> int:
        """Records in memory now, besides what librdkafka holds."""
        with self._changed:
            return sum(lane.bytes for lane in self._lanes.values())

    def watch(self, partitions: Iterable[int] | None) -> int:
        """As `LogReader.watch`; None: all that are followed, now or later, and whenever they become others."""
        ear, mouth = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        with self._changed:
            self._watches.append(_Watch(None if partitions is None else frozenset(partitions), mouth))
        return ear

    def has_come(self, partition: int, offset: int) -> bool:
        """As `LogReader.has_come`: at the end of a log `read` asks the broker, each time.

        Who asks at the end has taken all that is here: that makes room, which a full partition waits for.
        """
        with self._changed:
            lane = self._lanes.get(partition)
            if lane is None or lane.end != offset or lane.failure is not None:
                return True
            lane.take(offset, 0)
            return False

    def read(self, partition: int, offset: int, max_bytes: int) -> list[Record] | None:
        """As `LogReader.read`, but of what has come so far, if anything has; None: the partition is not followed."""
        deadline_s = time.monotonic() + self._link.options.timeout_s
        while True:
            with self._changed:
                lane = self._lanes.get(partition)
                if lane is None:
                    return None
                if found := lane.take(offset, max_bytes):
                    return found
                begun = lane.end == offset and lane.failure is None
            end = self._lookup.last([partition])[partition]
            if not begun and offset <= end:
                self._begin_at(partition, offset)
            if offset >= end:
                return []
            self._await(partition, offset, deadline_s)

    def close(self) -> None:
        """End the thread, which leaves the brokers."""
        self._closed = True
        self._thread.join()
        with self._changed:
            self._lanes.clear()
            self._changed.notify_all()
            for watch in self._watches:
                os.close(watch.mouth)
            self._watches = []

    def _begin_at(self, partition: int, offset: int) -> None:
        first, _ = self._lookup.ends(partition)
        if offset < first:
            raise removed(partition, offset, first)
        with self._changed:
            self._begin(partition, offset)

    def _begin(self, partition: int, offset: int) -> None:
        """Have it fetched from here on. What the thread has in hand from elsewhere does not fit, and is dropped."""
        if (lane := self._lanes.get(partition)) is not None:
            lane.begin(offset)
            self._moved.add(partition)

    def _await(self, partition: int, offset: int, deadline_s: float) -> None:
        """Return when the record at `offset` is here, or where to look again. Raises `Damaged`, `Unavailable`."""

        def settled() -> bool:
            lane = self._lanes.get(partition)
            return lane is None or lane.failure is not None or lane.end != offset

        with self._changed:
            if not self._changed.wait_for(settled, deadline_s - time.monotonic()):
                raise self._link.unavailable(_DOING)
            lane = self._lanes.get(partition)
            error = lane.failure if lane is not None and lane.end == offset else None
        # Where retention was faster, the next look finds it out.
        if error is not None and error.name() != "_AUTO_OFFSET_RESET":
            raise self._link.error(error, _DOING)

    def _run(self, source: "Consumer") -> None:
        """All that is done with the consumer, as it is for one thread."""
        fetched = _Fetched(self._link, source)
        while not self._closed:
            try:
                with self._link.translated(_DOING):
                    self._steer(fetched)
                    messages = fetched.messages()
            except StorageError as error:  # Whoever reads will be told in time.
                self._link.trouble = str(error)
                continue
            if messages:
                self._take_over(messages)
        source.close()

    def _steer(self, fetched: "_Fetched") -> None:
        """Have fetched what is wanted now."""
        with self._changed:
            share = max(_LANE_MIN_BYTES, min(_LANE_MAX_BYTES, LANES_BYTES // max(1, len(self._lanes))))
            wanted = self._lanes.keys() & fetched.partitions
            gone = fetched.partitions - self._lanes.keys()
            moves = {partition: lane.end for partition in self._moved if (lane := self._lanes.get(partition))}
            self._moved.clear()
            full = {partition for partition in wanted if self._lanes[partition].bytes > share}
            low = {partition for partition in fetched.paused & wanted if self._lanes[partition].bytes < share // 2}
        fetched.drop(gone)
        fetched.move({partition: offset for partition, offset in moves.items() if offset is not None})
        fetched.pause(full - moves.keys())
        fetched.resume(low - moves.keys())

    def _take_over(self, messages: list["Message"]) -> None:
        with self._changed:
            self._tell({partition for message in messages if (partition := self._put(message)) is not None})
            self._changed.notify_all()

    def _put(self, message: "Message") -> int | None:
        """Take in one message; returns the partition where there is news."""
        partition, error = message.partition(), message.error()
        lane = None if partition is None else self._lanes.get(partition)
        if partition in self._moved:  # It comes from where nobody reads any more.
            return None
        if lane is None:
            if error is not None:
                self._link.trouble = error.str()
            return None
        if error is not None:
            lane.fail(error, message.offset())
        elif not lane.put(message):
            return None
        return partition

    def _tell(self, partitions: set[int]) -> None:
        """Write to the watches of these. Whoever has not read the last bytes yet needs no more of them."""
        for watch in list(self._watches):
            if not partitions or (watch.partitions is not None and watch.partitions.isdisjoint(partitions)):
                continue
            try:
                os.write(watch.mouth, b"\0")
            except BlockingIOError:
                continue
            except BrokenPipeError:
                self._watches.remove(watch)
                os.close(watch.mouth)


class _Fetched:
    """What the consumer fetches."""

    def __init__(self, link: Link, source: "Consumer") -> None:
        self.partitions: set[int] = set()
        self.paused: set[int] = set()
        self._link = link
        self._source = source

    def messages(self) -> list["Message"]:
        """What has come, after a short wait for the first of it."""
        message = self._source.poll(_POLL_S)
        return [message, *self._source.consume(_BUNCH, 0)] if message is not None else []

    def drop(self, partitions: set[int]) -> None:
        """Fetch these no longer."""
        if partitions:
            self._source.incremental_unassign([self._link.place(partition) for partition in partitions])
            self.partitions -= partitions

    def move(self, offsets: dict[int, int]) -> None:
        """Fetch these from here on."""
        self.drop(self.partitions & offsets.keys())
        if offsets:
            self._source.incremental_assign([self._link.place(*place) for place in offsets.items()])
            self.partitions |= offsets.keys()
        # A pause outlives its assignment.
        self.resume(self.paused & offsets.keys())

    def pause(self, partitions: set[int]) -> None:
        """Fetch these later."""
        if new := partitions - self.paused:
            self._source.pause([self._link.place(partition) for partition in new])
            self.paused |= new

    def resume(self, partitions: set[int]) -> None:
        """Go on with these."""
        if partitions:
            self._source.resume([self._link.place(partition) for partition in partitions])
            self.paused -= partitions


class _Watch(NamedTuple):
    """Whom to tell of what."""

    partitions: frozenset[int] | None
    mouth: int


class _Lane:
    """One partition's records that have come and are not passed yet, without gaps, up to `end`."""

    def __init__(self) -> None:
        self.records: deque[Record] = deque()
        self.bytes = 0
        self.end: int | None = None
        """Offset of the record to come next; None: nothing is fetched yet."""
        self.asked: int | None = None
        self._error: KafkaError | None = None
        self._error_at = 0

    @property
    def failure(self) -> "KafkaError | None":
        """Why no more comes."""
        return self._error if self.end is None or self.end >= self._error_at else None

    def begin(self, offset: int) -> None:
        """Be empty, and wait for this record."""
        self.records.clear()
        self.bytes = 0
        self.end = offset
        self._error = None

    def fail(self, error: "KafkaError", offset: int | None) -> None:
        """What comes at an offset cannot be had, though what comes before may be yet to come; without one: nothing."""
        if self._error is None:
            self._error, self._error_at = error, max(0, offset or 0)

    def put(self, message: "Message") -> bool:
        """Take in the next record, and no other; whether it was the next."""
        if self.end is None or message.offset() != self.end or self.failure is not None:
            return False
        record = Record(self.end, message.value() or b"")
        self.records.append(record)
        self.bytes += len(record.data)
        self.end += 1
        return True

    def take(self, offset: int, max_bytes: int) -> list[Record]:
        """Records from `offset` on, at least one where it is here; forgets those before."""
        self.asked = offset
        records = self.records
        if not records or offset < records[0].offset or (self.end is not None and offset > self.end):
            return []
        while records and records[0].offset < offset:
            self.bytes -= len(records.popleft().data)
        taken = 0
        for record in records:
            max_bytes -= len(record.data)
            if taken and max_bytes < 0:
                break
            taken += 1
        return list(islice(records, taken))
