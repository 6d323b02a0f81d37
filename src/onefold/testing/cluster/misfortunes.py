"""What befalls a cluster while it works: a worker, a broker and the database are killed, and come back."""

import asyncio
import contextlib
import time
from collections.abc import Callable

from onefold.demo.measures import Measures
from onefold.errors import Unavailable
from onefold.testing.cluster.run import Cluster

WORKER = "worker-0"
BROKER = 1
_WORKER_AT, _BROKER_AT, _DATABASE_AT = 0.15, 0.35, 0.65
"""Shares of the whole time."""
_AWAY_SHARE, _AWAY_MAX_S = 0.1, 6.0
_POLL_S = 0.05
_BACK_WITHIN_S = 60.0


class Misfortunes:
    """One of each kind, in turn, told as they happen. `run` is a `demo.stage.Beside`.

    On a busy machine servers come back late: then the next waits, and all take longer than `for_s`.
    """

    def __init__(self, cluster: Cluster, measures: Measures, for_s: float) -> None:
        self._cluster = cluster
        self._measures = measures
        self._for_s = for_s
        self._away_s = min(_AWAY_MAX_S, _AWAY_SHARE * for_s)

    async def run(self, stopped: asyncio.Event) -> None:
        """Let all happen and set `stopped`, after `for_s` at the earliest; whoever was killed is back on return.

        Whoever sets it before has what did not happen yet left out.
        """
        began_s = time.monotonic()
        for share, happen in ((_WORKER_AT, self._worker), (_BROKER_AT, self._broker), (_DATABASE_AT, self._database)):
            await _until(stopped, began_s + share * self._for_s)
            if stopped.is_set():
                return
            await happen(stopped)
        await _until(stopped, began_s + self._for_s)
        stopped.set()

    async def _worker(self, stopped: asyncio.Event) -> None:
        del stopped
        roles = self._cluster.roles
        starts, began_s = roles.starts(WORKER), time.monotonic()
        self._measures.happened(f"kill -9 {WORKER}, process {roles.pid(WORKER)}: the keeper starts another")
        roles.kill(WORKER)
        while roles.starts(WORKER) == starts or not await asyncio.to_thread(roles.ready, WORKER):
            if time.monotonic() - began_s > _BACK_WITHIN_S:
                raise Unavailable(f"{WORKER} is not back after {_BACK_WITHIN_S:.0f} s")
            await asyncio.sleep(_POLL_S)
        self._back(f"{WORKER} is replaced by process {roles.pid(WORKER)}", began_s)

    async def _broker(self, stopped: asyncio.Event) -> None:
        kafka = self._cluster.kafka
        self._measures.happened(f"kill -9 Kafka broker {BROKER} of {len(kafka.pids)}: the others take over")
        began_s = await self._away(stopped, lambda: kafka.kill(BROKER), lambda: kafka.restart(BROKER))
        self._back(f"Kafka broker {BROKER} serves again", began_s)

    async def _database(self, stopped: asyncio.Event) -> None:
        postgres = self._cluster.postgres
        self._measures.happened(
            f"kill -9 PostgreSQL, all {len(postgres.pids)} processes: events are taken in, and wait"
        )
        began_s = await self._away(stopped, postgres.kill, postgres.start)
        self._back("PostgreSQL has recovered and serves again", began_s)

    async def _away(self, stopped: asyncio.Event, kill: Callable[[], None], start: Callable[[], None]) -> float:
        """Kill a server, and start it again after a while, or at once where we are stopped; since when it was away."""
        began_s = time.monotonic()
        await asyncio.to_thread(kill)
        await _until(stopped, began_s + self._away_s)
        await asyncio.to_thread(start)
        return began_s

    def _back(self, what: str, since_s: float) -> None:
        self._measures.happened(f"{what}, after {time.monotonic() - since_s:.1f} s", over=True)


async def _until(stopped: asyncio.Event, at_s: float) -> None:
    """Return at this instant, or when we are stopped."""
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(stopped.wait(), max(0.0, at_s - time.monotonic()))
