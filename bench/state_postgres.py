"""What the state on PostgreSQL costs beside the embedded one: CPU of worker and server together, for the same events.

`python -m bench.state_postgres [--events 200000] [--runs 3] [--step-events 32768] [--set NAME=VALUE]` folds the
workload of `bench.step`, records already in memory, into a fresh LMDB state and into a fresh database of a real server,
in turns. Every commit is fsynced. The server's CPU is that of all its processes, a checkpoint at the end included.
"""

import argparse
import time
from collections.abc import Sequence
from contextlib import closing
from statistics import median
from typing import NamedTuple

import psycopg

from bench.report import Bound, Row
from bench.step import STAGES, Costs, costs, folded, log_of
from bench.workload import BATCH_EVENTS, World, definitions
from onefold.limits import STEP_MAX_EVENTS
from onefold.storage.postgres.state import PostgresState
from onefold.testing.servers.postgres import PostgresServer


class Pair(NamedTuple):
    """The same events folded into both engines; microseconds of CPU an event."""

    embedded: Costs
    worker: Costs
    server: float
    wall_s: float

    def ratio(self) -> float:
        """Worker and server against the worker on LMDB."""
        return (self.worker.whole + self.server) / self.embedded.whole


def pair(server: PostgresServer, log: Sequence[bytes], events: int, step_events: int = STEP_MAX_EVENTS) -> Pair:
    """Fold a log into an empty state of each engine."""
    embedded = costs(log, events, step_events)
    url = server.create_database()
    with closing(PostgresState(url)) as state:
        before, begin_s = server.cpu_s(), time.perf_counter()
        worker = folded(state, log, events, step_events)
        wall_s = time.perf_counter() - begin_s
    with psycopg.connect(server.url, autocommit=True) as connection:
        connection.execute("CHECKPOINT")
    spent = server.cpu_s() - before
    server.drop_database(url)
    return Pair(embedded, worker, 1e6 * spent / events, wall_s)


def measure(*, quick: bool) -> list[Row]:
    """Worker and server against the worker on LMDB."""
    events, runs = (40_000, 1) if quick else (200_000, 5)
    log = log_of(World().bodies(events // BATCH_EVENTS), definitions())
    with PostgresServer() as server:
        pairs = [pair(server, log, events) for _ in range(runs)]
    details = {
        "on LMDB, us an event": [round(each.embedded.whole, 2) for each in pairs],
        "worker on PostgreSQL, us an event": [round(each.worker.whole, 2) for each in pairs],
        "PostgreSQL itself, us an event": [round(each.server, 2) for each in pairs],
        "events": events,
        "profiles": pairs[0].worker.profiles,
    }
    what = "an event in the worker, its state on PostgreSQL, the server's CPU included, against LMDB"
    return [Row(what, "ratio of CPU", [each.ratio() for each in pairs], Bound(3.0, 1.5), "", details)]


def main() -> None:
    """Print where the time goes, stage by stage."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=200_000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--step-events", type=int, default=STEP_MAX_EVENTS)
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="of the server's settings")
    given = parser.parse_args()
    log = log_of(World().bodies(given.events // BATCH_EVENTS), definitions())
    settings = dict(each.split("=", 1) for each in given.set)
    with PostgresServer(settings) as server:
        pairs = [pair(server, log, given.events, given.step_events) for _ in range(given.runs)]
    print(f"{given.events:,} events, up to {given.step_events:,} a step; CPU us an event, median of {given.runs}")
    print(f"    {'':10} {'LMDB':>8} {'PostgreSQL':>12}")
    for stage in STAGES:
        embedded = median(each.embedded.stages[stage] for each in pairs)
        print(f"    {stage:10} {embedded:8.2f} {median(each.worker.stages[stage] for each in pairs):12.2f}")
    print(f"    {'worker':10} {median(each.embedded.whole for each in pairs):8.2f}", end="")
    print(f" {median(each.worker.whole for each in pairs):12.2f}")
    print(f"    {'server':10} {'':8} {median(each.server for each in pairs):12.2f}")
    print(f"    ratio {median(each.ratio() for each in pairs):.2f}; wall {median(each.wall_s for each in pairs):.1f} s")


if __name__ == "__main__":
    main()
