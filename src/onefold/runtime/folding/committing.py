"""Commits beside the folding, which need not wait for the disk or another machine.

A commit is mostly waiting: for pages to be written, for the disk to have them, for a server. Meanwhile the events that
have arrived are folded, and leave with the next commit; still there is one commit at a time, each whole and durable
before the next begins.
"""

import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

from onefold.model.changes import Changes
from onefold.ports import Loaded, State


class Beside:
    """Makes the commits of one worker, one after the other, in a thread of its own: each `begin` has its `end`."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="commit")
        self._under_way: Future[int] | None = None
        self._ended = threading.Event()

    def begin(self, parts: Sequence[Changes], loaded: Loaded, encoded: Mapping[int, bytes]) -> None:
        """Begin to commit this, of which nothing may be changed until the `end`.

        Returns once the commit does little but wait: two threads that both compute would only disturb each other.
        """
        assert self._under_way is None
        waiting = threading.Event()
        self._ended.clear()
        self._under_way = self._thread.submit(self._commit, parts, loaded, encoded, waiting)
        waiting.wait()

    def ended(self, within_s: float) -> bool:
        """Whether the commit needs no more waiting for, so many seconds from now at the latest."""
        return self._ended.wait(within_s)

    def end(self) -> int:
        """Wait for it: the new snapshot. Raises what the commit has raised."""
        under_way, self._under_way = self._under_way, None
        assert under_way is not None
        return under_way.result()

    def close(self) -> None:
        """Let the thread end; a commit under way is made all the same."""
        self._thread.shutdown()

    def _commit(
        self, parts: Sequence[Changes], loaded: Loaded, encoded: Mapping[int, bytes], waiting: threading.Event
    ) -> int:
        try:
            return self._state.commit(parts, loaded, encoded, waiting.set)
        finally:
            waiting.set()
            self._ended.set()
