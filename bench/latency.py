"""How long an event takes to be seen: in the profile API, and at a webhook. Open loop, from the intended send time.

First the sustainable rate is searched for: the highest at which the backlog does not grow, probes and all. Then the
stream runs at shares of it; or else at a rate that is given, by which two trees can be told apart in turns, also where
the machine is not quiet. Probes are events of people of their own, sent at fixed instants beside the stream, one
request each; their webhook is awaited, and their profile is read with the receipt of the acknowledgement, as who reads
their own writes does: the answer comes once it is there. So the watching costs the same however late the platform is.
Where each profile was polled until it was there, twice as late was twice as many polls, answered on the very cores that
the platform was late for. One clock; the platform and the generator share all cores. Everything happens on a platform
that has its people already.
"""

import asyncio
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, closing
from typing import Any, NamedTuple

import uvloop
from aiohttp import web
from msgspec.structs import replace

from bench.cpu import Cores, cores
from bench.report import Bound, Row, percentile, table
from bench.running import Answer, Pool, Target, platform, send_all
from bench.workload import BATCH_EVENTS, EVENT_BYTES, World, definitions
from onefold.model import receipt
from onefold.model.definitions import Definitions, Destination
from onefold.storage.embedded.state import LmdbState

PROBE = "Probe Sent"
PROBES_PER_S = 40
CONNECTIONS = 32
READERS = 64
"""Who wait for their profiles at once; where more would, the rest ask later."""
NOT_YET = 504
"""The answer to who has waited for as long as the API lets anybody wait."""
LOST_S = 30.0
"""A probe that is not seen by then counts as this."""
BOUNDS = {50: Bound(30, 10), 80: Bound(100, 50)}
SHARES = (0.5, 0.8, 0.9, 0.95, 0.99)


class Plan(NamedTuple):
    """How long each part takes."""

    warm_up_events: int
    search_s: float
    run_s: float
    runs: int
    behind_s: float = 0.2
    """Sustained is what leaves no more than so many seconds of events waiting in the end."""


LONG = Plan(300_000, 15.0, 30.0, 3)
QUICK = Plan(100_000, 2.5, 6.0, 1)


class Probes:
    """When each probe was due, seen in the API, and received by the webhook (seconds of one clock)."""

    def __init__(self) -> None:
        self.due: dict[str, float] = {}
        self.acknowledged: dict[str, float] = {}
        self.visible: dict[str, float] = {}
        self.received: dict[str, float] = {}

    async def hook(self, request: web.Request) -> web.Response:
        """The webhook."""
        at_s = time.perf_counter()
        body: dict[str, Any] = await request.json()
        self.received.setdefault(body["data"]["event"]["userId"], at_s)
        return web.Response()

    def milliseconds(self, seen: dict[str, float], prefix: str) -> list[float]:
        """Latencies of the probes of one run."""
        return [
            (seen.get(name, due_s + LOST_S) - due_s) * 1000
            for name, due_s in self.due.items()
            if name.startswith(prefix)
        ]


def measure(*, quick: bool) -> list[Row]:
    """p99 of both latencies at 50 % and 80 % of the sustainable rate."""
    return uvloop.run(latencies(platform, QUICK if quick else LONG, BOUNDS))


async def latencies(
    opened: Callable[[Definitions], AbstractContextManager[Target]], plan: Plan, bounds: Mapping[int, Bound]
) -> list[Row]:
    """Both latencies at each of these shares (%) of the sustainable rate, of what is opened with the definitions."""
    probes, world = Probes(), World()
    runner, port = await _receiver(probes)
    hook = Destination("probe", url=f"http://127.0.0.1:{port}/", events=(PROBE,))
    with opened(replace(definitions((hook,)), allow_private_hosts=("127.0.0.1",))) as running:
        session = Session(running, world, probes, plan.behind_s)
        await session.start()
        drained = await session.drain(plan.warm_up_events)
        rate = await session.sustainable(drained, plan.search_s)
        found: dict[int, list[str]] = {share: [] for share in bounds}
        for n in range(plan.runs):
            for share, names in found.items():
                names.append(f"probe-{share}-{n}-")
                await session.run(rate * share / 100, plan.run_s, names[-1])
    await runner.cleanup()
    about = {
        "sustainable_events_per_s": round(rate), "sustained_s_behind": plan.behind_s,
        "drained_events_per_s": round(drained), "event_bytes": EVENT_BYTES,
        "batch": BATCH_EVENTS, "acknowledged": "fsync", "probes_per_s": PROBES_PER_S, "seen": "by receipt",
        "people": 100_000, "traits": 10, "audiences": 20,
    }  # fmt: skip
    return [
        _row(f"event sent → {what}, p99 at {share} % of the sustainable rate", bound, [
            probes.milliseconds(seen, name) for name in found[share]
        ], about | {"acknowledged_p99_ms": [
            round(percentile(probes.milliseconds(probes.acknowledged, name), 0.99), 2) for name in found[share]
        ], "events_per_s": round(rate * share / 100)})
        for share, bound in bounds.items()
        for what, seen in (("visible in the profile API", probes.visible), ("received by a webhook", probes.received))
    ]  # fmt: skip


