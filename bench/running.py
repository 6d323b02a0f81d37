"""A real platform for a benchmark: `onefold serve` in a data directory of its own, and what its processes use."""

import asyncio
import base64
import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, Protocol, cast

from msgspec import Struct

from onefold.clock import SystemClock
from onefold.model.definitions import Definitions
from onefold.storage.directory import DataDirectory
from onefold.storage.embedded.catalog import SqliteCatalog
from onefold.storage.embedded.state import LmdbState
from onefold.storage.history import standing

_TICKS = os.sysconf("SC_CLK_TCK")
START_WITHIN_S = 120.0
_DIED = "role died"
"""What the supervisor says of a role that it has to start again."""
_SAID_LINES = 50


class Target(Protocol):
    """What a load is put on: one machine's platform, or a cluster."""

    secret_key: str

    @property
    def collect_port(self) -> int:
        """Where events are taken."""
        ...

    @property
    def api_port(self) -> int:
        """Where questions are answered."""
        ...

    def request(self, path: str, body: bytes) -> bytes:
        """A keep-alive request with the write key."""
        ...

    def counts(self) -> dict[str, int]:
        """The account: received, admitted, duplicate, quarantined."""
        ...

    def settled(self, received: int) -> dict[str, int]:
        """Wait until so many events are accounted for; the account, which must close."""
        ...

    def cpu_s(self) -> dict[str, float]:
        """Role or server → CPU seconds so far, user and system."""
        ...


class Running(Struct):
    """A platform that answers."""

    data: Path
    process: Any
    port: int
    write_key: str
    secret_key: str
    started_s: float
    """From the command to the first answer."""

    @property
    def collect_port(self) -> int:
        """Where events are taken."""
        return self.port

    @property
    def api_port(self) -> int:
        """Where questions are answered."""
        return self.port

    def request(self, path: str, body: bytes) -> bytes:
        """A keep-alive request with the write key."""
        return request(self.write_key, path, body)

    def settled(self, received: int) -> dict[str, int]:
        """Wait until so many events are accounted for; the account, which must close."""
        return until_folded(self, received)

    def in_history(self, within_s: float = 300.0) -> None:
        """Wait until history has every event that is folded by now."""
        deadline_s = time.monotonic() + within_s
        with closing(LmdbState(self.data / "state", readonly=True)) as state:
            while state.commits(standing.read(self.data / "history").cursor, 1):
                assert time.monotonic() < deadline_s, "history does not keep up"
                time.sleep(0.1)

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
        return {role: pss_bytes(pid) for role, pid in self.pids().items()}


def request(write_key: str, path: str, body: bytes) -> bytes:
    """A keep-alive request with a write key."""
    key = base64.b64encode(f"{write_key}:".encode()).decode()
    head = f"POST {path} HTTP/1.1\r\nhost: x\r\nauthorization: Basic {key}\r\ncontent-type: application/json\r\n"
    return head.encode() + f"content-length: {len(body)}\r\n\r\n".encode() + body


