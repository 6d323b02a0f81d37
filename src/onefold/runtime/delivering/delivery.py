"""The deliver role: follows the effects of the state, and brings them to every destination.

It only reads the log, the state and the catalog; what it must remember goes into its own store. Two loops: `_follow`
takes the newest effects whenever the state was written, `_keep_house` writes progress down, learns of changed
definitions and works off replays. Each destination runs for itself (`delivery_runner`).

The books are in memory and written whole, so one process keeps them at a time (`Deliveries.try_hold`): a role that is
started while another is still at work stands by until that one has ended.
"""

import asyncio
import contextlib
import signal
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import NamedTuple, TypeVar

import structlog
import uvloop

from onefold import registry
from onefold.clock import Clock, SystemClock
from onefold.errors import NotFoundError, OnefoldError, StorageError, Superseded, Unavailable
from onefold.limits import BOOK_RENEW_S
from onefold.model.definitions import Destination
from onefold.model.delivery import Progress
from onefold.model.host import spelled
from onefold.model.signing import SigningSecret
from onefold.ports import Catalog, Deliveries, LogReader, State
from onefold.ports import Destination as Connector
from onefold.runtime.bell import Bell, Signs
from onefold.runtime.delivering.payload import Payloads
from onefold.runtime.delivering.runner import Patience, Runner, Sources
from onefold.runtime.delivering.tail import Tail
from onefold.runtime.pulse import Pulse, told
from onefold.settings import Settings
from onefold.storage.place import Place

FLUSH_S = 0.1
CATALOG_S = 0.25
MARK_S = 5.0
"""Progress of nothing but time is written this seldom."""
EXPIRE_S = 2.0
"""How often is looked for what has waited for too long."""
STOP_GRACE_S = 5.0
"""For how long attempts under way may end by themselves."""
_AT_ONCE = 500
"""Parked deliveries that are replayed or forgotten between two flushes."""
_STAND_BY_S = 0.25
"""Between looks whether the book is free."""
_AWAY_S = 0.5
"""Between looks for an engine that is away."""
_WAIT_S = 0.05
"""Between looks for what others are to make, or to let go of."""

T = TypeVar("T")
log = structlog.get_logger()


class Stores(NamedTuple):
    """What the role reads, and its own store."""

    state: State
    log: LogReader
    catalog: Catalog
    deliveries: Deliveries


class Wanted(NamedTuple):
    """A destination as the catalog has it."""

    definition: Destination
    secrets: tuple[SigningSecret, ...]
    """Former ones too, as long as they are in force."""
    private_hosts: frozenset[str]
    """Hosts of inner addresses that it may be sent to."""


