"""The whole durable path: CPU-seconds of all processes for a million events, from request to committed profile."""

import argparse
import asyncio
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from bench.report import Bound, Row, table
from bench.running import Target, platform, send_all
from bench.workload import BATCH_EVENTS, EVENT_BYTES, PEOPLE, World, definitions


class Cost(NamedTuple):
    """What some events have cost."""

    cpu_s_per_million: float
    shares: dict[str, float]
    """The same of each role or server."""
    events_per_s: float

    @classmethod
    def between(cls, before: Mapping[str, float], after: Mapping[str, float], events: int, taken_s: float) -> "Cost":
        """From the CPU seconds before and after, by role."""
        shares = {role: (cpu_s - before.get(role, 0.0)) / events * 1e6 for role, cpu_s in after.items()}
        rounded = {role: round(share, 2) for role, share in shares.items()}
        return cls(sum(shares.values()), rounded, events / taken_s)


def measure(*, quick: bool, events: int = 0, runs: int = 0) -> list[Row]:
    """From empty: send everything as fast as it is taken, wait until it is folded, and hold the account to it."""
    events = events or (200_000 if quick else 1_000_000)
    bodies = World().bodies(events // BATCH_EVENTS)
    times = range(runs or (1 if quick else 3))
    found = [one_machine(bodies) for _ in times]
    whole = [one_machine(bodies, history=True) for _ in times]
    return [
        _row("the whole durable path, all processes", found, events, Bound(12, 6)),
        _row("the same with history, which every event is written into", whole, events, None),
    ]


def _row(what: str, found: Sequence[Cost], events: int, bound: Bound | None) -> Row:
    details = {
        "events": events, "event_bytes": EVENT_BYTES, "batch": BATCH_EVENTS, "people": PEOPLE, "traits": 10,
        "audiences": 20, "acknowledged": "fsync", "cpu_s_per_million_by_role": [run.shares for run in found],
        "events_per_s": [run.events_per_s for run in found],
    }  # fmt: skip
    return Row(what, "CPU-s per million events", [run.cpu_s_per_million for run in found], bound, "", details)


def one_machine(bodies: Sequence[bytes], *, history: bool = False) -> Cost:
    """Send these to a new platform, `onefold serve`, until all are folded, and in history where there is one."""
    with platform(definitions(), history=history) as running:
        return spent(running, bodies, running.in_history if history else _nothing_more)


def _nothing_more() -> None:
    """All has been waited for."""


def spent(running: Target, bodies: Sequence[bytes], then: Callable[[], None] = _nothing_more) -> Cost:
    """What it costs to take these batches in and to fold them, in whatever is there already, and what comes `then`."""
    events = len(bodies) * BATCH_EVENTS
    requests = [running.request("/v1/batch", body) for body in bodies]
    before, began_s = running.cpu_s(), time.perf_counter()
    asyncio.run(send_all(requests, running.collect_port))
    running.settled(events)
    then()
    return Cost.between(before, running.cpu_s(), events, time.perf_counter() - began_s)


def main() -> None:
    """`python -m bench.path`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=300_000)
    parser.add_argument("--runs", type=int, default=3)
    given = parser.parse_args()
    rows = measure(quick=True, events=given.events, runs=given.runs)
    sys.stdout.write(table(rows) + "\n")
    sys.stdout.write(f"{rows[0].details['cpu_s_per_million_by_role']}\n{rows[0].details['events_per_s']}\n")


if __name__ == "__main__":
    main()
