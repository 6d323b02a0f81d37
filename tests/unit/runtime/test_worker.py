"""The worker: what it writes into the log by itself, and when."""

import contextlib
import os
import select
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import msgspec
import pytest
from msgspec import structs

from onefold.clock import SystemClock
from onefold.errors import Unavailable
from onefold.limits import HOUR_MS, SWEEP_MAX_PROFILES
from onefold.model import entry as entries
from onefold.model import profile as profiles
from onefold.model.definitions import Audience, Definitions, Trait
from onefold.model.entry import Defined, Outgoing, Ruled, Sweep, Tick
from onefold.model.rules import Rules
from onefold.runtime.bell import Rest
from onefold.runtime.pulse import Pulse
from onefold.runtime.retention import Retention
from onefold.runtime.ruling import begin
from onefold.runtime.worker import Engines, Worker, loop
from onefold.settings import Settings
from onefold.storage.assignment import FixedAssignment
from onefold.storage.embedded.catalog import SqliteCatalog
from onefold.storage.embedded.log import LmdbLogReader, LmdbLogWriter
from onefold.storage.embedded.state import LmdbState
from onefold.testing.clock import ManualClock
from onefold.testing.memory.log import MemoryLog
from onefold.testing.memory.state import MemoryState

BUSY = Definitions(audiences=(Audience("busy", 'count("A", within="1h") > 0'),))


class Bench:
    """A worker over engines in memory and a real catalog."""

    def __init__(self, path: Path, rules: Rules | None = None) -> None:
        self.clock = ManualClock()
        self.log = MemoryLog(1)
        self.state = MemoryState()
        self.catalog = SqliteCatalog(path / "catalog.sqlite", self.clock)
        self.worker = self.another(rules or Rules())

    def another(self, rules: Rules, state: MemoryState | None = None) -> Worker:
        """A worker that starts with these rules, on the same engines or another handle on the state."""
        engines = Engines(self.log, self.log, state or self.state, self.catalog)
        return Worker(FixedAssignment([0]), engines, rules, self.clock)

    def send(self, count: int = 1) -> None:
        """Events of one person, a record each."""
        event = msgspec.Raw(b'{"type":"track","event":"A","userId":"u"}')
        record = entries.encode(Outgoing("web", self.clock.now_ms(), [event]))
        self.log.append({0: [record] * count})

    def kinds(self) -> list[type]:
        """What the log holds, without events."""
        records = self.log.read(0, 0, 1 << 30)
        found = [type(entries.decode(record.data)) for record in records]
        return [kind for kind in found if kind in (Defined, Ruled, Sweep, Tick)]

    def audiences(self) -> set[str]:
        """The audiences that the person is in."""
        owner = self.state.lookup("user_id:u")
        assert owner is not None
        data = self.state.profile(owner)
        assert data is not None
        return set(profiles.decode(data).audiences)

    def settle(self, *others: Worker) -> None:
        """Turn until there is nothing to do."""
        for _ in range(100):
            if sum(worker.turn() for worker in (self.worker, *others)) == 0:
                return
        raise AssertionError("the workers are never done")

    def rules(self) -> Rules:
        """The rules in force."""
        return self.state.rules(self.state.cursor(0).rules)


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    """A fresh worker."""
    return Bench(tmp_path)


def test_definitions_are_in_force_before_the_first_event(bench: Bench) -> None:
    """What is defined when the worker starts counts from the first event that is folded after it."""
    bench.catalog.save_definitions(BUSY, "test")
    bench.worker.turn()
    bench.send()
    bench.settle()
    assert bench.audiences() == {"busy"}
    assert bench.kinds() == [Defined, Sweep]


class Distant(MemoryState):
    """A state on another machine, which counts how often it is asked for timers."""

    local = False
    asked = 0

    def next_due_ms(self, partition: int) -> int:
        """As `State.next_due_ms`."""
        self.asked += 1
        return super().next_due_ms(partition)


def test_another_machine_is_asked_for_timers_now_and_then(bench: Bench) -> None:
    """Not at each turn while events arrive; a timer that is due is told all the same, and once."""
    state = bench.state = Distant()
    bench.worker = bench.another(Rules())
    bench.catalog.save_definitions(BUSY, "test")
    bench.settle()
    state.asked = 0
    for _ in range(20):
        bench.send()
        bench.worker.turn()
    bench.settle()
    assert state.asked <= 1
    bench.clock.advance(HOUR_MS)
    bench.settle()
    assert bench.audiences() == set()
    assert bench.kinds() == [Defined, Sweep, Tick]


