"""The history role: follows the effects with a cursor of its own, and writes events, merges, moves and recasts.

What the commits bring is gathered for a few seconds, or until it is much, and then written in one commit of the tables
together with the cursor; whatever happens in between, it is gathered again from there. In between it tidies: many small
files become a large one; and it computes over history what definitions that are to come ask of it
(`runtime.backfill`). One process writes at a time; another that is started stands by.
"""

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from typing import NamedTuple

import structlog

from onefold.clock import Clock, SystemClock
from onefold.errors import NotFoundError, SettingsError, StorageError, Superseded, Unavailable
from onefold.model import effect
from onefold.model.effect import Admitted, Merged, Recast, Split
from onefold.model.past import Past, PastMerge, PastMove, PastRecast
from onefold.ports import Commit, History, LogReader, State
from onefold.runtime.backfill.backfill import Backfill, Engines
from onefold.runtime.bell import Rest
from onefold.runtime.heap import seldom_collected
from onefold.runtime.history.bodies import Bodies
from onefold.runtime.history.moves import MOVING, InForce, moves, standing
from onefold.runtime.history.names import NamesKept
from onefold.runtime.history.recasts import recasts
from onefold.runtime.pulse import Pulse, told
from onefold.runtime.stopping import stop_signals
from onefold.settings import Settings
from onefold.storage.place import Place

EVENTS_MAX = 50_000
"""So many events and moves are written at once, at the most about."""
_READ_BYTES = 1 << 20
"""Of effects at once."""
_QUIET_S = 60.0
"""The cursor of nothing but other effects is written this seldom."""
_TIDY_S = 10.0
"""Between two looks whether there is anything to tidy."""
_AWAY_S = 1.0
"""Between turns while an engine is away, or the disk is full."""
_STAND_BY_S = 0.5
_COMING_S = 0.2
"""Between looks how far the workers are with what is computed for definitions that are to come."""
_RECURSION_LIMIT = 10_000
"""Deeper than any event that collect admits."""

_decode = effect.decoder(frozenset((Admitted, Merged, Recast, Split, *MOVING)))
log = structlog.get_logger()


class Sources(NamedTuple):
    """What is read."""

    state: State
    log: LogReader


class Historian:
    """Writes history; one turn does what there is to do and says whether there may be more at once."""

    def __init__(
        self,
        sources: Sources,
        history: History,
        clock: Clock,
        flush_s: float,
        *,
        beat: Callable[[], None] = lambda: None,
    ) -> None:
        """`history` is held. `beat` is called now and then in a turn that takes long."""
        self._state = sources.state
        self._partitions = sources.log.partitions
        self._in_force = InForce(sources.state)
        self._moves_begun = history.moves_since() is not None
        self._log = sources.log
        self._bodies = Bodies(sources.log)
        self._history = history
        self._names = NamesKept(sources.state, history)
        self._clock = clock
        self._flush_s = flush_s
        self._beat = beat
        self._tidied_s = -_TIDY_S
        self._begin()

    def turn(self, wanted: int = 0) -> bool:
        """Take some commits, write where it is time to, else tidy where it is time to.

        `wanted`: a commit that somebody waits for; what is taken is written at once until it is there.
        """
        if not self._moves_begun:
            self._history.begin_moves(standing(self._state, self._partitions, self._beat))
            self._moves_begun = True
        taken = self._take()
        now_s = self._clock.monotonic_s()
        if self._due(now_s) or self._written < min(wanted, self._cursor):
            self.flush()
            return True
        if not taken and self._names.turn():
            return True
        if not taken and now_s - self._tidied_s >= _TIDY_S:
            if self._history.tidy():
                return True
            self._tidied_s = now_s
        return taken

    def rest_s(self) -> float:
        """For how long there is nothing to do, if there is no news."""
        now_s = self._clock.monotonic_s()
        wait_s = self._flush_s if self._something else _QUIET_S
        flush_s = wait_s - (now_s - self._since_s) if self._cursor > self._written else _QUIET_S
        return max(0.0, min(flush_s, _TIDY_S - (now_s - self._tidied_s)))

    def flush(self) -> None:
        """Write all that was taken. After an error all of it is taken again."""
        try:
            self._names.begin()
            pasts = self._names.noting(self._pasts())
            told = self._merges, self._cursor, self._moves, self._recasts
            self._history.append(pasts, *told, self._names.noted())
        finally:
            self._begin()

    def stop(self) -> None:
        """Write what there is to write, since nothing more comes."""
        if self._cursor > self._written:
            self.flush()

    def _begin(self) -> None:
        """From what is written on."""
        self._cursor = self._written = self._history.cursor()
        self._admitted: list[tuple[int, list[Admitted]]] = []
        """Partition, and what a commit admitted there; the events themselves are read when they are written."""
        self._events = 0
        self._merges: list[PastMerge] = []
        self._moves: list[PastMove] = []
        self._recasts: list[PastRecast] = []
        self._since_s = self._clock.monotonic_s()

    def _take(self) -> bool:
        commits = self._state.commits(self._cursor, _READ_BYTES)
        if commits and self._cursor == self._written:
            self._since_s = self._clock.monotonic_s()
        self._in_force.look(commit.partition for commit in commits)
        for commit in commits:
            self._take_commit(commit)
            if self._full:
                break
        return bool(commits)

    def _take_commit(self, commit: Commit) -> None:
        effects = _decode(commit.effects)
        # First, since the log may be away: then all of the commit is taken again.
        self._recasts += list(recasts(self._log, commit, effects))
        admitted = [e for e in effects if type(e) is Admitted]
        self._admitted.append((commit.partition, admitted))
        self._events += len(admitted)
        self._merges += [
            PastMerge(e.absorbed, e.profile, commit.partition, e.position, e.at_ms)
            for e in effects
            if type(e) is Merged
        ]
        self._moves += moves(commit, effects, self._in_force)
        self._cursor = commit.number

    def _pasts(self) -> Iterator[Past]:
        for partition, admitted in self._admitted:
            yield from self._bodies.pasts(partition, admitted)

    def _due(self, now_s: float) -> bool:
        if self._cursor == self._written:
            return False
        waited_s = now_s - self._since_s
        return self._full or waited_s >= (self._flush_s if self._something else _QUIET_S)

    @property
    def _something(self) -> bool:
        return bool(self._events or self._merges or self._moves or self._recasts)

    @property
    def _full(self) -> bool:
        return self._events + len(self._moves) + len(self._recasts) >= EVENTS_MAX


