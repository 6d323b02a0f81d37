"""The catalog on a server of the PostgreSQL protocol: the same questions as in a file, over connections to it.

Changes take turns by the generation's row, which each of them changes first (`catalog_sql`); what they read after that
is what the one before them has left, as every statement sees what was committed before it. Reads are single statements.
"""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import NamedTuple

import psycopg
import sqlalchemy as sa

from onefold.clock import Clock
from onefold.errors import OnefoldError, StorageError, Unavailable
from onefold.storage import postgres, postgres_migration, postgres_signs
from onefold.storage.catalog_sql import SqlCatalog
from onefold.storage.postgres import DEFAULT_WORKSPACE, Address, Timeouts
from onefold.storage.postgres_signs import Signs

POOL_SIZE = 2
"""Connections that stay open; under load there are as many more as `postgres.POOL_SIZE` allows."""


class Options(NamedTuple):
    """How to reach the server."""

    role: str = "onefold catalog"
    """Shown as application_name in `pg_stat_activity`."""
    timeouts: Timeouts = Timeouts()


class PostgresCatalog(SqlCatalog):
    """The catalog of a workspace. Any number of handles may be open; each has a few connections."""

    tells_at_once = False

    def __init__(
        self, url: str, clock: Clock, workspace: str = DEFAULT_WORKSPACE, *, options: Options | None = None
    ) -> None:
        """Open, making or migrating the workspace's schema.

        Raises `TooNew`, having written nothing, where a newer Onefold made it, and as `postgres.connect` does.
        """
        found = options or Options()
        address = Address(url, postgres.schema_of(workspace), found.role, found.timeouts)
        postgres_migration.migrate(url, address.schema)
        super().__init__(_Server(address), clock)


class _Server:
    def __init__(self, address: Address) -> None:
        self._channel = f"{address.schema}_catalog"
        self._signs = Signs(address, self._channel)
        self._engine = sa.create_engine(
            "postgresql+psycopg://",
            creator=partial(postgres.connect, address),
            pool_size=POOL_SIZE,
            max_overflow=postgres.POOL_SIZE - POOL_SIZE,
            pool_timeout=address.timeouts.answer_s,
            pool_pre_ping=True,  # a restart of the server costs nothing, if it is back
            isolation_level="READ COMMITTED",
            use_native_hstore=False,
        )
        self._reader = self._engine.execution_options(isolation_level="AUTOCOMMIT")

    @contextmanager
    def reading(self) -> Iterator[sa.Connection]:
        with _translated(), self._reader.connect() as connection:
            yield connection

    @contextmanager
    def changing(self) -> Iterator[sa.Connection]:
        with _translated(), self._engine.begin() as connection:
            yield connection
        with suppress(StorageError), _translated(), self._reader.connect() as connection:
            driver = connection.connection.driver_connection
            assert isinstance(driver, postgres.Connection)
            postgres_signs.notify(driver, self._channel)

    def watch(self) -> int | None:
        return self._signs.watch()

    def close(self) -> None:
        self._signs.close()
        self._engine.dispose()


@contextmanager
def _translated() -> Iterator[None]:
    try:
        with postgres.translated():
            yield
    except sa.exc.DBAPIError as error:
        raise _translation(error) from error
    except sa.exc.TimeoutError as error:
        raise Unavailable(f"all connections to the database are in use: {error}") from error


def _translation(error: sa.exc.DBAPIError) -> OnefoldError:
    if isinstance(error.orig, psycopg.Error):
        return postgres.translation(error.orig)
    return StorageError(f"catalog: {error.orig}")
