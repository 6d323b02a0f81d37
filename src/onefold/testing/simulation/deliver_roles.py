"""The whole life of deliver roles, one after the other over one real book: started, stopped and killed at any moment.

Engines go away, the destination hangs, fails and is gone, is removed, moved and defined again; whatever happens, what
it was to get comes, in order, nothing that was settled comes again, and the books close.
"""

import asyncio
import contextlib
import tempfile
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Mapping
from math import inf
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from onefold.errors import StorageError, Unavailable
from onefold.model import delivery as deliveries
from onefold.model import effect as effects
from onefold.model.definitions import Definitions, Destination
from onefold.model.delivery import Delivery, Kept, Progress, Request
from onefold.model.effect import Entered
from onefold.model.signing import SigningSecret
from onefold.ports import Destination as Connector
from onefold.ports import Outcome
from onefold.runtime.delivering.delivery import Deliverer, Stores, Wanted
from onefold.runtime.delivering.payload import tag_of
from onefold.runtime.delivering.runner import Patience
from onefold.storage.embedded.deliveries import DeliveryStore
from onefold.testing.conformance.state import commit
from onefold.testing.memory.log import MemoryLog
from onefold.testing.memory.state import MemoryState
from onefold.testing.timeless import TimelessLoop

CRM = Destination("crm", url="https://a", audiences=("*",), concurrency=3)
ENDLESS = Patience(1 << 50, 1 << 50)
ANSWERS = {
    "ok": Outcome(delivered=True, status=200),
    "fail": Outcome(delivered=False, status=500, reason="http_500"),
    "refuse": Outcome(delivered=False, status=422, reason="http_422", retry=False),
    "gone": Outcome(delivered=False, status=410, reason="gone", retry=False),
}
MOMENT_S, CALM_S, SETTLED_S = 0.002, 1.0, 7.0
"""A glance; long enough for all to be noticed, taken and written; long enough for attempts to be cut off, too."""
STEPS = (
    "happen", "moment", "calm", "long", "start", "stop", "kill", "catalog_away", "book_away", "state_away", "back",
    "mute", "hang", *ANSWERS, "old_gone", "remove", "restore", "disable", "enable", "move", "late", "replay",
)  # fmt: skip
"""What `Life.take` takes."""


class Catalog:
    """Definitions in memory, which can be away, and change just after they were read."""

    tells_at_once = False

    def __init__(self) -> None:
        self.destinations: tuple[Destination, ...] = (CRM,)
        self.away = False
        self.late: tuple[Destination, ...] | None = None
        """What they are just after somebody has read what they were."""
        self._generation = 1

    def define(self, *destinations: Destination) -> None:
        """These are the destinations from now on."""
        self.destinations = destinations
        self._generation += 1

    def generation(self) -> int:
        """As `Catalog.generation`."""
        if self.away:
            raise Unavailable("the catalog is away")
        return self._generation

    def definitions(self) -> Definitions:
        """As `Catalog.definitions`."""
        found = Definitions(version=self._generation, destinations=self.destinations)
        if self.late is not None:
            self.define(*self.late)
            self.late = None
        return found

    def signing_secrets(self, _: str) -> tuple[SigningSecret, ...]:
        """As `Catalog.signing_secrets`."""
        return ()

    def watch(self) -> int | None:
        """There are no signs."""
        return None


class Book(DeliveryStore):
    """The real book, which can be away, answer nothing though it has written, and end with its process."""

    away = mute = dead = False
    ends_with_request = False
    """The process ends as soon as it has called a replay done."""

    def write(self, changes: Iterable[Progress], mark: int, following: Iterable[str]) -> None:
        """As `Deliveries.write`."""
        self._there()
        super().write(changes, mark, following)
        if self.mute:
            self.mute = False
            raise Unavailable("the book did not answer")

    def finish(self, request: int) -> None:
        """As `Deliveries.finish`."""
        self._there()
        super().finish(request)
        self.dead = self.dead or self.ends_with_request

    def load(self, destination: str) -> Kept:
        """As `Deliveries.load`."""
        self._there()
        return super().load(destination)

    def requests(self) -> dict[int, Request]:
        """As `Deliveries.requests`."""
        self._there()
        return super().requests()

    def parked_rows(self, destination: str, request: Request, after: int, limit: int) -> list[Delivery]:
        """As `Deliveries.parked_rows`."""
        self._there()
        return super().parked_rows(destination, request, after, limit)

    def parked_before(self, destination: str, at_ms: int, limit: int) -> list[Delivery]:
        """As `Deliveries.parked_before`."""
        self._there()
        return super().parked_before(destination, at_ms, limit)

    def _there(self) -> None:
        if self.away or self.dead:
            raise Unavailable("the book is away")


