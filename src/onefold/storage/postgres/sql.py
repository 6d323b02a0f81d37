"""A SQL database on a server of the PostgreSQL protocol, for what is asked through SQLAlchemy."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial

import psycopg
import sqlalchemy as sa

from onefold.errors import OnefoldError, StorageError, Unavailable
from onefold.storage.postgres import driver, signs
from onefold.storage.postgres.driver import Address
from onefold.storage.postgres.signs import Signs

POOL_SIZE = 2
"""Connections that stay open; under load there are as many more as `driver.POOL_SIZE` allows."""


class SqlServer:
    """The tables of a workspace, as `catalog_sql.Database`."""

    def __init__(self, address: Address, what: str) -> None:
        """Connects when it is first asked; who watches is told of changes of `what`."""
        self._channel = f"{address.schema}_{what}"
        self._signs = Signs(address, self._channel)
        self._engine = sa.create_engine(
            "postgresql+psycopg://",
            creator=partial(driver.connect, address),
            pool_size=POOL_SIZE,
            max_overflow=driver.POOL_SIZE - POOL_SIZE,
            pool_timeout=address.timeouts.answer_s,
            pool_pre_ping=True,  # a restart of the server costs nothing, if it is back
            isolation_level="READ COMMITTED",
            use_native_hstore=False,
        )
        self._reader = self._engine.execution_options(isolation_level="AUTOCOMMIT")

    @contextmanager
    def reading(self) -> Iterator[sa.Connection]:
        """Statements that change nothing, each by itself."""
        with _translated(), self._reader.connect() as connection:
            yield connection

    @contextmanager
    def changing(self) -> Iterator[sa.Connection]:
        """A transaction that is durable once the context has ended; of its end, whoever watches is told."""
        with _translated(), self._engine.begin() as connection:
            yield connection
        with suppress(StorageError), _translated(), self._reader.connect() as connection:
            bare = connection.connection.driver_connection
            assert isinstance(bare, driver.Connection)
            signs.notify(bare, self._channel)

    def watch(self) -> int | None:
        """A file descriptor that can be read from once somebody was told."""
        return self._signs.watch()

    def close(self) -> None:
        """Let go of connections."""
        self._signs.close()
        self._engine.dispose()


@contextmanager
def _translated() -> Iterator[None]:
    try:
        with driver.translated():
            yield
    except sa.exc.DBAPIError as error:
        raise _translation(error) from error
    except sa.exc.TimeoutError as error:
        raise Unavailable(f"all connections to the database are in use: {error}") from error


def _translation(error: sa.exc.DBAPIError) -> OnefoldError:
    if isinstance(error.orig, psycopg.Error):
        return driver.translation(error.orig)
    return StorageError(f"database: {error.orig}")
