"""The deliver role without its event loop: the real line, ledger, payloads and tail, one destination, a shelf.

The destination is slow (attempts end later, in any order), fails, and lies: it takes a delivery and says that it did
not. It remembers all that ever reached it.
"""

from random import Random
from typing import NamedTuple

from msgspec.structs import replace

from onefold.clock import Clock
from onefold.limits import NEVER_MS
from onefold.model import delivery as deliveries
from onefold.model.definitions import Destination
from onefold.model.delivery import Delivery, Progress
from onefold.ports import LogReader, Outcome, State
from onefold.runtime.delivering.ledger import Ledger
from onefold.runtime.delivering.line import Line
from onefold.runtime.delivering.payload import Payloads, tag_of
from onefold.runtime.delivering.selecting import Subscription
from onefold.runtime.delivering.tail import Commit, Tail
from onefold.testing.simulation.faults import Fate

DESTINATION = Destination("shop", events=("Order Completed",), audiences=("*",), effects=("created", "merged", "split"))
OK = Outcome(delivered=True, status=200)
FAILURES = (
    Outcome(delivered=False, status=500, reason="http_500"),
    Outcome(delivered=False, status=429, reason="http_429", retry_after_s=3.0),
    Outcome(delivered=False, reason="timeout"),
)
REFUSAL = Outcome(delivered=False, status=422, reason="http_422", retry=False)


class Reached(NamedTuple):
    """What came to the destination, whatever it answered."""

    seq: int
    key: str
    profile: int
    kind: str
    payload: bytes


class Shelf:
    """What the delivery store keeps: each progress whole or not at all."""

    def __init__(self) -> None:
        self.low_water = 0
        self.counts: dict[str, int] = {}
        self.pending: dict[int, Delivery] = {}
        self.parked: dict[int, Delivery] = {}
        self.payloads: dict[int, bytes] = {}

    def write(self, progress: Progress) -> None:
        """As `DeliveryStore.write`."""
        self.low_water, self.counts = progress.low_water, progress.counts
        for rows, kept in ((progress.pending, self.pending), (progress.parked, self.parked)):
            for seq, row in rows.items():
                kept.pop(seq, None)
                if row:
                    kept[seq] = replace(row, payload=b"")
                    self.payloads[seq] = row.payload or self.payloads[seq]


class Deliver:
    """One deliver process; a new one goes on from the shelf."""

    def __init__(self, state: State, log: LogReader, shelf: Shelf, fate: Fate) -> None:
        self._shelf = shelf
        self._fate = fate
        self._tail = Tail(state)
        self._payloads = Payloads(state, log)
        self._subscription = Subscription([DESTINATION])
        self._tail.follow(DESTINATION)
        self._tag = tag_of(DESTINATION.name)
        self.line = Line(Ledger(DESTINATION.name, shelf.low_water, shelf.counts), 3)
        ahead = [row for row in shelf.parked.values() if row.commit > shelf.low_water]
        pending = sorted(shelf.pending.values(), key=lambda row: row.seq)
        self.line.recall(replace(row) for row in [*pending, *ahead])
        self._cursor = shelf.low_water
        self._under_way: list[Delivery] = []

    def turn(self, reached: list[Reached], clock: Clock, chance: Random, failing: float) -> bool:
        """Take, begin attempts, let some end, write progress down. False: there was nothing to do."""
        took = self._take(chance)
        while delivery := self.line.next(clock.now_ms()):
            self._under_way.append(delivery)
        ended = 0
        while self._under_way and chance.random() < 0.8:
            delivery = self._under_way.pop(chance.randrange(len(self._under_way)))
            outcome = self._send(delivery, reached, chance, failing)
            self._fate.disturb("deliver: answered")
            self.line.settle(delivery, outcome, clock.now_ms(), chance.random())
            ended += 1
        if chance.random() < 0.5 or not ended:
            self._write()
        return took or ended > 0 or bool(self._under_way)

    def wake_ms(self, now_ms: int) -> int:
        """When there is something to do again; NEVER_MS: nothing waits."""
        return max(self.line.wake_ms(now_ms), now_ms + 1) if len(self.line.lanes) else NEVER_MS

    def _take(self, chance: Random) -> bool:
        self._tail.poll()
        commits = self._tail.after(self._cursor)
        for commit in commits[: chance.randint(1, 4)]:
            self._take_commit(commit)
        return bool(commits)

    def _take_commit(self, commit: Commit) -> None:
        ledger, number = self.line.ledger, commit.number
        ledger.begin(number)
        known, unwanted = ledger.retake(number), commit.count
        unwanted -= len(known)
        for index, effect in self._tail.picks(commit, self._subscription):
            seq = deliveries.sequence(number, index)
            if seq in known:
                continue
            unwanted -= 1
            if delivery := self._payloads.make(seq, commit.partition, effect, self._tag):
                self.line.add(delivery)
            else:
                ledger.filtered(number, "unreadable")
        ledger.filtered(number, "unsubscribed", unwanted)
        ledger.end(number)
        self._cursor = number

    def _send(self, delivery: Delivery, reached: list[Reached], chance: Random, failing: float) -> Outcome:
        self._fate.disturb("deliver: send")
        payload = delivery.payload or self._shelf.payloads[delivery.seq]
        arrival = Reached(delivery.seq, delivery.key, delivery.profile, delivery.type, payload)
        luck = chance.random()
        if luck >= failing:
            reached.append(arrival)
            return OK
        if luck < failing / 20:
            reached.append(arrival)
            return REFUSAL
        if luck < failing / 2:
            reached.append(arrival)
        return chance.choice(FAILURES)

    def _write(self) -> None:
        if progress := self.line.progress():
            self._fate.disturb("deliver: write")
            self._shelf.write(progress)
            self._fate.disturb("deliver: written")
            self.line.ledger.written(progress)
