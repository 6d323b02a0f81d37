"""One destination at work: takes effects, begins attempts, hears how they ended. Others' trouble never reaches it."""

import asyncio
from collections import deque
from contextlib import suppress
from itertools import islice
from typing import NamedTuple

import msgspec
import structlog
from msgspec import Raw

from onefold import limits
from onefold.clock import Clock
from onefold.errors import StorageError
from onefold.model import delivery as deliveries
from onefold.model.definitions import Destination
from onefold.model.delivery import Delivery
from onefold.model.effect import AnyEffect
from onefold.ports import Deliveries, Outcome
from onefold.ports import Destination as Connector
from onefold.runtime.delivering.ledger import Ledger
from onefold.runtime.delivering.line import Line
from onefold.runtime.delivering.payload import Payloads, tag_of
from onefold.runtime.delivering.selecting import Pick, Subscription
from onefold.runtime.delivering.tail import Commit, Tail

_AT_ONCE = 200
"""Effects taken before others on the event loop have their turn: a few milliseconds."""
_BYTES_PER_EFFORT = 4096
"""So many bytes of a commit take as long to look through as it takes to make a delivery."""

_AGAIN_S = 1.0
"""After the state or the log could not be read."""

log = structlog.get_logger()
_decode = msgspec.json.Decoder(dict[str, Raw]).decode


class Patience(NamedTuple):
    """For how long deliveries may wait, and lie parked, before they are given up for good."""

    pending_ms: int = limits.DELIVERY_PENDING_S * 1000
    parked_ms: int = limits.DELIVERY_PARKED_S * 1000


class Sources(NamedTuple):
    """What all runners share."""

    tail: Tail
    payloads: Payloads
    store: Deliveries
    clock: Clock
    patience: Patience


