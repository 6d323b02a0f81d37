"""A real platform for a benchmark: `onefold serve` in a data directory of its own, and what its processes use."""

import asyncio
import base64
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, cast

from msgspec import Struct

from onefold.clock import SystemClock
from onefold.model.definitions import Definitions
from onefold.storage.catalog import Catalog
from onefold.storage.directory import DataDirectory

_TICKS = os.sysconf("SC_CLK_TCK")
START_WITHIN_S = 120.0


class Running(Struct):
    """A platform that answers."""

    data: Path
    process: Any
    port: int
    write_key: str
    secret_key: str
    started_s: float
    """From the command to the first answer."""

    def request(self, path: str, body: bytes) -> bytes:
        """A keep-alive request with the write key."""
        key = base64.b64encode(f"{self.write_key}:".encode()).decode()
        head = f"POST {path} HTTP/1.1\r\nhost: x\r\nauthorization: Basic {key}\r\ncontent-type: application/json\r\n"
        return head.encode() + f"content-length: {len(body)}\r\n\r\n".encode() + body

    def get(self, path: str) -> Any:
        """An answer of the API, as JSON or text."""
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}{path}", headers={"authorization": f"Bearer {self.secret_key}"}
        )
        with urllib.request.urlopen(request) as answer:
            text = answer.read().decode()
        return json.loads(text) if path != "/metrics" else text

    def counts(self) -> dict[str, int]:
        """The account: received, admitted, duplicate, quarantined."""
        found: dict[str, int] = {"received": 0, "admitted": 0, "duplicate": 0, "quarantined": 0}
        for line in self.get("/metrics").splitlines():
            name, _, value = line.rpartition(" ")
            for kind in found:
                if name == f'onefold_events_total{{outcome="{kind}"}}':
                    found[kind] += int(float(value))
            if name.startswith("onefold_quarantined_events_total{"):
                found["quarantined"] += int(float(value))
        return found

    def pids(self) -> dict[str, int]:
        """Role → its process."""
        pid = self.process.pid
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        found = {"supervisor": pid}
        for child in children:
            words = Path(f"/proc/{child}/cmdline").read_bytes().decode().split("\0")
            role = words[words.index("onefold.runtime.role") + 1] if "onefold.runtime.role" in words else "other"
            index = words[words.index("--index") + 1] if "--index" in words else "0"
            found[f"{role}-{index}"] = int(child)
        return found

    def cpu_s(self) -> dict[str, float]:
        """Role → CPU seconds so far, user and system."""
        return {role: _cpu_s(pid) for role, pid in self.pids().items()}

    def memory_bytes(self) -> dict[str, int]:
        """Role → proportional set size: shared pages are counted once over all."""
        return {role: _pss(pid) for role, pid in self.pids().items()}


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def _pss(pid: int) -> int:
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))


@contextmanager
def platform(definitions: Definitions, *flags: str, data: Path | None = None) -> Iterator[Running]:
    """`onefold serve`, with these definitions in force from the start."""
    with tempfile.TemporaryDirectory(prefix="onefold-bench-") as scratch:
        place = data or Path(scratch) / "data"
        directory = DataDirectory.open(place)
        catalog = Catalog(directory.catalog, SystemClock())
        keys = catalog.bootstrap() or (
            catalog.rotate_write_key("default"),
            catalog.create_secret_key(f"bench{time.time_ns()}", ["*"]),
        )
        if catalog.definitions().traits != definitions.traits:
            catalog.save_definitions(definitions, "bench")
        catalog.close()
        command = [sys.executable, "-m", "onefold", "serve", "--data", str(place), "--port", "0", *flags]
        began_s = time.perf_counter()
        process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        try:
            port = _ready(process)
            yield Running(place, process, port, keys[0], keys[1], time.perf_counter() - began_s)
        finally:
            process.terminate()
            process.wait()


def _ready(process: "subprocess.Popen[str]") -> int:
    assert process.stderr is not None
    lines: list[str] = []
    for line in process.stderr:
        lines.append(line)
        if '"ready"' in line:
            threading.Thread(target=process.stderr.read, daemon=True).start()
            return int(json.loads(line)["url"].rpartition(":")[2])
    raise AssertionError("the platform did not start:\n" + "".join(lines))


class _Sender(asyncio.Protocol):
    """One connection that sends requests one after the other until there are none."""

    def __init__(self, requests: Iterator[bytes], done: asyncio.Future[None]) -> None:
        self._requests = requests
        self._done = done

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send the first request."""
        self._transport = cast("asyncio.WriteTransport", transport)
        self._next()

    def data_received(self, data: bytes) -> None:
        """An answer is short enough to come in one piece."""
        if data.startswith(b"HTTP/1.1 200"):
            self._next()
        elif not self._done.done():
            self._done.set_exception(AssertionError(data[:300]))

    def _next(self) -> None:
        request = next(self._requests, None)
        if request is not None:
            self._transport.write(request)
        elif not self._done.done():
            self._done.set_result(None)


async def send_all(requests: Sequence[bytes], port: int, connections: int = 16) -> None:
    """Send every request once, over some connections, each waiting for its answers."""
    loop = asyncio.get_running_loop()
    waiting = iter(requests)
    done = [loop.create_future() for _ in range(connections)]
    for each in done:
        await loop.create_connection(partial(_Sender, waiting, each), "127.0.0.1", port)
    await asyncio.gather(*done)


def until_folded(running: Running, received: int, within_s: float = 600.0) -> dict[str, int]:
    """Wait until so many events are accounted for; the account, which must close."""
    deadline_s = time.monotonic() + within_s
    while (counts := running.counts())["received"] < received:
        assert time.monotonic() < deadline_s, counts
        time.sleep(0.05)
    assert counts["received"] == counts["admitted"] + counts["duplicate"] + counts["quarantined"] == received, counts
    return counts
