"""Both log engines keep the ports' promises; the embedded one also with other processes."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from onefold.errors import SettingsError
from onefold.ports import LogReader, TrimmingWriter
from onefold.storage.embedded.log import LmdbLogReader, LmdbLogWriter
from onefold.testing.clock import ManualClock
from onefold.testing.conformance.log import EVERYTHING, AnyLog, LogConformance
from onefold.testing.memory.log import MemoryLog

APPENDER = """
import sys
from pathlib import Path
from onefold.storage.embedded.log import LmdbLogWriter
writer = LmdbLogWriter(Path(sys.argv[1]), 2)
for n in range(50):
    writer.append({0: [f"{sys.argv[2]}{n}".encode()] * 3, 1: [sys.argv[2].encode() + bytes(9000)]})
"""


class InMemory:
    """A log that its handles share."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self._log: MemoryLog | None = None

    def writer(self, partitions: int = 1) -> TrimmingWriter:
        """The log itself, as `LmdbLogWriter` would open it."""
        self._log = self._log or MemoryLog(partitions, self.clock)
        if self._log.partitions != partitions:
            raise SettingsError(f"set `partitions` to {self._log.partitions}")
        return self._log

    def reader(self) -> LogReader:
        """The log itself."""
        assert self._log
        return self._log


class OnDisk:
    """A log in a directory."""

    def __init__(self, path: Path, opened: Callable[[closing[LmdbLogWriter | LmdbLogReader]], object]) -> None:
        self.clock = ManualClock()
        self._path = path
        self._opened = opened

    def writer(self, partitions: int = 1) -> TrimmingWriter:
        """Another writer."""
        writer = LmdbLogWriter(self._path, partitions, self.clock)
        self._opened(closing(writer))
        return writer

    def reader(self) -> LogReader:
        """Another reader."""
        reader = LmdbLogReader(self._path)
        self._opened(closing(reader))
        return reader


class TestMemoryLog(LogConformance):
    @pytest.fixture
    def log(self) -> AnyLog:
        return InMemory()


class TestLmdbLog(LogConformance):
    @pytest.fixture
    def log(self, tmp_path: Path) -> Iterator[AnyLog]:
        with ExitStack() as stack:
            yield OnDisk(tmp_path / "log", stack.enter_context)

    def test_processes_append_side_by_side(self, log: AnyLog, tmp_path: Path) -> None:
        """Three processes that make and fill one log at once lose nothing, and the fourth reads all of it."""
        command = [sys.executable, "-c", APPENDER, str(tmp_path / "log")]
        children = [subprocess.Popen([*command, name]) for name in "abc"]
        assert [child.wait(60) for child in children] == [0, 0, 0]
        reader = log.reader()
        found = [record.data.decode() for record in reader.read(0, 0, EVERYTHING)]
        assert found[::3] == found[1::3] == found[2::3]
        assert all([x for x in found[::3] if x[0] == n] == [f"{n}{i}" for i in range(50)] for n in "abc")
        assert reader.ends(0) == (0, 450)
        assert reader.ends(1) == (0, 150)
