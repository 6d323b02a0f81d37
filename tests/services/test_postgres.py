"""Reaching a real PostgreSQL: schemas and their migration, signs, the pool, what a refusal says."""

import os
import select
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psycopg
import pytest

from onefold.errors import NotFoundError, StorageError, TooNew, Unavailable
from onefold.storage.postgres import driver, migration, signs
from onefold.storage.postgres.driver import Address, Connection, Pool, Timeouts
from onefold.storage.postgres.state import PostgresState
from onefold.testing.conformance.state import A, commit
from onefold.testing.servers.postgres import PostgresServer
from tests.services.conftest import SCHEMA

pytestmark = pytest.mark.services
CHANNEL = "onefold_default_state"
QUICK = Timeouts(connect_s=2, answer_s=0.5)


@pytest.fixture
def empty_url(postgres_server: PostgresServer) -> Iterator[str]:
    """A database with nothing in it."""
    url = postgres_server.create_database()
    yield url
    postgres_server.drop_database(url)


def readable(watch: int, within_s: float = 30.0) -> bool:
    """Whether there is a sign; it is taken."""
    ready, _, _ = select.select([watch], [], [], within_s)
    return bool(ready) and bool(os.read(watch, 4096))


@pytest.mark.parametrize("locks", [True, False], ids=["advisory locks", "none"])
def test_many_processes_may_migrate_at_once(postgres_server: PostgresServer, empty_url: str, *, locks: bool) -> None:
    """All come to an end, and the schema is made once; also on a server of the protocol without advisory locks."""
    if not locks:
        url = f"{postgres_server.url.rpartition('/')[0]}/{empty_url.rpartition('/')[2]}"
        with psycopg.connect(url, autocommit=True) as superuser:
            superuser.execute(b"ALTER FUNCTION pg_catalog.pg_advisory_xact_lock(bigint) RENAME TO not_there")
    code = "import sys; from onefold.storage.postgres import migration; migration.migrate(*sys.argv[1:])"
    command = [sys.executable, "-c", code, empty_url, "onefold_many"]
    processes = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for _ in range(4)]
    said = [process.communicate()[1] for process in processes]
    assert [process.returncode for process in processes] == [0] * len(processes), said
    with closing(driver.connect(Address(empty_url, "onefold_many"))) as connection:
        assert migration.found_revision(connection) == migration.revisions()[0]


def test_a_newer_schema_is_refused_and_left_alone(postgres_url: str) -> None:
    """Neither a writer nor a reader opens what a newer Onefold has made."""
    with psycopg.connect(postgres_url, autocommit=True, options=f"-c search_path={SCHEMA}") as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
        for readonly in (False, True):
            with pytest.raises(TooNew, match="9999"):
                PostgresState(postgres_url, readonly=readonly)
        assert connection.execute("SELECT version_num FROM alembic_version").fetchall() == [("9999",)]


def test_a_reader_makes_nothing(empty_url: str) -> None:
    """Who only reads where there is nothing is told so, and nothing is there after it."""
    with pytest.raises(NotFoundError):
        PostgresState(empty_url, readonly=True)
    with psycopg.connect(empty_url) as connection:
        assert not connection.execute("SELECT 1 FROM pg_namespace WHERE nspname = %s", [SCHEMA]).fetchall()


def test_workspaces_never_see_each_other(empty_url: str) -> None:
    """Each has a schema of its own, whole: dropping one leaves the other (I8)."""
    with closing(PostgresState(empty_url, "one")) as one, closing(PostgresState(empty_url, "other")) as other:
        commit(one, profiles=[A], identifiers={"x:1": A})
        assert (other.newest(), other.lookup("x:1"), other.profile(A)) == (0, None, None)
        before = one.digest()
        with psycopg.connect(empty_url, autocommit=True) as connection:
            connection.execute("DROP SCHEMA onefold_other CASCADE")
        assert one.digest() == before


def test_every_migration_has_a_number_and_follows_the_one_before() -> None:
    """Revisions are numbered as their modules are, in one line."""
    numbers = sorted(path.name[1:5] for path in migration.MIGRATIONS.glob("m*.py"))
    assert list(reversed(migration.revisions())) == numbers


def test_signs_come_again_after_a_restart() -> None:
    """A watch is readable after a sign, after the loss of the connection, and after signs from then on."""
    with PostgresServer() as server:
        url = server.create_database()
        address = Address(url, SCHEMA)
        with closing(signs.Signs(address, CHANNEL)) as heard:
            watch, other = heard.watch(), heard.watch()
            assert watch is not None
            assert other is not None
            _sign(address)
            assert readable(watch)
            assert readable(other)
            os.close(other)
            server.restart()
            assert readable(watch)
            deadline = time.monotonic() + 30
            while not _heard_after_sign(address, watch):
                assert time.monotonic() < deadline
        os.close(watch)


