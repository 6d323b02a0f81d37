"""The relations `events` and `merges` in DuckDB, as every engine of history shows them, and reading from them.

Which file or table stands behind a relation is the engine's; these statements and what they give are the same.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from onefold.model.past import Extent, Past, PastMerge, signed
from onefold.ports import Connection
from onefold.storage import history_arrow, history_rows
from onefold.storage.history_rows import EVENTS, MERGES

_BATCH = 2_000
"""Rows that become events at once."""


def declare(connection: Connection, relation: str, types: Mapping[str, str], rows: Sequence[Sequence[Any]]) -> None:
    """Make a table of these columns and rows in DuckDB's memory."""
    spelt = ", ".join(f'"{name}" {kind}' for name, kind in types.items())
    connection.execute(f'CREATE TABLE "{relation}" ({spelt})')
    fill(connection, relation, types, rows)


def fill(connection: Connection, relation: str, types: Mapping[str, str], rows: Sequence[Sequence[Any]]) -> None:
    """Append rows to such a table."""
    connection.register("fresh_rows", history_arrow.table(types, rows))
    connection.execute(f'INSERT INTO "{relation}" SELECT * FROM fresh_rows')  # noqa: S608
    connection.unregister("fresh_rows")


def show(connection: Connection, relation: str, types: dict[str, str], files: Collection[str]) -> None:
    """Make a view of these columns over Parquet files."""
    listed = ", ".join(map(quoted, files))
    source = f"read_parquet([{listed}], hive_partitioning = false)" if files else "(SELECT 1) WHERE false"
    shown = _all(types) if files else ", ".join(f'NULL::{kind} AS "{name}"' for name, kind in types.items())
    connection.execute(f'CREATE VIEW "{relation}" AS SELECT {shown} FROM {source}')  # noqa: S608


def seal(connection: Connection, files: Collection[str]) -> None:
    """From now on this connection reaches these files and nothing else outside of its memory; nobody can undo that."""
    if files:
        connection.execute(f"SET allowed_paths = [{', '.join(map(quoted, files))}]")
    connection.execute("SET enable_external_access = false")


def quoted(text: str) -> str:
    """A text as SQL writes it."""
    return "'" + text.replace("'", "''") + "'"


def of_profiles(connection: Connection, profiles: Collection[int]) -> list[Past]:
    """These profiles' events, in the order in which they happened."""
    if not profiles:
        return []
    # As literals, which are held against the files' statistics; a join would read every file.
    wanted = ", ".join(str(signed(profile)) for profile in profiles)
    rows = connection.execute(
        f"SELECT {_all(EVENTS)} FROM events WHERE profile IN ({wanted}) ORDER BY at_ms, tie"  # noqa: S608
    ).fetchall()
    return [history_rows.past(row) for row in rows]


def scan(connection: Connection, extent: Extent) -> Iterator[list[Past]]:
    """The extent's events, by profile and then in the order in which they happened, some thousand at a time."""
    where, values = _condition(extent)
    connection.execute(
        f"SELECT {_all(EVENTS)} FROM events WHERE {where} ORDER BY profile, at_ms, tie",  # noqa: S608
        values,
    )
    while rows := connection.fetchmany(_BATCH):
        yield [history_rows.past(row) for row in rows]


def merges(connection: Connection) -> list[PastMerge]:
    """All merges, in the order of log time."""
    rows = connection.execute(
        f"SELECT {_all(MERGES)} FROM merges ORDER BY at_ms, partition, position, absorbed"  # noqa: S608
    )
    return [history_rows.past_merge(row) for row in rows.fetchall()]


def _all(types: dict[str, str]) -> str:
    return ", ".join(f'"{name}"' for name in types)


def _condition(extent: Extent) -> tuple[str, list[Any]]:
    parts, values = ["at_ms >= ? AND at_ms < ?"], [extent.since_ms, extent.until_ms]
    bound: list[Any] = list(values)
    if extent.names is not None:
        parts.append("name IN (SELECT unnest(?::VARCHAR[]))")
        bound.append(list(extent.names))
    if extent.before is not None:
        places = " OR ".join("(partition = ? AND position < ?)" for _ in extent.before)
        parts.append(f"({places or 'false'})")
        bound += [number for place in extent.before.items() for number in place]
    return " AND ".join(parts), bound
