"""A circuit breaker: a destination that keeps failing is left alone but for a probe now and then."""

from typing import Literal

from onefold import limits

State = Literal["closed", "open", "half_open"]
Event = Literal["success", "failure", "trip", "probe"]

STATES: tuple[State, ...] = ("closed", "open", "half_open")
EVENTS: tuple[Event, ...] = ("success", "failure", "trip", "probe")

TRANSITIONS: dict[tuple[State, Event], State] = {
    ("closed", "success"): "closed",
    ("closed", "failure"): "closed",
    ("closed", "trip"): "open",
    ("open", "probe"): "half_open",
    ("open", "success"): "closed",
    ("open", "failure"): "open",
    ("half_open", "success"): "closed",
    ("half_open", "failure"): "open",
}
"""Attempts that began before the breaker opened may still end after it: hence (open, success) and (open, failure)."""


class Breaker:
    """Opens after BREAKER_FAILURES failures in a row; probes every BREAKER_PROBE_S, one attempt at a time."""

    def __init__(self) -> None:
        self.state: State = "closed"
        self.failures = 0
        self.probe_at_ms = 0

    def admits(self, now_ms: int) -> bool:
        """Whether an attempt may begin now. A yes out of `open` is the probe: ask only with an attempt at hand."""
        if self.state == "open" and now_ms >= self.probe_at_ms:
            self._move("probe")
            return True
        return self.state == "closed"

    def succeeded(self) -> None:
        """The destination answered."""
        self.failures = 0
        self._move("success")

    def failed(self, now_ms: int) -> bool:
        """The destination failed. True: the breaker has opened because of it."""
        self.failures += 1
        trips = self.state == "closed" and self.failures >= limits.BREAKER_FAILURES
        if trips or self.state == "half_open":
            self.probe_at_ms = now_ms + int(limits.BREAKER_PROBE_S * 1000)
        self._move("trip" if trips else "failure")
        return trips

    def _move(self, event: Event) -> None:
        self.state = TRANSITIONS[self.state, event]