def accounted(counts: Mapping[str, int]) -> dict[str, int]:
    """A state's counts as the account: received, admitted, duplicate, quarantined."""
    found = {name: counts.get(name, 0) for name in ("received", "admitted", "duplicate")}
    return found | {"quarantined": sum(count for name, count in counts.items() if name.startswith("quarantined."))}


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def pss_bytes(pid: int) -> int:
    """Proportional set size of a process: what it shares with others is shared out."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))


@contextmanager
def platform(
    definitions: Definitions, *flags: str, data: Path | None = None, history: bool = False
) -> Iterator[Running]:
    """`onefold serve`, with these definitions in force from the start; `history`: with its role.

    Fails in the end where a role has died meanwhile: what was measured is not what a platform costs that lives.
    """
    with tempfile.TemporaryDirectory(prefix="onefold-bench-") as scratch:
        place = data or Path(scratch) / "data"
        directory = DataDirectory.open(place)
        catalog = SqliteCatalog(directory.catalog, SystemClock())
        keys = catalog.bootstrap() or (
            catalog.rotate_write_key("default"),
            catalog.create_secret_key(f"bench{time.time_ns()}", ["*"]),
        )
        if catalog.definitions().traits != definitions.traits:
            catalog.save_definitions(definitions, "bench")
        catalog.close()
        command = [sys.executable, "-m", "onefold", "serve", "--data", str(place), "--port", "0", *flags]
        began_s = time.perf_counter()
        environ = os.environ | {"ONEFOLD_HISTORY": str(history).lower()}
        process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environ)
        said: list[str] = []
        try:
            port = _ready(process, said)
            yield Running(place, process, port, keys[0], keys[1], time.perf_counter() - began_s)
        finally:
            process.terminate()
            process.wait()
        died = [line for line in said if _DIED in line]
        assert not died, "a role has died:\n" + "".join(said[-_SAID_LINES:])


def _ready(process: "subprocess.Popen[str]", said: list[str]) -> int:
    assert process.stderr is not None
    for line in process.stderr:
        said.append(line)
        if '"ready"' in line:
            threading.Thread(target=said.extend, args=(process.stderr,), daemon=True).start()
            return int(json.loads(line)["url"].rpartition(":")[2])
    raise AssertionError("the platform did not start:\n" + "".join(said))


def free_port() -> int:
    """A port that nobody has just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(port: int, within_s: float = 20.0) -> None:
    """Return when something on this machine accepts connections there."""
    deadline_s = time.monotonic() + within_s
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            assert time.monotonic() < deadline_s, f"nothing listens on port {port}"
            time.sleep(0.02)
        else:
            return


class Answer(NamedTuple):
    """What came for a request."""

    status: int
    body: bytes
    head: bytes
    """Status line and headers, as they came."""

    def header(self, name: bytes) -> str:
        """The value of a header; empty where there is none."""
        lines = (line.partition(b":") for line in self.head.split(b"\r\n")[1:])
        return next((value.strip().decode() for key, _, value in lines if key.lower() == name), "")


class Connection(asyncio.Protocol):
    """A keep-alive connection for one request at a time, as cheap as a generator should be."""

    def __init__(self) -> None:
        self._buffer = b""
        self._answer: asyncio.Future[Answer] | None = None
        self.closed = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ready."""
        self._transport = cast("asyncio.WriteTransport", transport)

    def ask(self, request: bytes) -> "asyncio.Future[Answer]":
        """Send a request; its answer."""
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return self._answer

    def data_received(self, data: bytes) -> None:
        """Take in an answer, whole by its Content-Length."""
        self._buffer += data
        head, found, body = self._buffer.partition(b"\r\n\r\n")
        if not found or self._answer is None:
            return
        length = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0])
        if len(body) >= length:
            self._buffer = b""
            self._answer.set_result(Answer(int(head[9:12]), body, head))

    def connection_lost(self, exc: Exception | None) -> None:
        """Whoever waits learns of it."""
        self.closed = True
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(exc or ConnectionError("the server closed the connection"))


class Pool:
    """Connections that are shared; who finds none free waits."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._free: asyncio.LifoQueue[Connection] = asyncio.LifoQueue()

    async def open(self, connections: int) -> None:
        """Connect."""
        for _ in range(connections):
            self._free.put_nowait(await self._connect())

    async def ask(self, request: bytes) -> Answer:
        """Send a request over a free connection; its answer."""
        connection = await self._free.get()
        try:
            if connection.closed:  # the server closes those that rest for long
                connection = await self._connect()
            return await connection.ask(request)
        finally:
            self._free.put_nowait(connection)

    async def _connect(self) -> Connection:
        loop = asyncio.get_running_loop()
        return (await loop.create_connection(Connection, "127.0.0.1", self._port))[1]


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
    """Wait until so many events are accounted for; the account, which must close.

    Looks into the state itself: asking the platform would cost it the CPU that is being measured.
    """
    deadline_s = time.monotonic() + within_s
    state = LmdbState(running.data / "state", readonly=True)
    try:
        while (counts := accounted(state.counts()))["received"] < received:
            assert time.monotonic() < deadline_s, counts
            assert running.process.poll() is None, "the platform ended"
            time.sleep(0.02)
    finally:
        state.close()
    assert counts["received"] == received == sum(counts.values()) - received, counts
    return counts
