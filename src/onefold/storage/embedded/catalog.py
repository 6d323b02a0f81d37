"""The catalog in a file: SQLite (`sqlite_file`)."""

from pathlib import Path

import sqlalchemy as sa

from onefold.clock import Clock
from onefold.errors import TooNew
from onefold.storage import catalog_tables as tables
from onefold.storage.catalog_sql import SqlCatalog
from onefold.storage.catalog_tables import GENERATION, SCHEMA
from onefold.storage.embedded.sqlite_file import SqliteFile


class SqliteCatalog(SqlCatalog):
    """The catalog at a path."""

    tells_at_once = True

    def __init__(self, path: Path, clock: Clock) -> None:
        """Open the database at `path`, made first if absent. Raises `StorageError`, `TooNew`."""
        self._file = SqliteFile(path, _make_tables, "catalog")
        super().__init__(self._file, clock)

    def backup(self, target: Path) -> None:
        """Write a consistent copy to `target`, which must not exist, while others go on. Raises `StorageError`."""
        self._file.copy(target)


def _make_tables(connection: sa.Connection) -> None:
    tables.metadata.create_all(connection)
    rows = connection.execute(sa.select(tables.numbers.c.name, tables.numbers.c.value))
    found: dict[str, int] = {row.name: row.value for row in rows}
    if found.get("schema", SCHEMA) > SCHEMA:
        raise TooNew(
            f"the catalog has schema {found['schema']}; this Onefold knows schemas up to {SCHEMA}: please upgrade it"
        )
    for name, value in (("schema", SCHEMA), (GENERATION, 1)):
        if name not in found:
            connection.execute(tables.numbers.insert().values(name=name, value=value))
