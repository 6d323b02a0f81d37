"""The log on Kafka with brokers that are killed, that hang, or whose disk lies: nothing acknowledged is lost."""

import os
import re
import resource
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Self

import pytest
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewPartitions

from onefold.errors import Damaged, Unavailable
from onefold.storage.kafka.log import KafkaLogReader, KafkaLogWriter, KafkaOptions, partitions_of
from onefold.testing.servers.kafka import KafkaCluster
from tests.services.kafka_logs import everything, fresh, until

pytestmark = pytest.mark.services
MIB = 1 << 20


class Appenders:
    """Threads that append records of their own, never the same one twice, and remember what was acknowledged."""

    def __init__(self, writer: KafkaLogWriter, threads: int = 4) -> None:
        self.acknowledged: list[list[bytes]] = [[] for _ in range(threads)]
        self.refused = 0
        self._writer = writer
        self._done = threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(n,)) for n in range(threads)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        for thread in self._threads:
            thread.join()

    @property
    def count(self) -> int:
        """Records acknowledged so far."""
        return sum(map(len, self.acknowledged))

    def go_on(self, records: int = 40) -> None:
        """Return when so many more were acknowledged."""
        enough = self.count + records
        until(lambda: self.count >= enough)

    def _run(self, name: int) -> None:
        number = 0
        while not self._done.is_set():
            record = b"%d-%d" % (name, number)
            number += 1
            try:
                self._writer.append({0: [record]})
            except Unavailable:
                self.refused += 1
            else:
                self.acknowledged[name].append(record)


def check(appenders: Appenders, options: KafkaOptions) -> None:
    """Every acknowledged record is there once and after those before it; no other is there twice."""
    with closing(KafkaLogReader(options)) as reader:
        found = everything(reader)
    assert max(Counter(found).values()) == 1
    place = {record: n for n, record in enumerate(found)}
    for own in appenders.acknowledged:
        places = [place[record] for record in own]
        assert places == sorted(places)


def test_what_a_client_believes_of_partitions_is_not_for_ever(kafka: KafkaCluster) -> None:
    """A client that was told of fewer partitions, as a broker that has just begun may tell it, asks again."""
    options = fresh(kafka)
    with closing(KafkaLogWriter(options, 1)), closing(KafkaLogReader(options)) as reader:
        assert reader.ends(0) == (0, 0)
        administrator = AdminClient({"bootstrap.servers": kafka.bootstrap})
        administrator.create_partitions([NewPartitions(options.topic, 2)])[options.topic].result()
        until(lambda: partitions_of(options) == 2)
        with closing(KafkaLogWriter(options, 2)) as writer:
            writer.append({1: [b"there"]})
        assert reader.ends(1) == (0, 1)
        assert everything(reader, 1) == [b"there"]


def test_a_killed_broker_loses_nothing_acknowledged(kafka: KafkaCluster) -> None:
    """The only broker is killed amid appends by four threads, and started again; appends go on by themselves."""
    options = fresh(kafka)
    with closing(KafkaLogWriter(options, 1)) as writer:
        with Appenders(writer) as appenders:
            appenders.go_on()
            kafka.kill(0)
            kafka.restart(0)
            appenders.go_on()
        check(appenders, options)


def test_appends_go_on_when_a_leader_is_killed(kafka_three: KafkaCluster) -> None:
    """Of three brokers the one that leads is killed: another leads, appends go on, and nothing is lost or doubled."""
    options = fresh(kafka_three)
    with closing(KafkaLogWriter(options, 1)) as writer:
        with Appenders(writer) as appenders:
            appenders.go_on()
            leader = _leader(options)
            kafka_three.kill(leader)
            appenders.go_on(200)
            assert _leader(options) != leader
            kafka_three.restart(leader)
            appenders.go_on()
        check(appenders, options)


def test_a_followed_partition_outlives_its_broker(kafka: KafkaCluster) -> None:
    """A reader goes on after its broker was killed and started again, and meanwhile says that it is away."""
    options = fresh(kafka, timeout_s=2.0)
    with closing(KafkaLogWriter(options, 1)) as writer, closing(KafkaLogReader(options)) as reader:
        watch = reader.watch([0])
        assert watch is not None
        writer.append({0: [b"before"]})
        assert [record.data for record in reader.read(0, 0, 100)] == [b"before"]
        kafka.kill(0)
        with pytest.raises(Unavailable, match=re.escape(kafka.bootstrap)):
            reader.read(0, 1, 100)
        kafka.restart(0)
        until(lambda: _appended(writer, b"after"))
        until(lambda: _read(reader, 1) == [b"after"])
        os.close(watch)


