"""Both histories keep the port's promises."""

from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from onefold.storage.history.delta import DeltaHistory
from onefold.testing.conformance.history import HistoryConformance, OpenHistory
from onefold.testing.memory.history import MemoryHistory


class TestMemoryHistory(HistoryConformance):
    @pytest.fixture
    def open_history(self) -> OpenHistory:
        history = MemoryHistory()
        return lambda: history


class TestDeltaHistory(HistoryConformance):
    @pytest.fixture
    def open_history(self, tmp_path: Path) -> Iterator[OpenHistory]:
        with ExitStack() as stack:
            yield lambda: stack.enter_context(closing(DeltaHistory(tmp_path / "history")))
