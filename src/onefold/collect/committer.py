"""Group commit: requests that arrive while one commit is being made durable share the next one.

There is no waiting for company. The disk sets the pace: a lone request is committed at once, and under load each
fsync is shared by all that gathered during the one before.
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
_Waiting = tuple[Records, "asyncio.Future[None]", int]

_log = structlog.get_logger()


class Committer:
    """Appends to the log from one thread of its own, for handlers of one event loop."""

    def __init__(self, log: LogWriter, max_bytes: int = COLLECT_QUEUE_MAX_BYTES) -> None:
        self._log = log
        self._max_bytes = max_bytes
        self._queue: queue.SimpleQueue[_Waiting | None] = queue.SimpleQueue()
        self._queued_bytes = 0
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
        if thread is not None:
            self._queue.put(None)
            await asyncio.to_thread(thread.join)

    async def append(self, records: Records) -> None:
        """Return when these records are durable. Raises `Overloaded` before it takes them, `StorageError` after."""
        if self._thread is None or self._loop is None:
            raise Overloaded("collect is stopping")
        if self._queued_bytes > self._max_bytes:
            raise Overloaded(f"{self._queued_bytes} bytes wait for the disk")
        size = sum(len(each) for lane in records.values() for each in lane)
        self._queued_bytes += size
        done = self._loop.create_future()
        self._queue.put((records, done, size))
        await done

    def _run(self) -> None:
        going = True
        while going:
            group = self._gather()
            if group[-1] is None:
                going = False
            waiting = [each for each in group if each is not None]
            if waiting:
                self._report(waiting, self._commit(waiting))

    def _gather(self) -> list[_Waiting | None]:
        group = [self._queue.get()]
        while group[-1] is not None:
            try:
                group.append(self._queue.get_nowait())
            except queue.Empty:
                break
        return group

    def _commit(self, waiting: list[_Waiting]) -> StorageError | None:
        lanes: dict[int, list[bytes]] = {}
        for records, _, _ in waiting:
            for partition, lane in records.items():
                lanes.setdefault(partition, []).extend(lane)
        try:
            self._log.append(lanes)
        except StorageError as error:
            _log.warning("the log refused a commit", code=error.code, reason=str(error))
            return error
        except Exception as error:  # noqa: BLE001 — a thread that died here would leave every later request waiting
            _log.exception("the log failed")
            return StorageError(f"{type(error).__name__}: {error}")
        return None

    def _report(self, waiting: list[_Waiting], error: StorageError | None) -> None:
        assert self._loop is not None
        try:
            self._loop.call_soon_threadsafe(self._settle, waiting, error)
        except RuntimeError:
            _log.warning("the event loop ended before its requests were answered", requests=len(waiting))

    def _settle(self, waiting: list[_Waiting], error: StorageError | None) -> None:
        for _, done, size in waiting:
            self._queued_bytes -= size
            if done.done():
                continue
            if error is None:
                done.set_result(None)
            else:
                done.set_exception(error)
