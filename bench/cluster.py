"""The second engine against the first: the path's cost on Kafka and PostgreSQL, with more workers, and how late it is.

One broker, one PostgreSQL and the roles run on this machine, and everything is counted: servers, roles, and also those
of the servers' processes that came and went. The servers are warmed up by a run that is not counted, and stay; each
run has a new workspace, so that it begins empty as the embedded one does that it is compared with. Against that one and
for the latency, the log has one partition, as it has embedded; several workers share eight, and have folded a backlog
before the one that is counted: what it costs each of them to start is no part of what an event costs.
"""

import argparse
import asyncio
import sys
import time
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import uvloop

from bench import latency, recovery
from bench.clustered import ONE_OF_EACH, PARTITIONS, Clustered, Servers, clustered
from bench.path import Cost, one_machine, spent
from bench.report import Bound, Row, table
from bench.running import send_all
from bench.workload import BATCH_EVENTS, EVENT_BYTES, PEOPLE, World, definitions

WORKERS = (1, 2, 4)
FOLDING = ("worker", "kafka", "postgres")
"""Roles and servers that fold a backlog cost."""
BEHIND_S = 1.0
"""A worker commits each of its partitions in turn, so that some events wait for all others' commits."""
ATTEMPTS = 4
UNIT = "CPU-s per million events"

Backlogs = Sequence[Sequence[bytes]]
"""Bodies of requests, of which each makes one."""


class Plan(NamedTuple):
    """How much is measured."""

    events: int
    """Of the whole path, and of a backlog."""
    before: int
    """Of the backlog that workers fold before they are compared."""
    runs: int
    latency: latency.Plan
    recovery: recovery.Plan


LONG = Plan(200_000, 100_000, 3, latency.Plan(200_000, 10.0, 30.0, 3, BEHIND_S), recovery.LONG)
QUICK = Plan(100_000, 100_000, 1, latency.Plan(60_000, 4.0, 8.0, 1, BEHIND_S), recovery.QUICK)


PARTS = ("path", "workers", "latency", "recovery")


