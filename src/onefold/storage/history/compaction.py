"""Which files of history are to become one: a pure choice, so that every event is rewritten only a few times.

A day's files lie in the order in which they were written. From a file on, older ones are taken along as long as the
next is not much larger than what was taken so far; where that makes enough files, they become one. So files grow by
powers, and a day of N flushes has about log N files, each sorted by profile.
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
    pieces = (_largest(list(of_day), size_max_bytes) for _, of_day in by_day)
    worth = [piece for piece in pieces if piece.files >= (PAST_FILES_MIN if piece.day < today else FILES_MIN)]
    return max(worth, key=lambda piece: piece.files, default=None)


def _largest(files: list[DataFile], size_max_bytes: int) -> Piece:
    """The most files of a day that belong together; of as many, the newest."""
    parts = [list(same) for _, same in groupby(files, key=lambda file: file.part)]
    pieces = [_ending(parts[:end], size_max_bytes) for end in range(len(parts), 0, -1)]
    return max(pieces, key=lambda piece: piece.files)


def _ending(parts: list[list[DataFile]], size_max_bytes: int) -> Piece:
    """The last of these parts, with as many before it as belong to it; parts are taken whole."""
    since = len(parts) - 1
    size, files = sum(file.size_bytes for file in parts[since]), len(parts[since])
    while since:
        older = sum(file.size_bytes for file in parts[since - 1])
        if older > _RATIO * size or older + size > size_max_bytes:
            break
        since, size, files = since - 1, size + older, files + len(parts[since - 1])
    first, last = parts[since][0], parts[-1][0]
    return Piece(first.day, first.part, last.part, files, size)
