"""Learning of news: by the signs that an engine gives (`State.watch` and others), by the clock where it gives none."""

import asyncio
import os
import select
import selectors
from contextlib import suppress

from onefold.ports import State

AT_ONCE_S = 0.001
"""Looks follow each other no sooner, however many commits there are."""
SELDOM_S = 1.0
"""However quiet it is, somebody looks this often."""
NO_SIGN_S = 0.01
"""The same, where there are no signs."""
UNASKED_S = 5.0
"""The same, where signs come only after what they tell of."""
UNTOLD_S = 0.004
"""The same, for who must be quick without any signs."""
_READ_BYTES = 4096


class Signs:
    """For who looks now and then, and wants to look in vain less often."""

    def __init__(self, watch: int | None, every_s: float) -> None:
        """Without a watch, `due` is true every so many seconds."""
        self._watch = watch
        self._every_s = every_s if watch is None else UNASKED_S
        self._looked_s = -self._every_s
        self.complete = watch is not None
        """Without a sign there was no news."""

    def due(self, now_s: float) -> bool:
        """Whether it is time to look: there was a sign since the last call, or a while has passed."""
        if not _emptied(self._watch) and now_s - self._looked_s < self._every_s:
            return False
        self._looked_s = now_s
        return True

    def again(self) -> None:
        """The look failed: the next one is due at once."""
        self._looked_s = -self._every_s

    def close(self) -> None:
        """Let go of the watch."""
        if self._watch is not None:
            os.close(self._watch)
            self._watch = None


class Rest:
    """For one loop in a thread of its own: look, `rest`, look again; for a worker.

    Another worker's commit may set a timer for this one's people, and gives no sign here: such a timer is late by
    `SELDOM_S` at most, and by nothing where it is due later than that.
    """

    def __init__(self) -> None:
        self._ear, self._waker = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._watches: list[int] = []
        self._seldom_s = SELDOM_S
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._ear, selectors.EVENT_READ)

    def hear(self, *watches: int | None) -> None:
        """Take these watches over. Where one is missing, news may come without a sign, and looks are frequent."""
        for watch in watches:
            if watch is None:
                self._seldom_s = UNTOLD_S
            else:
                self._watches.append(watch)
                self._selector.register(watch, selectors.EVENT_READ)

    def rest(self, at_most_s: float) -> None:
        """After a look in vain: until there is a sign; so long at most, but never for long without a look."""
        for key, _ in self._selector.select(max(AT_ONCE_S, min(self._seldom_s, at_most_s))):
            _emptied(key.fd)

    def pause(self, wait_s: float) -> None:
        """Wait so long whatever news there are; only `wake` ends it."""
        if select.select([self._ear], [], [], wait_s)[0]:
            _emptied(self._ear)

    def wake(self) -> None:
        """End the rest or the pause. May be called by any thread, and by a signal's handler."""
        with suppress(BlockingIOError):
            os.write(self._waker, b"\0")

    def close(self) -> None:
        """Let go of the watches."""
        self._selector.close()
        for watch in (self._ear, self._waker, *self._watches):
            os.close(watch)


class Bell:
    """For one follower in one event loop: look, `rest`, look again."""

    def __init__(self, state: State, seldom_s: float = SELDOM_S) -> None:
        self._watch = state.watch()
        self._seldom_s = seldom_s

    async def rest(self, *, found: bool) -> None:
        """After a look: for a moment where it `found` anything, else until there is a sign, or a while."""
        await asyncio.sleep(AT_ONCE_S)
        if not found:
            await self._heard()

    def close(self) -> None:
        """Let go of the watch."""
        if self._watch is not None:
            os.close(self._watch)
            self._watch = None

    async def _heard(self) -> None:
        """Wait for a sign, which comes after what it tells of."""
        if self._watch is None:
            await asyncio.sleep(NO_SIGN_S)
            return
        loop, sign = asyncio.get_running_loop(), asyncio.Event()
        loop.add_reader(self._watch, sign.set)
        try:
            async with asyncio.timeout(self._seldom_s):
                await sign.wait()
        except TimeoutError:
            return
        finally:
            loop.remove_reader(self._watch)
        _emptied(self._watch)


def _emptied(watch: int | None) -> bool:
    """Whether there was anything to read there."""
    with suppress(BlockingIOError):
        return watch is not None and bool(os.read(watch, _READ_BYTES))
    return False