def test_what_is_gathered_begins_where_nothing_is_left_of_older_versions(bench: Bench) -> None:
    """An aggregate that was counted, dropped and wanted again: what it had counted is gone before it is gathered anew.

    Versions that followed each other faster than the worker saw them are folded one by one then, each with its sweep.
    """
    counting = Definitions(traits=(Trait("a", 'count("A")'),))
    bench.catalog.save_definitions(counting, "test")
    bench.settle()
    bench.send(2)
    bench.settle()
    bench.catalog.save_definitions(Definitions(), "test")
    bench.catalog.save_definitions(structs.replace(Definitions(), coming=counting), "test")
    bench.clock.advance(1_000)
    bench.settle()
    bench.send()
    bench.settle()
    assert bench.kinds()[-4:] == [Defined, Sweep, Defined, Sweep]
    owner = bench.state.lookup("user_id:u")
    data = None if owner is None else bench.state.profile(owner)
    assert data is not None
    assert list(profiles.decode(data).slots.values()) == [1]


class Away(SqliteCatalog):
    """A catalog on another machine, which can be away between two questions."""

    away = False

    def definitions(self, version: int | None = None) -> Definitions:
        """As `Catalog.definitions`."""
        if self.away:
            raise Unavailable("the catalog is away")
        return super().definitions(version)


def test_definitions_that_could_not_be_read_are_read_later(tmp_path: Path) -> None:
    """A catalog that goes away between saying that there is something new and saying what is asked again."""
    bench = Bench(tmp_path)
    catalog = bench.catalog = Away(tmp_path / "away.sqlite", bench.clock)
    bench.worker = bench.another(Rules())
    bench.settle()
    catalog.save_definitions(BUSY, "test")
    catalog.away = True
    with pytest.raises(Unavailable):
        bench.worker.turn()
    catalog.away = False
    bench.settle()
    assert bench.kinds() == [Defined, Sweep]


def test_new_definitions_are_announced_once_and_reach_everybody(bench: Bench) -> None:
    """A newer version in the catalog becomes one entry, then sweeps; nobody is left out."""
    bench.send()
    bench.settle()
    bench.catalog.save_definitions(Definitions(audiences=(Audience("known", "events > 0"),)), "test")
    bench.clock.advance(1_000)
    bench.settle()
    assert bench.audiences() == {"known"}
    assert bench.kinds() == [Defined, Sweep]


