"""What the API promises of definitions and their versions holds over PostgreSQL, too: the same tests, that engine."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from onefold.clock import SystemClock
from onefold.storage.postgres.catalog import PostgresCatalog
from onefold.storage.postgres.state import PostgresState
from tests.unit.server import fakes
from tests.unit.server.defining import test_applying, test_versions

pytestmark = pytest.mark.services


@pytest.fixture
def client(postgres_url: str, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[fakes.Client]:
    """Give a client of the whole app over a catalog and a state of the server's, as the tests' own modules do."""
    with (
        closing(PostgresState(postgres_url, "default", readonly=False)) as state,
        closing(PostgresCatalog(postgres_url, SystemClock(), "default")) as catalog,
        fakes.client(tmp_path, catalog=catalog, state=fakes.state(state)) as client,
    ):
        if request.function.__module__ == test_versions.__name__:
            test_versions.prepare(client)
        yield client


for module in (test_versions, test_applying):
    globals().update({name: each for name, each in vars(module).items() if name.startswith("test_")})
