"""History for who reads it now and then: opened when it is first asked for, since that loads an engine."""

import threading

from onefold.errors import NotFoundError
from onefold.ports import HistoryReader
from onefold.storage.place import Place


class Archive:
    """The history of a place; may be asked by many threads."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._lock = threading.Lock()
        self._reader: HistoryReader | None = None

    def __call__(self) -> HistoryReader | None:
        """History, which stays open; None where none is kept, or nothing is in it yet."""
        with self._lock:
            if self._reader is None and self._place.history_location is not None:
                try:
                    self._reader = self._place.history_reader()
                except NotFoundError:
                    return None
            return self._reader

    def close(self) -> None:
        """Let go of it; asking again opens it again."""
        with self._lock:
            if self._reader is not None:
                self._reader.close()
                self._reader = None
