"""The table of recasts: which events of the past are whose since people were taken apart, and who is there again.

Rows of events and merges are never changed for it. A reader sees `events` with whose each is now, and `merges` without
those that were undone; `told_merges` has all of them, each with the instant at which it was undone. Events that a
recast has made nobody's are not among the events: rows of theirs stay, and nobody asks for them. Where nobody was ever
taken apart there is no join, and reading costs what it cost before.
"""

from collections.abc import Collection, Sequence
from typing import Any

from onefold.limits import NEVER_MS
from onefold.model.past import Past, PastRecast, signed
from onefold.ports import Connection
from onefold.storage.history import arrow, layout
from onefold.storage.history.layout import EVENTS, MERGES, RECASTS
from onefold.storage.history.table import Shape, types_of

SHAPE = Shape(types_of(RECASTS), by_day=False, measured=("seq",))

_ALL_MERGES = ", ".join(MERGES)
_TOLD = f"""CREATE VIEW told_merges AS SELECT {_ALL_MERGES}, coalesce((SELECT min(at_ms) FROM ends WHERE
ends.profile = m.absorbed AND (ends.at_ms > m.at_ms OR (ends.at_ms = m.at_ms AND ends.partition = m.partition
AND ends.position > m.position))), {NEVER_MS}) AS undone_ms FROM stored_merges AS m"""  # noqa: S608 (names of ours)
"""A merge ends where the profile is there again, or is made another's."""
_ENDS = """CREATE TABLE ends AS SELECT profile, at_ms, "partition", "position" FROM recasts WHERE event_partition < 0
UNION ALL SELECT absorbed, at_ms, "partition", "position" FROM stored_merges
WHERE absorbed IN (SELECT absorbed FROM stored_merges GROUP BY absorbed HAVING count(*) > 1)"""
_OWNED = """CREATE TABLE owned AS SELECT event_partition AS "partition", event_position AS "position",
arg_max(profile, seq) AS owner FROM recasts WHERE event_partition >= 0 GROUP BY ALL"""
_OWNER = "coalesce(o.owner, e.profile)"
_JOINED = 'AS e LEFT JOIN owned AS o ON e."partition" = o."partition" AND e."position" = o."position"'


def rows(recasts: Sequence[PastRecast]) -> Any:
    """Recasts as the table keeps them."""
    return arrow.table(RECASTS, layout.recast_columns(recasts))


def names(*, recast: bool) -> tuple[str, str]:
    """What the relations of stored events and merges are to be called."""
    return ("stored_events", "stored_merges") if recast else ("events", "merges")


def show(connection: Connection, *, recast: bool) -> None:
    """Lay what recasts changed over the stored relations, where there was any; `recasts` is there."""
    if not recast:
        connection.execute(f"CREATE VIEW told_merges AS SELECT {_ALL_MERGES}, {NEVER_MS} AS undone_ms FROM merges")  # noqa: S608
        return
    for statement in (_ENDS, _OWNED, _TOLD):
        connection.execute(statement)
    connection.execute(f"CREATE VIEW merges AS SELECT {_ALL_MERGES} FROM told_merges WHERE undone_ms = {NEVER_MS}")  # noqa: S608
    connection.execute(f"CREATE VIEW events AS SELECT {_columns()} FROM stored_events {_JOINED} WHERE {_OWNER} <> 0")  # noqa: S608


def stored_events(connection: Connection) -> str:
    """The relation of events whose `profile` is the one that they were written with."""
    named = f"table_name = '{names(recast=True)[0]}'"
    found = connection.execute(f"SELECT 1 FROM information_schema.tables WHERE {named}").fetchall()  # noqa: S608
    return names(recast=bool(found))[0]


def written_as(connection: Connection, profiles: Collection[int]) -> str:
    """SQL: those rows of `events` that were written as these profiles', of whom there are some; others are not read."""
    events = stored_events(connection)
    written = f"(SELECT * FROM {events} WHERE profile IN ({_listed({signed(each) for each in profiles})}))"  # noqa: S608
    if events == names(recast=False)[0]:
        return written
    return f"(SELECT {_columns()} FROM {written} {_JOINED} WHERE {_OWNER} <> 0)"  # noqa: S608


def owned_by(connection: Connection, profiles: Collection[int]) -> str:
    """SQL: those rows of `events` that are these profiles' now, of whom there are some; others are hardly read."""
    wanted = {signed(profile) for profile in profiles}
    events = stored_events(connection)
    if events == names(recast=False)[0]:
        return f"(SELECT * FROM {events} WHERE profile IN ({_listed(wanted)}))"  # noqa: S608 (names and numbers of ours)
    stored, known = set(wanted), -1
    while len(stored) != known:
        known = len(stored)
        found = connection.execute(
            f"SELECT DISTINCT former FROM recasts WHERE event_partition >= 0 AND profile IN ({_listed(stored)})"  # noqa: S608
        ).fetchall()
        stored |= {former for (former,) in found}
    return (
        f"(SELECT {_columns()} FROM (SELECT * FROM stored_events WHERE profile IN ({_listed(stored)})) {_JOINED}"  # noqa: S608
        f" WHERE {_OWNER} IN ({_listed(wanted)}))"
    )


def of_profiles(connection: Connection, profiles: Collection[int]) -> list[Past]:
    """These profiles' events, as they are owned now; only files that have any of theirs are read."""
    query = f"SELECT * FROM {owned_by(connection, profiles)} ORDER BY at_ms, tie"  # noqa: S608
    return [layout.past(row) for row in connection.execute(query).fetchall()]


def _columns() -> str:
    return ", ".join(f'{_OWNER} AS "{name}"' if name == "profile" else f'e."{name}"' for name in EVENTS)


def _listed(profiles: Collection[int]) -> str:
    return ", ".join(map(str, sorted(profiles)))
