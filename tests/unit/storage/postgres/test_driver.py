"""What can be said of PostgreSQL without one: names, errors, a server that is not there, packages that are missing."""

import subprocess
import sys

import psycopg
import pytest
from psycopg import errors

from onefold.errors import Conflict, OnefoldError, SettingsError, StorageError, StorageFull, Unavailable
from onefold.storage.postgres import driver
from onefold.storage.postgres.driver import Address
from onefold.storage.postgres.state import PostgresState
from onefold.storage.postgres.state_rows import given, ids, kept

MODULES = ("driver", "migration", "signs", "state")


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (errors.SerializationFailure("x"), Conflict),
        (errors.DeadlockDetected("x"), Conflict),
        (errors.DiskFull("x"), StorageFull),
        (errors.AdminShutdown("x"), Unavailable),
        (errors.CannotConnectNow("x"), Unavailable),
        (errors.QueryCanceled("x"), Unavailable),
        (errors.LockNotAvailable("x"), Unavailable),
        (errors.TooManyConnections("x"), Unavailable),
        (errors.ConnectionFailure("x"), Unavailable),
        (errors.ReadOnlySqlTransaction("x"), Unavailable),
        (errors.IdleInTransactionSessionTimeout("x"), Unavailable),
        (psycopg.OperationalError("server closed the connection unexpectedly"), Unavailable),
        (psycopg.InterfaceError("the connection is closed"), Unavailable),
        (errors.UndefinedTable("x"), StorageError),
        (errors.InsufficientPrivilege("x"), StorageError),
        (errors.SyntaxError("x"), StorageError),
    ],
    ids=lambda each: each.__name__ if isinstance(each, type) else type(each).__name__,
)
def test_each_error_is_one_of_ours(error: psycopg.Error, kind: type[OnefoldError]) -> None:
    """Who is to blame and whether a retry helps is said by our own kind of error, and just by that kind."""
    assert type(driver.translation(error)) is kind


@pytest.mark.parametrize("name", ["default", "shop_2", "a" * 40])
def test_a_workspace_is_a_schema(name: str) -> None:
    """The schema is named after the workspace."""
    assert driver.schema_of(name) == f"onefold_{name}"


@pytest.mark.parametrize("name", ["", "Shop", "a-b", 'a"b', "2", "a" * 41, "ä"])
def test_a_name_that_is_none_is_refused(name: str) -> None:
    """What could not be a schema's name, or would have to be quoted, is no workspace."""
    with pytest.raises(SettingsError):
        driver.schema_of(name)


def test_nobody_there_is_unavailable_at_once() -> None:
    """A port where nobody listens is `Unavailable`."""
    with pytest.raises(Unavailable):
        PostgresState("postgresql://onefold:secret@127.0.0.1:1/onefold")


def test_what_is_no_url_is_a_wrong_setting_and_stays_secret() -> None:
    """A URL that cannot be read may hold a password: it is not shown."""
    with pytest.raises(SettingsError) as caught:
        driver.connect(Address("http://onefold:secret@nowhere/x", "onefold_default"))
    assert "secret" not in str(caught.value)


def test_ids_keep_their_order() -> None:
    """The smallest and the largest id go and come back, in order, alone and in columns."""
    numbers = [0, 1, (1 << 63) - 1, 1 << 63, (1 << 64) - 1]
    columns = ids(numbers).data
    stored = [int.from_bytes(columns[24 + 12 * n : 32 + 12 * n], "big", signed=True) for n in range(len(numbers))]
    assert stored == sorted(stored) == [int.from_bytes(kept(number).data, "big", signed=True) for number in numbers]
    assert [given(number) for number in stored] == numbers


@pytest.mark.parametrize("module", MODULES)
def test_missing_packages_are_named(module: str) -> None:
    """Without the extra, the engine's module says what to install."""
    code = (
        "import sys; sys.modules['psycopg'] = None\n"
        "from onefold.errors import SettingsError\n"
        "try:\n"
        f"    import onefold.storage.postgres.{module}\n"
        "except SettingsError as error:\n"
        "    print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "pip install 'onefold[postgres]'" in done.stdout
