"""Workers of a log on Kafka share its partitions as a consumer group, `onefold.<workspace>.workers`.

The group only says whose a partition is. Its member fetches nothing; the reader beside it does, from where `read` is
told to begin, which the state's cursor decides. What the member commits to Kafka is where reads have come to, so that
Kafka's own tools show how far behind workers are; nobody here reads it.
"""

import threading
import time
from collections.abc import Iterable
from contextlib import suppress
from typing import TYPE_CHECKING

import structlog

from onefold.errors import StorageError, Superseded
from onefold.storage.kafka.client import KafkaOptions, Link, consumer
from onefold.storage.kafka.log import KafkaLogReader
from onefold.storage.kafka.orphans import Orphans

if TYPE_CHECKING:
    from confluent_kafka import Consumer, Message, TopicPartition

SESSION_S = 6.0
"""Whoever is silent for so long has lost its partitions, and knows it."""
HAND_OVER_S = 4.0
"""So long a partition waits for who folds it to have ended what it began, before another member gets it."""
_HEARTBEAT_S = 1.0
_COMMIT_S = 5.0
_POLL_S = 0.1
assert HAND_OVER_S + _POLL_S < SESSION_S
_SETTINGS = {
    "partition.assignment.strategy": "cooperative-sticky",
    "session.timeout.ms": int(SESSION_S * 1000),
    "heartbeat.interval.ms": int(_HEARTBEAT_S * 1000),
    "queued.min.messages": 1,
}

log = structlog.get_logger("kafka")


