"""What a delivery costs: CPU-seconds per million and deliveries a second, one role process against a local receiver.

`python -m bench.delivery [--events N] [--people N] [--destinations N] [--concurrency N]`. Effects lie ready in the
state, each an admitted event of 500 bytes in the log; the receiver is a small server in this process that says 204.
Only the role's CPU is counted. Latency: effects committed at a steady rate; from commit to the request's last byte;
once alone, and once each beside some thousands of effects that nobody has subscribed to. Last, what the role costs
while nothing happens.
"""

import argparse
import asyncio
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import ClassVar

import msgspec

from onefold.clock import SystemClock
from onefold.model import profile as profiles
from onefold.model.changes import Changes, Cursor
from onefold.model.definitions import Definitions, Destination
from onefold.model.effect import Admitted
from onefold.model.entry import Outgoing, encode
from onefold.model.position import position, profile_id
from onefold.model.profile import Profile
from onefold.storage.directory import DataDirectory
from onefold.storage.embedded.catalog import SqliteCatalog
from onefold.storage.embedded.deliveries import DeliveryStore
from onefold.storage.embedded.log import LmdbLogWriter
from onefold.storage.embedded.state import LmdbState

ROLE = (
    "import sys, pathlib; from onefold.runtime.delivering.delivery import run; from onefold.settings import Settings; "
    "run(Settings(data=pathlib.Path(sys.argv[1])))"
)
BATCH = 100
BESIDE = 5_000
IDLE_S = 10.0
EVENT_BYTES = 500


class Sink(asyncio.Protocol):
    """Counts requests and says 204, as cheaply as it can."""

    count = 0
    times: ClassVar[list[float]] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self.transport = transport
        self.buffer = b""

    def data_received(self, data: bytes) -> None:
        """Answer each whole request; bodies end with `}`, and clients wait for the answer before the next."""
        self.buffer += data
        head, found, body = self.buffer.partition(b"\r\n\r\n")
        if found and len(body) >= _length(head):
            self.buffer = b""
            Sink.count += 1
            Sink.times.append(time.monotonic())
            self.transport.write(b"HTTP/1.1 204 No Content\r\n\r\n")  # type: ignore[attr-defined]


def _length(head: bytes) -> int:
    return int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0])


class World:
    """A data directory that is filled by hand."""

    def __init__(self, path: Path, people: int) -> None:
        self.directory = DataDirectory.open(path)
        self.log = LmdbLogWriter(self.directory.log, 1)
        self.state = LmdbState(self.directory.state)
        self.people = people
        self.offset = 0
        self.n = 0

    def emit(self, n: int, beside: int = 0) -> None:
        """One record and one commit of `n` events, of people in turn, beside effects that nobody wants."""
        body = b'{"type":"track","event":"Seen","properties":{"pad":"%s"}}' % (b"x" * (EVENT_BYTES - 52))
        self.log.append({0: [encode(Outgoing("web", 1, [msgspec.Raw(body)] * n))]})
        now_ms = SystemClock().now_ms()
        ids = [profile_id(0, position(1_000_000 + (self.n + i) % self.people, 0)) for i in range(n)]
        found = [Admitted(p, position(self.offset, i), 0, now_ms, "Seen") for i, p in enumerate(ids)]
        found = [Admitted(1, 1, 0, now_ms, "Unwanted")] * beside + found
        made = {p: Profile(p, 1, 1, 1, 1, identifiers={f"user_id:{p}": 1, f"email:{p}@x.y": 1}) for p in ids}
        self.offset += 1
        self.n += n
        changes = Changes(0, Cursor(self.offset), made, {}, {}, {}, {}, {}, list(found), [], {})
        loaded = self.state.load((), set(ids), ())
        self.state.commit([changes], loaded, {p: profiles.encode(made[p]) for p in made})


def cpu_s(pid: int) -> float:
    """CPU time of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def measure(arguments: argparse.Namespace, path: Path) -> None:
    """Throughput with a backlog, then latency at a steady rate."""
    server = await asyncio.get_running_loop().create_server(Sink, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    world = World(path, arguments.people)
    catalog = SqliteCatalog(world.directory.catalog, SystemClock())
    names = [f"d{n}" for n in range(arguments.destinations)]
    wanted = tuple(Destination(name, url=url, events=("Seen",), concurrency=arguments.concurrency) for name in names)
    catalog.save_definitions(Definitions(destinations=wanted, allow_private_hosts=("127.0.0.1",)), "bench")
    for _ in range(arguments.events // BATCH):
        world.emit(BATCH)
    total = world.n * len(names)
    process = subprocess.Popen([sys.executable, "-c", ROLE, str(path)])  # noqa: ASYNC220 - takes a millisecond, once
    try:
        while not Sink.count:  # noqa: ASYNC110 - cheaper than an event a request
            await asyncio.sleep(0.001)
        began_s, before_s = time.monotonic(), cpu_s(process.pid)
        while Sink.count < total:  # noqa: ASYNC110 - cheaper than an event a request
            await asyncio.sleep(0.01)
        took_s, used_s = time.monotonic() - began_s, cpu_s(process.pid) - before_s
        print(f"{total} deliveries, {len(names)} destinations, concurrency {arguments.concurrency}, {EVENT_BYTES} B")
        print(f"{total / took_s:,.0f} deliveries/s, {used_s / total * 1e6:.0f} CPU-s per million (role only)")
        await latency(world, len(names), 0)
        await latency(world, len(names), BESIDE)
        await asyncio.sleep(1)
        before_s = cpu_s(process.pid)
        await asyncio.sleep(IDLE_S)
        print(f"idle: {100 * (cpu_s(process.pid) - before_s) / IDLE_S:.2f} % of a core")
        print(DeliveryStore(world.directory.deliveries, readonly=True).counts()[names[0]])
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(10)


async def latency(world: World, destinations: int, beside: int) -> None:
    """One event a commit, some ten milliseconds apart, from the commit's return to the receiver."""
    waits = []
    for _ in range(300):
        Sink.times.clear()
        await asyncio.to_thread(world.emit, 1, beside)
        committed_s = time.monotonic()
        while len(Sink.times) < destinations:  # noqa: ASYNC110 - cheaper than an event a request
            await asyncio.sleep(0.0005)
        waits.append(1000 * (Sink.times[0] - committed_s))
        await asyncio.sleep(0.01)
    waits.sort()
    found = f"p50 {waits[150]:.1f}, p90 {waits[270]:.1f}, p99 {waits[296]:.1f}"
    print(f"commit (beside {beside} unwanted) -> webhook received, ms: {found}")


def main() -> None:
    """Read the arguments and measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=20_000)
    parser.add_argument("--people", type=int, default=2_000)
    parser.add_argument("--destinations", type=int, default=1)
    parser.add_argument("--concurrency", type=int, default=16)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="onefold-bench-") as path:
        asyncio.run(measure(arguments, Path(path) / "data"))


if __name__ == "__main__":
    main()
