"""How long partitions of the log are not folded after one of two workers was killed, under load.

Events arrive at half the rate that the cluster folds. Ten times a second it is noted where each partition ends and how
far it is folded. A partition whose worker died falls behind until it is folded at least as fast as it grows, which is
when its backlog is longest: from then on it is at its full rate again. Later, when that backlog is gone, events are
folded as freshly as before. The worker that died is started again at once, as an orchestrator does.
"""

import asyncio
import math
import sys
import threading
import time
from collections.abc import Sequence
from typing import NamedTuple

import uvloop

from bench.clustered import PARTITIONS, Clustered, Servers, clustered
from bench.report import Bound, Row, table
from bench.running import Answer, Pool, send_all
from bench.workload import BATCH_EVENTS, World, definitions
from onefold.ports import LogReader, State

COUNTS = {"collect": 1, "worker": 2}
LOAD = 0.5
"""Of the rate at which the cluster takes in and folds when it is given all it takes."""
SAMPLE_S = 0.1
BEFORE_S = 3.0
"""Load before the kill."""
STALE_S = 1.0
"""An event that has waited for longer is not folded freshly."""
CONNECTIONS = 32


class Plan(NamedTuple):
    """How much is measured."""

    warm_up_events: int
    watch_s: float
    """Load after the kill."""
    runs: int


LONG = Plan(100_000, 30.0, 4)
QUICK = Plan(60_000, 15.0, 1)


class Sample(NamedTuple):
    """Where all partitions were at an instant."""

    at_s: float
    """After the kill; before it where negative."""
    ends: Sequence[int]
    """Partition → offset of its next record."""
    folded: Sequence[int]
    """Partition → offset of the next record to fold."""

    def behind(self, partition: int) -> int:
        """Records that wait."""
        return self.ends[partition] - self.folded[partition]


def rows(servers: Servers, plan: Plan) -> list[Row]:
    """Kill each worker in turn, each time in a new workspace."""
    world = World()
    runs = [uvloop.run(_killed(servers, world, plan, n % COUNTS["worker"])) for n in range(plan.runs)]
    about = {
        "workers": COUNTS["worker"], "partitions": PARTITIONS, "events_per_s": [round(rate) for rate, _ in runs],
        "batch": BATCH_EVENTS, "stale_s": STALE_S, "sampled_every_s": SAMPLE_S, "watched_s": plan.watch_s,
        "stalest_before_the_kill_s": [round(stalest_s(_before(samples)), 2) for _, samples in runs],
    }  # fmt: skip
    after = [[sample for sample in samples if sample.at_s >= 0] for _, samples in runs]
    what = "kill -9 of one of two workers →"
    return [
        Row(f"{what} all partitions at their full rate", "s", [full_rate_s(run) for run in after],
            Bound(15, 5), "", about),
        Row(f"{what} all events folded within {STALE_S:g} s again", "s", [fresh_s(run) for run in after],
            None, "", about),
    ]  # fmt: skip


def full_rate_s(samples: Sequence[Sample]) -> float:
    """When the last of the partitions that got stale was furthest behind; 0 where none got stale.

    Infinite where one was so in the end: it has not recovered while it was watched.
    """
    instants = [0.0]
    for partition in range(len(samples[0].ends)):
        if max(_ages_s(samples, partition)) > STALE_S:
            most = max(sample.behind(partition) for sample in samples)
            instants.append(max(sample.at_s for sample in samples if sample.behind(partition) == most))
    return _within(samples, max(instants))


def fresh_s(samples: Sequence[Sample]) -> float:
    """The last instant at which a partition was stale; 0 where none was, infinite where one was in the end."""
    instants = [0.0]
    for partition in range(len(samples[0].ends)):
        ages_s = _ages_s(samples, partition)
        instants += [sample.at_s for sample, age_s in zip(samples, ages_s, strict=True) if age_s > STALE_S]
    return _within(samples, max(instants))


def _within(samples: Sequence[Sample], at_s: float) -> float:
    """An instant before the last sample's; what was so still then has not ended."""
    return at_s if at_s < samples[-1].at_s or not at_s else math.inf