class Runner:
    """Runs a destination until `stop`. `update` comes before the first `run`, and whenever its definition changed."""

    def __init__(self, name: str, sources: Sources, begin_after: int) -> None:
        """`begin_after` is the commit to begin after, where the store knows nothing of this destination."""
        self.name = name
        self._sources = sources
        kept = sources.store.load(name)
        standing = kept.standing
        ledger = Ledger(name, standing.low_water if standing else begin_after, standing.counts if standing else {})
        ledger.switched(standing.off if standing else "")
        self.line = Line(ledger, limits.DELIVERY_CONCURRENCY)
        self.line.recall([*kept.pending, *kept.parked_ahead])
        self._tag = tag_of(name)
        if standing and not standing.following:
            ledger.pass_over(begin_after)  # It comes back: it begins with what happens from then on, as a new one does.
        self._cursor = ledger.low_water
        self._ahead: deque[Commit] = deque()
        self._picks: deque[Pick] = deque()
        """What is still to be taken of the first commit ahead, once it has begun."""
        self._begun = 0
        self._enabled = True
        self._closed_to = ""
        """Why nothing is taken but to be counted as filtered: `gone` or `disabled`; empty: it is open."""
        self._connector: Connector | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._retired: set[asyncio.Task[None]] = set()
        self._wake = asyncio.Event()
        self._asleep_until_ms = limits.NEVER_MS

    def update(self, definition: Destination, connector: Connector | None) -> None:
        """From now on like this. Without a connector the destination stands still: it neither takes nor sends."""
        self._subscription = Subscription([definition])
        self._sources.tail.follow(definition)
        self._retire(self._connector)
        self._connector = connector
        self.line.throttle.resize(definition.concurrency)
        ledger = self.line.ledger
        if ledger.off and ledger.off != definition.url:
            ledger.switched("")
        self._url = definition.url
        self._enabled = definition.enabled
        self._open_or_close()

    def wake(self) -> None:
        """There may be something to do."""
        self._wake.set()

    async def run(self) -> None:
        """Take and send, until cancelled."""
        while True:
            self._wake.clear()
            try:
                took = self._take()
            except StorageError as error:
                log.warning("effects cannot be read; it is tried again", destination=self.name, error=str(error))
                took = False
                asyncio.get_running_loop().call_later(_AGAIN_S, self.wake)
            launched_ms = self._launch()
            if took:
                await asyncio.sleep(0)
            else:
                await self._sleep(launched_ms)

    async def stop(self, grace_s: float) -> None:
        """Begin no more attempts, give those under way some time, then let go of connections."""
        self.line.on = False
        self._sources.tail.leave(self.name)
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=grace_s)
        left = [*self._tasks, *self._retired]
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)
        if self._connector:
            await self._connector.close()

    def _open_or_close(self) -> None:
        self._closed_to = "gone" if self.line.ledger.off else "" if self._enabled else "disabled"
        if self._closed_to:
            self.line.hold()
        else:
            self.line.on = True
        self.wake()

    def replay(self, parked: list[Delivery]) -> None:
        """Send these again, in their order. A destination that was gone is tried again."""
        now_ms = self._sources.clock.now_ms()
        for delivery in parked:
            self.line.replay(delivery, now_ms)
        self.wake()

    def revive(self) -> None:
        """Forget that this destination has answered 410."""
        if self.line.ledger.off:
            self.line.ledger.switched("")
            self._open_or_close()

    def expire(self) -> None:
        """Give up what has waited for too long, here or in the effects."""
        if many := self.line.expire(self._oldest_ms()):
            log.warning("deliveries have waited for too long and were given up", destination=self.name, deliveries=many)
        if many or self._cursor < self._sources.tail.newest:
            self.wake()

    def forget_parked(self, limit: int) -> None:
        """Give up what has been parked for too long. Comes right after a flush, as a replay does."""
        before_ms = self._sources.clock.now_ms() - self._sources.patience.parked_ms
        for delivery in self._sources.store.parked_before(self.name, before_ms, limit):
            self.line.forget(delivery)

    def _oldest_ms(self) -> int:
        return self._sources.clock.now_ms() - self._sources.patience.pending_ms

    # --- taking ----------------------------------------------------------------------------------------------
    def _take(self) -> bool:
        """A turn's worth of what is new. False: nothing is, or there is no room for it.

        What is too old is given up also where there is room for no more, or no way out.
        """
        room = self.line.room() if self._connector else 0
        effort, oldest_ms = _AT_ONCE, self._oldest_ms()
        took = False
        while effort > 0 and (commit := self._current()) and (room > 0 or commit.at_ms < oldest_ms):
            self._begin(commit)
            given_up = self._give_up(commit.number, oldest_ms)
            taken = self._take_from(commit, min(room, effort))
            room -= taken
            effort -= taken
            if self._picks:
                return took or given_up + taken > 0
            took = True
            effort -= 1 + commit.size_bytes // _BYTES_PER_EFFORT
            self._end(commit.number)
        return took

    def _give_up(self, commit: int, oldest_ms: int) -> int:
        """Count what is too old of the commit's picks, which come first; how many there were."""
        before = len(self._picks)
        while self._picks and self._picks[0][1].at_ms < oldest_ms:
            self._picks.popleft()
        given_up = before - len(self._picks)
        self.line.ledger.filtered(commit, self._closed_to or "expired", given_up)
        return given_up

    def _take_from(self, commit: Commit, at_most: int) -> int:
        """Take so many of the commit's picks; how many there were."""
        now = list(islice(self._picks, at_most))
        self._sources.payloads.prepare(commit.number, (effect for _, effect in now))
        for index, effect in now:
            self._take_one(deliveries.sequence(commit.number, index), commit.partition, effect)
            self._picks.popleft()
        return len(now)

    def _current(self) -> Commit | None:
        if not self._ahead:
            self._ahead.extend(self._sources.tail.after(self._cursor))
        return self._ahead[0] if self._ahead else None

    def _begin(self, commit: Commit) -> None:
        """Choose, once, what will be taken of this commit; the rest of it is counted, unseen."""
        ledger, number = self.line.ledger, commit.number
        if number <= self._begun:
            return
        self._begun = number
        ledger.begin(number)
        known = ledger.retake(number)
        picks = [] if self._closed_to else self._sources.tail.picks(commit, self._subscription)
        if known:
            picks = [pick for pick in picks if deliveries.sequence(number, pick[0]) not in known]
        self._picks.extend(picks)
        ledger.filtered(number, self._closed_to or "unsubscribed", commit.count - len(known) - len(picks))

    def _end(self, number: int) -> None:
        self._cursor = number
        self._ahead.popleft()
        self.line.ledger.end(number)

    def _take_one(self, seq: int, partition: int, effect: AnyEffect) -> None:
        """Take what was chosen when its commit began, if that still holds."""
        if self._closed_to or effect not in self._subscription:
            self.line.ledger.filtered(deliveries.commit_of(seq), self._closed_to or "unsubscribed")
        elif delivery := self._sources.payloads.make(seq, partition, effect, self._tag):
            self.line.add(delivery)
        else:
            self.line.ledger.filtered(deliveries.commit_of(seq), "unreadable")

    # --- sending ---------------------------------------------------------------------------------------------
    def _launch(self) -> int:
        """Begin all the attempts that may begin; the instant that was asked about."""
        now_ms = self._sources.clock.now_ms()
        if self._connector is None:
            return now_ms
        while delivery := self.line.next(now_ms):
            task = asyncio.create_task(self._attempt(self._connector, delivery))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        return now_ms

    async def _attempt(self, connector: Connector, delivery: Delivery) -> None:
        try:
            payload = delivery.payload or self._sources.store.payload(self.name, delivery.seq)
            outcome = await connector.send(delivery.key, _decode(payload))
        except Exception as error:  # noqa: BLE001 - a connector's own mistake must not end the others
            log.warning("connector failed", destination=self.name, key=delivery.key, error=repr(error))
            outcome = Outcome(delivered=False, reason="connector")
        clock = self._sources.clock
        jitter = int.from_bytes(clock.random_bytes(4), "big") / 2**32
        self.line.settle(delivery, outcome, clock.now_ms(), jitter)
        if not outcome.delivered:
            self._note(delivery, outcome, is_latest=connector is self._connector)
        launched_ms = self._launch()
        more = self._ahead or self._cursor < self._sources.tail.newest
        if not outcome.delivered or more or self.line.wake_ms(launched_ms) < self._asleep_until_ms:
            self.wake()

    def _note(self, delivery: Delivery, outcome: Outcome, *, is_latest: bool) -> None:
        """`is_latest`: the destination, as it is defined now, has said so, and not one that was there before."""
        about = {"destination": self.name, "key": delivery.key, "reason": outcome.reason, "attempts": delivery.attempts}
        if delivery.state == "parked":
            log.warning("delivery parked", **about)
        else:
            log.debug("delivery failed", due_ms=delivery.due_ms, **about)
        if outcome.reason == "gone" and is_latest:
            self.line.ledger.switched(self._url)
            self._closed_to = "gone"
            self.line.on = False
            log.error("destination is gone and was switched off; replay its parked deliveries to try again", **about)
        if self._closed_to == "gone":
            self.line.park_all("gone", self._sources.clock.now_ms())

    async def _sleep(self, launched_ms: int) -> None:
        self._asleep_until_ms = until_ms = self.line.wake_ms(launched_ms)
        wait_s = None if until_ms == limits.NEVER_MS else (until_ms - self._sources.clock.now_ms()) / 1000
        with suppress(TimeoutError):
            async with asyncio.timeout(wait_s):
                await self._wake.wait()

    def _retire(self, connector: Connector | None) -> None:
        if connector is None:
            return
        task = asyncio.create_task(_close_after(connector, set(self._tasks)))
        self._retired.add(task)
        task.add_done_callback(self._retired.discard)


async def _close_after(connector: Connector, tasks: set[asyncio.Task[None]]) -> None:
    try:
        if tasks:
            await asyncio.wait(tasks)
    finally:
        await connector.close()
