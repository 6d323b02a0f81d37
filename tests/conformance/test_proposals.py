"""Proposed links in a file and in memory keep the port's promises."""

from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from onefold.clock import Clock
from onefold.storage.embedded.proposals import SqliteProposals
from onefold.testing.conformance.proposals import OpenProposals, ProposalsConformance
from onefold.testing.memory.proposals import MemoryProposals


class TestSqliteProposals(ProposalsConformance):
    @pytest.fixture
    def open_proposals(self, tmp_path: Path) -> Iterator[OpenProposals]:
        with ExitStack() as stack:
            yield lambda clock: stack.enter_context(closing(SqliteProposals(tmp_path / "proposals.sqlite", clock)))


class TestMemoryProposals(ProposalsConformance):
    @pytest.fixture
    def open_proposals(self) -> OpenProposals:
        kept: list[MemoryProposals] = []

        def opened(clock: Clock) -> MemoryProposals:
            if kept:
                return kept[0].seen_by(clock)
            kept.append(MemoryProposals(clock))
            return kept[0]

        return opened
