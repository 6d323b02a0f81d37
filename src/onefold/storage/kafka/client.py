"""How the Kafka engine speaks to a cluster: options, what clients are told, errors as Onefold's, ends of partitions.

Where the library is missing, each function that needs it raises `SettingsError` with the command that installs it.
"""

import importlib
import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, TypeVar

from msgspec import Struct

from onefold.errors import Damaged, Refused, SettingsError, StorageError, Unavailable
from onefold.limits import KIB, RECORD_MAX_BYTES
from onefold.storage.kafka import refusal

if TYPE_CHECKING:
    from confluent_kafka import Consumer, KafkaError, TopicPartition

Answer = TypeVar("Answer")

MESSAGE_MAX_BYTES = RECORD_MAX_BYTES + 64 * KIB
"""The largest record with what Kafka puts around it."""
_TOPIC_MAX_CHARS = 249
_NAME = re.compile(r"[A-Za-z0-9._-]+")
_RETRY_S = 0.05
_REFRESH_MS = 10_000
_END = -1
"""Kafka's name for a partition's end where an instant could stand."""
_DAMAGED = {"_BAD_MSG", "_BAD_COMPRESSION", "INVALID_MSG"}
_PASSING = {
    "_ALL_BROKERS_DOWN", "_AUTHENTICATION", "_DESTROY_BROKER", "_FATAL", "_FENCED", "_MSG_TIMED_OUT",
    "_PURGE_INFLIGHT", "_PURGE_QUEUE", "_QUEUE_FULL", "_RESOLVE", "_SSL", "_STATE", "_TIMED_OUT", "_TIMED_OUT_QUEUE",
    "_TRANSPORT", "_UNKNOWN_BROKER", "_UNKNOWN_PARTITION", "_UNKNOWN_TOPIC", "_WAIT_CACHE", "_WAIT_COORD",
    "BROKER_NOT_AVAILABLE", "COORDINATOR_LOAD_IN_PROGRESS", "COORDINATOR_NOT_AVAILABLE", "FENCED_LEADER_EPOCH",
    "INVALID_PRODUCER_EPOCH", "INVALID_PRODUCER_ID_MAPPING", "KAFKA_STORAGE_ERROR", "LEADER_NOT_AVAILABLE",
    "NETWORK_EXCEPTION", "NOT_CONTROLLER", "NOT_COORDINATOR", "NOT_ENOUGH_REPLICAS",
    "NOT_ENOUGH_REPLICAS_AFTER_APPEND", "NOT_LEADER_FOR_PARTITION", "OFFSET_NOT_AVAILABLE",
    "OUT_OF_ORDER_SEQUENCE_NUMBER", "REPLICA_NOT_AVAILABLE", "REQUEST_TIMED_OUT", "THROTTLING_QUOTA_EXCEEDED",
    "UNKNOWN_LEADER_EPOCH", "UNKNOWN_PRODUCER_ID", "UNKNOWN_TOPIC_OR_PART",
}  # fmt: skip
"""Errors that are over when brokers are back, a leader is elected or a topic has reached all brokers."""


class KafkaOptions(Struct, frozen=True):
    """Where the log is, and how long its brokers may take."""

    bootstrap: str
    """Addresses of some of the brokers: `host:port,host:port`."""
    workspace: str = "default"
    """Part of the topic's name."""
    extra: Mapping[str, str] = {}
    """Properties of librdkafka for TLS and SASL, such as `security.protocol`. They are not shown: some are secret."""
    timeout_s: float = 5.0
    """For how long an append, a read or a question waits for the brokers before it raises `Unavailable`."""

    @property
    def topic(self) -> str:
        """The topic that holds the workspace's log."""
        return f"onefold.{self.workspace}"

    def __repr__(self) -> str:
        return f"KafkaOptions({self.bootstrap!r}, {self.workspace!r}, {sorted(self.extra)}, {self.timeout_s:g})"

    def __post_init__(self) -> None:
        """Raise `SettingsError` where the workspace cannot be part of a topic's name."""
        if not _NAME.fullmatch(self.workspace) or len(self.topic) > _TOPIC_MAX_CHARS:
            raise SettingsError(
                f"the workspace {self.workspace!r} cannot name a Kafka topic: letters, digits, `.`, `_` and `-` can"
            )


