"""Timers: how late somebody leaves an audience because time has passed, while a million timers are armed.

`python -m bench.timers [--quick] [--people N]`. Everybody has done one thing, 30 days ago less a while, and is in the
audience of those who did it within 30 days. This process writes their events into a log and folds them; then the
worker role runs as a process of its own, and nothing comes any more: windows expire at a steady rate, and in the end
very many in one millisecond. Lateness is from that instant to when a follower of the state has decoded the effect that
tells who has left; by then it is fsynced.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import lmdb
import msgspec
from msgspec import Raw

from bench.cpu import tree_cpu_s
from bench.idle import ROLE
from bench.report import Bound, Row, percentile, table
from bench.running import pss_bytes
from bench.workload import BATCH_EVENTS
from onefold.clock import SystemClock
from onefold.limits import DAY_MS, NEVER_MS, SECOND_MS
from onefold.model import effect
from onefold.model.effect import Left
from onefold.model.entry import Defined, Outgoing, Sweep, encode
from onefold.runtime.bell import SELDOM_S, Rest
from onefold.runtime.folding.fold import Folding
from onefold.runtime.folding.programs import Programs
from onefold.runtime.heap import without_collector
from onefold.settings import Settings
from onefold.storage.embedded.state import LmdbState
from onefold.storage.place import Place
from onefold.testing.world import define, rfc3339

WITHIN_MS = 30 * DAY_MS
SEEN = define({}, {"seen_lately": 'count("Seen", within="30d") > 0'})
_APPEND_RECORDS = 100
_SPARE = 3
"""So many times as long as it has taken for each of most people may the others take, on a machine that is busy."""
_LATEST_S = 60.0
"""So long after the last window has expired everybody must have left."""
_LEAVING = effect.decoder(frozenset({Left}))
_READ_BYTES = 4 << 20
_REST_MS = 2 * SECOND_MS
"""Between one rate and the next."""


class Plan(NamedTuple):
    """How many timers there are, and which of them are due while somebody looks."""

    people: int
    ready_s: float
    """The first timer is due so long after most people are there, or later where the machine has other work: by then
    the others must be folded."""
    rates: Sequence[tuple[int, int]]
    """(timers a second, for so many seconds), one after the other."""
    crowd: int
    """Timers that are due in one millisecond, after all others."""


LONG = Plan(1_000_000, 40.0, ((100, 30), (1_000, 60)), 100_000)
QUICK = Plan(100_000, 15.0, ((100, 5), (1_000, 10)), 10_000)


class Phase(NamedTuple):
    """Timers that are due one after the other."""

    name: str
    first_ms: int
    due_ms: Sequence[int]

    @property
    def last_ms(self) -> int:
        """When the last one is due."""
        return self.due_ms[-1]


def phases(plan: Plan, begin_ms: int) -> list[Phase]:
    """When each timer is due that is looked at."""
    found: list[Phase] = []
    for rate, seconds in plan.rates:
        due_ms = [begin_ms + n * SECOND_MS // rate for n in range(rate * seconds)]
        found.append(Phase(f"{rate:,} a second", begin_ms, due_ms))
        begin_ms = due_ms[-1] + _REST_MS
    return [*found, Phase(f"{plan.crowd:,} at once", begin_ms, [begin_ms] * plan.crowd)]


def measure(*, quick: bool, people: int = 0) -> list[Row]:
    """p99 of the lateness at each rate; how long a crowd takes; what a timer costs."""
    plan = QUICK if quick else LONG
    plan = plan._replace(people=people or plan.people)
    with tempfile.TemporaryDirectory(prefix="onefold-bench-") as scratch:
        data = Path(scratch) / "data"
        looked_at = sum(len(phase.due_ms) for phase in phases(plan, 0))
        tomorrow_ms = int(time.time() * SECOND_MS) + DAY_MS
        with closing(_People(data)) as armed:
            began_s = time.time()
            fill_us = armed.add([tomorrow_ms + n for n in range(plan.people - looked_at)])
            filled_s = time.time() - began_s
            ready_s = max(plan.ready_s, _SPARE * filled_s * looked_at / (plan.people - looked_at))
            sys.stderr.write(f"{plan.people - looked_at:,} timers armed after {filled_s:.0f} s\n")
            asked = phases(plan, int((time.time() + ready_s) * SECOND_MS))
            armed.add([due_ms for phase in asked for due_ms in phase.due_ms])
        assert time.time() * SECOND_MS < asked[0].first_ms, "the first windows expired before everybody was folded"
        found = _observed(data, asked)
        timer_bytes = _timer_bytes(data)
    about = {
        "armed": plan.people, "event_folded_us": fill_us, "filled_s": filled_s,
        "worker_pss_mb": [each.memory_bytes >> 20 for each in found],
    }  # fmt: skip
    return [*(_row(each, about) for each in found[:-1]), *_costs(found, about), _size(timer_bytes, about)]


# --- the people --------------------------------------------------------------------------------------------------
class _People:
    """A data directory in which windows are armed."""

    def __init__(self, data: Path) -> None:
        self._stack = ExitStack()
        place, clock = Place.open(Settings(data=data, partitions=1)), SystemClock()
        catalog = self._stack.enter_context(closing(place.catalog(clock)))
        self._log = self._stack.enter_context(closing(place.log_writer(clock)))
        self._state = self._stack.enter_context(closing(place.state()))
        reader = self._stack.enter_context(closing(place.log_reader()))
        catalog.bootstrap()
        saved = catalog.save_definitions(SEEN, "bench")
        now_ms = clock.now_ms()
        # The sweep after them comes while there is nobody: later it would take minutes.
        defined = Defined(now_ms, saved.version, msgspec.to_builtins(saved))
        self._log.append({0: [encode(defined), encode(Sweep(now_ms, 0))]})
        self._folding = Folding(reader, self._state, Programs(catalog.definitions))
        self._count = 0

    def add(self, expiries: Sequence[int]) -> float:
        """People whose windows expire then; CPU us an event of folding them."""
        entries = _entries(self._count, expiries)
        self._count += len(expiries)
        while some := list(islice(entries, _APPEND_RECORDS)):
            self._log.append({0: some})
        began_s = time.process_time()
        with without_collector():
            while self._folding.advance(0):
                pass
        spent_s = time.process_time() - began_s
        assert len(self._state.due(0, NEVER_MS, self._count + 1)) == self._count
        return 1e6 * spent_s / len(expiries)

    def close(self) -> None:
        """Let go of the files."""
        self._stack.close()


def _entries(first_person: int, expiries: Sequence[int]) -> Iterator[bytes]:
    now_ms = SystemClock().now_ms()
    for first in range(0, len(expiries), BATCH_EVENTS):
        events = [
            Raw(
                b'{"type":"track","event":"Seen","anonymousId":"person-%d","messageId":"%d","timestamp":"%b"}'
                % (n, n, rfc3339(due_ms - WITHIN_MS).encode())
            )
            for n, due_ms in enumerate(expiries[first : first + BATCH_EVENTS], start=first_person + first)
        ]
        yield encode(Outgoing("web", now_ms, events))


# --- who leaves --------------------------------------------------------------------------------------------------
class Seen(NamedTuple):
    """What became of one phase."""

    phase: Phase
    late_ms: list[float]
    last_s: float
    """From the last expiry to the last effect."""
    cpu_s: float
    """The worker's."""
    memory_bytes: int
    """The worker's, at the end of the phase."""


