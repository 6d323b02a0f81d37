"""Starts the platform as its users do, as real processes, and looks at what it wrote."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from onefold.storage.directory import DataDirectory
from onefold.storage.embedded.log import LmdbLogReader

T = TypeVar("T")

START_S = 60.0
STOP_S = 30.0


class Platform:
    """`onefold serve` on a data directory of its own, or on one that is given; stopped and reaped on leaving."""

    def __init__(self, data: Path | None = None, *flags: str, environ: Mapping[str, str] | None = None) -> None:
        self._temporary = None if data else tempfile.TemporaryDirectory(prefix="onefold-e2e-")
        self.data = data or Path(self._temporary.name if self._temporary else "") / "data"
        self._flags = flags
        self._environ = dict(environ or {})
        self._process: subprocess.Popen[str] | None = None
        self.stderr: deque[str] = deque(maxlen=1_000)
        """The last lines that the processes wrote."""
        self.url = ""
        self.write_key = ""
        """Shown by the first start of a data directory; later starts keep what was seen."""
        self.secret_key = ""

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()
        if self._temporary:
            self._temporary.cleanup()

    @property
    def pid(self) -> int:
        """The supervisor's process id."""
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Start, and return once the platform has said that it answers. A second time: on the same port."""
        self.launch()
        self.await_ready()

    def launch(self) -> None:
        """Start, and do not wait."""
        port = self.url.rpartition(":")[2] or "0"
        command = [sys.executable, "-m", "onefold", "serve", "--data", str(self.data), "--port", port, *self._flags]
        self._process = subprocess.Popen(
            command, stderr=subprocess.PIPE, text=True, env=os.environ | self._environ, start_new_session=True
        )
        self._ready = threading.Event()
        threading.Thread(target=self._follow, args=(self._process, self._ready), daemon=True).start()

    def await_ready(self) -> None:
        """Return once the platform has said that it answers."""
        assert self._process is not None
        if not self._ready.wait(START_S) or self._process.poll() is not None:
            self.stop()
            raise AssertionError("the platform did not start:\n" + "\n".join(self.stderr))

    def stop(self) -> int:
        """End gracefully and return the exit code."""
        process, self._process = self._process, None
        if process is None:
            return 0
        process.terminate()
        try:
            return process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise AssertionError("the platform did not stop:\n" + "\n".join(self.stderr)) from None

    def kill(self) -> None:
        """`kill -9` the supervisor and every process of it, at once."""
        process, self._process = self._process, None
        assert process is not None
        for pid in [process.pid, *children(process.pid)]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        process.wait()

    def kill_supervisor(self) -> None:
        """`kill -9` the supervisor alone. Its roles are orphans then, and are nobody's to wait for."""
        process, self._process = self._process, None
        assert process is not None
        process.kill()
        process.wait()

    def roles(self) -> dict[str, int]:
        """Role, such as `worker-1` → its process, of those that run now."""
        found = {}
        for pid in children(self.pid):
            with contextlib.suppress(OSError, ValueError):
                words = Path(f"/proc/{pid}/cmdline").read_text().split("\0")
                name = words[words.index("onefold.runtime.role") + 1]
                found[f"{name}-{words[words.index('--index') + 1]}"] = pid
        return found

    def entries(self) -> list[dict[str, Any]]:
        """The log's entries of received events, as plain JSON, partition by partition."""
        log = LmdbLogReader(DataDirectory.open(self.data).log)
        try:
            records = [json.loads(data) for partition in range(log.partitions) for data in _all(log, partition)]
        finally:
            log.close()
        return [record for record in records if record["kind"] == "received"]

    def events(self) -> list[dict[str, Any]]:
        """Every event in the log, as it was stored."""
        return [event for entry in self.entries() for event in entry["events"]]

    def _follow(self, process: subprocess.Popen[str], ready: threading.Event) -> None:
        assert process.stderr is not None
        for line in process.stderr:
            self.stderr.append(line.rstrip())
            if '"ready"' in line:
                said = json.loads(line)
                self.url = said["url"]
                self.write_key = said.get("write_key", self.write_key)
                self.secret_key = said.get("secret_key", self.secret_key)
                ready.set()
        ready.set()


def children(pid: int) -> list[int]:
    """The processes that a process has started."""
    found = Path(f"/proc/{pid}/task/{pid}/children")
    return [int(each) for each in found.read_text().split()] if found.exists() else []


def eventually(look: Callable[[], T], within_s: float = 20.0) -> T:
    """The first true answer of `look`. Fails with its last answer once the time is over."""
    deadline = time.monotonic() + within_s
    while not (answer := look()):
        assert time.monotonic() < deadline, f"not within {within_s} s; last: {answer!r}"
        time.sleep(0.02)
    return answer


def _all(log: LmdbLogReader, partition: int) -> Iterator[bytes]:
    offset, end = log.ends(partition)
    while offset < end:
        for record in log.read(partition, offset, 1 << 20):
            yield record.data
            offset = record.offset + 1