async def at_rate(rate: float, plan: Plan) -> str:
    """Percentiles at this rate, commits, and what each process used, in lines to read."""
    probes, world = Probes(), World()
    runner, port = await _receiver(probes)
    hook = Destination("probe", url=f"http://127.0.0.1:{port}/", events=(PROBE,))
    with platform(replace(definitions((hook,)), allow_private_hosts=("127.0.0.1",))) as running:
        session = Session(running, world, probes, plan.behind_s)
        await session.start()
        await session.drain(plan.warm_up_events)
        pids = running.pids() | {"generator": os.getpid()}
        with closing(LmdbState(running.data / "state", readonly=True)) as state:
            before, commits = {role: cores(pid) for role, pid in pids.items()}, state.newest()
            behind = await session.run(rate, plan.run_s, "probe-", settle=False)
            used, commits = {role: cores(pid) - before[role] for role, pid in pids.items()}, state.newest() - commits
            await session.settled()
    await runner.cleanup()
    lines = [
        f"{rate:g} events/s, {commits / plan.run_s:.0f} commits/s, in the end {behind} events wait",
        "% of a core used + waited for: "
        + ", ".join(f"{role} {_shares(spent, plan.run_s)}" for role, spent in used.items()),
    ]
    for what, seen in (("acked", probes.acknowledged), ("visible", probes.visible), ("webhook", probes.received)):
        found = probes.milliseconds(seen, "probe-")
        lines.append(
            f"{what:8}" + "".join(f"  p{share * 100:g} {percentile(found, share):7.1f} ms" for share in SHARES)
        )
    return "\n".join(lines) + "\n"


def _shares(spent: Cores, seconds: float) -> str:
    return f"{100 * spent.used_s / seconds:.0f} + {100 * spent.waited_s / seconds:.0f}"


def _row(what: str, bound: Bound, runs: Sequence[list[float]], about: dict[str, Any]) -> Row:
    shares = {f"p{share * 100:g}_ms": [round(percentile(run, share), 2) for run in runs] for share in SHARES}
    most = {"max_ms": [round(max(run), 2) for run in runs], "probes": [len(run) for run in runs]}
    return Row(what, "ms", [percentile(run, 0.99) for run in runs], bound, "", about | shares | most)