def _observed(data: Path, asked: Sequence[Phase]) -> list[Seen]:
    """Run the worker role, and see everybody leave."""
    worker = subprocess.Popen([sys.executable, "-c", ROLE, str(data), "1", "0"], stderr=subprocess.DEVNULL)
    try:
        with closing(LmdbState(data / "state", readonly=True)) as state, closing(Rest()) as rest:
            rest.hear(state.watch())
            armed = state.due(0, asked[-1].last_ms, sum(len(phase.due_ms) for phase in asked))
            follower = _Follower(state, rest, {profile: due_ms for due_ms, profile in armed})
            return [_of_phase(phase, follower, worker.pid) for phase in asked]
    finally:
        worker.terminate()
        worker.wait()


def _of_phase(phase: Phase, follower: "_Follower", pid: int) -> Seen:
    while (ahead_s := phase.first_ms / SECOND_MS - time.time()) > 0.1:
        time.sleep(ahead_s - 0.1)
    before_s = tree_cpu_s(pid)
    late_ms = follower.until(len(phase.due_ms), phase.last_ms / SECOND_MS + _LATEST_S)
    last_s = time.time() - phase.last_ms / SECOND_MS
    return Seen(phase, late_ms, last_s, tree_cpu_s(pid) - before_s, pss_bytes(pid))


