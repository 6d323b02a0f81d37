"""Group commit: what gathers while the log is busy shares the next commit, and nobody is answered too early."""

import asyncio
import threading
from collections.abc import Mapping, Sequence

import pytest

from onefold.collect.committer import Committer
from onefold.errors import Overloaded, StorageError


class GatedLog:
    """A log whose commits wait until they are let through."""

    partitions = 1

    def __init__(self) -> None:
        self.gate = threading.Semaphore(0)
        self.entered = threading.Semaphore(0)
        self.commits: list[list[bytes]] = []
        self.error: StorageError | None = None

    def append(self, batches: Mapping[int, Sequence[bytes]]) -> dict[int, int]:
        """As `LogWriter.append`, once the gate opens."""
        self.entered.release()
        self.gate.acquire()
        if self.error:
            raise self.error
        self.commits.append(list(batches[0]))
        return {0: 0}

    def close(self) -> None:
        """Nothing to let go of."""


async def _ready(log: GatedLog, *appends: bytes, committer: Committer) -> list[asyncio.Task[Mapping[int, int]]]:
    """Tasks that append, each run up to its wait."""
    tasks = [asyncio.ensure_future(committer.append({0: [each]})) for each in appends]
    await asyncio.get_running_loop().run_in_executor(None, lambda: None)
    return tasks


def test_what_gathers_during_a_commit_shares_the_next() -> None:
    """The first request is committed at once, all that come meanwhile together, in order."""

    async def story() -> None:
        log, loop = GatedLog(), asyncio.get_running_loop()
        committer = Committer(log)
        committer.start()
        first = await _ready(log, b"a", committer=committer)
        await loop.run_in_executor(None, log.entered.acquire)
        later = await _ready(log, b"b", b"c", b"d", committer=committer)
        assert not any(task.done() for task in first + later)
        log.gate.release()
        await asyncio.gather(*first)
        await loop.run_in_executor(None, log.entered.acquire)
        assert log.commits == [[b"a"]]
        assert not any(task.done() for task in later)
        log.gate.release()
        await asyncio.gather(*later)
        await committer.aclose()
        assert log.commits == [[b"a"], [b"b", b"c", b"d"]]

    asyncio.run(story())


def test_the_queue_is_bounded_in_bytes() -> None:
    """Past the bound requests are refused, not kept; after the commit there is room again."""

    async def story() -> None:
        log, loop = GatedLog(), asyncio.get_running_loop()
        committer = Committer(log, max_bytes=100)
        committer.start()
        taken = await _ready(log, b"x" * 60, b"x" * 40, committer=committer)
        with pytest.raises(Overloaded):
            await committer.append({0: [b"y"]})
        log.gate.release()
        await asyncio.gather(*taken)
        log.gate.release()
        await committer.append({0: [b"y"]})
        await committer.aclose()
        assert sum(len(record) for commit in log.commits for record in commit) == 101
        assert loop.is_running()

    asyncio.run(story())


def test_a_failed_commit_fails_all_who_shared_it() -> None:
    """Everybody in the group gets the error, and the next group is tried anew."""

    async def story() -> None:
        log = GatedLog()
        committer = Committer(log)
        committer.start()
        log.error = StorageError("broken")
        tasks = await _ready(log, b"a", b"b", committer=committer)
        log.gate.release()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        assert [type(result) for result in results] == [StorageError, StorageError]
        log.error = None
        log.gate.release()
        await committer.append({0: [b"c"]})
        await committer.aclose()
        assert log.commits == [[b"c"]]

    asyncio.run(story())


def test_a_client_that_left_does_not_disturb_the_others() -> None:
    """A cancelled request may be stored, and the rest of its group is answered."""

    async def story() -> None:
        log = GatedLog()
        committer = Committer(log)
        committer.start()
        gone, stays = await _ready(log, b"a", b"b", committer=committer)
        gone.cancel()
        log.gate.release()
        await stays
        await committer.aclose()

    asyncio.run(story())


def test_closing_commits_what_was_taken() -> None:
    """`aclose` waits for the commit under way and for all that gathered; later requests are refused."""

    async def story() -> None:
        log, loop = GatedLog(), asyncio.get_running_loop()
        committer = Committer(log)
        committer.start()
        first = await _ready(log, b"a", committer=committer)
        await loop.run_in_executor(None, log.entered.acquire)
        second = await _ready(log, b"b", committer=committer)
        closing = asyncio.ensure_future(committer.aclose())
        log.gate.release(2)
        await closing
        await asyncio.gather(*first, *second)
        assert log.commits == [[b"a"], [b"b"]]
        with pytest.raises(Overloaded):
            await committer.append({0: [b"c"]})

    asyncio.run(story())
