"""The relations `events`, `merges`, `moves` and `recasts` in DuckDB, as every engine shows them, and reading them.

Which file or table stands behind a relation is the engine's; these statements and what they give are the same.
"""

from collections.abc import Collection, Iterator, Mapping
from typing import Any

import duckdb

from onefold.model.past import Extent, Past, PastMerge, PastMove, PastRecast, signed
from onefold.ports import Connection
from onefold.storage.history import arrow, layout
from onefold.storage.history.arrow import Columns
from onefold.storage.history.layout import EVENTS, MERGES, MOVES, RECASTS

_BATCH = 2_000
"""Rows that become events at once."""


def declare(connection: Connection, relation: str, types: Mapping[str, str], columns: Columns = ()) -> None:
    """Make a table of these columns in DuckDB's memory; without any it is empty."""
    spelt = ", ".join(f'"{name}" {kind}' for name, kind in types.items())
    connection.execute(f'CREATE TABLE "{relation}" ({spelt})')
    if columns:
        fill(connection, relation, types, columns)


def fill(connection: Connection, relation: str, types: Mapping[str, str], columns: Columns) -> None:
    """Append rows to such a table, given as columns."""
    connection.register("fresh_rows", arrow.table(types, columns))
    connection.execute(f'INSERT INTO "{relation}" SELECT * FROM fresh_rows')  # noqa: S608
    connection.unregister("fresh_rows")


def opened(spill: str = "") -> Connection:
    """A DuckDB in memory that goes on in this directory where its memory is full, or else nowhere."""
    connection: Connection = duckdb.connect(":memory:")
    connection.execute(f"SET temp_directory = {quoted(spill)}")
    connection.execute("SET enable_progress_bar = false")
    return connection


def show(connection: Connection, relation: str, types: dict[str, str], files: Collection[str]) -> None:
    """Make a view of these columns over Parquet files."""
    listed = ", ".join(map(quoted, files))
    source = f"read_parquet([{listed}], hive_partitioning = false)" if files else "(SELECT 1) WHERE false"
    shown = _all(types) if files else ", ".join(f'NULL::{kind} AS "{name}"' for name, kind in types.items())
    connection.execute(f'CREATE VIEW "{relation}" AS SELECT {shown} FROM {source}')  # noqa: S608


def reach(connection: Connection, options: Mapping[str, str]) -> None:
    """Let DuckDB read S3-compatible storage under the options that the table library has; its extension is fetched."""
    secret = {name: options[key] for name, key in _S3.items() if options.get(key)}
    if (endpoint := options.get("AWS_ENDPOINT_URL", "")) != "":
        scheme, _, host = endpoint.rpartition("://")
        secret |= {"ENDPOINT": host, "USE_SSL": str(scheme != "http").lower(), "URL_STYLE": "path"}
    known = ", ".join(f"{name} {quoted(value)}" for name, value in secret.items())
    source = known if "KEY_ID" in secret else ", ".join(filter(None, ("PROVIDER credential_chain", known)))
    connection.execute("INSTALL httpfs")
    connection.execute("LOAD httpfs")
    connection.execute(f"CREATE SECRET (TYPE s3, {source})")


_S3 = {
    "KEY_ID": "AWS_ACCESS_KEY_ID",
    "SECRET": "AWS_SECRET_ACCESS_KEY",
    "SESSION_TOKEN": "AWS_SESSION_TOKEN",
    "REGION": "AWS_REGION",
}
"""What DuckDB calls an option → what the table library calls it."""


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
    rows = connection.execute(
        f"SELECT {_all(EVENTS)} FROM events WHERE profile IN ({listed(profiles)}) ORDER BY at_ms, tie"  # noqa: S608
    ).fetchall()
    return [layout.past(row) for row in rows]


def scan(connection: Connection, extent: Extent) -> Iterator[list[Past]]:
    """The extent's events, by profile and then in the order in which they happened, some thousand at a time."""
    where, values = _condition(extent)
    connection.execute(
        f"SELECT {_all(EVENTS)} FROM events WHERE {where} ORDER BY profile, at_ms, tie",  # noqa: S608
        values,
    )
    while rows := connection.fetchmany(_BATCH):
        yield [layout.past(row) for row in rows]


def merges(connection: Connection, absorbed: Collection[int] | None = None) -> list[PastMerge]:
    """All merges, or those by which these profiles ended, in the order of log time."""
    if absorbed is not None and not absorbed:
        return []
    where = "" if absorbed is None else f" WHERE absorbed IN ({listed(absorbed)})"
    rows = connection.execute(
        f"SELECT {_all(MERGES)}, undone_ms FROM told_merges{where}"  # noqa: S608
        " ORDER BY at_ms, partition, position, absorbed"
    )
    return [layout.past_merge(row) for row in rows.fetchall()]


def recasts(connection: Connection) -> list[PastRecast]:
    """All recasts, in the order in which they happened."""
    query = f"SELECT {_all(RECASTS)} FROM recasts ORDER BY seq, event_partition, event_position"  # noqa: S608
    rows = connection.execute(query)
    return [layout.past_recast(row) for row in rows.fetchall()]


def moves_of(connection: Connection, profiles: Collection[int], *, relation: str = "moves") -> list[PastMove]:
    """The moves of these profiles, in the order in which they happened."""
    if not profiles:
        return []
    rows = connection.execute(
        f"SELECT {_all(MOVES)} FROM {relation} WHERE profile IN ({listed(profiles)}) ORDER BY seq"  # noqa: S608
    )
    return [layout.past_move(row) for row in rows.fetchall()]


def moves_since(connection: Connection) -> int | None:
    """From when on all moves are there."""
    found = connection.execute("SELECT max(at_ms) FROM moves WHERE audience = '' AND profile = 0").fetchall()
    since_ms: int | None = found[0][0]
    return since_ms


def listed(profiles: Collection[int]) -> str:
    """Profiles as literals, which are held against the files' statistics; a join would read every file."""
    return ", ".join(str(signed(profile)) for profile in profiles)


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
