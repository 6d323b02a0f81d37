"""Servers that the tests of this folder share, each started once a session and only where a test asks for it."""

from collections.abc import Iterator

import pytest

from onefold.testing.servers.kafka import KafkaCluster


@pytest.fixture(scope="session")
def kafka() -> Iterator[KafkaCluster]:
    """One broker, which no test may leave dead or paused."""
    with KafkaCluster() as cluster:
        yield cluster


@pytest.fixture(scope="session")
def kafka_three() -> Iterator[KafkaCluster]:
    """Three brokers, which no test may leave dead or paused."""
    with KafkaCluster(3) as cluster:
        yield cluster
