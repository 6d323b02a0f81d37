"""Profile reads over HTTP: latency in an open loop, from the instant that each request was meant to be sent.

`python -m bench.api --rate 2000 --seconds 10 --profiles 100000`. The platform's http role runs in a process of its
own, on a state of generated people; the load generator shares the machine with it, and says how much CPU each took.
"""

import argparse
import asyncio
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import cast

import msgspec
import uvloop
from msgspec import Struct

from bench.report import Bound, Row
from onefold.clock import SystemClock
from onefold.limits import NEVER_MS
from onefold.model import position, profile
from onefold.model.changes import Changes, Cursor
from onefold.model.profile import Declared, Link, Profile
from onefold.settings import Settings
from onefold.storage.directory import DataDirectory
from onefold.storage.embedded.catalog import SqliteCatalog
from onefold.storage.embedded.state import LmdbState

CONNECTIONS = 32
WARM_UP_S = 1.0
BATCH = 2_000
_SERVE = (
    "import sys, msgspec; from onefold.settings import Settings; from onefold.server.app import run;"
    "run(msgspec.json.decode(sys.argv[1], type=Settings, dec_hook=lambda kind, value: kind(value)))"
)


class Result(Struct):
    """What was reached, with everything that it depends on."""

    rate_wanted: float
    rate_reached: float
    requests: int
    errors: int
    profiles: int
    answer_bytes: int
    p50_ms: float
    p90_ms: float
    p99_ms: float
    p999_ms: float
    max_ms: float
    server_cpu_us_per_request: float
    generator_cpu_us_per_request: float


class Connection(asyncio.Protocol):
    """One keep-alive connection; counts a response as whole by its Content-Length."""

    def __init__(self, load: "Load") -> None:
        self._load = load
        self._buffer = b""
        self._due_s = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ready for the first request."""
        self._transport = cast("asyncio.Transport", transport)
        self._load.idle.append(self)

    def send(self, request: bytes, due_s: float) -> None:
        """Send one request, meant for this instant."""
        self._due_s = due_s
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        """Take in a response."""
        self._buffer += data
        head, found, body = self._buffer.partition(b"\r\n\r\n")
        if not found:
            return
        length = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0])
        if len(body) >= length:
            self._buffer = b""
            self._load.done(self, self._due_s, head.startswith(b"HTTP/1.1 200"), length)


class Load:
    """An open loop: requests are due at fixed instants, and wait in a queue where no connection is free."""

    def __init__(self, requests: list[bytes], rate: float, seconds: float) -> None:
        self._requests = requests
        self._rate = rate
        self._total = int(rate * seconds)
        self._all_done = asyncio.Event()
        self._waiting: list[tuple[bytes, float]] = []
        self.idle: list[Connection] = []
        self.latencies_s: list[float] = []
        self.errors = 0
        self.bytes = 0

    async def run(self, port: int) -> float:
        """Send everything and wait for the answers; returns the seconds it took."""
        loop = asyncio.get_running_loop()
        for _ in range(CONNECTIONS):
            await loop.create_connection(lambda: Connection(self), "127.0.0.1", port)
        chosen = random.Random(7)
        began_s = time.perf_counter()
        for n in range(self._total):
            due_s = began_s + n / self._rate
            if (ahead_s := due_s - time.perf_counter()) > 0:
                await asyncio.sleep(ahead_s)
            self._start(chosen.choice(self._requests), due_s)
        await self._all_done.wait()
        return time.perf_counter() - began_s

    def done(self, connection: Connection, due_s: float, ok: bool, length: int) -> None:  # noqa: FBT001
        """One answer has come; its connection takes the next request that waits."""
        self.latencies_s.append(time.perf_counter() - due_s)
        self.errors += not ok
        self.bytes = length
        if len(self.latencies_s) == self._total:
            self._all_done.set()
        if self._waiting:
            connection.send(*self._waiting.pop(0))
        else:
            self.idle.append(connection)

    def _start(self, request: bytes, due_s: float) -> None:
        if self.idle:
            self.idle.pop().send(request, due_s)
        else:
            self._waiting.append((request, due_s))


def main() -> None:
    """Fill a state, serve it, load it, print the result as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rate", type=float, default=2_000)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--profiles", type=int, default=100_000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        result = once(Path(folder) / "data", options.rate, options.seconds, options.profiles)
    sys.stdout.write(msgspec.json.format(msgspec.json.encode(result)).decode() + "\n")


