"""Lanes: the deliveries of one profile to one destination go one after the other, those of others go on beside them.

A lane is a queue in order of `seq`, of which one delivery at most is under way. Lanes whose head may go stand in
a ring and take turns; lanes whose head waits for its retry stand in a heap by that instant.
"""

from bisect import insort
from collections import deque
from heapq import heappop, heappush
from operator import attrgetter

from onefold.limits import NEVER_MS
from onefold.model.delivery import Delivery

_by_seq = attrgetter("seq")


class _Lane:
    __slots__ = ("busy", "queue", "ready")

    def __init__(self) -> None:
        self.queue: deque[Delivery] = deque()
        self.busy: Delivery | None = None
        self.ready = False


class Lanes:
    """All lanes of one destination. Every operation costs O(log lanes) at most, but insertions out of order."""

    def __init__(self) -> None:
        self._lanes: dict[int, _Lane] = {}
        self._ready: deque[int] = deque()
        self._due: list[tuple[int, int]] = []
        self.waiting = 0
        """Deliveries that are not under way."""
        self.in_flight = 0

    def __len__(self) -> int:
        return self.waiting + self.in_flight

    def add(self, delivery: Delivery) -> None:
        """Queue a delivery at its place in its lane."""
        lane = self._lanes.get(delivery.lane)
        if lane is None:
            lane = self._lanes[delivery.lane] = _Lane()
        self._queue(lane, delivery)
        if lane.queue[0] is delivery:
            self._arm(delivery.lane, lane)

    def last(self, lane: int) -> Delivery | None:
        """The newest delivery of a lane, under way or not."""
        if (found := self._lanes.get(lane)) is None:
            return None
        return found.queue[-1] if found.queue else found.busy

    def abreast(self, delivery: Delivery) -> list[Delivery]:
        """What is under way or waits in the same lane."""
        lane = self._lanes.get(delivery.lane)
        return _all_of(lane) if lane else []

    def everything(self) -> list[Delivery]:
        """What is under way or waits, in no particular order."""
        return [delivery for lane in self._lanes.values() for delivery in _all_of(lane)]

    def has_ready(self, now_ms: int) -> bool:
        """Whether there is a delivery that may go now."""
        self._wake(now_ms)
        while self._ready and self._head(self._ready[0]).due_ms > now_ms:
            self._unready(self._ready.popleft())
        return bool(self._ready)

    def take(self) -> Delivery:
        """The next delivery to go, after `has_ready` has said yes. It is under way until `finish` or `again`."""
        lane = self._lanes[self._ready.popleft()]
        lane.ready = False
        lane.busy = lane.queue.popleft()
        self.waiting -= 1
        self.in_flight += 1
        return lane.busy

    def finish(self, delivery: Delivery) -> None:
        """It is under way no more and will not come back: the next of its lane may go."""
        lane = self._lanes[delivery.lane]
        assert lane.busy is delivery
        lane.busy = None
        self.in_flight -= 1
        if lane.queue:
            self._arm(delivery.lane, lane)
        else:
            del self._lanes[delivery.lane]

    def again(self, delivery: Delivery) -> None:
        """It failed: back to its place in its lane, until its `due_ms`."""
        lane = self._lanes[delivery.lane]
        assert lane.busy is delivery
        lane.busy = None
        self.in_flight -= 1
        self._queue(lane, delivery)
        self._arm(delivery.lane, lane)  # whoever is first: something earlier may have been queued meanwhile

    def drain(self) -> list[Delivery]:
        """Take out all that is not under way."""
        drained = [delivery for lane in self._lanes.values() for delivery in lane.queue]
        self._lanes = {key: lane for key, lane in self._lanes.items() if lane.busy}
        for lane in self._lanes.values():
            lane.queue.clear()
        self._ready.clear()
        self._due.clear()
        self.waiting = 0
        return drained

    def drop(self, before_ms: int) -> list[Delivery]:
        """Take out what waits since before this instant and is not under way. O(deliveries)."""
        dropped: list[Delivery] = []
        for key, lane in [*self._lanes.items()]:
            old = [delivery for delivery in lane.queue if 0 < delivery.since_ms < before_ms]
            if not old:
                continue
            dropped += old
            lane.queue = deque(delivery for delivery in lane.queue if not 0 < delivery.since_ms < before_ms)
            if lane.queue:
                self._arm(key, lane)
            elif not lane.busy:
                del self._lanes[key]
        self._ready = deque(key for key in self._ready if key in self._lanes)
        self.waiting -= len(dropped)
        return dropped

    def next_due_ms(self) -> int:
        """No later than the next retry is due; 0: something may go now, NEVER_MS: nothing waits for an instant."""
        if self._ready:
            return 0
        return self._due[0][0] if self._due else NEVER_MS

    def _queue(self, lane: _Lane, delivery: Delivery) -> None:
        if not lane.queue or lane.queue[-1].seq < delivery.seq:
            lane.queue.append(delivery)
        elif lane.queue[0].seq > delivery.seq:
            lane.queue.appendleft(delivery)
        else:
            rest = list(lane.queue)
            insort(rest, delivery, key=_by_seq)
            lane.queue = deque(rest)
        self.waiting += 1

    def _arm(self, key: int, lane: _Lane) -> None:
        if lane.busy or lane.ready:
            return
        due_ms = lane.queue[0].due_ms
        if due_ms:
            heappush(self._due, (due_ms, key))
        else:
            lane.ready = True
            self._ready.append(key)

    def _unready(self, key: int) -> None:
        lane = self._lanes[key]
        lane.ready = False
        self._arm(key, lane)

    def _wake(self, now_ms: int) -> None:
        while self._due and self._due[0][0] <= now_ms:
            _, key = heappop(self._due)
            lane = self._lanes.get(key)
            if lane and not lane.busy and not lane.ready and lane.queue[0].due_ms <= now_ms:
                lane.ready = True
                self._ready.append(key)

    def _head(self, key: int) -> Delivery:
        return self._lanes[key].queue[0]


def _all_of(lane: _Lane) -> list[Delivery]:
    return [lane.busy, *lane.queue] if lane.busy else [*lane.queue]
