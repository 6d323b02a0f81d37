"""The topic that a log on Kafka lies in: made as durable as its cluster allows, and refused where it is not.

`acks=all` says that a record is in the page caches of all replicas in sync, not on their disks. With three replicas,
two of them in sync, that outlives any machine. With fewer it does not outlive a power cut, so such a topic has its
broker fsync each batch (`flush.messages=1`) before it acknowledges. The broker removes nothing by itself, neither by
age nor by size: Onefold trims what is folded and delivered, by DeleteRecords.
"""

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from onefold.errors import SettingsError, Unavailable
from onefold.limits import MIB
from onefold.storage.kafka.client import MESSAGE_MAX_BYTES, KafkaOptions, Link, library

if TYPE_CHECKING:
    from confluent_kafka.admin import AdminClient

SEGMENT_BYTES = 256 * MIB
"""Trimming gives disk space back a segment at a time."""
_REPLICAS = 3
_POLL_S = 0.02


def partitions_of(options: KafkaOptions) -> int:
    """How many partitions the workspace's log has; 0: there is none. Raises `Refused`, `Unavailable`."""
    link = Link(options)
    return _count(link, _metadata(link, admin(link)))


def make(link: Link, administrator: "AdminClient", partitions: int) -> int:
    """Make the topic where it is missing; how many partitions it has then. Several makers may race.

    Raises `SettingsError` where a topic that is there is no place for a log, `Unavailable`.
    """
    metadata = _metadata(link, administrator)
    if found := _count(link, metadata):
        _refuse_unfit(link, administrator, metadata)
        return found
    replicas = min(_REPLICAS, len(metadata.brokers))
    topic = library("confluent_kafka.admin").NewTopic(
        link.options.topic, num_partitions=partitions, replication_factor=replicas, config=_config(replicas)
    )
    doing = f"make the topic {link.options.topic}"
    try:
        _answer(link, administrator.create_topics([topic], **_patience(link)), doing)
    except link.kafka.KafkaException as error:
        if error.args[0].name() != "TOPIC_ALREADY_EXISTS":
            raise link.error(error.args[0], doing) from error
    return _until_led(link, administrator, doing)


def trim(link: Link, administrator: "AdminClient", span: tuple[int, int, int], until_ms: int) -> int:
    """Of `span`, a partition from an offset on to another, remove what was written before an instant.

    Returns how many records that were.
    """
    partition, first, before = span
    kinds = library("confluent_kafka.admin")
    doing = f"trim the topic {link.options.topic}"
    place = link.place(partition)

    def ask(spec: Any) -> Any:
        return _answer(link, administrator.list_offsets({place: spec}, request_timeout=link.options.timeout_s), doing)

    with link.translated(doing):
        young = ask(kinds.OffsetSpec.for_timestamp(until_ms)).offset
        # A leader that has just begun does not find yet what it has: only a newest record that is old says that all is.
        if young < 0 and not 0 <= ask(kinds.OffsetSpec.max_timestamp()).timestamp < until_ms:
            return 0
        cut = before if young < 0 else min(young, before)
        if cut <= first:
            return 0
        head = link.place(partition, cut)
        low: int = _answer(link, administrator.delete_records([head], **_patience(link)), doing).low_watermark
        return low - first


def first_of(link: Link, administrator: "AdminClient", partition: int) -> int:
    """The offset of the first record that a partition keeps."""
    doing = "say where the log begins"
    asked = {link.place(partition): library("confluent_kafka.admin").OffsetSpec.earliest()}
    with link.translated(doing):
        found = _answer(link, administrator.list_offsets(asked, request_timeout=link.options.timeout_s), doing)
        return int(found.offset)


def admin(link: Link) -> "AdminClient":
    """A client for questions about topics. Raises `SettingsError`."""
    with link.translated("make an administrator"):
        return library("confluent_kafka.admin").AdminClient(link.config({}))  # type: ignore[no-any-return]


