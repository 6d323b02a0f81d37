"""The worker role: folds its partitions as entries arrive, and writes the entries that only time or people cause."""

import sys
from collections.abc import Callable
from contextlib import ExitStack, closing, suppress
from functools import partial
from typing import NamedTuple, Protocol

import msgspec
import structlog

from onefold.clock import Clock, SystemClock
from onefold.errors import Conflict, StorageError, Unavailable
from onefold.limits import NEVER_MS
from onefold.model import entry as entries
from onefold.model.changes import Cursor
from onefold.model.definitions import Definitions
from onefold.model.entry import Defined, Ruled, Sweep, Tick
from onefold.model.profile import JUDGE_ANEW_MS
from onefold.model.rules import Rules
from onefold.ports import Assignment, LogReader, LogWriter, State
from onefold.runtime.bell import Rest, Signs
from onefold.runtime.folding.committing import Beside
from onefold.runtime.folding.fold import Folding
from onefold.runtime.folding.programs import Programs
from onefold.runtime.heap import without_collector
from onefold.runtime.large_pages import in_large_pages
from onefold.runtime.pulse import Pulse, told
from onefold.runtime.retention import Retention, taken_by_all
from onefold.runtime.ruling import begin, rules_of
from onefold.runtime.stopping import stop_signals
from onefold.settings import Settings
from onefold.storage.place import Place

_CATALOG_POLL_S = 0.2
_DUE_POLL_S = 0.05
"""While events arrive, a state on another machine is asked so often for the timer that is due next."""
_AWAY_FIRST_S = 0.1
_AWAY_MAX_S = 2.0
"""Between turns while an engine is away."""
_RECURSION_LIMIT = 10_000
"""Deeper than any event that collect admits, so that none is poison here."""
_SWITCH_S = 0.0005
"""For so long the thread whose commit has reached the disk may wait until it can say so: others wait for its word."""

log = structlog.get_logger("worker")


class Versions(Protocol):
    """What a worker asks of the catalog."""

    def generation(self) -> int:
        """A number that changes whenever anything has changed."""
        ...

    def definitions(self, version: int | None = None) -> Definitions:
        """The definitions of a version; None: the latest."""
        ...

    def watch(self) -> int | None:
        """A file descriptor that can be read from when `generation` may have changed; None: look now and then."""
        ...


class Engines(NamedTuple):
    """What a worker joins."""

    reader: LogReader
    writer: LogWriter
    state: State
    catalog: Versions


class Worker:
    """Folds partitions; one turn does what there is to do and says whether there was anything."""

    def __init__(self, assignment: Assignment, engines: Engines, rules: Rules, clock: Clock) -> None:
        self._assignment = assignment
        self._reader = engines.reader
        self._writer = engines.writer
        self._state = engines.state
        self._catalog = engines.catalog
        self._clock = clock
        alone = len(assignment.partitions()) == engines.reader.partitions
        self._beside = Beside(engines.state)
        self._folding = Folding(engines.reader, engines.state, Programs(engines.catalog.definitions), alone=alone)
        self._folding.commit_beside(self._beside)
        self._rules = rules
        self._backlogs: dict[int, int] = {}
        """Partition → where it ended when it became ours, until our rules were said there or found in force there."""
        self._partitions: frozenset[int] = frozenset()
        """Those of the turn under way."""
        self._generation = -1
        self._defined = Signs(engines.catalog.watch(), _CATALOG_POLL_S)
        self._latest = Definitions()
        self._written: dict[int, int] = {}
        """Partition → offset of the latest entry of our own; the next waits until it is folded."""
        self._due: dict[int, tuple[float, int]] = {}
        """Partition → when the state was asked, and the timer that was due next."""
        self._swept: set[int] = set()
        """Partitions whose latest entry of our own is a sweep. The next is a tick, if a timer is due: a sweep of very
        many people takes minutes."""

    @property
    def conflicts(self) -> int:
        """Batches that were stepped again because another worker was faster."""
        return self._folding.conflicts

    def turn(self) -> int:
        """Fold what has arrived in each partition; returns how many records were taken."""
        self._poll_catalog()
        self._take_over(self._assignment.partitions())
        partitions = sorted(self._partitions)
        for partition in partitions:
            if (entry := self._caused_by_time(partition)) is not None:
                written = self._writer.append({partition: [entries.encode(entry)]})
                self._written[partition] = written[partition]
                self._due.pop(partition, None)
                (self._swept.add if isinstance(entry, Sweep) else self._swept.discard)(partition)
        return self._folding.advance_all(partitions)

    @property
    def owns_first(self) -> bool:
        """Whether the first partition is ours: what one worker is to do for all, its worker does."""
        return 0 in self._partitions

    def quiet_s(self) -> float:
        """For how long there is nothing to do, if nothing arrives; not above 0 where a timer is due."""
        due_ms = min((self._state.next_due_ms(partition) for partition in self._partitions), default=NEVER_MS)
        return (due_ms - self._clock.now_ms()) / 1000

    def close(self) -> None:
        """Let go of the watch, and of the thread that commits."""
        self._defined.close()
        self._beside.close()

    def _take_over(self, partitions: frozenset[int]) -> None:
        """These are ours from now on. Of others nothing is remembered: they may come back after somebody had them."""
        if partitions == self._partitions:
            return
        if not self._partitions <= partitions:
            with suppress(Conflict):
                self._folding.settle()
        self._assignment.hold(partitions)
        for partition in partitions - self._partitions:
            self._backlogs[partition] = self._reader.ends(partition)[1]
        for partition in self._partitions - partitions:
            self._backlogs.pop(partition, None)
            self._written.pop(partition, None)
        self._partitions = partitions
        self._folding.share(alone=len(partitions) == self._reader.partitions)

    def _poll_catalog(self) -> None:
        if not self._defined.due(self._clock.monotonic_s()):
            return
        try:
            generation = self._catalog.generation()
            if generation != self._generation:
                self._latest = self._catalog.definitions()
                self._generation = generation
        except StorageError:
            self._defined.again()
            raise

    def _caused_by_time(self, partition: int) -> Ruled | Defined | Sweep | Tick | None:
        """What is to be written into the log now: other rules, new definitions, the sweep after them, a tick.

        However long the backlog is, one such entry waits at its end.
        """
        cursor = self._folding.cursor(partition)
        if cursor.offset <= self._written.get(partition, -1):
            return None
        now_ms = self._clock.now_ms()
        if partition in self._backlogs and self._must_rule(partition, cursor):
            return Ruled(now_ms, self._rules)
        if self._latest.version > cursor.version and (next_ := self._next(cursor)) is not None:
            return Defined(now_ms, next_.version, msgspec.to_builtins(next_))
        due = self._next_due_ms(partition) <= now_ms
        if cursor.sweeping >= 0 and not (due and partition in self._swept):
            return Sweep(now_ms, cursor.sweeping)
        return Tick(now_ms) if due else None

    def _next_due_ms(self, partition: int) -> int:
        """When the earliest timer is due, as of a moment ago where that has to be asked of another machine."""
        now_s = self._clock.monotonic_s()
        asked_s, due_ms = self._due.get(partition, (0.0, NEVER_MS))
        if self._state.local or partition not in self._due or now_s - asked_s >= _DUE_POLL_S:
            due_ms = self._state.next_due_ms(partition)
            self._due[partition] = now_s, due_ms
        return due_ms

    def _next(self, cursor: Cursor) -> Definitions | None:
        """The definitions that come next in this partition; None: something else comes before them.

        What is gathered for definitions that are to come must begin with nothing, or it would count twice once history
        is added. Versions before may have counted the same: so it begins when nowhere anything is left of those.
        """
        latest = self._latest
        if latest.coming is None:
            return latest
        before = latest.version - 1
        if cursor.version < before:
            return self._catalog.definitions(before)
        return latest if self._settled(before) else None

    def _settled(self, version: int) -> bool:
        """Whether every partition is under this version and has judged everybody under it; so it stays from then on."""
        partitions = range(self._reader.partitions)
        cursors = [self._state.cursor(partition) for partition in partitions]
        if any(cursor.version > version for cursor in cursors):
            return True
        swept = all(cursor.version == version and cursor.sweeping < 0 for cursor in cursors)
        return swept and all(self._state.next_due_ms(partition) > JUDGE_ANEW_MS for partition in partitions)

    def _must_rule(self, partition: int, cursor: Cursor) -> bool:
        """Whether our rules are to be said here. Once is enough: two workers of different mind would never be done."""
        end = self._backlogs[partition]
        if cursor.offset == 0 < end:
            return False  # It may begin with our rules.
        in_force = self._state.rules(cursor.rules)
        other = in_force != self._rules.with_identity(in_force.identity)
        if other or cursor.offset >= end:
            del self._backlogs[partition]
        return other


