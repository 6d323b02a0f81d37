"""Proposed links for who reads them now and then: opened, and made, when they are first asked for."""

import threading

from onefold.clock import Clock
from onefold.ports import Proposals
from onefold.storage.place import Place


class Proposed:
    """The proposals of a place; may be asked by many threads."""

    def __init__(self, place: Place, clock: Clock) -> None:
        self._place = place
        self._clock = clock
        self._lock = threading.Lock()
        self._opened: Proposals | None = None

    def __call__(self) -> Proposals:
        """The proposals, which stay open. Raises `StorageError` where they cannot be opened."""
        with self._lock:
            if self._opened is None:
                self._opened = self._place.proposals(self._clock)
            return self._opened

    def close(self) -> None:
        """Let go of them; asking again opens them again."""
        with self._lock:
            if self._opened is not None:
                self._opened.close()
                self._opened = None