class Sink:
    """One connection to the destination, to which one process sends."""

    def __init__(self, life: "Life", url: str, book: Book) -> None:
        self._life, self._url, self._book = life, url, book

    async def send(self, key: str, payload: Mapping[str, Any]) -> Outcome:  # noqa: ARG002 - as the port says
        """As `Destination.send`."""
        life = self._life
        name = key.removeprefix("msg_").removesuffix(f"-{tag_of('crm')}")
        if name in life.settled:
            life.wrong.append(f"{name} was settled, and comes again")
        if name in life.unwanted:
            life.wrong.append(f"{name} happened while there was no destination")
        while (behaviour := life.behaviours[self._url]) == "hang" or self._book.dead:  # noqa: ASYNC110 - nobody waits
            await asyncio.sleep(CALM_S)
        if behaviour == "ok":
            life.accepted[life.whose[name]].append(name)
        if behaviour == "gone" and self._url == life.url:
            life.is_gone()
        return ANSWERS[behaviour]

    async def close(self) -> None:
        """As `Destination.close`."""


class Role(Deliverer):
    """The role, with a destination in this process."""

    def __init__(self, life: "Life", book: Book) -> None:
        self._life, self._book = life, book
        stores: Any = Stores(life.state, life.log, life.catalog, book)  # type: ignore[arg-type]  # what it asks of them
        super().__init__(stores, life.loop.clock, ENDLESS)

    def _connect(self, want: Wanted) -> Connector | None:
        return Sink(self._life, want.definition.url, self._book)