def test_a_broker_that_hangs_makes_appends_and_reads_fail_in_time(kafka: KafkaCluster) -> None:
    """While it is paused both raise `Unavailable` within their time, without using CPU or memory; then all goes on."""
    options = fresh(kafka, timeout_s=1.0)
    with closing(KafkaLogWriter(options, 1)) as writer, closing(KafkaLogReader(options)) as reader:
        writer.append({0: [b"before"]})
        assert reader.ends(0) == (0, 1)
        kafka.pause(0)
        try:
            records = [os.urandom(MIB // 4) for _ in range(64)]
            before_bytes, before_s, began_s = _memory_bytes(), time.process_time(), time.monotonic()
            for _ in range(4):
                with _within(5.0), pytest.raises(Unavailable, match="could not append"):
                    writer.append({0: records})
            assert _memory_bytes() - before_bytes < 40 * MIB
            assert time.process_time() - before_s < 0.3 * (time.monotonic() - began_s)
            with _within(3.0), pytest.raises(Unavailable, match="could not"):
                reader.read(0, 1, 100)
            with _within(3.0), pytest.raises(Unavailable, match="could not"):
                reader.ends(0)
        finally:
            kafka.resume(0)
        until(lambda: _appended(writer, b"after"))
        found = everything(reader)
        assert found.count(b"before") == 1
        assert found[-1] == b"after"


def test_threads_that_wait_for_a_broker_that_hangs_all_come_back(kafka: KafkaCluster) -> None:
    """Ten threads that append at once are all refused, in a time that does not grow with their number."""
    options = fresh(kafka, timeout_s=1.0)
    with closing(KafkaLogWriter(options, 1)) as writer:
        until(lambda: _appended(writer, b"before"))
        kafka.pause(0)
        try:
            with _within(10.0):
                refused: list[Unavailable] = []
                threads = [threading.Thread(target=_refused, args=(writer, refused)) for _ in range(10)]
                for thread in threads:
                    thread.start()
                for thread in threads:
                    thread.join()
            assert len(refused) == 10
        finally:
            kafka.resume(0)


def test_nobody_waits_for_brokers_that_are_not_there() -> None:
    """Opening a log at an address where nothing listens says so within its time."""
    with _within(10.0), pytest.raises(Unavailable, match=r"127\.0\.0\.1:9 could not say .*refused"):
        KafkaLogReader(KafkaOptions("127.0.0.1:9", timeout_s=3.0))


@pytest.mark.parametrize("followed", [False, True])
def test_a_flipped_bit_is_found(kafka: KafkaCluster, followed: bool) -> None:  # noqa: FBT001 - a case
    """A record whose bytes have changed on the broker's disk is not given to anybody, and those before it still are."""
    options = fresh(kafka)
    with closing(KafkaLogWriter(options, 1)) as writer, closing(KafkaLogReader(options)) as reader:
        for name in (b"first", b"second", b"third"):
            writer.append({0: [name * 9]})
        (segment,) = (kafka.directory(0) / f"{options.topic}-0").glob("*.log")
        _flip(segment, b"second")
        watch = reader.watch([0]) if followed else None
        assert reader.read(0, 0, 1)[0].data == b"first" * 9
        with pytest.raises(Damaged, match="CRC32C"):
            reader.read(0, 1, 1)
        with pytest.raises(Damaged, match="CRC32C"):
            reader.read(0, 1, 1)
        assert reader.read(0, 2, 1)[0].data == b"third" * 9
        if watch is not None:
            os.close(watch)


def _leader(options: KafkaOptions) -> int:
    metadata = AdminClient({"bootstrap.servers": options.bootstrap, "log_level": 0}).list_topics(timeout=10)
    return int(metadata.topics[options.topic].partitions[0].leader)


def _appended(writer: KafkaLogWriter, record: bytes) -> bool:
    try:
        writer.append({0: [record]})
    except Unavailable:
        return False
    return True


def _read(reader: KafkaLogReader, offset: int) -> list[bytes]:
    try:
        return [record.data for record in reader.read(0, offset, 100)]
    except Unavailable:
        return []


def _refused(writer: KafkaLogWriter, refused: list[Unavailable]) -> None:
    try:
        writer.append({0: [b"x"]})
    except Unavailable as error:
        refused.append(error)


def _flip(file: Path, inside: bytes) -> None:
    content = bytearray(file.read_bytes())
    content[content.index(inside)] ^= 1
    with file.open("r+b") as handle:
        handle.write(content)


def _memory_bytes() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize()


class _within:  # noqa: N801 - reads as a verb
    """Fails where what is done in it takes longer."""

    def __init__(self, most_s: float) -> None:
        self._most_s = most_s

    def __enter__(self) -> None:
        self._began_s = time.monotonic()

    def __exit__(self, *_: object) -> None:
        took_s = time.monotonic() - self._began_s
        assert took_s < self._most_s, f"took {took_s:.1f} s"


@pytest.fixture(autouse=True)
def _alive(request: pytest.FixtureRequest) -> Iterator[None]:
    """A test that failed half-way leaves no broker dead to those after it."""
    yield
    for name in {"kafka", "kafka_three"} & set(request.fixturenames):
        request.getfixturevalue(name).mend()
