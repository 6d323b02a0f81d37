"""Followed partitions of a log on Kafka: bounded memory, reads from anywhere, watches, what retention removed."""

import os
import select
from contextlib import closing

import pytest

from onefold.errors import NotFoundError
from onefold.ports import Retention
from onefold.storage.kafka.feed import LANES_BYTES
from onefold.storage.kafka.log import KafkaLogReader, KafkaLogWriter
from onefold.testing.clock import ManualClock
from onefold.testing.conformance.log import EVERYTHING
from onefold.testing.servers.kafka import KafkaCluster
from tests.services.kafka_logs import fresh, until

pytestmark = pytest.mark.services
MIB = 1 << 20


def test_a_backlog_is_read_in_bounded_memory(kafka: KafkaCluster) -> None:
    """Two partitions of 80 MiB each fill the buffer once, are paused, and are read whole all the same."""
    options = fresh(kafka)
    with closing(KafkaLogWriter(options, 2)) as writer, closing(KafkaLogReader(options)) as reader:
        for n in range(80):
            writer.append({p: [b"%05d" % (n * 16 + k) + os.urandom(MIB // 16) for k in range(16)] for p in (0, 1)})
        watch = reader.watch([0, 1])
        assert watch is not None
        assert [reader.read(p, 0, 1)[0].offset for p in (0, 1)] == [0, 0]
        feed = reader.feed()
        until(lambda: feed.held_bytes() > LANES_BYTES)
        for partition in (0, 1):
            offset = 0
            while found := reader.read(partition, offset, 16 * MIB):
                assert [int(record.data[:5]) for record in found] == list(range(offset, offset + len(found)))
                offset += len(found)
                assert feed.held_bytes() < LANES_BYTES + 16 * MIB
            assert offset == 80 * 16
        os.close(watch)


def test_what_was_taken_makes_room_without_another_read(kafka: KafkaCluster) -> None:
    """Who only asks whether there is more hears of what comes after a record that filled the partition's share."""
    options = fresh(kafka)
    with closing(KafkaLogWriter(options, 64)) as writer, closing(KafkaLogReader(options)) as reader:
        watch = reader.watch(range(64))
        assert watch is not None
        for offset in range(2):
            writer.append({0: [os.urandom(2 * MIB)]})
            until(lambda: reader.has_come(0, offset))  # noqa: B023 - called here
            assert [record.offset for record in reader.read(0, offset, EVERYTHING)] == [offset]
            assert not reader.has_come(0, offset + 1)
        os.close(watch)


def test_a_part_that_was_not_taken_is_read_again(kafka: KafkaCluster) -> None:
    """Reads go on wherever the reader says: after what it took, before it, or far ahead."""
    options = fresh(kafka)
    with closing(KafkaLogWriter(options, 1)) as writer, closing(KafkaLogReader(options)) as reader:
        watch = reader.watch([0])
        assert watch is not None
        writer.append({0: [b"%d" % n for n in range(100)]})
        for offset in (0, 10, 5, 99, 0, 50, 51):
            assert reader.read(0, offset, 1)[0].data == b"%d" % offset
        assert reader.read(0, 100, 1) == reader.read(0, 200, 1) == []
        os.close(watch)


def test_what_retention_removed_is_not_found_by_who_follows(kafka: KafkaCluster) -> None:
    """A follower that comes too late is told so, and goes on where the log begins."""
    options, clock = fresh(kafka), ManualClock()
    with closing(KafkaLogWriter(options, 1, clock)) as writer, closing(KafkaLogReader(options)) as reader:
        watch = reader.watch([0])
        assert watch is not None
        writer.append({0: [b"a", b"b", b"c"]})
        assert reader.read(0, 3, EVERYTHING) == []
        clock.advance(1)
        assert writer.trim(0, 2, Retention(age_ms=0)) == 2
        with pytest.raises(NotFoundError, match="begins at 2"):
            reader.read(0, 0, EVERYTHING)
        assert [record.data for record in reader.read(0, 2, EVERYTHING)] == [b"c"]
        os.close(watch)


def test_every_watch_tells_of_its_partitions(kafka: KafkaCluster) -> None:
    """Two watches on one reader are told of their own partitions each; one that was closed is no trouble."""
    options = fresh(kafka)
    with closing(KafkaLogWriter(options, 2)) as writer, closing(KafkaLogReader(options)) as reader:
        gone, zero, one = (reader.watch([partition]) for partition in (0, 0, 1))
        assert gone is not None
        assert zero is not None
        assert one is not None
        os.close(gone)
        for watch in (zero, one):
            _empty(watch)
        for _ in range(2):
            writer.append({0: [b"a"]})
            assert select.select([zero], [], [], 10)[0]
            _empty(zero)
        assert not select.select([one], [], [], 0)[0]
        writer.append({1: [b"b"]})
        assert select.select([one], [], [], 10)[0]
        for watch in (zero, one):
            os.close(watch)


def _empty(watch: int) -> None:
    while select.select([watch], [], [], 0)[0]:
        os.read(watch, 4096)
