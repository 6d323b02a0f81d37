"""Receipts: a reader sees what it sent, waits no longer than needed, and is never left waiting for nothing."""

import asyncio
import threading
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from onefold.errors import InvalidRequest, NotFolded, OnefoldError, Overloaded, StorageError
from onefold.limits import RECORD_OFFSET_MAX
from onefold.model import receipt
from onefold.model.changes import Changes, Cursor
from onefold.server.people.arrivals import Arrivals
from onefold.testing.memory.log import MemoryLog
from onefold.testing.memory.state import MemoryState
from tests.unit.server import fakes


def _folded(state: MemoryState, partition: int, offset: int) -> None:
    fakes.commit(state, Changes(partition, Cursor(offset), {}, {}, {}, {}, {}, {}, [], [], {}))


class AskedLog(MemoryLog):
    """A log that tells when somebody has asked where it ends, as who is about to wait does."""

    def __init__(self) -> None:
        super().__init__(2)
        self.asked = asyncio.Event()
        self.answers = threading.Event()
        self.answers.set()
        self.questions = 0
        self._loop = asyncio.get_running_loop()

    def ends(self, partition: int) -> tuple[int, int]:
        """As `LogReader.ends`."""
        self.questions += 1
        self._loop.call_soon_threadsafe(self.asked.set)
        self.answers.wait()
        return super().ends(partition)


class Bench:
    """A log with three records in each of two partitions, none folded yet."""

    def __init__(self, within_s: float = 30.0) -> None:
        self.state = MemoryState()
        self.log = AskedLog()
        self.lasts = self.log.append({0: [b"a"] * 3, 1: [b"b"] * 3})
        self.arrivals = Arrivals(self.log, self.state, within_s)

    def receipt(self, *partitions: int) -> str:
        """What collect would answer."""
        return receipt.issue(partitions, self.lasts).decode()


def _run(story: Callable[[Bench], Awaitable[Any]], within_s: float = 30.0) -> Any:
    async def told() -> Any:
        return await story(Bench(within_s))

    return asyncio.run(told())


def test_what_is_folded_is_not_waited_for() -> None:
    """A receipt of the past costs a look at the cursors."""

    async def story(bench: Bench) -> None:
        _folded(bench.state, 0, 3)
        await bench.arrivals.reached(bench.receipt(0))

    _run(story)


def test_a_reader_waits_for_every_partition() -> None:
    """Events of one request may lie in several partitions, and several receipts may be given: all must be folded."""

    async def story(bench: Bench) -> None:
        waiting = asyncio.ensure_future(bench.arrivals.reached(f"{bench.receipt(0)}, {bench.receipt(1)}"))
        other = asyncio.ensure_future(bench.arrivals.reached(bench.receipt(1)))
        _folded(bench.state, 1, 3)
        await other
        assert not waiting.done()
        _folded(bench.state, 0, 2)
        _folded(bench.state, 0, 3)
        await waiting

    _run(story)


def test_what_is_folded_is_told_before_the_log_has_said_where_it_ends() -> None:
    """Brokers may take longer than the fold: nobody waits for them who can be answered."""

    async def story(bench: Bench) -> None:
        bench.log.answers.clear()
        try:
            waiting = asyncio.ensure_future(bench.arrivals.reached(bench.receipt(0)))
            await bench.log.asked.wait()
            _folded(bench.state, 0, 3)
            await waiting
        finally:
            bench.log.answers.set()

    _run(story)


def test_the_log_is_asked_once_for_all_who_wait_meanwhile() -> None:
    """Where it ends does not depend on who asks."""

    async def story(bench: Bench) -> None:
        bench.log.answers.clear()
        waiting = [asyncio.ensure_future(bench.arrivals.reached(bench.receipt(0))) for _ in range(5)]
        await bench.log.asked.wait()
        bench.log.answers.set()
        _folded(bench.state, 0, 3)
        await asyncio.gather(*waiting)
        assert bench.log.questions == 1

    _run(story)


def test_a_wait_is_bounded_and_says_so() -> None:
    """After its time the reader is told that nothing is lost and to ask again."""

    async def story(bench: Bench) -> None:
        with pytest.raises(NotFolded, match="not lost"):
            await bench.arrivals.reached(bench.receipt(0))
        _folded(bench.state, 0, 3)
        await bench.arrivals.reached(bench.receipt(0))

    _run(story, within_s=0.02)


@pytest.mark.parametrize(
    "text", ["", "x", "0", "00", "000g", "020001", f"00{RECORD_OFFSET_MAX + 1:x}", "001.", "0099", "0," * 9999]
)
def test_what_is_no_receipt_is_refused(text: str) -> None:
    """Garbage, a partition that is not there, and what the log does not have: nobody waits for it."""

    async def story(bench: Bench) -> None:
        with pytest.raises(InvalidRequest, match="receipt"):
            await bench.arrivals.reached(text)

    _run(story)


@pytest.mark.parametrize("error", [StorageError("broken"), None])
def test_nobody_is_left_waiting(error: OnefoldError | None) -> None:
    """Where the state cannot be read, or the server stops, who waits is sent away with the reason."""

    async def story(bench: Bench) -> None:
        waiting = asyncio.ensure_future(bench.arrivals.reached(bench.receipt(0)))
        await bench.log.asked.wait()
        if error is None:
            bench.arrivals.close()
        else:
            bench.state.fail_next("cursor", error)
        with pytest.raises(Overloaded if error is None else StorageError):
            await waiting

    _run(story)
