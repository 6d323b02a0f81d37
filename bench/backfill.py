"""Backfill: how long a new trait takes over all that has happened, on a platform that goes on meanwhile."""

import asyncio
import sys
import time
from contextlib import closing
from pathlib import Path

from msgspec.structs import replace

from bench.report import Bound, Row, table
from bench.running import Running, accounted, platform, send_all, until_folded
from bench.workload import BATCH_EVENTS, Options, World, definitions
from onefold.clock import SystemClock
from onefold.model import profile as profiles
from onefold.model.definitions import Trait
from onefold.runtime.backfill.plan import planned
from onefold.storage.directory import DataDirectory
from onefold.storage.embedded.catalog import SqliteCatalog
from onefold.storage.embedded.state import LmdbState

_POLL_S = 0.05
_EVENT = "Product List Viewed"
NEW = Trait("lists_seen", f'count("{_EVENT}")')


def measure(*, quick: bool) -> list[Row]:
    """From `apply` to the last person who has the trait; of everybody together it counts every such event once."""
    events, people = (200_000, 20_000) if quick else (10_000_000, 1_000_000)
    world = World(Options(people=people))
    with platform(definitions(), history=True) as running:
        asked = 0
        for sent in range(0, events, _AT_ONCE):
            _keep_near(running, sent - _BEHIND_MAX)
            bodies = world.bodies(_AT_ONCE // BATCH_EVENTS)
            asked += sum(body.count(f'"event":"{_EVENT}"'.encode()) for body in bodies)
            asyncio.run(send_all([running.request("/v1/batch", body) for body in bodies], running.port))
        until_folded(running, events)
        running.in_history()
        before = running.cpu_s()
        taken_s = _backfilled(running)
        after = running.cpu_s()
        found = _total(running.data)
    assert found == asked > 0, (found, asked)
    shares = {role: round(cpu_s - before.get(role, 0.0), 2) for role, cpu_s in after.items()}
    details = {"events": events, "people": people, "cpu_s_by_role": shares, "events_counted": found}
    what = f"backfill of one trait over {events:,} events of {people:,} people"
    return [Row(what, "s", [taken_s], Bound(120, 30) if not quick else None, "", details)]


_AT_ONCE = 200_000
"""Events whose requests are in memory at the same time."""
_BEHIND_MAX = 1_000_000
"""Events that may wait for the worker: far fewer than collect would refuse."""


def _keep_near(running: Running, received: int) -> None:
    """Wait until the worker has come so far."""
    with closing(LmdbState(running.data / "state", readonly=True)) as state:
        while accounted(state.counts())["received"] < received:
            assert running.process.poll() is None, "the platform ended"
            time.sleep(_POLL_S)


def _backfilled(running: Running) -> float:
    """Apply, and wait until everybody is judged."""
    directory = DataDirectory.open(running.data)
    with (
        closing(SqliteCatalog(directory.catalog, SystemClock())) as catalog,
        closing(LmdbState(directory.state, readonly=True)) as state,
    ):
        old = catalog.definitions()
        plan = planned(old, replace(old, traits=(*old.traits, NEW)), backfill=True, quiet=True)
        assert plan.coming is not None
        began_s = time.perf_counter()
        catalog.save_definitions(plan, "bench", base=old.version)
        while catalog.definitions().coming is not None:
            time.sleep(_POLL_S)
        latest = catalog.definitions().version
        while (cursor := state.cursor(0)).version != latest or cursor.sweeping >= 0:
            time.sleep(_POLL_S)
        return time.perf_counter() - began_s


def _total(data: Path) -> int:
    """The new trait of everybody, added up."""
    total = after = 0
    with closing(LmdbState(data / "state", readonly=True)) as state:
        while ids := state.profile_ids(0, after, 10_000):
            found = state.survivors(ids)
            total += sum(profiles.decode(data).computed.get(NEW.name, 0) for data in found.values())
            after = ids[-1]
    return total


if __name__ == "__main__":
    sys.stdout.write(table(measure(quick="--quick" in sys.argv)) + "\n")