class Deliverer:
    """All destinations of one workspace."""

    def __init__(
        self,
        stores: Stores,
        clock: Clock,
        patience: Patience = Patience(),  # noqa: B008 - frozen
        pulse: Pulse | None = None,
    ) -> None:
        self._stores = stores
        self._clock = clock
        self._pulse = pulse or Pulse(clock)
        tail = Tail(stores.state)
        self._sources = Sources(tail, Payloads(stores.state, stores.log), stores.deliveries, clock, patience)
        self._runners: dict[str, Runner] = {}
        self._running: dict[str, asyncio.Task[None]] = {}
        self._leaving: dict[str, asyncio.Task[None]] = {}
        """Of removed destinations, whose attempts under way may end."""
        self._wanted: dict[str, Wanted] | None = None
        """None: the catalog has not been read yet."""
        self._generation = -1
        self._mark = stores.deliveries.mark()
        self._written: tuple[int, frozenset[str]] = (-1, frozenset())
        self._unwritten: list[Progress] = []
        self._replayed: dict[tuple[int, str], int] = {}
        self._asked = False
        """A replay is not done yet."""
        self._expired_s = -EXPIRE_S
        self._broken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="store")

    async def run(self, stop: asyncio.Event) -> None:
        """Deliver until `stop` is set; then end what is under way and write all progress down."""
        parts = (self._follow(), self._keep_house(), self._keep_book(), _until(stop))
        tasks = [asyncio.create_task(part) for part in parts]
        try:
            done, _ = await asyncio.wait([*tasks, self._broken], return_when=asyncio.FIRST_COMPLETED)
        finally:
            for part in tasks:
                part.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            staying = self._runners.keys() - self._leaving.keys()
            await asyncio.gather(*self._leaving.values(), *map(self._stop, staying))
            await self._flush(force=True)
            self._thread.shutdown()
        for ended in done:
            ended.result()

    # --- following -------------------------------------------------------------------------------------------
    async def _follow(self) -> None:
        bell = Bell(self._stores.state)
        try:
            while True:
                try:
                    found = self._sources.tail.poll()
                except Unavailable as error:
                    log.warning("the state cannot be read; it is tried again", error=str(error))
                    found = False
                    await asyncio.sleep(_AWAY_S)
                if found:
                    for runner in self._runners.values():
                        runner.wake()
                await bell.rest(found=found)
        finally:
            bell.close()

    # --- housekeeping ----------------------------------------------------------------------------------------
    async def _keep_house(self) -> None:
        defined = Signs(self._stores.catalog.watch(), CATALOG_S)
        asked = Signs(self._stores.deliveries.watch(), FLUSH_S)
        marked_s = -MARK_S
        with contextlib.closing(defined), contextlib.closing(asked):
            while True:
                now_s, newest = self._clock.monotonic_s(), self._sources.tail.newest
                if defined.due(now_s):
                    if not await self._poll_catalog(newest):
                        defined.again()
                elif defined.complete and self._stores.catalog.tells_at_once:
                    self._mark = max(self._mark, newest)
                due = now_s - marked_s >= MARK_S
                if await self._flush(force=due):
                    await self._work_off(asked, now_s)
                marked_s = now_s if due else marked_s
                self._pulse.beat()
                await asyncio.sleep(FLUSH_S)

    async def _keep_book(self) -> None:
        """Go on keeping the book, whatever else waits. Raises `Superseded` where another may keep it by now."""
        while True:
            try:
                await asyncio.to_thread(self._stores.deliveries.renew)
            except Unavailable as error:
                log.warning("the book cannot be reached", error=str(error), code=error.code)
            await asyncio.sleep(BOOK_RENEW_S)

    async def _work_off(self, asked: Signs, now_s: float) -> None:
        """Comes right after a flush: what was asked for, and what is too old."""
        try:
            if self._asked or asked.due(now_s):
                await self._replay()
            if not self._asked and now_s - self._expired_s >= EXPIRE_S:
                self._expire()
                self._expired_s = now_s
        except Superseded:
            raise
        except StorageError as error:
            log.warning("the book cannot be read or written; it is tried again", error=str(error), code=error.code)
            asked.again()
            await asyncio.sleep(_AWAY_S)

    def _expire(self) -> None:
        """Comes right after a flush, while no replay is under way: what the store shows as parked is parked."""
        for runner in self._runners.values():
            runner.expire()
            runner.forget_parked(_AT_ONCE)

    async def _poll_catalog(self, newest: int) -> bool:
        """Learn of changed definitions; False: that is to be tried again. `newest` was read before."""
        try:
            wanted = await self._in_thread(self._read_catalog)
            if wanted is not None and not self._reconcile(wanted):
                self._generation = -1
                return False
        except StorageError as error:
            log.warning("definitions cannot be taken over; it is tried again", error=str(error))
            self._generation = -1
            return False
        # Whoever is defined from here on begins after what was there before this poll, so that it misses nothing.
        self._mark = max(self._mark, newest)
        return True

    def _read_catalog(self) -> dict[str, Wanted] | None:
        catalog = self._stores.catalog
        generation = catalog.generation()
        if generation == self._generation:
            return None
        found = catalog.definitions()
        hosts = frozenset(map(spelled, found.allow_private_hosts))
        wanted = {one.name: Wanted(one, catalog.signing_secrets(one.name), hosts) for one in found.destinations}
        self._generation = generation
        return wanted

    def _reconcile(self, wanted: dict[str, Wanted]) -> bool:
        """Follow these. False: one of them was removed just now, and what it was is not written down yet."""
        for name in self._runners.keys() - wanted.keys() - self._leaving.keys():
            self._leave(name)
        coming = wanted.keys() - (self._runners.keys() - self._leaving.keys())
        if coming & {*self._leaving, *(progress.destination for progress in self._unwritten)}:
            return False
        # All of them before any runs: what runs has to be among those of whom is written that they follow.
        self._runners |= {name: Runner(name, self._sources, self._mark) for name in wanted if name in coming}
        known = self._wanted or {}
        for name, want in wanted.items():
            if name in coming or known.get(name) != want:
                self._runners[name].update(want.definition, self._connect(want))
            if name not in self._running:
                self._running[name] = asyncio.create_task(self._runners[name].run(), name=name)
                self._running[name].add_done_callback(self._ended)
        self._wanted = wanted
        return True

    def _connect(self, want: Wanted) -> Connector | None:
        try:
            module = registry.engine(registry.DESTINATIONS, want.definition.kind)
            connector: Connector = module.connect(want.definition, want.secrets, self._clock, want.private_hosts)
        except OnefoldError as error:
            log.warning("destination stands still", destination=want.definition.name, error=str(error))
            return None
        return connector

    def _leave(self, name: str) -> None:
        """A destination was removed: what it has is kept from now on; attempts under way may end meanwhile."""
        self._runners[name].line.hold()
        task = self._leaving[name] = asyncio.create_task(self._stop(name))
        task.add_done_callback(lambda _: self._leaving.pop(name))
        task.add_done_callback(self._ended)

    async def _stop(self, name: str) -> None:
        """What it leaves is written by the next flush."""
        if task := self._running.pop(name, None):
            task.cancel()
        await self._runners[name].stop(STOP_GRACE_S)
        if progress := self._runners.pop(name).line.progress():
            self._unwritten.append(progress)

    async def _flush(self, *, force: bool) -> bool:
        """Write what changed. True: everything up to now is written.

        Nothing is before the catalog has been read: a destination that is said not to follow begins anew.
        """
        if self._wanted is None:
            return False
        fresh = [progress for runner in self._runners.values() if (progress := runner.line.progress())]
        self._unwritten += fresh
        standing = (self._mark, frozenset(self._wanted))
        if not self._unwritten and not (force and standing != self._written):
            return True
        batch = list(self._unwritten)
        try:
            await self._in_thread(partial(self._stores.deliveries.write, batch, *standing))
        except Superseded:
            raise
        except StorageError as error:
            log.warning("progress cannot be written; it is tried again", error=str(error), code=error.code)
            return False
        self._unwritten = self._unwritten[len(batch) :]
        self._written = standing
        for progress in batch:
            if runner := self._runners.get(progress.destination):
                runner.line.ledger.written(progress)
        return True

    async def _replay(self) -> None:
        """Comes right after a flush, so that the store shows no delivery as parked that is under way again."""
        store = self._stores.deliveries
        requests = store.requests()
        self._asked = bool(requests)
        for number, request in requests.items():
            staying = self._runners.keys() - self._leaving.keys()
            meant = [self._runners[name] for name in sorted(staying) if request.destination in (None, name)]
            done = True
            for runner in meant:
                key = number, runner.name
                if is_new := key not in self._replayed:
                    runner.revive()
                after = self._replayed.get(key, -1)
                limit = min(_AT_ONCE, runner.line.room())
                rows = store.parked_rows(runner.name, request, after, limit)
                self._replayed[key] = rows[-1].seq if rows else after
                runner.replay(rows)
                done = done and not is_new and not rows and limit > 0
            if done:  # what the last round replayed has been written by the flush before this one
                await self._in_thread(partial(store.finish, number))
                self._replayed = {key: seq for key, seq in self._replayed.items() if key[0] != number}
            return

    async def _in_thread(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    def _ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) and not self._broken.done():
            self._broken.set_exception(error)


