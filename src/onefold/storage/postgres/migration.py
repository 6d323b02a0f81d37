"""Making a workspace's SQL schema and bringing it up to date, with Alembic, before anybody uses it.

The schema's table `alembic_version` says what is there. Migrations are the modules of `migrations`; each names the one
before it, and is one transaction together with all others that are due.
"""

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import sqlalchemy

from onefold.errors import NotFoundError, StorageError, TooNew
from onefold.storage.postgres import driver
from onefold.storage.postgres.driver import PATIENT, Address, Connection, errors

if TYPE_CHECKING:
    from alembic.script import ScriptDirectory

MIGRATIONS = Path(__file__).parent / "migrations"
_LOCK = 0x4F6E65666F6C64
"""`Onefold`: the advisory lock under which schemas are made, one after the other."""
_RACES = (errors.UniqueViolation, errors.DuplicateTable, errors.DuplicateSchema, errors.SerializationFailure)
_ATTEMPTS = 5
"""Without advisory locks, processes that start at once hinder each other, and all but one of them try again."""


@cache
def revisions() -> tuple[str, ...]:
    """All that this code knows, the newest first, which is the one that it needs."""
    return tuple(script.revision for script in _scripts().walk_revisions())


def migrate(url: str, schema: str) -> None:
    """Make this schema, or bring it up to date; any number of processes may do so at once, and most find it done.

    Raises `TooNew`, having changed nothing, where a newer Onefold made it; otherwise as `driver.connect` does.
    """
    address = Address(url, schema, "onefold migrate", PATIENT)
    connection = driver.connect(address)
    try:
        with driver.translated():
            done = found_revision(connection) == revisions()[0]
    finally:
        connection.close()
    if not done:
        _make(address)


def require_current(connection: Connection, schema: str) -> None:
    """Raise `NotFoundError` where there is no such schema yet, `TooNew` or `StorageError` where it is another's."""
    found = found_revision(connection)
    if found is None:
        raise NotFoundError(f"there is no schema {schema} yet; it is being made")
    if found != revisions()[0]:
        raise StorageError(f"the schema {schema} is older than this Onefold; start the platform once to migrate it")


def found_revision(connection: Connection) -> str | None:
    """The revision of the schema that the connection is for; None: there is nothing. Raises `TooNew`."""
    try:
        row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    except errors.UndefinedTable:
        return None
    found = None if row is None else str(row[0])
    if found is not None and found not in revisions():
        raise TooNew(f"the database has format {found}; this Onefold knows up to {revisions()[0]}: please upgrade it")
    return found


def _make(address: Address) -> None:
    engine = sqlalchemy.create_engine(
        "postgresql+psycopg://", creator=lambda: _manual(driver.connect(address)), poolclass=sqlalchemy.NullPool
    )
    for attempt in range(_ATTEMPTS):
        try:
            with engine.begin() as bound:
                _upgrade(bound, address.schema)
        except sqlalchemy.exc.DBAPIError as error:
            if isinstance(error.orig, _RACES) and attempt < _ATTEMPTS - 1:
                continue
            if isinstance(error.orig, errors.Error):
                raise driver.translation(error.orig) from error
            raise
        else:
            return


def _upgrade(bound: sqlalchemy.Connection, schema: str) -> None:
    """Run what is due, in the transaction that has begun; it is nothing where another process was faster."""
    from alembic.config import Config
    from alembic.runtime.environment import EnvironmentContext

    _wait_for_others(bound)
    if not bound.exec_driver_sql("SELECT 1 FROM pg_namespace WHERE nspname = %s", (schema,)).first():
        bound.exec_driver_sql(f'CREATE SCHEMA "{schema}"')
    scripts = _scripts()
    environment = EnvironmentContext(Config(), scripts, fn=lambda found, _: scripts._upgrade_revs("head", found))  # noqa: SLF001 - what Alembic's own `upgrade` does
    with environment:
        environment.configure(connection=bound, version_table_schema=schema)
        environment.run_migrations()


def _wait_for_others(bound: sqlalchemy.Connection) -> None:
    """Let whoever makes schemas now end, where the server has advisory locks: not all of PostgreSQL's kin do."""
    try:
        with bound.begin_nested():
            bound.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_LOCK})")
    except sqlalchemy.exc.DBAPIError as error:
        if not isinstance(error.orig, errors.UndefinedFunction | errors.FeatureNotSupported):
            raise


def _manual(connection: Connection) -> Connection:
    """SQLAlchemy begins and ends the transactions."""
    connection.autocommit = False
    return connection


def _scripts() -> "ScriptDirectory":
    from alembic.script import ScriptDirectory

    return ScriptDirectory(str(MIGRATIONS), version_locations=[str(MIGRATIONS)])
