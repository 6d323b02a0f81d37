"""Where the rows of many files are brought into one order: a DuckDB of the writer's own, which spills to the disk."""

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb
from arro3.core import Table

from onefold.storage import history_views
from onefold.storage.history_rows import EVENTS
from onefold.storage.history_views import quoted

_COLUMNS = ", ".join(f'"{name}"' for name in EVENTS)


class Scratch:
    """Sorts what is given to it, within its memory and beyond it on the disk."""

    def __init__(self, memory: str, disk: Path | None, options: Mapping[str, str]) -> None:
        """`options` are those of the object storage where the files lie, if they lie on no disk."""
        self._connection = duckdb.connect(":memory:")
        if disk is None:
            history_views.reach(self._connection, options)
        self._connection.execute(f"SET memory_limit = {quoted(memory)}")
        self._connection.execute(f"SET temp_directory = {quoted(str(disk / 'spill') if disk else '')}")

    @contextmanager
    def sorted(self, rows: Table) -> Iterator[Any]:
        """These rows by person and time: a stream of Arrow, to be read within the `with`."""
        self._connection.register("fresh", rows)
        try:
            yield self._connection.sql("SELECT * FROM fresh ORDER BY profile, at_ms, tie")
        finally:
            self._connection.unregister("fresh")

    def merged(self, files: Collection[str], day: str, part: int) -> Any:
        """All rows of these files of a day, sorted, as one part: a stream of Arrow, to be read before the next."""
        listed = ", ".join(map(quoted, files))
        return self._connection.sql(
            f"SELECT DATE {quoted(day)} AS day, {part}::BIGINT AS part, {_COLUMNS}"  # noqa: S608
            f" FROM read_parquet([{listed}], hive_partitioning = false) ORDER BY profile, at_ms, tie"
        )

    def close(self) -> None:
        """Let go of the memory."""
        self._connection.close()
