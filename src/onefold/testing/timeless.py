"""An event loop whose time passes at once, so that hours of an asyncio program are lived through in a moment.

Where everybody sleeps, it is the next instant at which somebody wakes; nobody notices. While a thread is at work for
the loop no time passes, so that what a program writes takes no time, however slow the disk is.
"""

import asyncio
import selectors
from collections.abc import Callable
from concurrent.futures import Executor
from typing import Any

from onefold.testing.clock import ManualClock

_STUCK_S = 60.0


class _Selector(selectors.DefaultSelector):
    """Never waits for a time to come; only for threads."""

    loop: "TimelessLoop"

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """As the selector's own, of which the loop asks between its turns."""
        if timeout is None or (timeout > 0 and self.loop.at_work):
            found = super().select(_STUCK_S)
            assert found, "everybody waits, and nobody will wake"
            return found
        found = super().select(0)
        if timeout > 0 and not found:
            self.loop.passed(timeout)
        return found


class TimelessLoop(asyncio.SelectorEventLoop):
    """For `asyncio.Runner(loop_factory=TimelessLoop)`; `clock` goes with it."""

    def __init__(self) -> None:
        selector = _Selector()
        selector.loop = self
        self.clock = ManualClock()
        self.at_work = 0
        """Calls that threads have not answered."""
        super().__init__(selector)

    def time(self) -> float:
        """As of the clock."""
        return self.clock.monotonic_s()

    def passed(self, wait_s: float) -> None:
        """So long nobody has anything to do."""
        self.clock.advance(max(1, round(wait_s * 1000)))

    def run_in_executor(  # type: ignore[override]
        self, executor: Executor | None, func: Callable[..., Any], *args: Any
    ) -> asyncio.Future[Any]:
        """As every loop does."""
        self.at_work += 1
        future = super().run_in_executor(executor, func, *args)
        future.add_done_callback(self._answered)
        return future

    def _answered(self, _: asyncio.Future[Any]) -> None:
        self.at_work -= 1
