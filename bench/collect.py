"""What the collector takes: batches of 100 on one core, and one event a request on two cores.

`python -m bench.collect [--seconds 5] [--runs 3] [--connections 256] [--log null]`. The collector runs alone in a
process, behind the server and on the log that `onefold serve` uses, every answer after its fsync; `--log null` leaves
the log out, to see what it costs. This process sends requests that were written before the clock started, each
connection its next one when it has the answer to the last.
"""

import argparse
import asyncio
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import cycle
from pathlib import Path
from typing import NamedTuple, cast

import uvloop
from granian.constants import HTTPModes, Interfaces
from granian.server.embed import Server

from bench.report import Bound, Row, table
from bench.workload import BATCH_EVENTS, EVENT_BYTES, World
from onefold.clock import SystemClock
from onefold.collect.app import Collector
from onefold.ports import LogWriter
from onefold.settings import Settings
from onefold.storage.embedded.log import LmdbLogWriter

KEY = "wk_bench"
WARM_UP_S = 1.0
BATCHING = 4
"""SDKs that send batches are fewer: so many times fewer connections."""
BODIES = 200
"""Batches that are sent in turn: enough that neither side has them in its nearest cache."""


class Load(NamedTuple):
    """What to send, and on which cores."""

    path: str
    bodies: list[bytes]
    events: int
    """In each request."""
    connections: int
    cores: tuple[set[int], set[int]]
    """The server's and ours."""


class Taken(NamedTuple):
    """What one run took."""

    seconds: float
    requests: float
    server_cpu_s: float
    own_cpu_s: float


class NullLog:
    """Takes everything and keeps nothing: what is left is the collector's own cost."""

    def __init__(self, partitions: int) -> None:
        self.partitions = partitions

    def append(self, batches: Mapping[int, Sequence[bytes]]) -> dict[int, int]:
        """As `LogWriter.append`, but for the keeping."""
        return dict.fromkeys(batches, 0)

    def close(self) -> None:
        """Nothing to let go of."""


class Sender(asyncio.Protocol):
    """One connection in a closed loop; counts the answers, and stops at the first that is no success."""

    def __init__(self, requests: Iterator[bytes], counts: list[int], failed: asyncio.Future[None]) -> None:
        self._requests = requests
        self._counts = counts
        self._failed = failed
        self._transport: asyncio.WriteTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send the first request."""
        self._transport = cast("asyncio.WriteTransport", transport)
        self._transport.write(next(self._requests))

    def data_received(self, data: bytes) -> None:
        """An answer is short enough to come in one piece."""
        if not data.startswith(b"HTTP/1.1 200") or self._transport is None:
            if not self._failed.done():
                self._failed.set_exception(AssertionError(data[:300]))
            return
        self._counts[0] += 1
        self._transport.write(next(self._requests))


async def send(load: Load, port: int, server: int, seconds: float) -> Taken:
    """Warm up, then send for so long."""
    loop, counts = asyncio.get_running_loop(), [0]
    failed: asyncio.Future[None] = loop.create_future()
    requests = cycle([_request(load.path, body) for body in load.bodies])
    transports = [
        (await loop.create_connection(lambda: Sender(requests, counts, failed), "127.0.0.1", port))[0]
        for _ in range(load.connections)
    ]
    await asyncio.wait([failed], timeout=WARM_UP_S)
    before = (time.perf_counter(), counts[0], cpu_s(server), time.process_time())
    await asyncio.wait([failed], timeout=seconds)
    after = (time.perf_counter(), counts[0], cpu_s(server), time.process_time())
    for transport in transports:
        transport.close()
    if failed.done():
        failed.result()
    return Taken(*(late - early for early, late in zip(before, after, strict=True)))


def run(load: Load, seconds: float, log: str = "lmdb") -> Taken:
    """One run against a collector and a log of its own."""
    server_cores, own_cores = load.cores
    os.sched_setaffinity(0, own_cores)
    with tempfile.TemporaryDirectory(prefix="onefold-bench-") as data, serving(Path(data), log, server_cores) as server:
        return uvloop.run(send(load, server[1], server[0], seconds))


@contextmanager
def serving(data: Path, log: str, cores: set[int]) -> Iterator[tuple[int, int]]:
    """A collector in a process of its own: (process id, port)."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    command = [sys.executable, "-m", "bench.collect", "--serve", str(port), "--data", str(data), "--log", log]
    server = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    os.sched_setaffinity(server.pid, cores)
    try:
        _wait_for(port)
        yield server.pid, port
    finally:
        server.kill()
        server.wait()


