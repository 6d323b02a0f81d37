"""The catalog on a real PostgreSQL: the port's promises, processes that race, a server that is killed or away."""

import itertools
import os
import random
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import alembic.autogenerate
import pytest
import sqlalchemy as sa
from alembic.migration import MigrationContext

from onefold.clock import SystemClock
from onefold.errors import AlreadyExists, StorageError, Unavailable
from onefold.model.definitions import Definitions, Trait
from onefold.storage import catalog_tables
from onefold.storage.postgres import driver
from onefold.storage.postgres.catalog import Options, PostgresCatalog
from onefold.storage.postgres.driver import Address, Timeouts
from onefold.testing.conformance.catalog import CatalogConformance, OpenCatalog
from onefold.testing.servers.postgres import PostgresServer
from tests.services.conftest import SCHEMA

pytestmark = pytest.mark.services

ROOT = Path(__file__).parents[2]
APPLIER = """
import sys
from contextlib import suppress
from onefold.clock import SystemClock
from onefold.errors import Conflict
from onefold.model.definitions import Definitions, Source, Trait
from onefold.storage.postgres.catalog import PostgresCatalog
_, url, name = sys.argv
catalog = PostgresCatalog(url, SystemClock())
done = 0
while done < 40:
    base = catalog.definitions().version
    wanted = Definitions(traits=(Trait(f"{name}{done}", "events"),), sources=(Source(f"{name}{done}"),))
    with suppress(Conflict):
        print(catalog.save_definitions(wanted, name, base=base).version)
        done += 1
"""


def opened(url: str) -> PostgresCatalog:
    """A handle on the catalog."""
    return PostgresCatalog(url, SystemClock())


class TestPostgresCatalog(CatalogConformance):
    @pytest.fixture
    def open_catalog(self, postgres_url: str) -> Iterator[OpenCatalog]:
        with ExitStack() as stack:
            yield lambda clock: stack.enter_context(closing(PostgresCatalog(postgres_url, clock)))


def test_processes_that_apply_at_once_make_each_version_once(postgres_url: str) -> None:
    """Every version that one was told of is its own, and each change has grown the generation."""
    command = [sys.executable, "-c", APPLIER, postgres_url]
    with closing(opened(postgres_url)) as catalog:
        before = catalog.generation()
        children = [subprocess.Popen([*command, name], stdout=subprocess.PIPE, text=True) for name in "ab"]
        told = {name: child.communicate(timeout=60)[0].split() for name, child in zip("ab", children, strict=True)}
        assert [child.returncode for child in children] == [0, 0]
        rows = catalog.versions()
        assert [row.version for row in rows] == list(range(1, 81))
        for name, versions in told.items():
            assert [row.version for row in rows if row.author == name] == list(map(int, versions))
        assert len(catalog.sources()) == 80
        assert catalog.generation() == before + 80


def test_the_migrations_make_the_tables_that_are_asked(postgres_url: str) -> None:
    """Columns, types, keys and collations of the catalog's tables are those in `catalog_tables`."""
    wanted = catalog_tables.metadata.tables
    engine = sa.create_engine(
        "postgresql+psycopg://", creator=lambda: driver.connect(Address(postgres_url, SCHEMA)), poolclass=sa.NullPool
    )
    with engine.connect() as connection:
        options = {"compare_type": True, "include_name": lambda name, kind, _: kind != "table" or name in wanted}
        found = alembic.autogenerate.compare_metadata(
            MigrationContext.configure(connection, opts=options), catalog_tables.metadata
        )
        collations = connection.execute(
            sa.text(
                "SELECT DISTINCT collation_name FROM information_schema.columns"
                " WHERE table_schema = current_schema AND data_type IN ('text', 'character varying')"
                " AND table_name = ANY(:names)"
            ),
            {"names": list(wanted)},
        ).scalars()
        assert list(collations) == ["C"]
    assert found == []


