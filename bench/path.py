"""The whole durable path: CPU-seconds of all processes for a million events, from request to committed profile."""

import argparse
import asyncio
import sys
import time

from bench.report import Bound, Row, table
from bench.running import platform, send_all, until_folded
from bench.workload import BATCH_EVENTS, EVENT_BYTES, PEOPLE, World, definitions


def measure(*, quick: bool, events: int = 0, runs: int = 0) -> list[Row]:
    """From empty: send everything as fast as it is taken, wait until it is folded, and hold the account to it."""
    events = events or (200_000 if quick else 1_000_000)
    bodies = World().bodies(events // BATCH_EVENTS)
    costs: list[float] = []
    shares: list[dict[str, float]] = []
    rates: list[float] = []
    for _ in range(runs or (1 if quick else 3)):
        with platform(definitions()) as running:
            requests = [running.request("/v1/batch", body) for body in bodies]
            before, began_s = running.cpu_s(), time.perf_counter()
            asyncio.run(send_all(requests, running.port))
            until_folded(running, events)
            rates.append(events / (time.perf_counter() - began_s))
            spent = {role: after - before.get(role, 0.0) for role, after in running.cpu_s().items()}
            shares.append({role: round(cpu_s / events * 1e6, 2) for role, cpu_s in spent.items()})
            costs.append(sum(spent.values()) / events * 1e6)
    details = {
        "events": events, "event_bytes": EVENT_BYTES, "batch": BATCH_EVENTS, "people": PEOPLE, "traits": 10,
        "audiences": 20, "acknowledged": "fsync", "cpu_s_per_million_by_role": shares, "events_per_s": rates,
    }  # fmt: skip
    return [Row("the whole durable path, all processes", "CPU-s per million events", costs, Bound(12, 6), "", details)]


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
