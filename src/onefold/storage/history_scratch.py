"""Where rows are brought into order before they are written: a DuckDB of the writer's own, which spills to the disk."""

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb

from onefold.storage import history_views
from onefold.storage.history_rows import EVENTS
from onefold.storage.history_views import quoted

_DAY = "epoch_ms(at_ms)::DATE AS day"
_ORDER = "profile, at_ms, tie"
_COLUMNS = ", ".join(f'"{name}"' for name in EVENTS)


class Scratch:
    """Gives rows as streams of Arrow batches. One at a time, and each is to be read within its `with`."""

    def __init__(self, memory: str, disk: Path | None) -> None:
        self._connection = duckdb.connect(":memory:")
        self._connection.execute(f"SET memory_limit = {quoted(memory)}")
        self._connection.execute(f"SET temp_directory = {quoted(str(disk / 'spill') if disk else '')}")

    @contextmanager
    def events(self, rows: Sequence[tuple[Any, ...]], part: int) -> Iterator[Any]:
        """Events as the table keeps them, sorted, a day after the other."""
        with self._table("fresh", EVENTS, rows):
            yield self._connection.sql(
                f"SELECT {_DAY}, {part}::BIGINT AS part, {_COLUMNS} FROM fresh ORDER BY day, {_ORDER}"  # noqa: S608
            )

    @contextmanager
    def rows(self, name: str, types: dict[str, str], rows: Sequence[tuple[Any, ...]]) -> Iterator[Any]:
        """Rows of these columns as they are."""
        with self._table(name, types, rows):
            yield self._connection.sql(f'SELECT * FROM "{name}"')  # noqa: S608

    @contextmanager
    def merged(self, files: Collection[str], day: str, part: int) -> Iterator[Any]:
        """All rows of these files of a day, sorted, as one part."""
        listed = ", ".join(map(quoted, files))
        yield self._connection.sql(
            f"SELECT DATE {quoted(day)} AS day, {part}::BIGINT AS part, {_COLUMNS}"  # noqa: S608
            f" FROM read_parquet([{listed}], hive_partitioning = false) ORDER BY {_ORDER}"
        )

    def close(self) -> None:
        """Let go of the memory."""
        self._connection.close()

    @contextmanager
    def _table(self, name: str, types: dict[str, str], rows: Sequence[tuple[Any, ...]]) -> Iterator[None]:
        history_views.declare(self._connection, name, types, rows)
        try:
            yield
        finally:
            self._connection.execute(f'DROP TABLE "{name}"')
