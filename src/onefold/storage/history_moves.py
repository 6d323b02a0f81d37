"""The table of moves: who entered and left which audience, sorted by audience and person, in files by day of log time.

What is past its time is not just removed: of each person the last entering before it stays where no leaving came after,
so that from the first day that is kept on it is known who is in.
"""

from collections.abc import Collection, Sequence
from typing import Any

from onefold.limits import DAY_MS
from onefold.model.past import PastMove
from onefold.storage import history_arrow, history_rows
from onefold.storage.delta_table import Shape, types_of
from onefold.storage.history_rows import MOVES
from onefold.storage.history_scratch import Kept, read_files
from onefold.storage.history_views import quoted

_STORED = {"day": "DATE", "part": "BIGINT"} | MOVES
SHAPE = Shape(types_of(_STORED), by_day=True, measured=("part", "audience", "profile", "at_ms", "seq"))
BY_AUDIENCE = Kept(MOVES, "audience, profile, seq")


def rows(moves: Sequence[PastMove], part: int) -> Any:
    """Moves as the table keeps them, in columns."""
    days = [move.at_ms // DAY_MS for move in moves]
    return history_arrow.table(_STORED, [days, [part] * len(moves), *history_rows.move_columns(moves)])


def standing(files: Collection[str], first_ms: int, last_day: str, part: int) -> str:
    """SQL: what is to stay of these files, of the days before `first_ms`, as rows of the day before it.

    The move of nobody that says from when on all are there says `first_ms` from then on.
    """
    shown = ", ".join(
        f"CASE WHEN profile = 0 THEN {first_ms} ELSE at_ms END AS at_ms" if name == "at_ms" else f'"{name}"'
        for name in MOVES
    )
    return (
        f"SELECT DATE {quoted(last_day)} AS day, {part}::BIGINT AS part, {shown} FROM {read_files(files)}"  # noqa: S608
        " QUALIFY (entered OR profile = 0)"
        " AND row_number() OVER (PARTITION BY audience, profile ORDER BY seq DESC, at_ms DESC) = 1"
        f" ORDER BY {BY_AUDIENCE.order}"
    )