def run(settings: Settings) -> None:
    """Be the deliver role until SIGTERM or SIGINT."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_run(settings))


async def _run(settings: Settings) -> None:
    stop = asyncio.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(name, stop.set)
    place, pulse = Place.open(settings), Pulse(SystemClock())
    with told(pulse, settings.host, settings.health_port):
        opened = await _opened(place, stop)
        if opened is not None:
            await _deliver(place, opened, pulse, stop)


async def _deliver(place: Place, opened: tuple[State, LogReader], pulse: Pulse, stop: asyncio.Event) -> None:
    """Deliver once the book is ours. It is asked for last: from then on it is renewed, or others take it over."""
    settings, clock = place.settings, SystemClock()
    with contextlib.ExitStack() as stack:
        state = stack.enter_context(contextlib.closing(opened[0]))
        reader = stack.enter_context(contextlib.closing(opened[1]))
        catalog = stack.enter_context(contextlib.closing(place.catalog(clock)))
        book = stack.enter_context(contextlib.closing(place.deliveries()))
        if not await _alone(book, pulse, stop):
            return
        log.info("delivering", place=place.name)
        patience = Patience(settings.pending_retention_s * 1000, settings.parked_retention_s * 1000)
        await Deliverer(Stores(state, reader, catalog, book), clock, patience, pulse).run(stop)
        log.info("stopped")


async def _alone(book: Deliveries, pulse: Pulse, stop: asyncio.Event) -> bool:
    """Keep the book, once nobody else does. False: told to stop before that."""
    said = False
    while not stop.is_set():
        try:
            if await asyncio.to_thread(book.try_hold):
                return True
        except Unavailable as error:
            pulse.beat(f"{error.code}: {error}")
        else:
            pulse.beat()
            if not said:
                log.info("another deliver role is at work here; standing by")
            said = True
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), _STAND_BY_S)
    return False


async def _opened(place: Place, stop: asyncio.Event) -> tuple[State, LogReader] | None:
    """State and log, once others have made them; None: told to stop before that."""
    while not stop.is_set():
        try:
            state = place.state(readonly=True)
        except NotFoundError:
            await asyncio.sleep(_WAIT_S)
            continue
        try:
            return state, place.log_reader()
        except NotFoundError:
            state.close()
            await asyncio.sleep(_WAIT_S)
    return None


async def _until(stop: asyncio.Event) -> None:
    await stop.wait()
