"""Read your own writes: readers wait here until what their receipts name has been folded."""

import asyncio
import contextlib
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor

from litestar.di import NamedDependency
from litestar.params import SkipValidation

from onefold.errors import InvalidRequest, NotFolded, OnefoldError, Overloaded, StorageError
from onefold.limits import RECEIPT_WAIT_S, RECEIPT_WAITERS_MAX
from onefold.model import receipt
from onefold.ports import LogReader, State
from onefold.runtime.bell import Bell

RECEIPTS_MAX_CHARS = 4 * receipt.MAX_CHARS
"""Of some receipts at once."""

Ends = Mapping[int, int]
"""Partition → the offset that its cursor is to reach."""


class Arrivals:
    """One look at the cursors after each commit, for all who wait; none while nobody does.

    Whether the log has what a receipt names is asked beside the waiting, as brokers may take longer than the fold; by
    one thread, whose answer to one mostly answers those who have come meanwhile.
    """

    def __init__(self, log: LogReader, state: State, within_s: float = RECEIPT_WAIT_S) -> None:
        self._log = log
        self._state = state
        self._within_s = within_s
        self._waiting: dict[asyncio.Future[None], Ends] = {}
        self._looking: asyncio.Task[None] | None = None
        self._asking = ThreadPoolExecutor(1, thread_name_prefix="log-ends")
        self._ended: dict[int, int] = {}
        """Partition → where the log ended when it was asked last."""
        self._closed = False

    async def reached(self, text: str) -> None:
        """Return once all that these receipts name is folded: at once, where it is.

        Raises `InvalidRequest` where it is no receipt of this log, `NotFolded` where it took too long, `Overloaded`
        where too many wait.
        """
        ends = receipt.read(text) if len(text) <= RECEIPTS_MAX_CHARS else None
        if ends is None or max(ends) >= self._log.partitions:
            raise InvalidRequest("after: this is no receipt; collect's answers carry one as `onefold-receipt`")
        if self._state.local and not self._behind(ends):
            return
        if len(self._waiting) >= RECEIPT_WAITERS_MAX or self._closed:
            raise Overloaded(f"at most {RECEIPT_WAITERS_MAX} may wait for what they sent at once")
        # Whoever looks first sees it: a commit after this line is seen by the one look or by the other.
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting[done] = ends
        try:
            if behind := await asyncio.to_thread(self._behind, ends):
                await self._wait(done, behind)
        finally:
            del self._waiting[done]
            done.cancel()

    def close(self) -> None:
        """Send everybody who waits away, so that the server can stop."""
        self._closed = True
        self._asking.shutdown(wait=False)
        self._fail(Overloaded("the server is stopping"))

    async def _wait(self, done: "asyncio.Future[None]", behind: Ends) -> None:
        if self._closed:
            raise Overloaded("the server is stopping")
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._look())
        asking = asyncio.get_running_loop().run_in_executor(self._asking, self._require, behind)
        asking.add_done_callback(_heard)
        try:
            async with asyncio.timeout(self._within_s):
                await asyncio.wait((done, asking), return_when=asyncio.FIRST_COMPLETED)
                if not done.done():
                    asking.result()
                await done
        except TimeoutError:
            raise NotFolded(
                f"what the receipt names was not folded within {self._within_s:g} seconds: it is in the log and not "
                "lost; ask again, and see /readyz for how far the workers are behind"
            ) from None

    async def _look(self) -> None:
        try:
            with contextlib.closing(Bell(self._state)) as bell:
                while self._waiting:
                    partitions = {partition for ends in self._waiting.values() for partition in ends}
                    self._let_go(await asyncio.to_thread(self._offsets, partitions))
                    await bell.rest(found=False)
        except StorageError as error:
            self._fail(error)

    def _let_go(self, offsets: Ends) -> None:
        for done, ends in self._waiting.items():
            if not done.done() and all(offsets.get(partition, -1) >= end for partition, end in ends.items()):
                done.set_result(None)

    def _fail(self, error: OnefoldError) -> None:
        for done in self._waiting:
            if not done.done():
                done.set_exception(error)

    def _offsets(self, partitions: Iterable[int]) -> dict[int, int]:
        return {partition: self._state.cursor(partition).offset for partition in partitions}

    def _behind(self, ends: Ends) -> dict[int, int]:
        offsets = self._offsets(ends)
        return {partition: end for partition, end in ends.items() if offsets[partition] < end}

    def _require(self, ends: Ends) -> None:
        """Whoever waits for what is not in the log would wait in vain."""
        for partition, end in ends.items():
            if self._ended.get(partition, 0) < end:
                self._ended[partition] = self._log.ends(partition)[1]
            if self._ended[partition] < end:
                raise InvalidRequest("after: this receipt names what is not in the log; is it of another workspace?")


def _heard(asking: "asyncio.Future[None]") -> None:
    """What came of the question may matter to nobody any more."""
    if not asking.cancelled():
        asking.exception()


Waiting = NamedDependency[SkipValidation[Arrivals]]
"""How a route asks for them."""