def loop(worker: Worker, retention: Retention, rest: Rest, pulse: Pulse, stopped: Callable[[], bool]) -> None:
    """Turn until stopped; where nothing was there, rest until there may be something, or a timer is due.

    While an engine on another machine is away nothing is folded, and nothing is lost: the turn is tried again.
    """
    wait_s = _AWAY_FIRST_S
    while not stopped():
        try:
            taken = worker.turn()
            if worker.owns_first:
                retention.now_and_then()
            quiet_s = 0.0 if taken else worker.quiet_s()
        except (Unavailable, Conflict) as error:
            log.warning("cannot fold just now; trying again", code=error.code, reason=str(error), wait_s=wait_s)
            pulse.beat(f"{error.code}: {error}")
            rest.pause(wait_s)
            wait_s = min(_AWAY_MAX_S, 2 * wait_s)
            continue
        pulse.beat()
        wait_s = _AWAY_FIRST_S
        if not taken:
            rest.rest(quiet_s)


def run(settings: Settings, index: int) -> None:
    """The worker role: folds its share of the partitions (`Place.share`) until SIGTERM."""
    sys.setrecursionlimit(_RECURSION_LIMIT)
    sys.setswitchinterval(_SWITCH_S)
    rest = Rest()
    stopped = stop_signals(rest)
    place, clock = Place.open(settings), SystemClock()
    pulse = Pulse(clock)
    with ExitStack() as stack:
        stack.enter_context(told(pulse, settings.host, settings.health_port))
        writer = stack.enter_context(closing(place.log_writer(clock)))
        reader, assignment = place.share(index)
        stack.enter_context(closing(reader))
        stack.enter_context(closing(assignment))
        begin(reader, writer, rules_of(settings), clock)
        state = stack.enter_context(closing(place.state()))
        deliveries = stack.enter_context(closing(place.deliveries(readonly=True)))
        taken = partial(taken_by_all, deliveries, place.history_settled, place.matched)
        catalog = stack.enter_context(closing(place.catalog(clock)))
        stack.callback(rest.close)
        rest.hear(reader.watch(assignment.partitions()), catalog.watch())
        engines = Engines(reader, writer, state, catalog)
        worker = stack.enter_context(closing(Worker(assignment, engines, rules_of(settings), clock)))
        log.info("worker started", partitions=sorted(assignment.partitions()))
        with without_collector(), in_large_pages():
            loop(worker, Retention(settings, writer, state, taken, clock), rest, pulse, stopped)
        log.info("worker stopped", conflicts=worker.conflicts)