class Link:
    """A client's view of the cluster: its configuration, and the last trouble that librdkafka told it of."""

    def __init__(self, options: KafkaOptions) -> None:
        self.options = options
        self.trouble = ""
        self.refused = ""
        """What was said of this client's password or token."""
        self.kafka = library("confluent_kafka")

    def config(self, own: Mapping[str, Any]) -> dict[str, Any]:
        """A client's configuration. Raises `SettingsError` where the options' `extra` would change one of ours."""
        made = {
            "bootstrap.servers": self.options.bootstrap,
            "client.id": "onefold",
            "socket.nagle.disable": True,
            "socket.keepalive.enable": True,
            "socket.timeout.ms": int(self.options.timeout_s * 1000),
            # A broker that is back is found soon.
            "reconnect.backoff.ms": 50,
            "reconnect.backoff.max.ms": 1_000,
            # What a broker that has just begun tells of partitions is believed for so long.
            "topic.metadata.refresh.interval.ms": _REFRESH_MS,
            "retry.backoff.ms": 50,
            # Lost connections are told to `error_cb`, and by `Unavailable` where they matter; librdkafka logs each.
            "log_level": 2,
            "error_cb": self._hear,
            **own,
        }
        if owned := sorted(made.keys() & self.options.extra.keys()):
            raise SettingsError(f"these Kafka properties are Onefold's own to set: {', '.join(owned)}")
        return made | dict(self.options.extra)

    def place(self, partition: int, offset: int = _END) -> "TopicPartition":
        """A place in the log, as the library takes it."""
        return self.kafka.TopicPartition(self.options.topic, partition, offset)  # type: ignore[no-any-return]

    @contextmanager
    def translated(self, doing: str) -> Iterator[None]:
        """Turn the library's exceptions into ours; `doing` completes "Kafka could not …"."""
        try:
            yield
        except self.kafka.KafkaException as error:
            raise self.error(error.args[0], doing) from error
        except TimeoutError as error:
            raise self.unavailable(doing) from error

    def error(self, error: "KafkaError", doing: str) -> StorageError | SettingsError:
        """Ours for one of librdkafka's; `Unavailable` where it may pass."""
        name = error.name()
        if name in _DAMAGED:
            return Damaged(f"Kafka topic {self.options.topic}: {error.str()}; restore it from a replica or a backup")
        if name in refusal.RIGHTS:
            return refusal.without_rights(self.options.bootstrap, doing, error.str())
        if name == "_INVALID_ARG":
            return SettingsError(f"Kafka does not take its properties: {error.str()}")
        if name in _PASSING or error.retriable():
            self.trouble = self.trouble or error.str()
            return self.unavailable(doing)
        return StorageError(f"Kafka at {self.options.bootstrap} could not {doing}: {error.str()}")

    def unavailable(self, doing: str) -> Unavailable:
        """What there is to say when the brokers did not answer in time."""
        why = f" ({self.trouble})" if self.trouble else ""
        return Unavailable(
            f"Kafka at {self.options.bootstrap} could not {doing} within {self.options.timeout_s:g} s{why}: see "
            "whether the brokers run and can be reached from here; what was under way may have happened"
        )

    def refusal(self) -> Refused | None:
        """Why nobody could be reached, if that can be seen (`refusal.found`)."""
        return refusal.found(self.options.bootstrap, self.options.extra, self.refused)

    def _hear(self, error: "KafkaError") -> None:
        if error.name() == "_AUTHENTICATION":
            self.refused = error.str()
        # That all are down follows what is wrong with the last of them.
        if error.name() != "_ALL_BROKERS_DOWN" or not self.trouble:
            self.trouble = error.str()


def library(name: str) -> Any:
    """A module of the client library. Raises `SettingsError` with the command that installs it."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise SettingsError("a log on Kafka needs confluent-kafka: pip install 'onefold[kafka]'") from error


def consumer(link: Link, own: Mapping[str, Any]) -> "Consumer":
    """A consumer that commits nothing by itself and never jumps over records that are gone.

    For one thread at a time: while one waits in `poll`, calls of others wait too, for as long as it is called again.
    """
    settings = {
        "group.id": f"onefold.{link.options.workspace}.readers",
        "enable.auto.commit": False,
        "enable.auto.offset.store": False,
        "auto.offset.reset": "error",
        "check.crcs": True,
        **own,
    }
    with link.translated("make a consumer"):
        return link.kafka.Consumer(link.config(settings))  # type: ignore[no-any-return]


def ends_of(link: Link, asking: "Consumer", partitions: Iterable[int]) -> dict[int, int]:
    """The offset after the last record of each partition, which every acknowledged record lies below."""
    places = [link.place(partition) for partition in partitions]
    doing = "say where the log ends"

    def ask(within_s: float) -> dict[int, int]:
        answer = asking.offsets_for_times(places, within_s)
        for place in answer:
            if place.error is not None:
                raise link.error(place.error, doing)
        return {place.partition: place.offset for place in answer}

    return _answered(link, asking, doing, ask)


def bounds_of(link: Link, asking: "Consumer", partition: int) -> tuple[int, int]:
    """As `LogReader.ends`."""
    place = link.place(partition)
    doing = "say where the log begins and ends"
    return _answered(link, asking, doing, lambda within_s: asking.get_watermark_offsets(place, within_s))


def _answered(link: Link, asking: "Consumer", doing: str, ask: Callable[[float], Answer | None]) -> Answer:
    """The first answer, of as many tries as there is time for: a leader may be about to change.

    A broker that has just begun may have told of fewer partitions, which a client that follows none would believe for
    many minutes: after a failure it asks again which there are.
    """
    deadline_s = time.monotonic() + link.options.timeout_s
    while True:
        left_s = deadline_s - time.monotonic()
        try:
            with link.translated(doing):
                if (answer := ask(max(_RETRY_S, left_s))) is not None:
                    return answer
        except Unavailable:
            if left_s <= 0:
                raise
            with suppress(link.kafka.KafkaException):
                asking.list_topics(link.options.topic, left_s)
        if left_s <= 0:
            raise link.unavailable(doing)
        time.sleep(_RETRY_S)