class Life:
    """Roles that follow each other, the world around them, and what the destination has to get."""

    def __init__(self, path: Path) -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, TimelessLoop)
        self.loop = loop
        self.path = path
        self.state = MemoryState()
        self.log = MemoryLog(1)
        self.catalog = Catalog()
        self.book: Book | None = None
        self.url = CRM.url
        self.behaviours: dict[str, str] = defaultdict(lambda: "ok")
        self.whose: dict[str, int] = {}
        """Everything that has happened → to whom."""
        self.owed: set[str] = set()
        self.absent: dict[str, float] = {}
        """What happened while nobody was there to get it, and when."""
        self.unwanted: set[str] = set()
        self.settled: set[str] = set()
        self.wrong: list[str] = []
        self.accepted: dict[int, list[str]] = defaultdict(list)
        self.replayed = self.gone = False
        self._stop = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._wanted = False
        self._undisturbed_s = inf
        """Since then a role runs with all its engines."""
        self._happened_s = 0.0
        self._changed_s = -inf
        """When the destination was removed, disabled, or gone."""

    # --- what the world does ---------------------------------------------------------------------------------
    async def happen(self) -> None:
        """Three people enter an audience, one of them twice."""
        number = self.state.newest() + 1
        found = [Entered(n % 3 + 1, number << 16 | n, n, self.loop.clock.now_ms(), "vip") for n in range(4)]
        commit(self.state, effects=list(found))
        for one in found:
            name = effects.key(0, one)
            self.whose[name] = one.profile
            if not self.catalog.destinations:
                self.absent[name] = self.loop.time()
            elif self.catalog.destinations[0].enabled and not self.gone:
                self.owed.add(name)
        self._happened_s = self.loop.time()

    async def moment(self) -> None:
        """Hardly any time passes."""
        await self._pass(MOMENT_S)

    async def calm(self) -> None:
        """Time enough to notice."""
        await self._pass(CALM_S + 0.2)

    async def long(self) -> None:
        """Time enough for attempts to be cut off."""
        await self._pass(SETTLED_S)

    async def back(self) -> None:
        """All engines are there again."""
        self.catalog.away = False
        if self.book:
            self.book.away = False
        self._disturbed()

    async def away(self, engine: str) -> None:
        """An engine goes away; the state for two questions, of whoever asks."""
        if engine == "catalog":
            self.catalog.away = True
        elif engine == "state":
            for _ in range(2):
                self.state.fail_next("commits", Unavailable("the state is away"))
        elif self.book:
            self.book.away = True
        self._disturbed()
        self._let_off()

    async def mute(self) -> None:
        """The next write of the book takes place, and its answer is lost."""
        if self.book:
            self.book.mute = True

    async def old_gone(self) -> None:
        """Where the destination was before, it is gone."""
        for url in self.behaviours.keys() - {self.url}:
            self.behaviours[url] = "gone"

    async def remove(self) -> None:
        """The destination is defined no more."""
        if self.catalog.destinations:
            self._change()

    async def restore(self) -> None:
        """It is defined, and enabled."""
        self._define(enabled=True)

    async def late(self) -> None:
        """Whoever reads the definitions next reads old ones."""
        self.catalog.late = (replace(CRM, url=self.url),)

    async def enable(self) -> None:
        """The same."""
        self._define(enabled=True)

    async def disable(self) -> None:
        """It is defined, and gets nothing."""
        if self.catalog.destinations and self.catalog.destinations[0].enabled:
            self._change(replace(CRM, url=self.url, enabled=False))

    async def move(self) -> None:
        """The destination is at another URL from now on."""
        if self.catalog.destinations and not self.gone:
            self.url += "b"
            self._define(enabled=self.catalog.destinations[0].enabled)

    async def replay(self) -> None:
        """All that is parked is to be sent again."""
        if self.book and "crm" in self.book.standings():
            self.replayed = True
            self.book.replay(None, None)

    def is_gone(self) -> None:
        """The destination has just said so: nothing more is for it until somebody asks."""
        self.gone = True
        self._changed_s = self.loop.time()
        if not self._is_calm(self._happened_s):
            self._release()

    # --- what the supervisor does ----------------------------------------------------------------------------
    async def start(self) -> None:
        """A role runs, and is started again should it die."""
        self._wanted = True
        self._revive()

    async def stop(self) -> None:
        """The role is told to end, and does."""
        self._wanted = False
        self._let_off()
        await self._end()

    async def kill(self) -> None:
        """The role writes and sends nothing from this moment on."""
        self._wanted = False
        self._let_off()
        if self.book and self._task:
            self.book.dead = True
            self._task.cancel()
        await self._end()

    # --- step by step ------------------------------------------------------------------------------------------
    async def take(self, steps: str) -> None:
        """These, one after the other."""
        for step in steps.split():
            if step in ANSWERS or step == "hang":
                self.behaviours[self.url] = step
            elif step.endswith("_away"):
                await self.away(step.removesuffix("_away"))
            else:
                await getattr(self, step)()

    # --- the end -----------------------------------------------------------------------------------------------
    async def finish(self) -> None:
        """From now on all is well: what is owed comes."""
        await self.back()
        for url in [*self.behaviours, self.url]:
            self.behaviours[url] = "ok"
        await self.restore()
        await self.stop()
        self.loop.clock.jump(10**9)
        await self.start()
        await self.long()
        if not self.replayed:
            for names in self.accepted.values():
                first = list(dict.fromkeys(names))
                assert first == sorted(first, key=_place), "out of order"
        for _ in range(2):
            await self.replay()
            await self.long()
            self.loop.clock.jump(10**9)
        got = {name for names in self.accepted.values() for name in names}
        assert self.owed <= got, f"lost: {self.owed - got}"
        await self.happen()
        await self.long()
        got = {name for names in self.accepted.values() for name in names}
        assert self.owed <= got, f"lost at the end: {self.owed - got}"
        assert not self.wrong
        assert self.book is not None
        assert not self.book.requests()
        standing = self.book.standings()["crm"]
        assert standing.following
        assert standing.low_water == self.state.newest()
        assert not self.book.pending("crm", 9)
        assert not self.book.parked("crm", 0, 9)
        counts = standing.counts
        assert all(n > 0 for n in counts.values()), counts
        assert counts["taken"] == sum(n for name, n in counts.items() if name != "taken"), counts
        await self.stop()

    # --- within --------------------------------------------------------------------------------------------------
    async def _pass(self, seconds: float) -> None:
        """Time passes; a role that has died, which it should not, is started again."""
        until_s = self.loop.time() + seconds
        while (left_s := until_s - self.loop.time()) > 0:
            if self._wanted and self._task and self._task.done():
                self.wrong.append(f"the role has died of {self._task.exception()!r}")
                await self._end()
                self._revive()
            await asyncio.sleep(min(left_s, 0.3))

    def _revive(self) -> None:
        if self._task is not None:
            return
        self.book = Book(self.path)
        assert self.book.try_hold()
        try:
            role = Role(self, self.book)
        except Unavailable:
            self.book.close()
            self.book = None
            return
        self._stop = asyncio.Event()
        self._task = asyncio.create_task(role.run(self._stop))
        self._disturbed()

    async def _end(self) -> None:
        """Wait until the role has ended, and look at what it leaves."""
        self._undisturbed_s = inf
        if self._task is None or self.book is None:
            return
        self._stop.set()
        with contextlib.suppress(asyncio.CancelledError, StorageError):
            await self._task
        self._task = None
        if standing := self.book.standings().get("crm"):
            kept = {row.seq for row in (*self.book.pending("crm", 999), *self.book.parked("crm", 0, 999))}
            if standing.following:
                self.settled |= {
                    name for name in self.owed if _seq(name) >> 24 <= standing.low_water and _seq(name) not in kept
                }
        self.book.close()
        self.book = None

    def _disturbed(self) -> None:
        """From now on it has to be calm again for a while."""
        well = self._task is not None and not self.catalog.away and not (self.book and self.book.away)
        self._undisturbed_s = self.loop.time() if well else inf

    def _is_calm(self, since_s: float, for_s: float = CALM_S) -> bool:
        """Whether a role has run well for so long since then."""
        alive = self._task is not None and not self._task.done()
        return alive and self.loop.time() - max(since_s, self._undisturbed_s) >= for_s

    def _change(self, *destinations: Destination) -> None:
        """The destination gets nothing from now on. What the role has taken stays owed."""
        if not self._is_calm(self._happened_s):
            self._release()
        self.catalog.define(*destinations)
        self._changed_s = self.loop.time()

    def _define(self, *, enabled: bool) -> None:
        if not self.catalog.destinations and self._is_calm(self._changed_s, SETTLED_S + CALM_S):
            since_s = max(self._changed_s, self._undisturbed_s) + SETTLED_S
            self.unwanted |= {name for name, at_s in self.absent.items() if since_s < at_s < self.loop.time() - CALM_S}
        self.absent.clear()
        self.catalog.define(replace(CRM, url=self.url, enabled=enabled))

    def _let_off(self) -> None:
        """A role that ends, or is disturbed, so soon after a change may not have noticed, or not kept what it had."""
        if self.loop.time() - self._changed_s < CALM_S:
            self._release()

    def _release(self) -> None:
        """What has not come so far need not come."""
        self.owed &= {name for names in self.accepted.values() for name in names}


def _seq(name: str) -> int:
    """The `seq` of an effect: its commit's number stands in its position."""
    _, position, n = name.split("-")
    return deliveries.sequence(int(position, 16) >> 16, int(n, 16))


_place: Callable[[str], int] = _seq


def live(steps: str) -> None:
    """These steps, and then a good end."""

    async def run(life: Life) -> None:
        await life.take(steps)
        await life.finish()

    with_life(run)


def with_life(run: Callable[[Life], Awaitable[None]]) -> None:
    """Run this in a world of its own, and end what is left of it."""

    async def lived() -> None:
        with tempfile.TemporaryDirectory(prefix="onefold-test-") as scratch:
            life = Life(Path(scratch))
            try:
                await run(life)
            finally:
                await life.kill()

    with asyncio.Runner(loop_factory=TimelessLoop) as runner:
        runner.run(lived())
