"""The catalog in a file: SQLite.

With a rollback journal and `synchronous=FULL`: a WAL is faster, but SQLite before 3.51.3 can corrupt it when several
processes write. Writers take the lock when they begin, so a read-then-write cannot fail halfway.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from onefold.clock import Clock
from onefold.errors import Damaged, StorageError, StorageFull, TooNew
from onefold.storage import catalog_tables as tables
from onefold.storage import file_watch
from onefold.storage.catalog_sql import SqlCatalog
from onefold.storage.catalog_tables import GENERATION, SCHEMA

_BUSY_TIMEOUT_MS = 10_000


class SqliteCatalog(SqlCatalog):
    """The catalog at a path."""

    tells_at_once = True

    def __init__(self, path: Path, clock: Clock) -> None:
        """Open the database at `path`, made first if absent. Raises `StorageError`, `TooNew`."""
        self._file = _File(path)
        super().__init__(self._file, clock)

    def backup(self, target: Path) -> None:
        """Write a consistent copy to `target`, which must not exist, while others go on. Raises `StorageError`."""
        self._file.copy(target)


class _File:
    def __init__(self, path: Path) -> None:
        self._path = path
        with _storage_errors(path):
            os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
        self._engine = _engine(path)
        self._writer = self._engine.execution_options(onefold_write=True)
        with self.changing() as connection:
            _make_tables(connection)

    @contextmanager
    def reading(self) -> Iterator[sa.Connection]:
        with _storage_errors(self._path), self._engine.begin() as connection:
            yield connection

    @contextmanager
    def changing(self) -> Iterator[sa.Connection]:
        with _storage_errors(self._path), self._writer.begin() as connection:
            yield connection

    def watch(self) -> int | None:
        # With a rollback journal every change is written into the file itself, under a lock that lets nobody read
        # until it is whole.
        return file_watch.written(self._path)

    def copy(self, target: Path) -> None:
        with _storage_errors(target), self._engine.connect() as connection:
            driver: Any = connection.connection.driver_connection
            os.close(os.open(target, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
            driver.execute("VACUUM INTO ?", (str(target),))

    def close(self) -> None:
        self._engine.dispose()


def _engine(path: Path) -> sa.Engine:
    engine = sa.create_engine(sa.URL.create("sqlite", database=str(path)))

    @sa.event.listens_for(engine, "connect")
    def _prepare(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # the driver begins nothing by itself; `_begin` does
        for pragma in (
            f"busy_timeout={_BUSY_TIMEOUT_MS}",
            "journal_mode=DELETE",
            "synchronous=FULL",
            "secure_delete=ON",
        ):
            connection.execute(f"PRAGMA {pragma}")

    @sa.event.listens_for(engine, "begin")
    def _begin(connection: sa.Connection) -> None:
        write = connection.get_execution_options().get("onefold_write")
        connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")

    return engine


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


@contextmanager
def _storage_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except sa.exc.DBAPIError as error:
        text = str(error.orig)
        kind = (
            StorageFull
            if "full" in text
            else Damaged
            if "malformed" in text or "not a database" in text
            else StorageError
        )
        raise kind(f"catalog {path}: {text}") from error
    except OSError as error:
        raise StorageError(f"catalog {path}: {error.strerror or error}") from error