def _sign(address: Address) -> None:
    with closing(driver.connect(address)) as connection:
        signs.notify(connection, CHANNEL)


def _heard_after_sign(address: Address, watch: int) -> bool:
    """Whether a sign comes through; what was there before it is taken first."""
    while readable(watch, 0.0):
        pass
    _sign(address)
    return readable(watch, 0.2)


def test_signs_are_silent_once_closed(postgres_url: str) -> None:
    """After `close` there is neither a thread nor a descriptor left, but for watches, which are their owners'."""
    before = set(_descriptors()), threading.active_count()
    heard = signs.Signs(Address(postgres_url, SCHEMA), CHANNEL)
    watch = heard.watch()
    assert watch is not None
    heard.close()
    os.close(watch)
    assert (set(_descriptors()), threading.active_count()) == before
    assert heard.watch() is None


def _descriptors() -> list[str]:
    return [path.name for path in Path("/proc/self/fd").iterdir() if path.exists()]


def test_a_state_leaves_nothing_open(postgres_url: str) -> None:
    """Opening, using and closing leaves no descriptor, nor does an opening that fails."""
    before = set(_descriptors())
    with closing(PostgresState(postgres_url)) as state:
        commit(state, profiles=[A])
        state.digest()
        next(state.items())
    with psycopg.connect(postgres_url, autocommit=True, options=f"-c search_path={SCHEMA}") as connection:
        connection.execute("DROP TABLE head CASCADE")
    with pytest.raises(StorageError, match="42P01"):
        PostgresState(postgres_url)
    assert set(_descriptors()) == before


def test_the_pool_is_bounded_and_says_so(postgres_url: str) -> None:
    """Who finds all connections in use for too long is told so; a thread that waits gets the next free one."""
    opened: list[Connection] = []

    def open_one() -> Connection:
        opened.append(driver.connect(Address(postgres_url, SCHEMA, timeouts=QUICK)))
        return opened[-1]

    with closing(Pool(open_one, 0.3, 1)) as pool:
        with pytest.raises(Unavailable, match="in use"):
            pool.run(lambda _: pool.run(lambda inner: inner.execute("SELECT 1")))
        assert pool.run(lambda connection: connection.execute("SELECT 1").fetchone()) == (1,)
        assert len(opened) == 1


def test_a_statement_that_takes_too_long_is_unavailable(postgres_url: str) -> None:
    """The server's time-out ends a statement; ours ends the wait for a server that has none."""
    address = Address(postgres_url, SCHEMA, timeouts=Timeouts(statement_s=0.2))
    with closing(driver.connect(address)) as connection:
        with pytest.raises(Unavailable, match="statement timeout"), driver.translated():
            connection.execute("SELECT pg_sleep(10)")
        assert not driver.is_lost(connection)
    with closing(driver.connect(address._replace(timeouts=QUICK))) as connection:
        with pytest.raises(Unavailable, match="no answer"), driver.translated():
            connection.execute("SELECT pg_sleep(10)")
        assert driver.is_lost(connection)


@pytest.mark.parametrize(("wrong", "advice"), [("password", "check user and password"), ("database", "create it")])
def test_a_refusal_says_what_to_do_and_no_secret(postgres_url: str, wrong: str, advice: str) -> None:
    """What no retry can mend is a `StorageError` with advice; it never shows the password."""
    head, _, database = postgres_url.rpartition("/")
    secret = head.split(":")[2].split("@")[0]
    url = postgres_url.replace(secret, secret + "x") if wrong == "password" else f"{head}/{database}x"
    with pytest.raises(StorageError, match=advice) as caught:
        driver.connect(Address(url, SCHEMA))
    assert not isinstance(caught.value, Unavailable)
    assert secret not in str(caught.value)


def test_the_server_is_told_who_it_is(postgres_url: str) -> None:
    """Roles are named in pg_stat_activity; the URL's own options count more than ours."""
    with closing(driver.connect(Address(postgres_url, SCHEMA, "onefold worker"))) as connection:
        assert connection.execute("SHOW application_name").fetchone() == ("onefold worker",)
    own = f"{postgres_url}?application_name=mine&options=-c%20statement_timeout%3D7s"
    with closing(driver.connect(Address(own, SCHEMA, "onefold worker"))) as connection:
        assert connection.execute("SHOW application_name").fetchone() == ("mine",)
        assert connection.execute("SHOW statement_timeout").fetchone() == ("7s",)
        assert connection.execute("SHOW search_path").fetchone() == (f'"{SCHEMA}"',)
