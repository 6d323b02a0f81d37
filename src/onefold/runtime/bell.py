"""Waiting for news of the state: for its own sign where it gives one, by the clock where it does not."""

import asyncio
import os
from contextlib import suppress

from onefold.ports import State

AT_ONCE_S = 0.001
"""Looks follow each other no sooner: a commit is many writes, and each of them is a sign."""
SELDOM_S = 0.25
"""However quiet it is, somebody looks this often: a sign may come a moment before what it tells of can be seen."""
NO_SIGN_S = 0.01
"""The same, where there are no signs."""
_READ_BYTES = 4096


class Bell:
    """For one follower in one event loop: look, `rest`, look again."""

    def __init__(self, state: State) -> None:
        self._watch = state.watch()
        self._seldom_s = NO_SIGN_S if self._watch is None else SELDOM_S
        self._wait_s = AT_ONCE_S

    async def rest(self, *, found: bool) -> None:
        """After a look: until there is a sign, or a while, which doubles with each look that `found` nothing."""
        await asyncio.sleep(AT_ONCE_S)
        if found or await self._heard():
            self._wait_s = AT_ONCE_S
        else:
            self._wait_s = min(self._seldom_s, 2 * self._wait_s)

    def close(self) -> None:
        """Let go of the watch."""
        if self._watch is not None:
            os.close(self._watch)
            self._watch = None

    async def _heard(self) -> bool:
        """Wait for a sign; False: none came."""
        if self._watch is None:
            await asyncio.sleep(self._wait_s)
            return False
        loop, sign = asyncio.get_running_loop(), asyncio.Event()
        loop.add_reader(self._watch, sign.set)
        try:
            async with asyncio.timeout(self._wait_s):
                await sign.wait()
        except TimeoutError:
            return False
        finally:
            loop.remove_reader(self._watch)
        with suppress(BlockingIOError):
            os.read(self._watch, _READ_BYTES)
        return True
