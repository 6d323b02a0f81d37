"""How long bodies are waited for: one timer for all of them, since nearly all are there at once."""

import asyncio
from collections.abc import Awaitable
from typing import Any, TypeVar

T = TypeVar("T")


class Patience:
    """Everybody is given the same time, so that who began first is the first to have had it."""

    def __init__(self, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self._until_s: dict[asyncio.Task[Any], float] = {}
        """Who waits, in the order in which they began."""
        self._watched: asyncio.AbstractEventLoop | None = None
        """Where the timer runs, while it does."""

    async def wait(self, coming: Awaitable[T]) -> T:
        """What comes. Raises `TimeoutError` once that has taken too long."""
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        assert task is not None, "only a task can be called off"
        self._until_s[task] = until_s = loop.time() + self._timeout_s
        if self._watched is not loop:
            self._watched = loop
            loop.call_at(until_s, self._look, loop)
        try:
            return await coming
        except asyncio.CancelledError:
            # Whoever is no longer there was called off by `_look`; if by somebody else, too, then that counts.
            if task in self._until_s or task.uncancel():
                raise
            raise TimeoutError from None
        finally:
            self._until_s.pop(task, None)

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        """Call off whose time is over, and come again when the next one's is."""
        now_s = loop.time()
        while self._until_s:
            task, until_s = next(iter(self._until_s.items()))
            if until_s > now_s:
                loop.call_at(until_s, self._look, loop)
                return
            del self._until_s[task]
            task.cancel()
        self._watched = None
