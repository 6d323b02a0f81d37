"""The line to one destination, as a machine without I/O: effects in, attempts out, outcomes in, progress out.

It knows no clock and no randomness: `now_ms` and `jitter` are told. `delivery_runner` moves it with real ones,
simulations with invented ones.
"""

from collections.abc import Iterable

from onefold import limits
from onefold.model import delivery as deliveries
from onefold.model.delivery import Delivery, Progress
from onefold.ports import Outcome
from onefold.runtime import backoff
from onefold.runtime.delivering.breaker import Breaker
from onefold.runtime.delivering.lanes import Lanes
from onefold.runtime.delivering.ledger import Ledger
from onefold.runtime.delivering.throttle import Throttle


class Line:
    """Everything about one destination: its lanes, breaker, throttle and books."""

    def __init__(self, ledger: Ledger, concurrency: int) -> None:
        self.ledger = ledger
        self.lanes = Lanes()
        self.breaker = Breaker()
        self.throttle = Throttle(concurrency)
        self.bytes = 0
        """Payloads in memory that the store does not keep yet."""
        self.on = True
        """False: attempts have stopped; what waits is kept."""

    # --- in ------------------------------------------------------------------------------------------------
    def recall(self, kept: Iterable[Delivery]) -> None:
        """After a restart: what the store keeps, before anything is taken."""
        for delivery in kept:
            self.ledger.recall(delivery)
            if delivery.state != "parked":
                delivery.state = "retrying"  # whatever it was doing when it was written down
                self.lanes.add(delivery)

    def room(self) -> int:
        """How many more deliveries may be added; limits.DELIVERY_LANES_MAX in all."""
        if self.bytes >= limits.DELIVERY_LANES_MAX_BYTES:
            return 0
        return max(0, limits.DELIVERY_LANES_MAX - len(self.lanes))

    def add(self, delivery: Delivery) -> None:
        """A new delivery, in order. Behind one that the store keeps it is kept too, so that it holds up no commit."""
        last = self.lanes.last(delivery.lane)
        self.ledger.took(delivery)
        self.bytes += len(delivery.payload)
        self.lanes.add(delivery)
        if not self.on or (last and self.ledger.is_kept(last)):
            self._keep(delivery)

    def replay(self, delivery: Delivery, now_ms: int) -> None:
        """Send a parked delivery again, from its first attempt, before what waits behind it in its lane."""
        reason = delivery.reason
        deliveries.move(delivery, "replay")
        delivery.attempts = delivery.due_ms = 0
        delivery.since_ms = now_ms
        self.ledger.replayed(delivery, reason)
        self.lanes.add(delivery)
        self._keep_all(self.lanes.abreast(delivery))

    # --- out -----------------------------------------------------------------------------------------------
    def next(self, now_ms: int) -> Delivery | None:
        """The next delivery to attempt now, which is then under way until `settle` hears of it."""
        if not self.on or not self.throttle.admits(now_ms, self.lanes.in_flight):
            return None
        if not self.lanes.has_ready(now_ms) or not self.breaker.admits(now_ms):
            return None
        delivery = self.lanes.take()
        deliveries.move(delivery, "attempt")
        return delivery

    def wake_ms(self, now_ms: int) -> int:
        """No later than the next instant at which `next` says more than it did at `now_ms`, if nothing else happens."""
        due_ms = max(self.lanes.next_due_ms(), self.throttle.paused_until_ms)
        if self.breaker.state == "open":
            due_ms = max(due_ms, self.breaker.probe_at_ms)
        return due_ms if due_ms > now_ms else limits.NEVER_MS

    def settle(self, delivery: Delivery, outcome: Outcome, now_ms: int, jitter: float) -> None:
        """An attempt has ended. `jitter` is uniform in [0, 1)."""
        delivery.attempts += 1
        delivery.status = outcome.status
        delivery.reason = outcome.reason
        if outcome.delivered:
            return self._delivered(delivery)
        if not outcome.retry:
            self.breaker.succeeded()  # it is alive enough to refuse
            return self._park(delivery, now_ms)
        self._judge(outcome, now_ms)
        wait_ms = backoff.wait_ms(delivery.attempts, jitter, outcome.retry_after_s)
        if wait_ms is None:
            return self._park(delivery, now_ms)
        deliveries.move(delivery, "failure")
        delivery.due_ms = now_ms + wait_ms
        for other in self.lanes.abreast(delivery):
            self._keep(other)
        return self.lanes.again(delivery)

    def progress(self) -> Progress | None:
        """What the store has to write; None: nothing."""
        return self.ledger.progress()

    # --- switching -------------------------------------------------------------------------------------------
    def hold(self) -> None:
        """Begin no more attempts, and keep all that there is, so that nothing is forgotten and no commit held up."""
        self.on = False
        self._keep_all(self.lanes.everything())

    def park_all(self, reason: str, now_ms: int) -> None:
        """Park all that is not under way."""
        for delivery in self.lanes.drain():
            self._forget_bytes(delivery)
            deliveries.move(delivery, "switch_off")
            self._enter_parked(delivery, reason, now_ms)

    # --- giving up for good ------------------------------------------------------------------------------------
    def expire(self, before_ms: int) -> int:
        """Give up all that waits since before this instant and is not under way; how many."""
        expired = self.lanes.drop(before_ms)
        for delivery in expired:
            self._forget_bytes(delivery)
            deliveries.move(delivery, "expire")
            self.ledger.expired(delivery)
        return len(expired)

    def forget(self, delivery: Delivery) -> None:
        """Give up a parked delivery."""
        deliveries.move(delivery, "expire")
        self.ledger.forgotten(delivery)

    def _delivered(self, delivery: Delivery) -> None:
        self._forget_bytes(delivery)
        self.breaker.succeeded()
        self.throttle.succeeded()
        deliveries.move(delivery, "success")
        self.ledger.delivered(delivery)
        self.lanes.finish(delivery)

    def _park(self, delivery: Delivery, now_ms: int) -> None:
        self._forget_bytes(delivery)
        deliveries.move(delivery, "give_up")
        self._enter_parked(delivery, delivery.reason, now_ms)
        self.lanes.finish(delivery)

    def _enter_parked(self, delivery: Delivery, reason: str, now_ms: int) -> None:
        delivery.reason = reason
        delivery.parked_at_ms = now_ms
        self.ledger.parked(delivery)

    def _judge(self, outcome: Outcome, now_ms: int) -> None:
        self.throttle.failed(outcome.status, outcome.retry_after_s, now_ms)
        if self.breaker.failed(now_ms):
            self.throttle.restart()

    def _keep_all(self, some: Iterable[Delivery]) -> None:
        """Also what is under way: after a restart what is kept comes before what is taken again."""
        for delivery in some:
            if not self.ledger.is_kept(delivery):
                self._keep(delivery)

    def _keep(self, delivery: Delivery) -> None:
        self._forget_bytes(delivery)
        self.ledger.keep(delivery)

    def _forget_bytes(self, delivery: Delivery) -> None:
        if not self.ledger.is_kept(delivery):
            self.bytes -= len(delivery.payload)