class _Follower:
    """Reads the effects as they are committed."""

    def __init__(self, state: LmdbState, rest: Rest, due_ms: Mapping[int, int]) -> None:
        self._state = state
        self._rest = rest
        self._due_ms = due_ms
        self._after = state.newest()

    def until(self, leaves: int, deadline_s: float) -> list[float]:
        """Wait until so many have left; how late each has, in ms."""
        late_ms: list[float] = []
        while len(late_ms) < leaves:
            assert time.time() < deadline_s, f"only {len(late_ms)} of {leaves} have left"
            commits = self._state.commits(self._after, _READ_BYTES)
            for commit in commits:
                left = [each for each in _LEAVING(commit.effects) if isinstance(each, Left)]
                now_ms = time.time() * SECOND_MS
                late_ms += [now_ms - self._due_ms[each.profile] for each in left]
                self._after = commit.number
            if not commits:
                self._rest.rest(SELDOM_S)
        assert min(late_ms) >= 0, "somebody has left too soon"
        return late_ms


# --- what is told ------------------------------------------------------------------------------------------------
def _row(seen: Seen, about: dict[str, Any]) -> Row:
    shares = {f"p{share * 100:g}_ms": round(percentile(seen.late_ms, share), 2) for share in (0.5, 0.9, 0.99, 0.999)}
    details = {"timers": len(seen.late_ms), "max_ms": round(max(seen.late_ms), 2), "worker_cpu_s": seen.cpu_s}
    what = f"a window expires → its leave effect, {about['armed']:,} timers armed, {seen.phase.name}, p99"
    return Row(what, "ms", [percentile(seen.late_ms, 0.99)], Bound(1_000, 50), "", about | shares | details)


def _costs(found: Sequence[Seen], about: dict[str, Any]) -> list[Row]:
    crowd = found[-1]
    what = f"{crowd.phase.name}: all windows that expire in one millisecond, until the last has left"
    spent_us = 1e6 * crowd.cpu_s / len(crowd.late_ms)
    return [
        Row(what, "s", [crowd.last_s], None, "", about | {"worker_cpu_s": crowd.cpu_s}),
        Row("a timer that fires, the worker alone, from tick to fsync", "CPU us", [spent_us], None, "", about),
    ]


def _size(timer_bytes: float, about: dict[str, Any]) -> Row:
    return Row("an armed timer in the state", "B", [timer_bytes], None, "", about)


def _timer_bytes(data: Path) -> float:
    """Pages of the table of timers, by the timers that are left in it."""
    with closing(lmdb.open(str(data / "state"), readonly=True, max_dbs=32)) as env:
        timers = env.open_db(b"timers", create=False)
        with env.begin(db=timers) as txn:
            found = txn.stat(timers)
    pages = found["branch_pages"] + found["leaf_pages"] + found["overflow_pages"]
    return float(pages * found["psize"] / found["entries"])


def main() -> None:
    """Print the rows and all that was noted beside."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--people", type=int, default=0)
    given = parser.parse_args()
    rows = measure(quick=given.quick, people=given.people)
    sys.stdout.write(table(rows) + "\n")
    for row in rows:
        sys.stdout.write(f"{row.what}: {row.details}\n")


if __name__ == "__main__":
    main()
