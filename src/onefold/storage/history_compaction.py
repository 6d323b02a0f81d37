"""Which files of history are to become one: a pure choice, so that every event is rewritten only a few times.

A day's files lie in the order in which they were written. From the newest on, files are taken together as long as the
next older one is not much larger than what was taken so far; where that makes enough files, they become one. So files
grow by powers, and a day of N flushes has about log N files, each sorted by profile.
"""

from collections.abc import Iterable
from itertools import groupby
from typing import NamedTuple

FILES_MIN = 8
"""So many files become one, on a day that is still being written."""
PAST_FILES_MIN = 2
"""The same, on days before: what comes there is late, and little."""
_RATIO = 2
"""An older file is taken along that is at most so many times as large as all that were taken before it."""


class DataFile(NamedTuple):
    """A file of the table."""

    path: str
    day: str
    size_bytes: int
    rows: int
    part: int
    """The writer's cursor when the newest of its rows was written; a file's rows all have the same."""


class Piece(NamedTuple):
    """Rows of `day` with a part of `since` to `until`: all rows of some whole files."""

    day: str
    since: int
    until: int
    files: int
    size_bytes: int

    def has(self, file: DataFile) -> bool:
        """Whether that file is one of these."""
        return file.day == self.day and self.since <= file.part <= self.until


def choose(files: Iterable[DataFile], size_max_bytes: int, today: str) -> Piece | None:
    """What is to be rewritten next: the piece of the most files; None where nothing is worth it."""
    by_day = groupby(sorted(files, key=lambda file: (file.day, file.part)), key=lambda file: file.day)
    pieces = (_newest(list(of_day), size_max_bytes) for _, of_day in by_day)
    worth = [piece for piece in pieces if piece.files >= (PAST_FILES_MIN if piece.day < today else FILES_MIN)]
    return max(worth, key=lambda piece: piece.files, default=None)


def _newest(files: list[DataFile], size_max_bytes: int) -> Piece:
    """The newest files of a day that belong together; parts are taken whole."""
    parts = [list(same) for _, same in groupby(files, key=lambda file: file.part)]
    taken = parts.pop()
    size = sum(file.size_bytes for file in taken)
    while parts:
        older = sum(file.size_bytes for file in parts[-1])
        if older > _RATIO * size or older + size > size_max_bytes:
            break
        size += older
        taken = parts.pop() + taken
    return Piece(files[0].day, taken[0].part, taken[-1].part, len(taken), size)