def measure(*, quick: bool) -> list[Row]:
    """The published row: p99 of a profile read at 2,000 a second."""
    runs: list[Result] = []
    for _ in range(1 if quick else 3):
        with tempfile.TemporaryDirectory() as folder:
            runs.append(once(Path(folder) / "data", 2_000, 4 if quick else 10, 100_000))
    details = {"runs": msgspec.to_builtins(runs)}
    p99 = [run.p99_ms for run in runs]
    return [Row("profile read over HTTP at 2,000/s, p99", "ms", p99, Bound(10, 3), "", details)]


def once(data: Path, rate: float, seconds: float, people: int) -> Result:
    """Run the whole measurement in a fresh data directory."""
    secret = fill(data, people)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    settings = msgspec.json.encode(Settings(data=data, port=port), enc_hook=str)
    server = subprocess.Popen([sys.executable, "-c", _SERVE, settings.decode()])
    try:
        wait_for(port)
        requests = [
            f"GET /v1/profiles/user_id:u{n} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {secret}\r\n\r\n".encode()
            for n in range(people)
        ]
        uvloop.run(Load(requests, rate, WARM_UP_S).run(port))
        load = Load(requests, rate, seconds)
        server_before, own_before = cpu_s(server.pid), time.process_time()
        took_s = uvloop.run(load.run(port))
        server_cpu, own_cpu = cpu_s(server.pid) - server_before, time.process_time() - own_before
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait(10)
    return _result(load, (rate, len(load.latencies_s) / took_s), people, (server_cpu, own_cpu))


def fill(data: Path, people: int) -> str:
    """Make a data directory with this many people, and return a secret key that may read them."""
    directory = DataDirectory.open(data)
    catalog = SqliteCatalog(directory.catalog, SystemClock())
    secret = catalog.create_secret_key("bench", ["profiles:read"])
    catalog.close()
    state = LmdbState(directory.state)
    for first in range(0, people, BATCH):
        made = {found.id: found for found in (person(n) for n in range(first, min(first + BATCH, people)))}
        identifiers = {identifier: found.id for found in made.values() for identifier in found.identifiers}
        cursor = Cursor(0, 1_700_000_000_000, 1)
        changes = Changes(0, cursor, made, identifiers, {}, {}, {}, {}, [], [], {})
        state.commit([changes], state.load(identifiers, made, []), {n: profile.encode(one) for n, one in made.items()})
    state.close()
    return secret


def person(n: int) -> Profile:
    """Somebody with three identifiers, ten traits of each kind and five audiences."""
    at_ms = 1_700_000_000_000 + n
    names = [f"user_id:u{n}", f"email:person{n}@example.com", f"anonymous_id:{n:032x}"]
    return Profile(
        position.profile_id(0, n << 16),
        at_ms,
        at_ms,
        at_ms,
        at_ms,
        NEVER_MS,
        1,
        20,
        dict.fromkeys(names, at_ms),
        {f"declared_{i}": Declared(f"value {i}", at_ms, b"1") for i in range(10)},
        {f"computed_{i}": i * 1.5 for i in range(10)},
        {f"slot{i}": [i, at_ms] for i in range(10)},
        {f"audience_{i}": at_ms for i in range(5)},
        [Link(names[0], other, 0, n << 16, "shared_event", at_ms) for other in names[1:]],
        [],
        [n << 16] * 20,
    )


def wait_for(port: int) -> None:
    """Return when the server answers."""
    deadline_s = time.monotonic() + 20
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            if time.monotonic() > deadline_s:
                raise
            time.sleep(0.05)
        else:
            return


def cpu_s(pid: int) -> float:
    """CPU seconds that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _result(load: Load, rates: tuple[float, float], people: int, cpus_s: tuple[float, float]) -> Result:
    latencies = sorted(load.latencies_s)
    count = len(latencies)

    def percentile(share: float) -> float:
        return round(latencies[min(count - 1, int(share * count))] * 1000, 3)

    return Result(
        rates[0],
        round(rates[1], 1),
        count,
        load.errors,
        people,
        load.bytes,
        percentile(0.5),
        percentile(0.9),
        percentile(0.99),
        percentile(0.999),
        percentile(1),
        round(cpus_s[0] / count * 1e6, 1),
        round(cpus_s[1] / count * 1e6, 1),
    )


if __name__ == "__main__":
    main()
