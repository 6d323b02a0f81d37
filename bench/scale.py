"""From one worker process to two on one state: how fast a backlog of the log is folded."""

import asyncio
import os
import signal
import sys
import tempfile
import time
from pathlib import Path

from bench.report import Bound, Row, table
from bench.running import platform, send_all, until_folded
from bench.workload import BATCH_EVENTS, World, definitions


def measure(*, quick: bool) -> list[Row]:
    """The ratio of two workers' rate to one's, each over the same backlog in two partitions."""
    events = 100_000 if quick else 400_000
    bodies = World().bodies(events // BATCH_EVENTS)
    rates: dict[int, list[float]] = {1: [], 2: []}
    for _ in range(1 if quick else 3):
        for workers in (1, 2):
            rates[workers].append(_rate(bodies, events, workers))
    ratios = [two / one for one, two in zip(rates[1], rates[2], strict=True)]
    details = {"events": events, "partitions": 2, "events_per_s": rates}
    return [
        Row("step throughput of 2 worker processes against 1", "x", ratios, Bound(1.4, 1.8, most=False), "", details)
    ]


def _rate(bodies: list[bytes], events: int, workers: int) -> float:
    """Fill the log while the workers are stopped by SIGSTOP, then let them go."""
    with tempfile.TemporaryDirectory(prefix="onefold-bench-") as scratch:
        flags = ("--partitions", "2", "--workers", str(workers))
        with platform(definitions(), *flags, data=Path(scratch) / "data") as running:
            requests = [running.request("/v1/batch", body) for body in bodies]
            stopped = [pid for role, pid in running.pids().items() if role.startswith("worker")]
            _signal(stopped, "STOP")
            asyncio.run(send_all(requests, running.port))
            _signal(stopped, "CONT")
            began_s = time.perf_counter()
            until_folded(running, events)
            return events / (time.perf_counter() - began_s)


def _signal(pids: list[int], name: str) -> None:
    for pid in pids:
        os.kill(pid, getattr(signal, f"SIG{name}"))


if __name__ == "__main__":
    sys.stdout.write(table(measure(quick="--quick" in sys.argv)) + "\n")