class Session:
    """Loads one platform: as fast as it takes it, or at a rate with probes beside."""

    def __init__(self, running: Target, world: World, probes: Probes, behind_s: float) -> None:
        self._running = running
        self._world = world
        self._probes = probes
        self._stream = Pool(running.collect_port)
        self._telling = Pool(running.collect_port)
        self._asking = Pool(running.api_port)
        self._behind_s = behind_s
        self._sent = 0

    async def start(self) -> None:
        """Connect."""
        await self._stream.open(CONNECTIONS)
        await self._telling.open(CONNECTIONS)
        await self._asking.open(READERS)

    def _requests(self, events: float) -> list[bytes]:
        bodies = self._world.bodies(int(events / BATCH_EVENTS))
        self._sent += len(bodies) * BATCH_EVENTS
        return [self._running.request("/v1/batch", body) for body in bodies]

    async def drain(self, events: int) -> float:
        """Events a second that the platform folds when it is given all it takes, from empty."""
        requests = self._requests(events)
        began_s = time.perf_counter()
        await send_all(requests, self._running.collect_port)
        await self.settled()
        return events / (time.perf_counter() - began_s)

    async def settled(self) -> None:
        """Wait until all that was sent is folded."""
        await asyncio.to_thread(self._running.settled, self._sent)

    async def sustainable(self, drained: float, seconds: float) -> float:
        """The highest rate, to a sixteenth of `drained`, that is sustained; bisected, and asked twice before a no.

        A sixteenth where none is.
        """
        low, high = 0, 16
        while high - low > 1:
            middle = (low + high) // 2
            rate = drained * middle / 16
            if await self._sustains(rate, seconds) or await self._sustains(rate, seconds):
                low = middle
            else:
                high = middle
        return drained * max(low, 1) / 16

    async def _sustains(self, rate: float, seconds: float) -> bool:
        """Whether the backlog at the end of so many seconds is small."""
        return await self.run(rate, seconds, f"search-{self._sent}-") < self._behind_s * rate

    async def run(self, rate: float, seconds: float, prefix: str, *, settle: bool = True) -> int:
        """The stream at this rate, with probes in all but the first and the last second.

        Returns how many events were not folded in the end; they are awaited, where it is to `settle`.
        """
        requests = self._requests(rate * seconds)
        begin_s = time.perf_counter() + 0.2
        probes = int((seconds - 2) * PROBES_PER_S)
        self._sent += probes
        seen = asyncio.create_task(self._probe(prefix, begin_s + 1, probes))
        await self._send(requests, begin_s, BATCH_EVENTS / rate)
        behind = self._sent - (await asyncio.to_thread(self._running.counts))["received"]
        await seen
        if settle:
            await self.settled()
            await asyncio.sleep(1)
        return behind

    async def _send(self, requests: list[bytes], begin_s: float, every_s: float) -> None:
        """Send each request at its instant, over whichever connection is free."""
        tasks: list[asyncio.Task[Answer]] = []
        for n, request in enumerate(requests):
            if (ahead_s := begin_s + n * every_s - time.perf_counter()) > 0:
                await asyncio.sleep(ahead_s)
            tasks.append(asyncio.create_task(self._ask_ok(self._stream, request)))
        await asyncio.gather(*tasks)

    async def _probe(self, prefix: str, begin_s: float, count: int) -> None:
        tasks = []
        for n in range(count):
            due_s = begin_s + n / PROBES_PER_S
            if (ahead_s := due_s - time.perf_counter()) > 0:
                await asyncio.sleep(ahead_s)
            self._probes.due[f"{prefix}{n}"] = due_s
            tasks.append(asyncio.create_task(self._one(f"{prefix}{n}")))
        await asyncio.gather(*tasks)

    async def _one(self, name: str) -> None:
        event = f'{{"userId":"{name}","event":"{PROBE}","messageId":"{name}"}}'.encode()
        acknowledged = await self._ask_ok(self._telling, self._running.request("/v1/track", event))
        self._probes.acknowledged[name] = time.perf_counter()
        question = (
            f"GET /v1/profiles/user_id:{name}?include=identifiers&after={acknowledged.header(receipt.HEADER)} "
            f"HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {self._running.secret_key}\r\n\r\n"
        ).encode()
        while time.perf_counter() < self._probes.due[name] + LOST_S:
            answer = await self._asking.ask(question)
            if answer.status == NOT_YET:
                continue
            assert answer.status == 200, answer.body
            self._probes.visible[name] = time.perf_counter()
            return

    async def _ask_ok(self, pool: Pool, request: bytes) -> Answer:
        answer = await pool.ask(request)
        assert answer.status == 200, answer.body
        return answer


async def _receiver(probes: Probes) -> tuple[web.AppRunner, int]:
    app = web.Application()
    app.router.add_post("/", probes.hook)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    return runner, int(runner.addresses[0][1])


def main() -> None:
    """`python -m bench.latency [--quick] [--rate EVENTS_PER_S]`."""
    quick = "--quick" in sys.argv
    if "--rate" in sys.argv:
        rate = float(sys.argv[sys.argv.index("--rate") + 1])
        sys.stdout.write(uvloop.run(at_rate(rate, QUICK if quick else LONG)))
        return
    rows = measure(quick=quick)
    sys.stdout.write(table(rows) + "\n")
    for row in rows:
        sys.stdout.write(f"{row.what}: {row.details}\n")


if __name__ == "__main__":
    main()
