"""The table of names: whose events name an identifier that stands in no column, found without reading the events.

A row is the hash of an identifier and a profile whose an event was, when it was admitted, that names it; each pair
once, however many events there are, sorted by hash. It may say too much (events that were forgotten, a write that never
came to its end), and once it is complete never too little: who asks learns from here whose events to look at.

A row of nobody says how far it is: its hash is the way in which identifiers were read (`core.identity.naming`), its day
the first one of event time whose older events are not all here yet. Where they are to be read otherwise it begins anew.
"""

from collections.abc import Collection, Sequence
from typing import Any

from onefold.model.past import Names, signed, unsigned
from onefold.ports import Connection
from onefold.storage.history import arrow
from onefold.storage.history.layout import NAMES
from onefold.storage.history.scratch import read_files
from onefold.storage.history.table import Shape, types_of

_STORED = {"part": "BIGINT"} | NAMES
SHAPE = Shape(types_of(_STORED), by_day=False, measured=("part", "hash", "profile"))
_NOBODY = 0
_ONCE = "GROUP BY hash, profile ORDER BY hash, profile"

Row = tuple[int, int, int | None]
"""As `NAMES` has it."""


def rows(names: Names, day: int | None = None) -> list[Row]:
    """These names, by hash; with the day up to which they are complete, where that is to be another one."""
    found: list[Row] = [(each, signed(profile), None) for each, profile in set(names.pairs)]
    if day is not None:
        found.append((names.reading, _NOBODY, day))
    return sorted(found, key=lambda row: row[:2])


def columns(found: Sequence[Row]) -> list[list[Any]]:
    """Rows as columns of `NAMES`."""
    return [list(column) for column in zip(*found, strict=True)] if found else [[] for _ in NAMES]


def stored(found: Sequence[Row], part: int) -> Any:
    """Rows as the table keeps them."""
    return arrow.table(_STORED, [[part] * len(found), *columns(found)])


def complete_to(connection: Connection, reading: int) -> int | None:
    """The first day whose older events are not all here, read in this way; None: none were ever read so."""
    query = f"SELECT max(day) FROM names WHERE profile = {_NOBODY} AND hash = ?"  # noqa: S608 (a number of ours)
    found: int | None = connection.execute(query, [reading]).fetchall()[0][0]
    return found


def profiles(connection: Connection, hashes: Collection[int], most: int) -> list[int]:
    """Profiles, as they were when events were admitted that may name one of these; of more than `most`, one more."""
    if not hashes:
        return []
    listed = ", ".join(map(str, sorted(hashes)))
    query = (
        f"SELECT DISTINCT profile FROM names WHERE hash IN ({listed})"  # noqa: S608 (numbers of ours)
        f" AND profile <> {_NOBODY} LIMIT {most + 1}"
    )
    return [unsigned(profile) for (profile,) in connection.execute(query).fetchall()]


def merged(files: Collection[str], part: int) -> str:
    """SQL: all rows of these files, each pair once, as one part."""
    return f"SELECT {part}::BIGINT AS part, hash, profile, max(day) AS day FROM {read_files(files)} {_ONCE}"  # noqa: S608


def remaining(files: Collection[str], events: Collection[str], part: int) -> str:
    """SQL: the same without those whose profile has no events any more in these files of theirs."""
    there = f"SELECT profile FROM {read_files(events)}" if events else "SELECT 1 WHERE false"  # noqa: S608
    return (
        f"SELECT {part}::BIGINT AS part, hash, profile, max(day) AS day FROM {read_files(files)}"  # noqa: S608
        f" WHERE profile = {_NOBODY} OR profile IN ({there}) {_ONCE}"
    )
