"""The log on Kafka keeps the port's promises, over a real broker."""

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, suppress

import pytest
from confluent_kafka.admin import AdminClient
from msgspec import structs

from onefold.errors import NotFoundError, SettingsError
from onefold.ports import LogReader, Record, Retention, TrimmingWriter
from onefold.storage.kafka.client import library
from onefold.storage.kafka.log import KafkaLogReader, KafkaLogWriter, KafkaOptions, partitions_of
from onefold.testing.clock import ManualClock
from onefold.testing.conformance.log import EVERYTHING, AnyLog, LogConformance, named, records
from onefold.testing.servers.kafka import KafkaCluster
from tests.services.kafka_logs import everything, fresh, until

pytestmark = pytest.mark.services
kinds = library("confluent_kafka.admin")


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
        self.has_come = reader.has_come
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

    def test_what_was_removed_is_not_found(self, log: AnyLog) -> None:
        """Who follows may still have in memory what was removed, and gives that, or says that it is gone; no other."""
        if not isinstance(log, OnKafkaFollowed):
            super().test_what_was_removed_is_not_found(log)
            return
        writer, reader = log.writer(), log.reader()
        writer.append({0: records("a")})
        writer.append({0: records("b")})
        log.clock.advance(1)
        assert writer.trim(0, 1, Retention(age_ms=0)) == 1
        with suppress(NotFoundError):
            assert named(reader.read(0, 0, EVERYTHING)) == ["a", "b"]
        assert named(reader.read(0, 1, EVERYTHING)) == ["b"]
        with pytest.raises(NotFoundError):
            reader.read(0, 0, EVERYTHING)

    def test_trimming_by_size_removes_the_oldest(self, log: AnyLog) -> None:
        """A bound on the size removes nothing here: it is the broker's, who alone knows it (`retention.bytes`)."""
        writer, reader = log.writer(), log.reader()
        writer.append({0: [bytes(100_000)] * 20})
        assert writer.trim(0, 20, Retention(size_bytes=0)) == 0
        assert reader.ends(0) == (0, 20)


def test_an_append_may_be_larger_than_a_batch(kafka: KafkaCluster) -> None:
    """Records of two partitions, some batches of each, come back whole and in order, up to the offsets answered."""
    options = fresh(kafka)
    with closing(KafkaLogWriter(options, 2)) as writer, closing(KafkaLogReader(options)) as reader:
        writer.append({1: [b"before"]})
        sent = {p: [b"%d-%d" % (p, n) + os.urandom(100_000) for n in range(50)] for p in (0, 1)}
        assert writer.append(sent) == {0: 49, 1: 50}
        assert everything(reader, 0) == sent[0]
        assert everything(reader, 1) == [b"before", *sent[1]]


def test_two_makers_may_race(kafka: KafkaCluster) -> None:
    """Five writers that make one log at once all get it, and five others another number of partitions refused."""
    options = fresh(kafka)
    with ThreadPoolExecutor(10) as pool:
        opened = [pool.submit(KafkaLogWriter, options, 3 + n % 2) for n in range(10)]
    refused = [isinstance(each.exception(), SettingsError) for each in opened]
    assert refused in ([n % 2 == 0 for n in range(10)], [n % 2 == 1 for n in range(10)])
    assert partitions_of(options) in {3, 4}
    for each in opened:
        if each.exception() is None:
            each.result().close()


def test_there_is_no_log_until_it_is_made(kafka: KafkaCluster) -> None:
    """Asking makes nothing: there are no partitions, and a reader is told that there is no log."""
    options = fresh(kafka)
    for _ in range(2):
        assert partitions_of(options) == 0
        with pytest.raises(NotFoundError, match=options.topic):
            KafkaLogReader(options)


@pytest.mark.parametrize(
    ("config", "told"),
    [
        ({"flush.messages": "1", "max.message.bytes": "9000000"}, ""),
        ({"max.message.bytes": "9000000"}, "flush.messages=1"),
        ({"flush.messages": "1"}, "max.message.bytes="),
        ({"flush.messages": "1", "max.message.bytes": "9000000", "cleanup.policy": "compact"}, "cleanup.policy=delete"),
    ],
)
def test_a_topic_that_would_lose_events_is_refused(kafka: KafkaCluster, config: dict[str, str], told: str) -> None:
    """An operator's own topic is taken where an acknowledgement there means what it must; else the mending is told."""
    options = fresh(kafka)
    administrator = AdminClient({"bootstrap.servers": options.bootstrap, "log_level": 0})
    for made in administrator.create_topics([kinds.NewTopic(options.topic, 1, 1, config=config)]).values():
        made.result()
    until(lambda: partitions_of(options))
    if not told:
        KafkaLogWriter(options, 1).close()
        return
    with pytest.raises(SettingsError, match=f"--add-config {told}"):
        KafkaLogWriter(options, 1)


def test_a_log_on_three_brokers_is_replicated(kafka_three: KafkaCluster) -> None:
    """Its topic has three replicas, two of which must have a record, and the broker removes nothing by itself."""
    options = fresh(kafka_three)
    KafkaLogWriter(options, 2).close()
    administrator = AdminClient({"bootstrap.servers": options.bootstrap, "log_level": 0})
    found = administrator.list_topics(timeout=10).topics[options.topic].partitions
    assert [len(each.replicas) for each in found.values()] == [3, 3]
    (config,) = administrator.describe_configs(
        [kinds.ConfigResource(kinds.ConfigResource.Type.TOPIC, options.topic)]
    ).values()
    values = {name: entry.value for name, entry in config.result().items()}
    wanted = {"min.insync.replicas": "2", "retention.ms": "-1", "retention.bytes": "-1", "cleanup.policy": "delete"}
    assert values | wanted == values
    assert int(values["flush.messages"]) > 1 << 32


def test_unknown_properties_are_refused(kafka: KafkaCluster) -> None:
    """A property that librdkafka does not know, or that is Onefold's own to set, is told as a wrong setting."""
    options = fresh(kafka)
    for extra, told in (({"securty.protocol": "ssl"}, "securty"), ({"client.id": "x"}, "client.id")):
        with pytest.raises(SettingsError, match=told):
            KafkaLogWriter(structs.replace(options, extra=extra), 1)
    KafkaLogWriter(structs.replace(options, extra={"security.protocol": "plaintext"}), 1).close()
