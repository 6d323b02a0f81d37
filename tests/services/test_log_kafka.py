"""The log on Kafka keeps the port's promises, over a real broker."""

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing

import pytest

from onefold.ports import LogReader, Record, Retention, TrimmingWriter
from onefold.storage.log_kafka import KafkaLogReader, KafkaLogWriter, KafkaOptions
from onefold.testing.clock import ManualClock
from onefold.testing.conformance.log import AnyLog, LogConformance, records
from onefold.testing.servers.kafka import KafkaCluster
from tests.services.kafka_logs import fresh

pytestmark = pytest.mark.services


class OnKafka:
    """The log of one workspace."""

    def __init__(
        self, options: KafkaOptions, opened: Callable[[closing[KafkaLogWriter | KafkaLogReader]], object]
    ) -> None:
        self.clock = ManualClock()
        self._options = options
        self._opened = opened

    def writer(self, partitions: int = 1) -> TrimmingWriter:
        """Another writer."""
        writer = KafkaLogWriter(self._options, partitions, self.clock)
        self._opened(closing(writer))
        return writer

    def reader(self) -> LogReader:
        """Another reader."""
        reader = KafkaLogReader(self._options)
        self._opened(closing(reader))
        return reader


class Followed:
    """A reader that follows all partitions, and reads on until the end of the log or until no more fits."""

    def __init__(self, reader: KafkaLogReader) -> None:
        self.partitions = reader.partitions
        self.ends = reader.ends
        self.watch = reader.watch
        self.close = reader.close
        self._reader = reader
        watch = reader.watch(range(reader.partitions))
        assert watch is not None
        os.close(watch)

    def read(self, partition: int, offset: int, max_bytes: int) -> list[Record]:
        """As `LogReader.read`."""
        found = self._reader.read(partition, offset, max_bytes)
        while found:
            more = self._reader.read(partition, found[-1].offset + 1, max_bytes)
            left = max_bytes - sum(len(record.data) for record in found)
            if not more or len(more[0].data) > left:
                break
            for record in more:
                left -= len(record.data)
                if left >= 0:
                    found.append(record)
        return found


class OnKafkaFollowed(OnKafka):
    """The same, read by those who follow."""

    def reader(self) -> LogReader:
        """Another reader."""
        reader = super().reader()
        assert isinstance(reader, KafkaLogReader)
        return Followed(reader)


@pytest.mark.parametrize("kind", [OnKafka, OnKafkaFollowed])
class TestKafkaLog(LogConformance):
    @pytest.fixture
    def log(self, kafka: KafkaCluster, kind: type[OnKafka]) -> Iterator[AnyLog]:
        with ExitStack() as stack:
            yield kind(fresh(kafka), stack.enter_context)

    def test_trimming_never_passes_the_safe_offset(self, log: AnyLog) -> None:
        """Kafka removes record by record (DeleteRecords), so it removes the part of an append that everyone has read.

        The embedded log removes whole chunks, because a chunk is what it has a checksum of.
        """
        writer, reader = log.writer(), log.reader()
        for name in "abc":
            writer.append({0: records(name, name)})
        log.clock.advance(1000)
        assert [writer.trim(0, safe, Retention(age_ms=0, size_bytes=0)) for safe in (0, 1, 2, 3)] == [0, 1, 1, 1]
        assert reader.ends(0) == (3, 6)

    def test_trimming_by_size_removes_the_oldest(self, log: AnyLog) -> None:
        """A bound on the size removes nothing here: it is the broker's, who alone knows it (`retention.bytes`)."""
        writer, reader = log.writer(), log.reader()
        writer.append({0: [bytes(100_000)] * 20})
        assert writer.trim(0, 20, Retention(size_bytes=0)) == 0
        assert reader.ends(0) == (0, 20)
