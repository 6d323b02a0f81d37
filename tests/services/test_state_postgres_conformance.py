"""The PostgreSQL state keeps the port's promises, on a real server: the suite of every state, unchanged."""

from collections.abc import Iterator
from contextlib import ExitStack, closing

import pytest

from onefold.storage.postgres.state import Options, PostgresState
from onefold.testing.conformance.state import OpenState, StateConformance

pytestmark = pytest.mark.services


class TestPostgresState(StateConformance):
    @pytest.fixture(params=[Options().hopeful_commits, 0], ids=["in_turn", "at_once"])
    def open_state(self, postgres_url: str, request: pytest.FixtureRequest) -> Iterator[OpenState]:
        options = Options(hopeful_commits=request.param)
        with ExitStack() as stack:
            yield lambda: stack.enter_context(closing(PostgresState(postgres_url, options=options)))