def test_a_worker_knows_when_a_timer_is_due(bench: Bench) -> None:
    """So long it may rest where nothing arrives: until the window of the earliest event of anybody ends."""
    assert bench.worker.quiet_s() > 1e9
    bench.catalog.save_definitions(BUSY, "test")
    bench.worker.turn()
    bench.send()
    bench.settle()
    due_s = bench.worker.quiet_s()
    assert HOUR_MS / 1000 <= due_s <= HOUR_MS / 1000 + 60
    bench.clock.advance(HOUR_MS // 2)
    assert bench.worker.quiet_s() == due_s - HOUR_MS / 2000
    bench.clock.advance(HOUR_MS)
    assert bench.worker.quiet_s() < 0
    assert bench.worker.turn()
    assert bench.worker.quiet_s() > 1e9


@pytest.mark.skipif(sys.platform != "linux", reason="inotify is Linux's")
def test_a_resting_worker_hears_of_news(tmp_path: Path) -> None:
    """Events and definitions are folded at once although the next look of its own would be hours away."""
    clock = SystemClock()
    writer = LmdbLogWriter(tmp_path / "log", 2)
    with (
        contextlib.closing(LmdbLogReader(tmp_path / "log")) as reader,
        contextlib.closing(LmdbState(tmp_path / "state")) as state,
        contextlib.closing(SqliteCatalog(tmp_path / "catalog.sqlite", clock)) as catalog,
        contextlib.closing(Rest()) as rest,
    ):
        rest.hear(reader.watch([0, 1]), catalog.watch())
        rest._seldom_s = 3_600.0
        stop = threading.Event()
        worker = Worker(FixedAssignment([0, 1]), Engines(reader, writer, state, catalog), Rules(), clock)
        retention = Retention(Settings(), writer, state, lambda: 0, clock)
        folding = threading.Thread(target=loop, args=(worker, retention, rest, Pulse(clock), stop.is_set))
        folding.start()
        watch = state.watch()
        assert watch is not None
        for n in range(4):
            event = msgspec.Raw(b'{"type":"track","event":"A","userId":"u%d"}' % n)
            writer.append({n % 2: [entries.encode(Outgoing("web", clock.now_ms(), [event]))]})
            until(watch, partial(known, state, n))
        catalog.save_definitions(BUSY, "test")
        until(watch, lambda: [state.cursor(partition).version for partition in (0, 1)] == [1, 1])
        stop.set()
        rest.wake()
        folding.join(60)
        assert not folding.is_alive()
        worker.close()
        os.close(watch)
    writer.close()


def known(state: LmdbState, n: int) -> bool:
    """Whether the n-th person is."""
    return state.lookup(f"user_id:u{n}") is not None


def until(watch: int, true: Callable[[], bool]) -> None:
    """Look after each sign until it is so; a minute at most."""
    deadline_s = time.monotonic() + 60
    while not true():
        assert time.monotonic() < deadline_s, "did not come true in time"
        if select.select([watch], [], [], 0.01)[0]:
            os.read(watch, 4096)


def test_timers_fire_although_the_log_never_ends(bench: Bench) -> None:
    """A tick is written beside a backlog, one at a time, so load cannot hold time up."""
    bench.catalog.save_definitions(BUSY, "test")
    bench.worker.turn()
    bench.send()
    bench.settle()
    bench.clock.advance(2 * HOUR_MS)
    for _ in range(5):
        bench.log.append({0: [entries.encode(Outgoing("web", bench.clock.now_ms(), []))]})
        bench.worker.turn()
    assert bench.audiences() == set()
    assert bench.kinds().count(Tick) == 1


def test_timers_fire_while_everybody_is_judged_again(bench: Bench) -> None:
    """New definitions reach very many people step by step; between the steps people leave on time."""
    bench.catalog.save_definitions(BUSY, "test")
    bench.worker.turn()
    many = [msgspec.Raw(b'{"type":"track","event":"A","userId":"u%d"}' % n) for n in range(3 * SWEEP_MAX_PROFILES)]
    bench.log.append({0: [entries.encode(Outgoing("web", bench.clock.now_ms(), many))]})
    bench.settle()
    before = len(bench.kinds())
    quiet = Audience("quiet", 'count("A") == 0')
    bench.catalog.save_definitions(structs.replace(BUSY, audiences=(*BUSY.audiences, quiet)), "test")
    bench.clock.advance(2 * HOUR_MS)
    bench.settle()
    assert bench.kinds()[before : before + 4] == [Defined, Sweep, Tick, Sweep]
    assert "busy" not in bench.state.sizes()


GERMAN, FRENCH = Rules(phone_region="DE"), Rules(frozenset({"u"}), "FR")


def test_rules_are_said_once_and_only_where_they_are_others(bench: Bench) -> None:
    """A worker that starts with other rules than those in force writes them, one with the same writes nothing."""
    bench.send()
    bench.settle()
    for rules in (GERMAN, GERMAN, FRENCH, Rules(), Rules()):
        bench.worker = bench.another(rules)
        bench.settle()
        bench.send()
        bench.settle()
        assert bench.rules() == rules
    assert bench.kinds() == [Ruled] * 3
    counts = bench.state.counts()
    assert (counts["received"], counts["admitted"], counts["quarantined.no_identifier"]) == (6, 5, 1)


def test_an_empty_partition_begins_with_the_rules(tmp_path: Path) -> None:
    """What the supervisor writes before anything else is not said again, and is in force for the first event."""
    bench = Bench(tmp_path)
    begin(bench.log, bench.log, FRENCH, bench.clock)
    bench.send()
    begin(bench.log, bench.log, GERMAN, bench.clock)
    bench.worker = bench.another(FRENCH)
    bench.settle()
    assert bench.kinds() == [Ruled]
    assert bench.state.counts()["quarantined.no_identifier"] == 1


def test_rules_that_wait_in_a_backlog_do_not_outlast_ours(bench: Bench) -> None:
    """Whoever starts with the rules in force, but finds others in its backlog, says its own after them."""
    bench.worker = bench.another(GERMAN)
    bench.settle()
    bench.send()
    bench.log.append({0: [entries.encode(Ruled(bench.clock.now_ms(), FRENCH))]})
    bench.worker = bench.another(GERMAN)
    bench.settle()
    assert bench.rules() == GERMAN
    assert bench.kinds() == [Ruled] * 3


def test_workers_of_different_mind_come_to_rest(bench: Bench) -> None:
    """Two workers with other rules on one partition each have their say, and then leave it at that."""
    bench.worker = bench.another(GERMAN)
    other = bench.another(FRENCH, bench.state.another())
    bench.settle(other)
    assert bench.rules() in (GERMAN, FRENCH)
    assert 1 <= len(bench.kinds()) <= 2
