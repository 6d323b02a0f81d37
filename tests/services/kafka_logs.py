"""What the tests of the log on Kafka have in common: fresh workspaces, and looking until something is so."""

import time
from collections.abc import Callable
from itertools import count

from onefold.ports import LogReader
from onefold.storage.kafka.log import KafkaOptions
from onefold.testing.servers.kafka import KafkaCluster

_workspaces = count()
_LOOK_S = 0.02


def fresh(cluster: KafkaCluster, timeout_s: float = 5.0) -> KafkaOptions:
    """A workspace that has no log yet."""
    return KafkaOptions(cluster.bootstrap, f"test{next(_workspaces)}", timeout_s=timeout_s)


def until(holds: Callable[[], object], within_s: float = 30.0) -> None:
    """Return as soon as it holds; fail where that takes too long."""
    deadline_s = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < deadline_s, "it did not become so"
        time.sleep(_LOOK_S)


def everything(reader: LogReader, partition: int = 0) -> list[bytes]:
    """All records of a partition, which must follow each other."""
    offset, end = reader.ends(partition)
    found: list[bytes] = []
    while offset < end:
        run = reader.read(partition, offset, 1 << 20)
        assert [record.offset for record in run] == list(range(offset, offset + len(run)))
        found += [record.data for record in run]
        offset += len(run)
    return found
