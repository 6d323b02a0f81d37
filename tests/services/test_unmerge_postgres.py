"""Undo on PostgreSQL, with a real server: the same people, byte for byte, as in memory without the link."""

from contextlib import closing

import pytest

from onefold.storage.postgres.state import PostgresState
from onefold.testing.memory.state import MemoryState
from tests.property.test_unmerge import How, case

pytestmark = pytest.mark.services


@pytest.mark.parametrize("seed", [6_000, 6_001, 6_002])
def test_people_are_taken_apart(postgres_url: str, seed: int) -> None:
    """Two links of a random life are undone, one after the other, while it goes on; the other world is in memory."""
    with closing(PostgresState(postgres_url)) as state:
        states = iter((state, MemoryState()))
        case(seed, 2, How(state=lambda: next(states)))