def measure(*, quick: bool, parts: Sequence[str] = PARTS) -> list[Row]:
    """The rows of these parts. Raises `SettingsError` where Java, Maven or PostgreSQL is missing."""
    plan = QUICK if quick else LONG
    bodies = World().bodies(plan.events // BATCH_EVENTS)
    world = World()
    backlogs = [world.bodies(events // BATCH_EVENTS) for events in (plan.before, plan.events)]
    with Servers() as servers:
        _path(servers, bodies)
        measures = {
            "path": lambda: _against_one_machine(servers, bodies, plan.runs),
            "workers": lambda: _by_workers(servers, backlogs, plan.runs),
            "latency": lambda: _latencies(servers, plan.latency),
            "recovery": lambda: recovery.rows(servers, plan.recovery),
        }
        return [row for part in parts for row in measures[part]()]


def _against_one_machine(servers: Servers, bodies: Sequence[bytes], runs: int) -> list[Row]:
    """The whole path on both engines, in turns."""
    pairs = [(_path(servers, bodies), one_machine(bodies)) for _ in range(runs)]
    shares = {
        "cluster": [cluster.shares for cluster, _ in pairs],
        "one_machine": [machine.shares for _, machine in pairs],
    }
    rates = {
        "cluster": [round(cluster.events_per_s) for cluster, _ in pairs],
        "one_machine": [round(machine.events_per_s) for _, machine in pairs],
    }
    about = _about(bodies) | {
        "partitions": 1,
        "roles": dict(ONE_OF_EACH),
        "cpu_s_per_million_by_role": shares,
        "events_per_s": rates,
    }
    costs = [cluster.cpu_s_per_million for cluster, _ in pairs]
    ratios = [cluster.cpu_s_per_million / machine.cpu_s_per_million for cluster, machine in pairs]
    return [
        Row("the whole path on Kafka and PostgreSQL, all processes and servers", UNIT, costs, None, "", about),
        Row("the same against one machine's engines", "x", ratios, Bound(3, 1.5), "", about),
    ]


def _path(servers: Servers, bodies: Sequence[bytes]) -> Cost:
    with clustered(servers, definitions(), ONE_OF_EACH, partitions=1) as running:
        return spent(running, bodies)


def _by_workers(servers: Servers, backlogs: Backlogs, runs: int) -> list[Row]:
    """What it costs to fold the last of these backlogs with so many workers: theirs and the servers' CPU."""
    found: dict[int, list[Cost]] = {workers: [] for workers in WORKERS}
    for _ in range(runs):
        for workers, costs in found.items():
            costs.append(_backlog(servers, backlogs, workers))
    about = _about(backlogs[-1]) | {"events_before": len(backlogs[0]) * BATCH_EVENTS}
    rows = []
    for workers, costs in found.items():
        details = about | {
            "workers": workers,
            "cpu_s_per_million_by_role": [cost.shares for cost in costs],
            "events_per_s": [round(cost.events_per_s) for cost in costs],
        }
        spent_s = [cost.cpu_s_per_million for cost in costs]
        rows.append(Row(f"folding a backlog, workers and servers, {workers} workers", UNIT, spent_s, None, "", details))
    for workers in WORKERS[1:]:
        pairs = zip(found[workers], found[1], strict=True)
        ratios = [many.cpu_s_per_million / one.cpu_s_per_million for many, one in pairs]
        rows.append(Row(f"cost of an event with {workers} workers against 1", "x", ratios, Bound(1.2, 1.05), "", about))
    return rows


def _backlog(servers: Servers, backlogs: Backlogs, workers: int) -> Cost:
    """What it costs where all have folded. Raises `AssertionError` where they never did: it would be others' cost.

    Workers that stand still lose their partitions, and whoever is first to join again may have folded all before the
    last has come.
    """
    costs: list[Cost] = []
    while len(costs) < ATTEMPTS:
        costs.append(_attempt(servers, backlogs, workers))
        if is_shared(costs[-1].shares):
            return costs[-1]
    raise AssertionError(f"{workers} workers did not share the work: {[cost.shares for cost in costs]}")


def is_shared(shares: Mapping[str, float]) -> bool:
    """Whether each worker has cost at least half of what they have cost on average."""
    costs = [share for name, share in shares.items() if name.startswith("worker")]
    return min(costs) >= sum(costs) / len(costs) / 2


def _attempt(servers: Servers, backlogs: Backlogs, workers: int) -> Cost:
    """What the last of these backlogs costs, one folded after the other."""
    with clustered(servers, definitions(), {"collect": 1, "worker": workers}) as running:
        sent = 0
        for bodies in backlogs:
            sent += len(bodies) * BATCH_EVENTS
            cost = _folded(running, bodies, sent)
        return cost


def _folded(running: Clustered, bodies: Sequence[bytes], sent: int) -> Cost:
    """Fill the log while the workers stand still, then let them go. `sent`: events, these and all before."""
    requests = [running.request("/v1/batch", body) for body in bodies]
    for name in running.workers:
        running.roles.pause(name)
    asyncio.run(send_all(requests, running.collect_port))
    before, began_s = _folding_cpu_s(running), time.perf_counter()
    for name in running.workers:
        running.roles.resume(name)
    running.settled(sent)
    taken_s = time.perf_counter() - began_s
    return Cost.between(before, _folding_cpu_s(running), len(bodies) * BATCH_EVENTS, taken_s)


def _folding_cpu_s(running: Clustered) -> dict[str, float]:
    return {name: cpu_s for name, cpu_s in running.cpu_s().items() if name.startswith(FOLDING)}


def _latencies(servers: Servers, plan: latency.Plan) -> list[Row]:
    rows = uvloop.run(latency.latencies(partial(clustered, servers, partitions=1), plan, {50: Bound(100, 40)}))
    for row in rows:
        row.what = f"cluster: {row.what}"
    return rows


def _about(bodies: Sequence[bytes]) -> dict[str, Any]:
    return {
        "events": len(bodies) * BATCH_EVENTS, "event_bytes": EVENT_BYTES, "batch": BATCH_EVENTS, "people": PEOPLE,
        "traits": 10, "audiences": 20, "partitions": PARTITIONS, "brokers": 1,
        "acknowledged": "fsync",
    }  # fmt: skip


def main() -> None:
    """`python -m bench.cluster [PART …] [--quick]`."""
    parser = argparse.ArgumentParser(prog="bench.cluster", description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of: {', '.join(PARTS)}")
    parser.add_argument("--quick", action="store_true", help="one short run each: for a look, not for the docs")
    given = parser.parse_args()
    if unknown := [part for part in given.parts if part not in PARTS]:
        parser.error(f"unknown part {unknown[0]!r}; there are: {', '.join(PARTS)}")
    rows = measure(quick=given.quick, parts=given.parts or PARTS)
    sys.stdout.write(table(rows) + "\n")
    for row in rows:
        sys.stdout.write(f"{row.what}: {row.details}\n")


if __name__ == "__main__":
    main()