class KafkaMembership:
    """`ports.Assignment` by a consumer group, and a reader that follows the partitions which are this member's.

    A partition that goes to another member does so once nothing of it is under way here, which the other would fold
    again. Where that takes too long, or the partition is lost, both may fold it for a moment: whose commit to the state
    is second finds a conflict. May be used by many threads.
    """

    def __init__(self, options: KafkaOptions, name: str = "") -> None:
        """Join. Raises `NotFoundError` where there is no log yet, `Unavailable`; partitions come a while later.

        Who was killed, and joins again by the same `name`, has its partitions back at once, and not after its session
        (KIP-345, static membership). Of two processes of one name the older is superseded.
        """
        self._name = name
        self._superseded = False
        self._out_since_s: float | None = None
        """Since when the group does not count on us, as far as we were told; None: it does."""
        self.reader: KafkaLogReader = _AssignedReader(options)
        self._feed = self.reader.feed()
        self._link = Link(options)
        self._group = f"onefold.{options.workspace}.workers"
        self._orphans = Orphans(self._link, self._group, self.reader.partitions, HAND_OVER_S + _HEARTBEAT_S)
        self._assigned: frozenset[int] = frozenset()
        self._seen_s = time.monotonic()
        """When the member last did its part; after `SESSION_S` it is none any more."""
        self._committed: dict[int, int] = {}
        self._commit_at_s = 0.0
        self._held: frozenset[int] = frozenset()
        self._holding = threading.Condition()
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(self._join(),), name="onefold-member", daemon=True)
        self._thread.start()

    def partitions(self) -> frozenset[int]:
        """As `Assignment.partitions`; none after a pause in which the group must have given them to others.

        Raises `Superseded` once another process has our name.
        """
        if self._superseded:
            raise Superseded(f"another process is the worker {self._name} now: give each a `worker_name` of its own")
        return self._assigned if time.monotonic() - self._seen_s < SESSION_S else frozenset()

    def hold(self, partitions: frozenset[int]) -> None:
        """As `Assignment.hold`."""
        with self._holding:
            self._held = partitions
            self._holding.notify_all()

    def close(self) -> None:
        """Leave the group, which gives the partitions to others at once. The reader stays open."""
        self._closed.set()
        self.hold(frozenset())
        self._thread.join()

    def _join(self) -> "Consumer":
        own = {**_SETTINGS, "group.id": self._group}
        if self._name:
            own["group.instance.id"] = self._name
            self._orphans.look_soon()
        member = consumer(self._link, own)
        member.subscribe(
            [self._link.options.topic], on_assign=self._on_assign, on_revoke=self._on_revoke, on_lost=self._on_out
        )
        self._seen_s = time.monotonic()
        return member

    def _run(self, member: "Consumer") -> None:
        while not self._closed.is_set():
            if time.monotonic() - self._seen_s >= SESSION_S:
                member = self._join_again(member)
            self._seen_s = time.monotonic()
            try:
                with self._link.translated("keep to its group"):
                    if not self._is_fenced(member.poll(_POLL_S)):
                        self._commit(member)
                        if self._orphans.found():
                            member = self._go_and_come(member)
                        continue
            except StorageError as error:
                log.warning("a worker's place in its group is lost; it joins again", reason=str(error))
                self._closed.wait(_HEARTBEAT_S)
            else:
                self._superseded = not self._was_out()
                if self._superseded:
                    break
            member = self._join_again(member)
        self._leave(member)

    def _is_fenced(self, message: "Message | None") -> bool:
        """Whether somebody has joined by our name since: a member is told once, and is none any more."""
        error = message.error() if message is not None else None
        return bool(self._name) and error is not None and error.name() == "_FATAL"

    def _was_out(self) -> bool:
        """Whether who has joined by our name was ourselves, once brokers that had been away were back.

        They then refuse what was on its way to them from whom they counted on before. Another process, which takes the
        name of one that they count on, has them tell it so at once.
        """
        return self._out_since_s is not None and time.monotonic() - self._out_since_s > _HEARTBEAT_S

    def _leave(self, member: "Consumer") -> None:
        """Who has a name would not be missed for a session, unless it says that it goes for good."""
        if self._name and not self._superseded:
            with suppress(self._link.kafka.KafkaException):
                member.unsubscribe()
                member.poll(_POLL_S)
        member.close()
        self._give_up(self._assigned)

    def _go_and_come(self, member: "Consumer") -> "Consumer":
        """Have the group share all partitions anew."""
        log.warning("partitions of the log are nobody's; a worker joins its group again, which shares them anew")
        self._leave(member)
        return self._join()

    def _join_again(self, member: "Consumer") -> "Consumer":
        """Whether the group still counts on us cannot be known: leave, and be a new member."""
        self._give_up(self._assigned)
        with suppress(self._link.kafka.KafkaException):
            member.close()
        return self._join()

    def _on_assign(self, member: "Consumer", places: "list[TopicPartition]") -> None:
        new = [place.partition for place in places]
        member.incremental_assign([self._link.place(partition) for partition in new])
        member.pause([self._link.place(partition) for partition in new])
        self._feed.follow(new, at_end=False)
        self._assigned |= frozenset(new)
        self._out_since_s = None
        log.info("partitions assigned", new=sorted(new), now=sorted(self._assigned))

    def _on_out(self, member: "Consumer", places: "list[TopicPartition]") -> None:
        """The group does not count on us any more: others may have these by now."""
        self._out_since_s = time.monotonic()
        self._let_go(member, places)

    def _on_revoke(self, member: "Consumer", places: "list[TopicPartition]") -> None:
        """Give these up once nothing of them is under way; the group waits for that, and we are heard of meanwhile."""
        gone = frozenset(place.partition for place in places)
        self._assigned -= gone
        self._feed.tell(gone)
        with self._holding:
            self._holding.wait_for(lambda: gone.isdisjoint(self._held), HAND_OVER_S)
        self._let_go(member, places)

    def _let_go(self, member: "Consumer", places: "list[TopicPartition]") -> None:
        gone = [place.partition for place in places]
        self._give_up(gone)
        member.incremental_unassign([self._link.place(partition) for partition in gone])

    def _give_up(self, partitions: Iterable[int]) -> None:
        gone = frozenset(partitions)
        self._assigned -= gone
        self._feed.unfollow(gone)
        if gone:
            log.info("partitions given up", gone=sorted(gone), now=sorted(self._assigned))

    def _commit(self, member: "Consumer") -> None:
        """Now and then, and without waiting for the answer: it is for people to look at."""
        if time.monotonic() < self._commit_at_s:
            return
        self._commit_at_s = time.monotonic() + _COMMIT_S
        asked = self._feed.asked()
        moved = [self._link.place(*place) for place in asked.items() if self._committed.get(place[0]) != place[1]]
        self._committed = asked
        if moved:
            member.commit(offsets=moved, asynchronous=True)


class _AssignedReader(KafkaLogReader):
    """Its member says which partitions it follows."""

    def watch(self, partitions: Iterable[int]) -> int | None:
        """As `LogReader.watch`, but for whatever is assigned now or later, and for changes of that."""
        del partitions
        return self.feed().watch(None)
