"""A SQL database in a file: SQLite, as durable and as shareable as it can be.

With a rollback journal and `synchronous=FULL`: a WAL is faster, but SQLite before 3.51.3 can corrupt it when several
processes write. Writers take the lock when they begin, so a read-then-write cannot fail halfway.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from onefold.errors import Damaged, StorageError, StorageFull
from onefold.storage.embedded import file_watch

_BUSY_TIMEOUT_MS = 10_000


class SqliteFile:
    """A database in a file, as `catalog_sql.Database`."""

    def __init__(self, path: Path, make_tables: Callable[[sa.Connection], None], what: str) -> None:
        """Open the file, made first if absent; `what` it is, says every error. Raises `StorageError` and its kin."""
        self._path = path
        self._what = what
        with self._errors(path):
            os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
        self._engine = _engine(path)
        self._writer = self._engine.execution_options(onefold_write=True)
        with self.changing() as connection:
            make_tables(connection)

    @contextmanager
    def reading(self) -> Iterator[sa.Connection]:
        """A transaction that changes nothing."""
        with self._errors(self._path), self._engine.begin() as connection:
            yield connection

    @contextmanager
    def changing(self) -> Iterator[sa.Connection]:
        """A transaction that is durable once the context has ended."""
        with self._errors(self._path), self._writer.begin() as connection:
            yield connection

    def watch(self) -> int | None:
        """A file descriptor that can be read from once the file was written."""
        # With a rollback journal every change is written into the file itself, under a lock that lets nobody read
        # until it is whole.
        return file_watch.written(self._path)

    def copy(self, target: Path) -> None:
        """Write a consistent copy to `target`, which must not exist, while others go on."""
        with self._errors(target), self._engine.connect() as connection:
            driver: Any = connection.connection.driver_connection
            os.close(os.open(target, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
            driver.execute("VACUUM INTO ?", (str(target),))

    def close(self) -> None:
        """Let go of the file."""
        self._engine.dispose()

    def _errors(self, path: Path) -> AbstractContextManager[None]:
        return _storage_errors(f"{self._what} {path}")


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


@contextmanager
def _storage_errors(where: str) -> Iterator[None]:
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
        raise kind(f"{where}: {text}") from error
    except OSError as error:
        raise StorageError(f"{where}: {error.strerror or error}") from error
