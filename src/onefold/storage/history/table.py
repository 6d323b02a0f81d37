"""One Delta table, on a disk or in object storage: what history asks of the library that reads and writes them.

Every change is one commit of the table, and carries the cursor (an *application transaction* of the format), so that
rows and cursor are there together or not at all.
"""

import errno
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, NamedTuple
from urllib.parse import unquote

import duckdb
from deltalake import (
    ColumnProperties,
    CommitProperties,
    DeltaTable,
    Field,
    PostCommitHookProperties,
    Schema,
    Transaction,
    WriterProperties,
    write_deltalake,
)
from deltalake.exceptions import DeltaError, TableNotFoundError
from deltalake.schema import PrimitiveType

from onefold.errors import NotFoundError, StorageError, StorageFull
from onefold.storage.history import disk
from onefold.storage.history.compaction import DataFile

_APP = "onefold"
"""Under this name the cursor stands in the table."""
_ROW_GROUP_ROWS = 16_384
_LEVEL = 3
"""Of zstd."""
_ASCENDING = ("position", "profile", "at_ms", "received_ms", "hash")
_DIFFERENCES: Literal["DELTA_BINARY_PACKED"] = "DELTA_BINARY_PACKED"
_RANDOM = ("tie", "message_id")
"""A dictionary of what is never the same would be stored beside it."""
_LENGTHS: Literal["DELTA_LENGTH_BYTE_ARRAY"] = "DELTA_LENGTH_BYTE_ARRAY"
_KEPT = {"delta.logRetentionDuration": "interval 1 days", "delta.checkpointInterval": "100"}
_QUIET = PostCommitHookProperties(create_checkpoint=True, cleanup_expired_logs=True)


class Shape(NamedTuple):
    """What a table looks like."""

    columns: Mapping[str, str]
    """Column → its type, as the format calls it."""
    by_day: bool
    """Partitioned by its column `day`."""
    measured: Sequence[str]
    """Columns whose smallest and largest value stand in the table's log for each file."""


_TYPES = {
    "DATE": "date", "SMALLINT": "short", "INTEGER": "integer", "BIGINT": "long", "BLOB": "binary", "VARCHAR": "string",
    "BOOLEAN": "boolean",
}  # fmt: skip
"""SQL type → what the table format calls it."""


def types_of(columns: Mapping[str, str]) -> dict[str, str]:
    """Column → its type, as the format calls it; given as SQL calls it."""
    return {name: _TYPES[kind] for name, kind in columns.items()}


class Table:
    """A snapshot of one table, which `refresh` moves on, and every change too. Not for many threads."""

    def __init__(self, location: str, shape: Shape, options: Mapping[str, str], *, create: bool) -> None:
        """Raises `NotFoundError` where there is none and none is to be made."""
        self._disk = None if "://" in location else Path(location)
        self._options = dict(options)
        self._location = location
        with translated(location):
            if create:
                self._make(shape)
            self._table = DeltaTable(location, storage_options=self._options or None)

    @property
    def version(self) -> int:
        """The number of the snapshot's commit."""
        return self._table.version()

    @property
    def cursor(self) -> int:
        """The cursor of the snapshot; 0: none was written yet."""
        with translated(self._location):
            return self._table.transaction_version(_APP) or 0

    def refresh(self) -> bool:
        """Go to the newest snapshot; whether that is another one."""
        before = self.version
        with translated(self._location):
            self._table.update_incremental()
        return self.version != before

    def files(self) -> list[DataFile]:
        """The files of the snapshot."""
        with translated(self._location):
            found = self._table.get_add_actions(flatten=True)
            names = set(found.schema.names)
            columns = [
                found.column(name).to_pylist() if name in names else [None] * found.num_rows
                for name in ("path", "partition.day", "size_bytes", "num_records", "max.part")
            ]
        return [
            DataFile(path, str(day or ""), size, rows, part or 0)
            for path, day, size, rows, part in zip(*columns, strict=True)
        ]

    def uris(self) -> list[str]:
        """Where the files of the snapshot lie."""
        return [self._uri(file.path) for file in self.files()]

    def located(self) -> list[tuple[str, DataFile]]:
        """Each file of the snapshot with where it lies."""
        return [(self._uri(file.path), file) for file in self.files()]

    def append(self, rows: Any, cursor: int) -> None:
        """Add rows (whatever exports a stream of Arrow) and set the cursor, in one commit, on the disk afterwards."""
        self._write(rows, cursor, mode="append")

    def add(self, rows: Any) -> None:
        """Add rows in one commit, and leave the cursor where it is."""
        self._write(rows, self.cursor, mode="append")

    def replace(self, rows: Any, predicate: str | None = None) -> None:
        """Put rows in the place of those that match a predicate, or of all, in one commit."""
        self._write(rows, self.cursor, mode="overwrite", predicate=predicate)

    def delete(self, predicate: str) -> int:
        """Remove the rows that match, in one commit; how many there were."""
        with translated(self._location):
            done = self._table.delete(predicate, writer_properties=_properties(), post_commithook_properties=_QUIET)
        self._sync()
        return int(done["num_deleted_rows"] or 0)

    def vacuum(self, grace_hours: int) -> int:
        """Remove files that are in no snapshot of the last hours; how many."""
        with translated(self._location):
            gone = self._table.vacuum(grace_hours, dry_run=False, enforce_retention_duration=False, full=True)
        self._sync()
        return len(gone)

    def _write(self, rows: Any, cursor: int, **how: Any) -> None:
        with translated(self._location):
            write_deltalake(
                self._table,
                rows,
                writer_properties=_properties(),
                commit_properties=CommitProperties(app_transactions=[Transaction(_APP, cursor)]),
                post_commithook_properties=_QUIET,
                **how,
            )
        self._sync()

    def _uri(self, path: str) -> str:
        return f"{self._location}/{unquote(path)}" if self._disk is not None else f"{self._location}/{path}"

    def _make(self, shape: Shape) -> None:
        if self._disk is not None:
            self._disk.mkdir(parents=True, exist_ok=True)
            disk.mend(self._disk)
        DeltaTable.create(
            self._location,
            Schema([Field(name, PrimitiveType(kind)) for name, kind in shape.columns.items()]),
            mode="ignore",
            partition_by=["day"] if shape.by_day else None,
            configuration=_KEPT | {"delta.dataSkippingStatsColumns": ",".join(shape.measured)},
            storage_options=self._options or None,
        )

    def _sync(self) -> None:
        if self._disk is not None:
            with translated(self._location):
                disk.sync(self._disk, self.version)


def _properties() -> WriterProperties:
    plain = {name: ColumnProperties(dictionary_enabled=False, encoding=_DIFFERENCES) for name in _ASCENDING}
    plain |= {name: ColumnProperties(dictionary_enabled=False, encoding=_LENGTHS) for name in _RANDOM}
    return WriterProperties(
        compression="ZSTD", compression_level=_LEVEL, max_row_group_size=_ROW_GROUP_ROWS, column_properties=plain
    )


@contextmanager
def translated(location: str) -> Iterator[None]:
    """Errors of the libraries become ours, with where they happened."""
    try:
        yield
    except TableNotFoundError as error:
        raise NotFoundError(f"there is no history at {location} yet") from error
    except (DeltaError, duckdb.Error, OSError) as error:
        full = getattr(error, "errno", None) == errno.ENOSPC or "No space left" in str(error)
        raise (StorageFull if full else StorageError)(f"history at {location}: {error}") from error
