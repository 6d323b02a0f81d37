"""How long an event takes to be seen: in the profile API, and at a webhook. Open loop, from the intended send time.

The stream runs at a share of the sustainable rate, which is measured first. Probes are events of people of their own,
sent at fixed instants beside the stream; their profile is polled until it is there, their webhook is awaited.
"""

import asyncio
import sys
import time
from typing import Any

import aiohttp
from aiohttp import web

from bench.report import Bound, Row, percentile, table
from bench.running import Running, platform, send_all, until_folded
from bench.workload import BATCH_EVENTS, World, definitions
from onefold.model.definitions import Destination

PROBE = "Probe Sent"
PROBES_PER_S = 50
BOUNDS = {50: Bound(30, 10), 80: Bound(100, 50)}


class Probes:
    """When each probe was due, seen in the API, and received by the webhook (seconds of one clock)."""

    def __init__(self) -> None:
        self.due: dict[str, float] = {}
        self.visible: dict[str, float] = {}
        self.received: dict[str, float] = {}

    async def hook(self, request: web.Request) -> web.Response:
        """The webhook."""
        body: dict[str, Any] = await request.json()
        self.received.setdefault(body["data"]["event"]["userId"], time.perf_counter())
        return web.Response()

    def milliseconds(self, seen: dict[str, float]) -> list[float]:
        """Latencies; a probe that was never seen counts as a minute."""
        return [(seen.get(name, due_s + 60) - due_s) * 1000 for name, due_s in self.due.items()]


def measure(*, quick: bool) -> list[Row]:
    """p99 of both latencies at 50 % and 80 % of the sustainable rate."""
    rate = _sustainable(100_000 if quick else 300_000)
    rows: list[Row] = []
    for share, bound in BOUNDS.items():
        runs = [asyncio.run(_run(rate * share / 100, 8 if quick else 30)) for _ in range(1 if quick else 3)]
        for what, values in (
            ("visible in the profile API", [probes.milliseconds(probes.visible) for probes in runs]),
            ("received by a webhook", [probes.milliseconds(probes.received) for probes in runs]),
        ):
            details = {"events_per_s": rate * share / 100, "p50_ms": [percentile(run, 0.5) for run in values]}
            p99 = [percentile(run, 0.99) for run in values]
            rows.append(Row(f"event sent → {what}, p99 at {share} %", "ms", p99, bound, "", details))
    return rows


def _sustainable(events: int) -> float:
    """Events a second that the platform folds when it is given all it takes."""
    bodies = World().bodies(events // BATCH_EVENTS)
    with platform(definitions()) as running:
        requests = [running.request("/v1/batch", body) for body in bodies]
        began_s = time.perf_counter()
        asyncio.run(send_all(requests, running.port))
        until_folded(running, events)
        return events / (time.perf_counter() - began_s)


async def _run(rate: float, seconds: float) -> Probes:
    probes = Probes()
    runner, port = await _receiver(probes)
    hook = Destination("probe", url=f"http://127.0.0.1:{port}/", events=(PROBE,), allow_private=True)
    bodies = World().bodies(int(rate * seconds / BATCH_EVENTS))
    with platform(definitions((hook,))) as running:
        await asyncio.sleep(1)
        async with aiohttp.ClientSession() as session:
            begin_s = time.perf_counter() + 0.5
            stream = [running.request("/v1/batch", body) for body in bodies]
            await asyncio.gather(
                _stream(stream, running.port, begin_s, BATCH_EVENTS / rate),
                _probe(running, session, probes, begin_s + 1, int((seconds - 2) * PROBES_PER_S)),
            )
            await asyncio.sleep(2)
    await runner.cleanup()
    return probes


async def _receiver(probes: Probes) -> tuple[web.AppRunner, int]:
    app = web.Application()
    app.router.add_post("/", probes.hook)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    return runner, int(runner.addresses[0][1])


async def _stream(requests: list[bytes], port: int, begin_s: float, every_s: float, connections: int = 32) -> None:
    """Send each request at its instant, over whichever connection is free."""
    free: asyncio.Queue[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = asyncio.Queue()
    for _ in range(connections):
        free.put_nowait(await asyncio.open_connection("127.0.0.1", port))

    async def one(request: bytes) -> None:
        connection = await free.get()
        connection[1].write(request)
        await connection[0].read(4096)
        free.put_nowait(connection)

    tasks = []
    for n, request in enumerate(requests):
        if (ahead_s := begin_s + n * every_s - time.perf_counter()) > 0:
            await asyncio.sleep(ahead_s)
        tasks.append(asyncio.create_task(one(request)))
    await asyncio.gather(*tasks)


async def _probe(running: Running, session: aiohttp.ClientSession, probes: Probes, begin_s: float, count: int) -> None:
    tasks = []
    for n in range(count):
        due_s = begin_s + n / PROBES_PER_S
        if (ahead_s := due_s - time.perf_counter()) > 0:
            await asyncio.sleep(ahead_s)
        name = f"probe-{n}"
        probes.due[name] = due_s
        tasks.append(asyncio.create_task(_one(running, session, probes, name)))
    await asyncio.gather(*tasks)


async def _one(running: Running, session: aiohttp.ClientSession, probes: Probes, name: str) -> None:
    url = f"http://127.0.0.1:{running.port}"
    event = {"userId": name, "event": PROBE, "writeKey": running.write_key, "messageId": name}
    async with session.post(f"{url}/v1/track", json=event) as answer:
        assert answer.status == 200, await answer.text()
    headers = {"authorization": f"Bearer {running.secret_key}"}
    while time.perf_counter() < probes.due[name] + 30:
        async with session.get(f"{url}/v1/profiles/user_id:{name}?include=identifiers", headers=headers) as answer:
            if answer.status == 200:
                probes.visible[name] = time.perf_counter()
                return
        await asyncio.sleep(0.002)


if __name__ == "__main__":
    sys.stdout.write(table(measure(quick="--quick" in sys.argv)) + "\n")
