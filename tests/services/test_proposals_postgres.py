"""Proposed links on a real server keep the port's promises."""

from collections.abc import Iterator
from contextlib import ExitStack, closing

import pytest

from onefold.storage.postgres.proposals import PostgresProposals
from onefold.testing.conformance.proposals import OpenProposals, ProposalsConformance

pytestmark = pytest.mark.services


class TestPostgresProposals(ProposalsConformance):
    @pytest.fixture
    def open_proposals(self, postgres_url: str) -> Iterator[OpenProposals]:
        with ExitStack() as stack:
            yield lambda clock: stack.enter_context(closing(PostgresProposals(postgres_url, clock)))
