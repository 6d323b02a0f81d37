"""Other rules of identity over all that has happened: how long trying them takes, and bringing the past under them."""

import asyncio
import resource
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager

from msgspec.structs import replace

from bench.report import Row, table
from bench.running import Running, accounted, platform, send_all
from bench.workload import BATCH_EVENTS, Options, World, definitions
from onefold.clock import SystemClock
from onefold.model.identity import IdentifierType, Identity
from onefold.runtime.identity.past import Sources
from onefold.runtime.identity.reresolve import Reresolved, Shows, reresolve
from onefold.runtime.identity.reresolving import Engines
from onefold.runtime.identity.whatif import Forecast, Question, what_if
from onefold.settings import Settings
from onefold.storage.place import Place

RULES = Identity(types=(IdentifierType("user_id"), IdentifierType("email"), IdentifierType("anonymous_id", limit=2)))
"""Two devices a person: whoever has had more is parted from them."""
_SIZES = ((1_000_000, 100_000), (10_000_000, 1_000_000))
_AT_ONCE = 100_000
_BEHIND_MAX = 1_000_000
_POLL_S = 0.05


def measure(*, quick: bool) -> list[Row]:
    """For each number of events, of a tenth as many people: what-if, then re-resolve, which the former has foretold."""
    return [row for events, people in (((100_000, 10_000),) if quick else _SIZES) for row in _of(events, people)]


def _of(events: int, people: int) -> list[Row]:
    with platform(definitions(), history=True) as running:
        _send(running, World(Options(people=people)), events)
        running.in_history()
        with _engines(running) as engines:
            asked_s, found = _asked(engines)
            _apply(engines)
            began_s = time.perf_counter()
            done = reresolve(engines, SystemClock(), "bench", Shows(lambda *_: None, lambda _: None))
            taken_s = time.perf_counter() - began_s
            running.in_history()
            _, after = _asked(engines)
    _check(found, done, after)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    what = f"{events:,} events of {found.people_now:,} people"
    details = {
        "events": events, "people_now": found.people_now, "people_then": found.people_then,
        "split": found.splits.people, "bench_peak_memory_mib": memory,
    }  # fmt: skip
    more = {"people_before": done.people_before, "people_after": done.people_after, "entries": done.entries}
    return [
        Row(f"what-if over {what}", "s", [asked_s], None, "", details),
        Row(f"re-resolve over {what}, {done.people_before:,} of them others", "s", [taken_s], None, "", details | more),
    ]


def _check(found: Forecast, done: Reresolved, after: Forecast) -> None:
    """The prediction is the result."""
    assert done.left == {}, done.left
    assert (after.people_now, after.same) == (found.people_then, found.people_then), (found, after)
    assert done.people_after - done.people_before == found.people_then - found.people_now


def _send(running: Running, world: World, events: int) -> None:
    for sent in range(0, events, _AT_ONCE):
        bodies = world.bodies(_AT_ONCE // BATCH_EVENTS)
        asyncio.run(send_all([running.request("/v1/batch", body) for body in bodies], running.port))
        with _engines(running) as engines:
            while accounted(engines.sources.state.counts())["received"] < sent + _AT_ONCE - _BEHIND_MAX:
                time.sleep(_POLL_S)
    running.settled(events)


@contextmanager
def _engines(running: Running) -> Iterator[Engines]:
    place, clock = Place.open(Settings(data=running.data), create=False), SystemClock()
    with (
        closing(place.catalog(clock)) as catalog,
        closing(place.log_writer(clock)) as writer,
        closing(place.log_reader()) as reader,
        closing(place.state(readonly=True)) as state,
        closing(place.history_reader()) as history,
    ):
        yield Engines(Sources(history, reader, state), writer, catalog)


def _asked(engines: Engines) -> tuple[float, Forecast]:
    state = engines.sources.state
    rules = state.rules(state.cursor(0).rules)
    began_s = time.perf_counter()
    found = what_if(engines.sources, Question(rules.with_identity(RULES), rules.identity, SystemClock().now_ms()))
    return time.perf_counter() - began_s, found


def _apply(engines: Engines) -> None:
    catalog = engines.catalog
    old = catalog.definitions()
    catalog.save_definitions(replace(old, identity=RULES), "bench", base=old.version)  # type: ignore[attr-defined]


if __name__ == "__main__":
    sys.stdout.write(table(measure(quick="--quick" in sys.argv)) + "\n")
