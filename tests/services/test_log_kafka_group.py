"""Workers that share a log on Kafka: each partition is one living member's, and nothing is skipped on its way."""

import json
import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from typing import Self

import pytest
from confluent_kafka import Consumer, TopicPartition

from onefold.errors import NotFoundError, Superseded
from onefold.storage.kafka.group import HAND_OVER_S, SESSION_S, KafkaMembership
from onefold.storage.kafka.log import KafkaLogWriter, KafkaOptions
from onefold.testing.servers.kafka import KafkaCluster
from tests.services.kafka_logs import fresh, until

pytestmark = pytest.mark.services
PARTITIONS = 4


@pytest.fixture
def options(kafka: KafkaCluster) -> Iterator[KafkaOptions]:
    """A log of four partitions."""
    options = fresh(kafka)
    with closing(KafkaLogWriter(options, PARTITIONS)):
        yield options


class Process:
    """A member in a process of its own."""

    def __init__(self, options: KafkaOptions, name: str = "", *more: str) -> None:
        command = [sys.executable, str(Path(__file__).with_name("kafka_member.py")), options.bootstrap]
        self._process = subprocess.Popen([*command, options.workspace, name, *more], stdout=subprocess.PIPE, text=True)
        self.said: list[list[int]] = []
        self._thread = threading.Thread(target=self._listen)
        self._thread.start()

    def partitions(self) -> frozenset[int]:
        """What it said last."""
        return frozenset(self.said[-1]) if self.said else frozenset()

    def signal(self, number: int) -> None:
        """Stop it, or let it go on."""
        self._process.send_signal(number)

    def close(self) -> None:
        """Kill it."""
        self._process.kill()
        self._process.wait()
        self._thread.join()
        assert self._process.stdout is not None
        self._process.stdout.close()

    def _listen(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self.said.append(json.loads(line))


def shared(*members: KafkaMembership | Process) -> bool:
    """Whether each partition is exactly one member's, and each member has one."""
    own = [member.partitions() for member in members]
    return all(own) and sorted(partition for each in own for partition in each) == list(range(PARTITIONS))


def test_members_share_the_partitions(options: KafkaOptions) -> None:
    """Two members share them, a third takes some over and gives them back when it leaves, soon after each change."""
    with ExitStack() as stack:
        one, two = (stack.enter_context(closing(KafkaMembership(options))) for _ in range(2))
        until(lambda: shared(one, two))
        third = KafkaMembership(options)
        until(lambda: shared(one, two, third))
        third.close()
        assert third.partitions() == frozenset()
        until(lambda: shared(one, two), within_s=3)
        two.close()
        until(lambda: shared(one), within_s=3)
        third.reader.close()


def test_a_partition_is_handed_over_once_nothing_of_it_is_under_way(options: KafkaOptions) -> None:
    """Who folds learns at once what is to go, and until they hold it no longer nobody else gets it."""
    with ExitStack() as stack:
        one = stack.enter_context(closing(KafkaMembership(options)))
        until(lambda: shared(one))
        ear = one.reader.watch(())
        assert ear is not None
        stack.callback(os.close, ear)
        one.hold(frozenset(range(PARTITIONS)))
        two = stack.enter_context(closing(KafkaMembership(options)))
        until(lambda: len(one.partitions()) < PARTITIONS)
        assert select.select([ear], [], [], 10)[0]
        deadline_s = time.monotonic() + HAND_OVER_S / 4
        while time.monotonic() < deadline_s:
            assert not two.partitions()
        one.hold(one.partitions())
        until(lambda: shared(one, two), within_s=HAND_OVER_S)


@pytest.mark.parametrize("names", [("", ""), ("one", "two")], ids=["nameless", "named"])
def test_a_member_that_stood_still_finds_its_partitions_gone(options: KafkaOptions, names: tuple[str, str]) -> None:
    """Others have them after its session; when it goes on, it first says that it has none, and then joins again."""
    with ExitStack() as stack:
        one = stack.enter_context(closing(KafkaMembership(options, names[0])))
        still = stack.enter_context(closing(Process(options, names[1])))
        until(lambda: shared(one, still))
        still.signal(signal.SIGSTOP)
        until(lambda: shared(one), within_s=SESSION_S + 10)
        said = len(still.said)
        still.signal(signal.SIGCONT)
        until(lambda: len(still.said) > said)
        assert still.said[said] == []
        until(lambda: shared(one, still))


def test_a_killed_members_partitions_go_to_those_that_live(options: KafkaOptions) -> None:
    """After its session, and with nobody's help."""
    with ExitStack() as stack:
        one = stack.enter_context(closing(KafkaMembership(options)))
        killed = Process(options)
        stack.callback(killed.close)
        until(lambda: shared(one, killed))
        killed.signal(signal.SIGKILL)
        until(lambda: shared(one), within_s=SESSION_S + 10)


def test_a_killed_member_with_a_name_has_its_partitions_back_at_once(options: KafkaOptions) -> None:
    """Started again by its name it need not wait for the end of the session of who was killed; others keep theirs."""
    with ExitStack() as stack:
        one = stack.enter_context(closing(KafkaMembership(options, "one")))
        killed = Process(options, "two")
        stack.callback(killed.close)
        until(lambda: shared(one, killed))
        kept = one.partitions(), killed.partitions()
        killed.signal(signal.SIGKILL)
        killed_s = time.monotonic()
        again = stack.enter_context(closing(KafkaMembership(options, "two")))
        until(lambda: shared(one, again))
        assert time.monotonic() - killed_s < SESSION_S - 1
        assert (one.partitions(), again.partitions()) == kept
        for member in (one, again):
            member.reader.close()


def test_a_member_with_a_name_that_was_killed_on_its_way_of_handing_over_leaves_no_partition_to_nobody(
    options: KafkaOptions,
) -> None:
    """Its successor has what it was to keep and does not know what it was to give; brokers do not give it anybody."""
    with ExitStack() as stack:
        killed = Process(options, "one", "hold")
        stack.callback(killed.close)
        until(lambda: shared(killed))
        two = stack.enter_context(closing(KafkaMembership(options, "two")))
        until(lambda: len(killed.partitions()) < PARTITIONS)
        killed.signal(signal.SIGKILL)
        again = stack.enter_context(closing(KafkaMembership(options, "one")))
        until(lambda: shared(again, two), within_s=SESSION_S + HAND_OVER_S + 10)
        for member in (two, again):
            member.reader.close()


def test_a_member_with_a_name_that_leaves_is_not_waited_for(options: KafkaOptions) -> None:
    """Who goes for good says so, whatever its name: others have its partitions soon."""
    with closing(KafkaMembership(options, "one")) as one:
        two = KafkaMembership(options, "two")
        until(lambda: shared(one, two))
        two.close()
        until(lambda: shared(one), within_s=SESSION_S - 1)
        for member in (one, two):
            member.reader.close()


def test_of_two_members_of_one_name_the_older_ends(options: KafkaOptions) -> None:
    """It is told so, gives its partitions up, and does not join again, so that they never take turns."""
    with closing(KafkaMembership(options, "same")) as older:
        until(lambda: shared(older))
        newer = KafkaMembership(options, "same")
        with closing(newer):
            until(lambda: _is_superseded(older))
            until(lambda: shared(newer))
            assert older.reader.feed().asked() == {}
        for member in (older, newer):
            member.reader.close()


def _is_superseded(member: KafkaMembership) -> bool:
    try:
        member.partitions()
    except Superseded as error:
        return "worker_name" in str(error)
    return False


class Books:
    """A state's cursors: a commit from where the partition stands moves it on, any other finds a conflict."""

    def __init__(self) -> None:
        self.cursors = [0] * PARTITIONS
        self.taken: list[bytes] = []
        self.conflicts = 0
        self._lock = threading.Lock()

    def commit(self, partition: int, offset: int, records: list[bytes]) -> None:
        """All or nothing."""
        with self._lock:
            if self.cursors[partition] != offset:
                self.conflicts += 1
                return
            self.cursors[partition] += len(records)
            self.taken += records


class Worker:
    """Folds what is assigned to it, from where the state stands, and rests until there is news. A context manager."""

    def __init__(self, options: KafkaOptions, books: Books) -> None:
        self.member = KafkaMembership(options)
        self._books = books
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        self.member.close()
        self.member.reader.close()

    def _run(self) -> None:
        watch = self.member.reader.watch(())
        assert watch is not None
        while not self._stop.is_set():
            if not sum(self._fold(partition) for partition in sorted(self.member.partitions())):
                select.select([watch], [], [], 0.2)
                with suppress(BlockingIOError):
                    os.read(watch, 4096)
        os.close(watch)

    def _fold(self, partition: int) -> int:
        offset = self._books.cursors[partition]
        found = [record.data for record in self.member.reader.read(partition, offset, 1 << 12)]
        self._books.commit(partition, offset, found)
        return len(found)


def test_nothing_is_skipped_while_members_come_and_go(options: KafkaOptions) -> None:
    """Every record is folded once, in its partition's order, while events flow and workers join and leave."""
    books, done = Books(), threading.Event()
    sent: list[list[bytes]] = [[] for _ in range(PARTITIONS)]

    def append() -> None:
        with closing(KafkaLogWriter(options, PARTITIONS)) as writer:
            while not done.wait(0.01):
                batch = {p: [b"%d:%d" % (p, len(own))] for p, own in enumerate(sent)}
                writer.append(batch)
                for p, records in batch.items():
                    sent[p] += records

    appender = threading.Thread(target=append)
    appender.start()
    with ExitStack() as stack:
        with Worker(options, books) as first:
            until(lambda: shared(first.member))
            second = stack.enter_context(Worker(options, books))
            until(lambda: shared(first.member, second.member))
            third = stack.enter_context(Worker(options, books))
            until(lambda: shared(first.member, second.member, third.member))
        until(lambda: shared(second.member, third.member))
        done.set()
        appender.join()
        until(lambda: books.cursors == [len(own) for own in sent])
    assert [[r for r in books.taken if r.startswith(b"%d:" % p)] for p in range(PARTITIONS)] == sent


def test_a_newly_assigned_partition_begins_where_it_is_read(options: KafkaOptions) -> None:
    """What was appended before anybody joined is read from any offset, and what retention removed is not found."""
    with closing(KafkaLogWriter(options, PARTITIONS)) as writer, closing(KafkaMembership(options)) as member:
        writer.append({0: [b"a", b"b", b"c"]})
        until(lambda: shared(member))
        for offset in (1, 0, 2):
            assert b"".join(r.data for r in member.reader.read(0, offset, 99)) == b"abc"[offset:]
        assert member.reader.read(0, 3, 99) == member.reader.read(0, 99, 99) == []
        with pytest.raises(NotFoundError):
            member.reader.read(0, -1, 99)
        member.reader.close()


def test_kafkas_own_tools_see_how_far_workers_are(options: KafkaOptions) -> None:
    """The group's committed offsets follow the reads within seconds."""
    with closing(KafkaLogWriter(options, PARTITIONS)) as writer, closing(KafkaMembership(options)) as member:
        writer.append({2: [b"a", b"b", b"c"]})
        until(lambda: shared(member))
        member.reader.read(2, 0, 99)
        member.reader.read(2, 3, 99)
        group = f"onefold.{options.workspace}.workers"
        tool = Consumer({"bootstrap.servers": options.bootstrap, "group.id": group, "log_level": 0})
        place = TopicPartition(options.topic, 2)
        until(lambda: tool.committed([place], timeout=5)[0].offset == 3)
        tool.close()
        member.reader.close()
