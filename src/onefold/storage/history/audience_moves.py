"""The table of moves: who entered and left which audience, sorted by audience and person, in files by day of log time.

What is past its time is not just removed: of each person the last entering before it stays where no leaving came after,
so that from the first day that is kept on it is known who is in.
"""

from collections.abc import Collection, Sequence
from typing import Any

from onefold.limits import DAY_MS
from onefold.model.past import PastMove, beginning
from onefold.storage.history import arrow, layout
from onefold.storage.history.layout import MOVES
from onefold.storage.history.scratch import Kept, read_files
from onefold.storage.history.table import Shape, types_of
from onefold.storage.history.views import quoted

_STORED = {"day": "DATE", "part": "BIGINT"} | MOVES
SHAPE = Shape(types_of(_STORED), by_day=True, measured=("part", "audience", "profile", "at_ms", "seq"))
BY_AUDIENCE = Kept(MOVES, "audience, profile, seq")


def rows(moves: Sequence[PastMove], part: int, day: int | None = None) -> Any:
    """Moves as the table keeps them, in columns: by day of log time, or all as of one day (since 1970)."""
    days = [move.at_ms // DAY_MS if day is None else day for move in moves]
    return arrow.table(_STORED, [days, [part] * len(moves), *layout.move_columns(moves)])


def standing(files: Collection[str], first_ms: int, last_day: str, part: int) -> str:
    """SQL: what is to stay of these files, of the days before `first_ms`, as rows of the day before it.

    From `first_ms` on all moves are there, says a move of nobody.
    """
    head = f"DATE {quoted(last_day)} AS day, {part}::BIGINT AS part"
    begun = ", ".join(
        f"{_literal(value)}::{kind} AS {name}"
        for (name, kind), value in zip(MOVES.items(), beginning(first_ms), strict=True)
    )
    columns = ", ".join(MOVES)
    latest = "row_number() OVER (PARTITION BY audience, profile ORDER BY seq DESC, at_ms DESC) = 1"
    return (
        f"SELECT {head}, {begun} UNION ALL"  # noqa: S608 (columns and numbers of ours)
        f" (SELECT {head}, {columns} FROM {read_files(files)} QUALIFY entered AND {latest})"
        f" ORDER BY {BY_AUDIENCE.order}"
    )


def _literal(value: object) -> str:
    return quoted(value) if isinstance(value, str) else str(value)
