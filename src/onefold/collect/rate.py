"""How many events a second each source may send: a bucket a source that fills at its rate and may run into debt.

A request is taken as long as its source's bucket holds anything, and then costs its events, so that a batch larger
than the bucket passes when the bucket is full, and is paid back before the next one. Each http process counts for
itself.
"""

from math import ceil

from onefold.clock import Clock


class Rates:
    """`take` says whether a source may send. With a rate of 0 it always may, and nothing is kept."""

    def __init__(self, events_per_s: float, burst_events: int, clock: Clock) -> None:
        """`burst_events` is what a source that has been quiet may send at once; 0: what it may send in one second."""
        self._per_s = events_per_s
        self._burst = float(burst_events) or max(1.0, events_per_s)
        self._clock = clock
        self._full_at_s: dict[str, float] = {}
        """When each source's bucket will be full, if nothing more is taken from it."""
        self.limited: dict[str, int] = {}
        """Events of each source that were refused."""

    def take(self, source: str, events: int) -> int:
        """0: these events may pass, and are counted; else the seconds after which the source should come back."""
        if not self._per_s:
            return 0
        now_s = self._clock.monotonic_s()
        full_at_s = max(now_s, self._full_at_s.get(source, now_s))
        wait_s = full_at_s - now_s - self._burst / self._per_s
        if wait_s >= 0:
            self.limited[source] = self.limited.get(source, 0) + events
            return max(1, ceil(wait_s))
        self._full_at_s[source] = full_at_s + events / self._per_s
        return 0
