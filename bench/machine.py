"""What this machine can do at all: the limits that every published number is a share of, measured in the same run.

JSON: msgspec decodes a batch of the workload, typed, on one core. Disk: an 8 KiB append and fdatasync, as one commit
of a group. Loopback: requests a second of a server that does nothing but answer, batches as large as the workload's,
and small ones. LMDB: entries of 256 bytes put in one transaction of 10,000, not synced.
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import lmdb
import msgspec
import uvloop
from granian.constants import HTTPModes, Interfaces
from granian.server.embed import Server
from msgspec import Struct

from bench.collect import Load, send
from bench.report import Row, percentile, table
from bench.running import free_port, wait_for
from bench.workload import BATCH_EVENTS, World
from onefold.model.event import Event

_TYPED = msgspec.json.Decoder(list[Event])
_OK = {"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]}


class Limits(Struct):
    """The machine's own limits."""

    decode_us_per_event: float
    """CPU to decode a 500-byte event into a Struct."""
    decode_runs: list[float]
    fsync_ms: dict[str, tuple[float, float]]
    """Bytes → p50 and p99 of writing and fdatasync."""
    loopback_batches_per_s: float
    """50 KB requests that a null server answers on one core, with the generator on the other."""
    loopback_requests_per_s: float
    """500-byte requests that a null server answers on two cores, with the generator on them."""
    put_us: float
    """CPU to put one entry into LMDB."""

    @property
    def decode_per_s(self) -> float:
        """Events a second that one core decodes, doing nothing else."""
        return 1e6 / self.decode_us_per_event


@cache
def limits(*, quick: bool = False) -> Limits:
    """Measured once in a process."""
    repeat = 3 if quick else 7
    events = b"[" + b",".join(World().events(BATCH_EVENTS)) + b"]"
    decode = [_cpu_us(lambda: _TYPED.decode(events), 100) / BATCH_EVENTS for _ in range(repeat)]
    seconds = 1.0 if quick else 3.0
    with tempfile.TemporaryDirectory(prefix="onefold-bench-") as scratch:
        directory = Path(scratch)
        times = 100 if quick else 400
        fsyncs = {str(size): _fsync_ms(directory / str(size), size, times) for size in (4 << 10, 64 << 10)}
        put_us = statistics.median(_put_us(directory / f"lmdb{n}") for n in range(3))
    return Limits(
        statistics.median(decode), decode, fsyncs, _loopback(50_000, 64, seconds, apart=True),
        _loopback(500, 256, seconds, apart=False), put_us,
    )  # fmt: skip


def share(row: Row, found: Limits) -> str:
    """A result beside the limit that its unit has, in words; empty where none is near."""
    if row.what.startswith("machine:"):
        return ""
    value = row.median()
    decode = found.decode_us_per_event
    fsync = found.fsync_ms[str(4 << 10)][0]
    match row.unit:
        case "CPU-s per million events":
            return f"JSON decode alone is {decode / value:.0%} of it"
        case "events/s":
            return f"{value * decode / 1e6:.0%} of JSON decode on one core"
        case "requests/s":
            return f"{value / found.loopback_requests_per_s:.0%} of a null server"
        case "ms" if "events_per_s" in row.details:
            return f"{value / fsync:,.0f} fsyncs, at {row.details['events_per_s']:,}/s"
        case _:
            return ""


def measure(*, quick: bool) -> list[Row]:
    """The limits, as rows of the table."""
    found = limits(quick=quick)
    rows = [Row("machine: JSON decode of a 500-byte event into a Struct", "CPU us", found.decode_runs)]
    rows += [
        Row(f"machine: append {int(size) >> 10} KiB and fdatasync, p50 (p99 {p99:.2f})", "ms", [p50])
        for size, (p50, p99) in found.fsync_ms.items()
    ]
    return [
        *rows,
        Row("machine: 50 KB requests to a null server on one core", "requests/s", [found.loopback_batches_per_s]),
        Row("machine: 500-byte requests to a null server, two cores", "requests/s", [found.loopback_requests_per_s]),
        Row("machine: LMDB put of 256 bytes, 10,000 a transaction", "CPU us", [found.put_us]),
    ]


def _cpu_us(work: Callable[[], object], times: int) -> float:
    begin = time.process_time()
    for _ in range(times):
        work()
    return (time.process_time() - begin) / times * 1e6


def _fsync_ms(path: Path, size: int, times: int) -> tuple[float, float]:
    taken = []
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    try:
        for _ in range(times):
            begin = time.perf_counter()
            os.write(descriptor, bytes(size))
            os.fdatasync(descriptor)
            taken.append((time.perf_counter() - begin) * 1e3)
    finally:
        os.close(descriptor)
    return percentile(taken, 0.5), percentile(taken, 0.99)


def _put_us(path: Path) -> float:
    keys = [os.urandom(16) for _ in range(10_000)]
    with lmdb.open(str(path), map_size=1 << 28, sync=False) as env:

        def put() -> None:
            with env.begin(write=True) as txn:
                for key in keys:
                    txn.put(key, bytes(256))

        return _cpu_us(put, 1) / len(keys)


def _loopback(size: int, connections: int, seconds: float, *, apart: bool) -> float:
    """Requests a second; `apart`: the server on one core and we on the others, else all on all."""
    cores = os.sched_getaffinity(0)
    server_cores = {min(cores)} if apart else cores
    own_cores = (cores - server_cores or cores) if apart else cores
    load = Load("/null", [b"x" * size], 1, connections, (server_cores, own_cores))
    port = free_port()
    server = subprocess.Popen([sys.executable, "-m", "bench.machine", "--serve", str(port)])
    os.sched_setaffinity(server.pid, server_cores)
    try:
        os.sched_setaffinity(0, own_cores)
        wait_for(port)
        taken = uvloop.run(send(load, port, server.pid, seconds))
    finally:
        os.sched_setaffinity(0, cores)
        server.kill()
        server.wait()
    return taken.requests / taken.seconds


async def _null(scope: Any, receive: Any, send: Any) -> None:
    """Read the body, say OK."""
    if scope["type"] != "http":
        return
    while (await receive()).get("more_body"):
        pass
    await send(_OK)
    await send({"type": "http.response.body", "body": b"ok"})


def _serve(port: int) -> None:
    server = Server(
        _null, port=port, interface=Interfaces.ASGI, http=HTTPModes.http1, backlog=1024, websockets=False,
        log_enabled=False,
    )  # fmt: skip
    uvloop.run(server.serve())


if __name__ == "__main__":
    if "--serve" in sys.argv:
        _serve(int(sys.argv[-1]))
    else:
        sys.stdout.write(table(measure(quick="--quick" in sys.argv)) + "\n")