def stalest_s(samples: Sequence[Sample]) -> float:
    """For how long, at the most, a record has waited."""
    return max(max(_ages_s(samples, partition)) for partition in range(len(samples[0].ends)))


def _ages_s(samples: Sequence[Sample], partition: int) -> list[float]:
    """For how long, at each sample, the oldest record that waits has been seen to wait."""
    ages_s: list[float] = []
    since = 0
    for sample in samples:
        while samples[since].ends[partition] <= sample.folded[partition] and samples[since].at_s < sample.at_s:
            since += 1
        ages_s.append(sample.at_s - samples[since].at_s)
    return ages_s


def _before(samples: Sequence[Sample]) -> list[Sample]:
    return [sample for sample in samples if sample.at_s < 0]


async def _killed(servers: Servers, world: World, plan: Plan, victim: int) -> tuple[float, list[Sample]]:
    """The load in events a second, and what was seen before and after the kill."""
    with clustered(servers, definitions(), COUNTS) as running:
        rate = LOAD * await _drained(running, world, plan.warm_up_events)
        bodies = world.bodies(int(rate * (BEFORE_S + plan.watch_s) / BATCH_EVENTS))
        requests = [running.request("/v1/batch", body) for body in bodies]
        pool = Pool(running.collect_port)
        await pool.open(CONNECTIONS)
        begin_s, ended = time.perf_counter() + SAMPLE_S, threading.Event()
        watching = asyncio.create_task(asyncio.to_thread(_watch, running, begin_s + BEFORE_S, ended))
        sending = asyncio.create_task(_send(pool, requests, begin_s, BATCH_EVENTS / rate))
        await asyncio.sleep(begin_s + BEFORE_S - time.perf_counter())
        running.roles.kill(running.workers[victim])
        await sending
        ended.set()
        return rate, await watching


async def _drained(running: Clustered, world: World, events: int) -> float:
    """Events a second that are taken in and folded when all are given at once."""
    requests = [running.request("/v1/batch", body) for body in world.bodies(events // BATCH_EVENTS)]
    began_s = time.perf_counter()
    await send_all(requests, running.collect_port)
    await asyncio.to_thread(running.settled, len(requests) * BATCH_EVENTS)
    return len(requests) * BATCH_EVENTS / (time.perf_counter() - began_s)


async def _send(pool: Pool, requests: Sequence[bytes], begin_s: float, every_s: float) -> None:
    """Send each at its instant."""
    tasks: list[asyncio.Task[Answer]] = []
    for n, request in enumerate(requests):
        if (ahead_s := begin_s + n * every_s - time.perf_counter()) > 0:
            await asyncio.sleep(ahead_s)
        tasks.append(asyncio.create_task(pool.ask(request)))
    answers = await asyncio.gather(*tasks)
    assert {answer.status for answer in answers} == {200}


def _watch(running: Clustered, kill_s: float, ended: threading.Event) -> list[Sample]:
    reader, state = running.place.log_reader(), running.place.state(readonly=True)
    samples: list[Sample] = []
    try:
        while not ended.wait(SAMPLE_S):
            samples.append(_sample(reader, state, kill_s))
    finally:
        reader.close()
        state.close()
    return samples


def _sample(reader: LogReader, state: State, kill_s: float) -> Sample:
    """How far it is folded is read first, so that nothing seems folded before it was there."""
    partitions = range(reader.partitions)
    folded = [state.cursor(partition).offset for partition in partitions]
    ends = [reader.ends(partition)[1] for partition in partitions]
    return Sample(time.perf_counter() - kill_s, ends, folded)


def main() -> None:
    """`python -m bench.recovery [--quick]`."""
    with Servers() as servers:
        found = rows(servers, QUICK if "--quick" in sys.argv else LONG)
    sys.stdout.write(table(found) + "\n")
    for row in found:
        sys.stdout.write(f"{row.what}: {row.details}\n")


if __name__ == "__main__":
    main()
