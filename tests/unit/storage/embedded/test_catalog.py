"""The catalog in a file: what the port's suite cannot say of files, and what older versions have written."""

import os
import sqlite3
import stat
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from onefold.clock import SystemClock
from onefold.errors import Damaged, StorageError, TooNew
from onefold.model.catalog import SCOPES
from onefold.model.definitions import Definitions, Destination
from onefold.storage.embedded.catalog import SqliteCatalog


@pytest.fixture
def catalog(tmp_path: Path) -> Iterator[SqliteCatalog]:
    """Give an empty catalog."""
    catalog = SqliteCatalog(tmp_path / "catalog.sqlite", SystemClock())
    yield catalog
    catalog.close()


def test_a_secret_is_nowhere_in_the_files(catalog: SqliteCatalog, tmp_path: Path) -> None:
    """Of a secret key, only its digest and last four characters are at rest."""
    key = catalog.create_secret_key("reader", SCOPES)
    assert catalog.secret_keys()[0].hint == key[-4:]
    for file in tmp_path.iterdir():
        assert key[3:-4].encode() not in file.read_bytes()


def test_destinations_of_an_older_version_can_be_read() -> None:
    """The flag that private hosts once were is skipped, and allows nothing any more."""
    old = b'{"version":2,"destinations":[{"name":"d","url":"http://10.0.0.1/","events":["*"],"allow_private":true}]}'
    found = msgspec.json.decode(old, type=Definitions)
    assert found == Definitions(2, destinations=(Destination("d", url="http://10.0.0.1/", events=("*",)),))


def test_what_was_written_is_there_after_reopening(tmp_path: Path) -> None:
    """A second catalog on the same file sees everything that the first wrote, and the file is its owner's only."""
    path = tmp_path / "catalog.sqlite"
    first = SqliteCatalog(path, SystemClock())
    key = first.create_secret_key("reader", ["*"])
    assert SqliteCatalog(path, SystemClock()).authenticate(key) == frozenset({"*"})
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_copy_is_whole(catalog: SqliteCatalog, tmp_path: Path) -> None:
    """A backup taken while running opens as a catalog of its own."""
    key = catalog.create_secret_key("reader", ["*"])
    catalog.backup(tmp_path / "copy.sqlite")
    assert SqliteCatalog(tmp_path / "copy.sqlite", SystemClock()).authenticate(key) == frozenset({"*"})
    with pytest.raises(StorageError):
        catalog.backup(tmp_path / "copy.sqlite")


def test_a_newer_schema_is_refused(catalog: SqliteCatalog, tmp_path: Path) -> None:
    """A catalog of a newer Onefold is not touched."""
    catalog.close()
    with sqlite3.connect(tmp_path / "catalog.sqlite") as connection:
        connection.execute("UPDATE numbers SET value = 99 WHERE name = 'schema'")
    connection.close()
    with pytest.raises(TooNew):
        SqliteCatalog(tmp_path / "catalog.sqlite", SystemClock())


def test_a_file_that_is_no_catalog_is_damage(tmp_path: Path) -> None:
    """Something else under the catalog's name is reported, not overwritten."""
    (tmp_path / "catalog.sqlite").write_bytes(b"not a database" * 1000)
    with pytest.raises(Damaged):
        SqliteCatalog(tmp_path / "catalog.sqlite", SystemClock())
    assert (tmp_path / "catalog.sqlite").read_bytes().startswith(b"not a database")


def test_a_catalog_needs_its_directory(tmp_path: Path) -> None:
    """An absent directory is a storage error."""
    with pytest.raises(StorageError):
        SqliteCatalog(tmp_path / "none" / "catalog.sqlite", SystemClock())


@pytest.mark.skipif(sys.platform != "linux", reason="inotify is Linux's")
def test_a_watch_tells_of_every_change(catalog: SqliteCatalog, tmp_path: Path) -> None:
    """Another handle's change is told before it can be read, a look tells nothing."""
    watch, other = catalog.watch(), SqliteCatalog(tmp_path / "catalog.sqlite", SystemClock())
    assert watch is not None
    for n in range(3):
        before = catalog.generation()
        with pytest.raises(BlockingIOError):
            os.read(watch, 4096)
        other.create_source(f"shop{n}")
        assert os.read(watch, 4096)
        assert catalog.generation() > before
    os.close(watch)
    other.close()
