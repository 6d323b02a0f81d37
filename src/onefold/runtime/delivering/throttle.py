"""How many attempts a destination gets at once: fewer where it says that it has too much, more as it answers."""

from onefold import limits

THROTTLING = frozenset({429, 502, 503, 504})
"""Answers that say: too much, or nobody there to take it."""


class Throttle:
    """Additive increase with every success, halved by every throttling answer; a pause where one was asked for."""

    def __init__(self, ceiling: int) -> None:
        self.ceiling = max(1, ceiling)
        self.limit = self.ceiling
        self.paused_until_ms = 0

    def resize(self, ceiling: int) -> None:
        """The destination's `concurrency` has changed."""
        self.ceiling = max(1, ceiling)
        self.limit = min(self.limit, self.ceiling)

    def admits(self, now_ms: int, in_flight: int) -> bool:
        """Whether one more attempt may begin."""
        return in_flight < self.limit and now_ms >= self.paused_until_ms

    def succeeded(self) -> None:
        """An attempt succeeded: one more may run beside it."""
        self.limit = min(self.ceiling, self.limit + 1)

    def failed(self, status: int, retry_after_s: float | None, now_ms: int) -> None:
        """An attempt failed with this status; 0: without an answer."""
        if status not in THROTTLING:
            return
        self.limit = max(1, self.limit // 2)
        pause_s = min(retry_after_s or 0.0, limits.DELIVERY_RETRY_AFTER_MAX_S)
        self.paused_until_ms = max(self.paused_until_ms, now_ms + int(pause_s * 1000))

    def restart(self) -> None:
        """The destination was dead: begin with one attempt at a time."""
        self.limit = 1