def loop(historian: Historian, backfill: Backfill, rest: Rest, pulse: Pulse, stopped: Callable[[], bool]) -> None:
    """Turn until stopped; then write what was taken. Trouble with an engine or the disk is waited out."""
    while not stopped():
        try:
            more = historian.turn(backfill.wanted)
            more = backfill.turn() or more
        except Superseded:
            raise
        except StorageError as error:
            log.warning("history cannot be written just now", code=error.code, reason=str(error))
            pulse.beat(f"{error.code}: {error}")
            rest.pause(_AWAY_S)
            continue
        pulse.beat()
        if not more:
            rest.rest(min(historian.rest_s(), _COMING_S) if backfill.coming else historian.rest_s())
    historian.stop()


def run(settings: Settings) -> None:
    """Be the history role until SIGTERM or SIGINT. Raises `SettingsError` where there is to be no history here."""
    sys.setrecursionlimit(_RECURSION_LIMIT)
    place, clock, rest = Place.open(settings), SystemClock(), Rest()
    if place.history_location is None:
        raise SettingsError(
            "there is no history here: set `history = true`, and `history_location` where there is no data directory"
        )
    stopped, pulse = stop_signals(rest), Pulse(clock)
    with ExitStack() as stack:
        stack.callback(rest.close)
        stack.enter_context(told(pulse, settings.host, settings.health_port))
        history = stack.enter_context(closing(place.history()))
        sources = _opened(place, rest, pulse, stopped)
        if sources is None:
            return
        state = stack.enter_context(closing(sources.state))
        stack.enter_context(closing(sources.log))
        if not _alone(history, rest, pulse, stopped):
            return
        writer = stack.enter_context(closing(place.log_writer(clock)))
        catalog = stack.enter_context(closing(place.catalog(clock)))
        rest.hear(state.watch(), catalog.watch())
        log.info("writing history", location=place.history_location)
        historian = Historian(sources, history, clock, settings.history_flush_s, beat=pulse.beat)
        with seldom_collected():
            loop(historian, Backfill(Engines(writer, state, catalog, history), clock), rest, pulse, stopped)
        log.info("stopped")


def _opened(place: Place, rest: Rest, pulse: Pulse, stopped: Callable[[], bool]) -> Sources | None:
    """State and log, once others have made them; None: told to stop before that."""
    while not stopped():
        try:
            with ExitStack() as stack:
                state = stack.enter_context(closing(place.state(readonly=True)))
                sources = Sources(state, place.log_reader())
                stack.pop_all()
                return sources
        except (NotFoundError, Unavailable) as error:
            pulse.beat(str(error))
            rest.pause(_STAND_BY_S)
    return None


def _alone(history: History, rest: Rest, pulse: Pulse, stopped: Callable[[], bool]) -> bool:
    """Write history, once nobody else does. False: told to stop before that."""
    said = False
    while not stopped():
        if history.try_hold():
            return True
        pulse.beat()
        if not said:
            log.info("another history role is at work here; standing by")
        said = True
        rest.pause(_STAND_BY_S)
    return False