def serve(data: Path, port: int, log: str) -> None:
    """Be the server."""
    settings = Settings(data=data, port=port)
    writer: LogWriter = NullLog(1) if log == "null" else LmdbLogWriter(data / "log", 1)
    collector = Collector(writer, lambda: {KEY: "bench"}, settings, SystemClock(), lambda: None)
    server = Server(
        collector, port=port, interface=Interfaces.ASGI, http=HTTPModes.http1, backlog=1024, websockets=False,
        log_enabled=False,
    )  # fmt: skip
    uvloop.run(server.serve())


def loads(connections: int) -> tuple[Load, Load]:
    """The two workloads of the table: batches with the server on one core, single events on all."""
    cores = sorted(os.sched_getaffinity(0))
    every, world = set(cores), World()
    return (
        Load(
            "/v1/batch",
            world.bodies(BODIES),
            BATCH_EVENTS,
            connections // BATCHING,
            ({cores[0]}, every - {cores[0]} or every),
        ),
        Load("/v1/track", world.singles(BODIES * BATCH_EVENTS), 1, connections, (every, every)),
    )


def measure(*, quick: bool, connections: int = 256, log: str = "lmdb", runs: int = 0, seconds: float = 0) -> list[Row]:
    """The published rows, with the CPU that an event costs beside the rate."""
    runs, seconds = runs or (1 if quick else 3), seconds or (2.0 if quick else 5.0)
    cores = os.sched_getaffinity(0)
    batches, singles = loads(connections)
    try:
        taken = [(run(batches, seconds, log), run(singles, seconds, log)) for _ in range(runs)]
    finally:
        os.sched_setaffinity(0, cores)
    about = {"event_bytes": EVENT_BYTES, "log": log, "acknowledged": "after fsync"}
    batched, single = ([each[n] for each in taken] for n in (0, 1))
    return [
        Row(
            "collect alone, batches of 100, server on one core",
            "events/s",
            [each.requests * BATCH_EVENTS / each.seconds for each in batched],
            Bound(250_000, 400_000, most=False),
            details=about | {"connections": batches.connections} | _details(batched, BATCH_EVENTS),
        ),
        Row(
            "collect, one event a request, two cores with the load generator",
            "requests/s",
            [each.requests / each.seconds for each in single],
            Bound(12_000, 20_000, most=False),
            details=about | {"connections": singles.connections} | _details(single, 1),
        ),
        Row("collect, batches of 100", "CPU-s per million events", [_cost(each, BATCH_EVENTS) for each in batched]),
        Row("collect, one event a request", "CPU-s per million events", [_cost(each, 1) for each in single]),
    ]


def cpu_s(pid: int) -> float:
    """User and system time of a process so far."""
    words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")


def _cost(taken: Taken, events: int) -> float:
    return taken.server_cpu_s * 1e6 / (taken.requests * events)


def _details(runs: Sequence[Taken], events: int) -> dict[str, object]:
    last = runs[-1]
    return {
        "server_cores_busy": round(last.server_cpu_s / last.seconds, 2),
        "generator_cores_busy": round(last.own_cpu_s / last.seconds, 2),
        "server_cpu_us_per_request": round(_cost(last, events) * events, 1),
    }


def _request(path: str, body: bytes) -> bytes:
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nX-Write-Key: {KEY}\r\nContent-Type: application/json\r\n"
    return b"%bContent-Length: %d\r\n\r\n%b" % (head.encode(), len(body), body)


def _wait_for(port: int) -> None:
    deadline = time.monotonic() + 20
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            assert time.monotonic() < deadline, "the collector did not start"
            time.sleep(0.05)
        else:
            return


def main() -> None:
    """Measure and print, or serve for someone who does."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--connections", type=int, default=256)
    parser.add_argument("--log", choices=["lmdb", "null"], default="lmdb")
    parser.add_argument("--serve", type=int, metavar="PORT", help=argparse.SUPPRESS)
    parser.add_argument("--data", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.serve:
        serve(given.data, given.serve, given.log)
        return
    rows = measure(quick=False, connections=given.connections, log=given.log, runs=given.runs, seconds=given.seconds)
    print(table(rows))
    for row in rows[:2]:
        print(f"{row.what}: {row.details}")


if __name__ == "__main__":
    main()
