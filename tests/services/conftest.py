"""Servers that the tests of this folder share: each is started once, by the first test that needs it."""

from collections.abc import Iterator

import pytest

from onefold.storage.postgres import migration
from onefold.testing.servers import kafka_security
from onefold.testing.servers.kafka import KafkaCluster
from onefold.testing.servers.kafka_security import Security
from onefold.testing.servers.postgres import PostgresServer

SCHEMA = "onefold_default"


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """A PostgreSQL for tests that leave it as they found it; who kills or pauses one starts their own."""
    with PostgresServer() as server:
        yield server


@pytest.fixture(scope="session")
def migrated_database(postgres_server: PostgresServer) -> str:
    """The name of a database that has all tables and no rows: a template, to which nobody connects."""
    url = postgres_server.create_database()
    migration.migrate(url, SCHEMA)
    return url.rpartition("/")[2]


@pytest.fixture
def postgres_url(postgres_server: PostgresServer, migrated_database: str) -> Iterator[str]:
    """The URL of a database of the test's own, whose schema SCHEMA is migrated."""
    url = postgres_server.create_database(migrated_database)
    yield url
    postgres_server.drop_database(url)


@pytest.fixture
def mortal() -> Iterator[tuple[PostgresServer, str]]:
    """A server of the test's own, and the URL of a migrated database there."""
    with PostgresServer() as server:
        url = server.create_database()
        migration.migrate(url, SCHEMA)
        yield server, url


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


@pytest.fixture(scope="session")
def security() -> Iterator[Security]:
    """The authority of this run's secured servers, and Kafka's password."""
    made = kafka_security.make()
    yield made
    made.close()


@pytest.fixture(scope="session")
def secured(security: Security) -> Iterator[KafkaCluster]:
    """One broker that clients reach over TLS."""
    with KafkaCluster(security=security) as cluster:
        yield cluster


@pytest.fixture(scope="session")
def secured_postgres(security: Security) -> Iterator[PostgresServer]:
    """A PostgreSQL that nobody reaches without TLS."""
    with PostgresServer(authority=security.authority) as server:
        yield server