def _metadata(link: Link, administrator: "AdminClient") -> Any:
    """What is known of all topics: a question about one could make it, on some brokers.

    Everything begins with it, so here is told why a cluster lets nobody in. Raises `Refused`, `Unavailable`.
    """
    try:
        with link.translated("say which topics there are"):
            try:
                return administrator.list_topics(timeout=link.options.timeout_s)
            except link.kafka.KafkaException:
                administrator.poll(0)  # The link hears why.
                raise
    except Unavailable:
        if (refused := link.refusal()) is not None:
            raise refused from None
        raise


def _count(link: Link, metadata: Any) -> int:
    topic = metadata.topics.get(link.options.topic)
    return len(topic.partitions) if topic else 0


def _config(replicas: int) -> dict[str, str]:
    return {
        "cleanup.policy": "delete",
        "retention.ms": "-1",
        "retention.bytes": "-1",
        "segment.bytes": str(SEGMENT_BYTES),
        "max.message.bytes": str(MESSAGE_MAX_BYTES),
        "message.timestamp.type": "CreateTime",
        "unclean.leader.election.enable": "false",
        "min.insync.replicas": str(max(1, replicas - 1)),
        **({"flush.messages": "1"} if replicas < _REPLICAS else {}),
    }


def _until_led(link: Link, administrator: "AdminClient", doing: str) -> int:
    """Return when the brokers know of a leader for each partition; how many there are."""
    deadline_s = time.monotonic() + link.options.timeout_s
    while True:
        topic = _metadata(link, administrator).topics.get(link.options.topic)
        if topic and topic.partitions and all(each.leader >= 0 for each in topic.partitions.values()):
            return len(topic.partitions)
        if time.monotonic() > deadline_s:
            raise link.unavailable(doing)
        time.sleep(_POLL_S)


def _refuse_unfit(link: Link, administrator: "AdminClient", metadata: Any) -> None:
    """An operator may have made the topic; one that may not be asked about is taken as it is."""
    kinds = library("confluent_kafka.admin")
    resource = kinds.ConfigResource(kinds.ConfigResource.Type.TOPIC, link.options.topic)
    doing = f"describe the topic {link.options.topic}"
    try:
        found = _answer(link, administrator.describe_configs([resource], request_timeout=link.options.timeout_s), doing)
    except link.kafka.KafkaException as error:
        if error.args[0].name() == "TOPIC_AUTHORIZATION_FAILED":
            return
        raise link.error(error.args[0], doing) from error
    replicas = min(len(each.replicas) for each in metadata.topics[link.options.topic].partitions.values())
    if wrong := _unfit({name: entry.value for name, entry in found.items()}, replicas):
        flags = ",".join(f"{name}={value}" for name, value in wrong.items())
        raise SettingsError(
            f"the Kafka topic {link.options.topic} with {replicas} replicas would lose acknowledged events; set: "
            f"kafka-configs.sh --alter --entity-type topics --entity-name {link.options.topic} --add-config {flags}"
        )


def _unfit(found: Mapping[str, str], replicas: int) -> dict[str, str]:
    """What must be set otherwise. How long the broker keeps records is an operator's to choose."""
    wanted = {"cleanup.policy": "delete", "message.timestamp.type": "CreateTime"}
    if replicas < _REPLICAS:
        wanted["flush.messages"] = "1"
    wrong = {name: value for name, value in wanted.items() if found.get(name, value) != value}
    if replicas >= _REPLICAS and int(found.get("min.insync.replicas") or 1) < _REPLICAS - 1:
        wrong["min.insync.replicas"] = str(_REPLICAS - 1)
    if int(found.get("max.message.bytes") or MESSAGE_MAX_BYTES) < MESSAGE_MAX_BYTES:
        wrong["max.message.bytes"] = str(MESSAGE_MAX_BYTES)
    return wrong


def _patience(link: Link) -> dict[str, float]:
    return {"operation_timeout": link.options.timeout_s, "request_timeout": link.options.timeout_s}


def _answer(link: Link, futures: Mapping[Any, Any], doing: str) -> Any:
    """The one answer of an administrator's call, whose exceptions are the library's still."""
    (future,) = futures.values()
    try:
        return future.result(link.options.timeout_s + 1)
    except TimeoutError as error:
        raise link.unavailable(doing) from error
