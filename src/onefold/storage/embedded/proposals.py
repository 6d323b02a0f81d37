"""Proposed links in a file: SQLite (`sqlite_file`)."""

from pathlib import Path

import sqlalchemy as sa

from onefold.clock import Clock
from onefold.storage.embedded.sqlite_file import SqliteFile
from onefold.storage.proposals_sql import SqlProposals
from onefold.storage.proposals_tables import metadata


class SqliteProposals(SqlProposals):
    """The proposals at a path."""

    def __init__(self, path: Path, clock: Clock) -> None:
        """Open the database at `path`, made first if absent. Raises `StorageError`."""
        self._file = SqliteFile(path, _make_tables, "proposed links")
        super().__init__(self._file, clock)

    def backup(self, target: Path) -> None:
        """Write a consistent copy to `target`, which must not exist, while others go on. Raises `StorageError`."""
        self._file.copy(target)


def _make_tables(connection: sa.Connection) -> None:
    metadata.create_all(connection)
