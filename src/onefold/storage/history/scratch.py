"""Where the rows of many files are brought into one order: a DuckDB of the writer's own, which spills to the disk."""

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import duckdb
from arro3.core import Table

from onefold.storage.history import views
from onefold.storage.history.views import quoted


class Kept(NamedTuple):
    """Rows of one table: their columns, and the order in which a file has them."""

    columns: Collection[str]
    order: str


def read_files(files: Collection[str]) -> str:
    """SQL: the rows of these files."""
    return f"read_parquet([{', '.join(map(quoted, files))}], hive_partitioning = false)"


class Scratch:
    """Sorts what is given to it, within its memory and beyond it on the disk."""

    def __init__(self, memory: str, disk: Path | None, options: Mapping[str, str]) -> None:
        """`options` are those of the object storage where the files lie, if they lie on no disk."""
        self._connection = duckdb.connect(":memory:")
        if disk is None:
            views.reach(self._connection, options)
        self._connection.execute(f"SET memory_limit = {quoted(memory)}")
        self._connection.execute(f"SET temp_directory = {quoted(str(disk / 'spill') if disk else '')}")

    @contextmanager
    def sorted(self, rows: Table, kept: Kept) -> Iterator[Any]:
        """These rows in their order: a stream of Arrow, to be read within the `with`."""
        self._connection.register("fresh", rows)
        try:
            yield self._connection.sql(f"SELECT * FROM fresh ORDER BY {kept.order}")  # noqa: S608
        finally:
            self._connection.unregister("fresh")

    def merged(self, files: Collection[str], day: str, part: int, kept: Kept) -> Any:
        """All rows of these files of a day, sorted, as one part: a stream of Arrow, to be read before the next."""
        columns = ", ".join(f'"{name}"' for name in kept.columns)
        return self.asked(
            f"SELECT DATE {quoted(day)} AS day, {part}::BIGINT AS part, {columns}"  # noqa: S608
            f" FROM {read_files(files)} ORDER BY {kept.order}"
        )

    def asked(self, query: str) -> Any:
        """What a SELECT over files gives: a stream of Arrow, to be read before the next."""
        return self._connection.sql(query)

    def close(self) -> None:
        """Let go of the memory."""
        self._connection.close()