def test_a_server_that_was_restarted_is_not_noticed(mortal: tuple[PostgresServer, str]) -> None:
    """Connections that have rested are replaced, for reading and for changing."""
    server, url = mortal
    with closing(opened(url)) as catalog:
        catalog.create_source("a")
        server.restart()
        assert [source.name for source in catalog.sources()] == ["a"]
        server.restart()
        catalog.create_source("b")
        assert [source.name for source in catalog.sources()] == ["a", "b"]


def test_a_server_that_is_killed_loses_nothing(mortal: tuple[PostgresServer, str]) -> None:
    """Each change is there whole or not at all; one whose end nobody heard of can be asked for again."""
    server, url = mortal
    chance = random.Random(11)
    with closing(opened(url)) as catalog:
        made: list[str] = []
        for _ in range(5):
            killer = threading.Timer(chance.uniform(0, 0.05), server.kill)
            killer.start()
            doubtful = made_until_killed(catalog, made)
            killer.join()
            server.start()
            names = {source.name for source in catalog.sources()}
            assert names - {doubtful} == set(made)
            assert catalog.generation() == 1 + len(names)
            try:
                catalog.create_source(doubtful)
            except AlreadyExists:
                assert doubtful in names
            made.append(doubtful)


def made_until_killed(catalog: PostgresCatalog, made: list[str]) -> str:
    """The name of the source in whose making the server was killed; those before it are added to `made`."""
    for n in itertools.count(len(made)):
        try:
            catalog.create_source(f"s{n}")
        except Unavailable:
            return f"s{n}"
        made.append(f"s{n}")
    raise AssertionError


def test_a_server_that_stands_still_is_given_up_in_time(mortal: tuple[PostgresServer, str]) -> None:
    """Neither reading nor changing waits for ever, and afterwards all is as before."""
    server, url = mortal
    hasty = Timeouts(connect_s=2, statement_s=1, lock_s=1, idle_s=1, answer_s=1)
    with closing(PostgresCatalog(url, SystemClock(), options=Options(timeouts=hasty))) as catalog:
        catalog.create_source("a")
        server.pause()
        try:
            for ask in (catalog.generation, lambda: catalog.rotate_write_key("a")):
                with pytest.raises(Unavailable):
                    ask()
        finally:
            server.resume()
        assert [source.name for source in catalog.sources()] == ["a"]


def test_a_change_that_others_hold_up_is_given_up_in_time(postgres_url: str) -> None:
    """Somebody's forgotten transaction in the catalog keeps nobody waiting for ever."""
    hasty = Timeouts(lock_s=0.5)
    with (
        closing(PostgresCatalog(postgres_url, SystemClock(), options=Options(timeouts=hasty))) as catalog,
        driver.connect(Address(postgres_url, SCHEMA)) as other,
        other.transaction(force_rollback=True),
    ):
        other.execute("UPDATE numbers SET value = value + 1")
        with pytest.raises(Unavailable):
            catalog.create_source("a")
        assert catalog.sources() == []


def test_what_cannot_be_reached_says_so(postgres_url: str) -> None:
    """Where nobody listens it is `Unavailable`; where the server refuses, the message says what to do."""
    refused = postgres_url.replace("onefold:", "nobody:")
    nowhere = "postgresql://onefold:x@127.0.0.1:1/test"
    with pytest.raises(Unavailable, match="cannot be reached"):
        opened(nowhere)
    with pytest.raises(StorageError, match="check user and password"):
        opened(refused)


def test_workspaces_never_see_each_other(postgres_url: str) -> None:
    """Two schemas of one database are two catalogs, also in what they tell of."""
    with (
        closing(opened(postgres_url)) as mine,
        closing(PostgresCatalog(postgres_url, SystemClock(), "other")) as other,
    ):
        watch = other.watch()
        assert watch is not None
        key = mine.create_secret_key("reader", ["*"])
        mine.save_definitions(Definitions(traits=(Trait("a", "events"),)), "ann")
        assert (other.authenticate(key), other.versions(), other.generation()) == (None, [], 1)
        with pytest.raises(BlockingIOError):
            os.read(watch, 1)
        os.close(watch)
