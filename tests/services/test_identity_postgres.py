"""Why people are one or two, their history and their graph are the same where the state lies in PostgreSQL."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from onefold.storage.postgres.state import PostgresState
from onefold.testing import identity_stories as stories
from tests.unit.server import fakes
from tests.unit.server.identity import test_explained as explained

pytestmark = pytest.mark.services


@pytest.fixture
def client(postgres_url: str, tmp_path: Path) -> Iterator[fakes.Client]:
    """Give a client of the shop in which all stories have happened, over a state of the server's."""
    with (
        closing(PostgresState(postgres_url, "default", readonly=False)) as state,
        explained.client_of(stories.told(state), tmp_path) as made,
    ):
        yield made


globals().update({name: each for name, each in vars(explained).items() if name.startswith("test_")})
