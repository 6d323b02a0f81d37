"""Both state engines keep the port's promises."""

from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from onefold.storage.embedded.state import LmdbState, Options
from onefold.testing.conformance.state import OpenState, StateConformance
from onefold.testing.memory.state import MemoryState


class TestMemoryState(StateConformance):
    @pytest.fixture
    def open_state(self) -> OpenState:
        return MemoryState().another


class TestLmdbState(StateConformance):
    @pytest.fixture
    def options(self) -> Options:
        return Options(map_bytes=1 << 20)

    @pytest.fixture
    def open_state(self, tmp_path: Path, options: Options) -> Iterator[OpenState]:
        with ExitStack() as stack:
            yield lambda: stack.enter_context(closing(LmdbState(tmp_path / "state", options=options)))


class TestLmdbStateThatMovesMessagesAtOnce(TestLmdbState):
    @pytest.fixture
    def options(self) -> Options:
        return Options(map_bytes=1 << 20, move_messages=1)
