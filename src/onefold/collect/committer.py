"""Group commit: requests that arrive while one commit is being made durable share the next one.

There is no waiting for company. The disk sets the pace: a lone request is committed at once, and under load each
fsync is shared by all that gathered during the one before. Everything but the commit itself happens on the event
loop, so there is nothing to lock; the thread is woken once a commit, and wakes the loop once a commit.
"""

import asyncio
import queue
import threading
from collections.abc import Mapping, Sequence

import structlog

from onefold.errors import Overloaded, StorageError
from onefold.limits import COLLECT_QUEUE_MAX_BYTES
from onefold.ports import LogWriter

Records = Mapping[int, Sequence[bytes]]
Group = list[tuple[Records, "asyncio.Future[Lasts]", int]]
Lasts = Mapping[int, int]

_log = structlog.get_logger()


class Committer:
    """Appends to the log from one thread of its own, for handlers of one event loop."""

    def __init__(self, log: LogWriter, max_bytes: int = COLLECT_QUEUE_MAX_BYTES) -> None:
        self._log = log
        self._max_bytes = max_bytes
        self._bytes = 0
        """Taken and not yet answered, in the commit that is under way as well as in the next."""
        self._next: Group = []
        self._committing = False
        self._work: queue.SimpleQueue[Group] = queue.SimpleQueue()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin, on the running event loop."""
        assert self._thread is None, "started twice"
        self._loop = asyncio.get_running_loop()
        self._thread = threading.Thread(target=self._run, name="onefold-commit", daemon=True)
        self._thread.start()

    async def aclose(self) -> None:
        """Commit what waits, then end. Later appends are refused."""
        thread, self._thread = self._thread, None
        if thread is None:
            return
        waiting = [done for _, done, _ in self._next]
        await asyncio.gather(*waiting, return_exceptions=True)
        self._work.put([])
        await asyncio.to_thread(thread.join)

    async def append(self, records: Records) -> Lasts:
        """Return when these records are durable: where, by partition, the commit that they were in ends at the latest.

        Raises `Overloaded` before it takes them, `StorageError` after.
        """
        loop = self._loop
        if self._thread is None or loop is None:
            raise Overloaded("collect is stopping")
        size = sum(len(each) for lane in records.values() for each in lane)
        if self._bytes and self._bytes + size > self._max_bytes:
            raise Overloaded(f"{self._bytes} bytes wait for the disk")
        self._bytes += size
        done: asyncio.Future[Lasts] = loop.create_future()
        if not self._next and not self._committing:
            loop.call_soon(self._commit_next)
        self._next.append((records, done, size))
        return await done

    def _commit_next(self) -> None:
        """Hand over all that gathered, once the loop has run every handler that is ready."""
        if self._next and not self._committing:
            group, self._next = self._next, []
            self._committing = True
            self._work.put(group)

    def _run(self) -> None:
        assert self._loop is not None
        while group := self._work.get():
            outcome = self._commit(group)
            try:
                self._loop.call_soon_threadsafe(self._settle, group, outcome)
            except RuntimeError:
                _log.warning("the event loop ended before its requests were answered", requests=len(group))
                return

    def _commit(self, group: Group) -> Lasts | StorageError:
        lanes: dict[int, list[bytes]] = {}
        for records, _, _ in group:
            for partition, lane in records.items():
                lanes.setdefault(partition, []).extend(lane)
        try:
            return self._log.append(lanes)
        except StorageError as error:
            _log.warning("the log refused a commit", code=error.code, reason=str(error))
            return error
        except Exception as error:  # noqa: BLE001 — a thread that died here would leave every later request waiting
            _log.exception("the log failed")
            return StorageError(f"{type(error).__name__}: {error}")

    def _settle(self, group: Group, outcome: Lasts | StorageError) -> None:
        self._committing = False
        self._commit_next()
        for _, done, size in group:
            self._bytes -= size
            if done.done():
                continue
            if isinstance(outcome, StorageError):
                done.set_exception(outcome)
            else:
                done.set_result(outcome)
