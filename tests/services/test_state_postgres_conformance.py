"""The PostgreSQL state keeps the port's promises, on a real server: the suite of every state, unchanged."""

from collections.abc import Iterator
from contextlib import ExitStack, closing

import psycopg
import pytest

from onefold.storage.postgres.state import Options, PostgresState
from onefold.testing.conformance.state import OpenState, StateConformance
from onefold.testing.servers.postgres import PostgresServer
from tests.services.conftest import SCHEMA

pytestmark = pytest.mark.services


class TestPostgresState(StateConformance):
    @pytest.fixture(params=[Options().hopeful_commits, 0], ids=["in_turn", "at_once"])
    def open_state(self, postgres_url: str, request: pytest.FixtureRequest) -> Iterator[OpenState]:
        options = Options(hopeful_commits=request.param)
        with ExitStack() as stack:
            yield lambda: stack.enter_context(closing(PostgresState(postgres_url, options=options)))


@pytest.fixture
def other_url(postgres_server: PostgresServer) -> Iterator[str]:
    """A database that calls itself another server of the protocol, so that nothing of PostgreSQL's own is used."""
    url = postgres_server.create_database()
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"CREATE SCHEMA {SCHEMA}".encode())
        name = "SELECT 'CockroachDB CCL v26.1.0'"
        connection.execute(f"CREATE FUNCTION {SCHEMA}.version() RETURNS text LANGUAGE sql AS $${name}$$".encode())
    yield f"{url}?options=-csearch_path%3D{SCHEMA}%2Cpg_catalog"
    postgres_server.drop_database(url)


class TestOtherServersState(StateConformance):
    """The portable part alone: no planner's settings, no hash index, no storage parameters, no signs."""

    @pytest.fixture
    def open_state(self, other_url: str) -> Iterator[OpenState]:
        with ExitStack() as stack:
            yield lambda: stack.enter_context(closing(PostgresState(other_url)))


def test_another_server_is_asked_now_and_then(other_url: str) -> None:
    """Commits tell it nothing, so nobody waits for signs there, whether or not it takes LISTEN."""
    with closing(PostgresState(other_url)) as state:
        assert state.watch() is None
