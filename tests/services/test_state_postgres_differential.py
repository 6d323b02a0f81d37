"""The PostgreSQL state against plain dictionaries: random commits, some of them stale, with reopening in between."""

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from onefold.storage.postgres.state import Options, PostgresState
from tests.property.test_state_differential import WINDOW_MS, Driver, batches
from tests.services.conftest import SCHEMA

pytestmark = pytest.mark.services
TABLES = (
    "head, profiles, redirects, identifiers, timers, members, sizes, effects, touched, messages, quarantine, counts, "
    "cursors, rules"
)


@pytest.fixture
def broom(postgres_url: str) -> Iterator[psycopg.Connection[Any]]:
    """A connection that empties all tables."""
    with psycopg.connect(postgres_url, autocommit=True, options=f"-c search_path={SCHEMA}") as connection:
        yield connection


@pytest.mark.parametrize("hopeful_commits", [20, 0], ids=["in_turn", "at_once"])
@settings(
    max_examples=15,
    deadline=None,
    suppress_health_check=[
        HealthCheck.too_slow,
        HealthCheck.data_too_large,
        HealthCheck.function_scoped_fixture,  # which the test empties before each example
    ],
)
@given(history=st.lists(batches(), max_size=12))
def test_the_postgresql_state_answers_as_dictionaries_do(
    history: list[dict[str, Any]], postgres_url: str, broom: psycopg.Connection[Any], hopeful_commits: int
) -> None:
    """After every commit, whether it conflicted or not, both engines give the same answers and digests."""
    broom.execute(f"TRUNCATE {TABLES}".encode())
    driver = Driver(lambda: PostgresState(postgres_url, options=Options(WINDOW_MS, hopeful_commits)))
    try:
        for batch in history:
            driver.run(batch)
    finally:
        driver.engine.close()
