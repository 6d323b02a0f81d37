"""The catalog: keys that open what they should and nothing else, and definitions in versions."""

import os
import sqlite3
import stat
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
import pytest

from onefold.clock import SystemClock
from onefold.errors import AlreadyExists, Conflict, Damaged, InvalidRequest, NotFoundError, StorageError, TooNew
from onefold.limits import SIGNING_OLD_VALID_MAX_S, SIGNING_SECRETS_MAX
from onefold.model.definitions import Audience, Definitions, Destination, Source, Trait
from onefold.storage.catalog import SCOPES, Catalog
from onefold.testing.clock import ManualClock


@pytest.fixture
def catalog(tmp_path: Path) -> Iterator[Catalog]:
    """Give an empty catalog."""
    catalog = Catalog(tmp_path / "catalog.sqlite", SystemClock())
    yield catalog
    catalog.close()


def test_a_source_gets_a_write_key(catalog: Catalog) -> None:
    """A created source can be written to with its key."""
    key = catalog.create_source("shop")
    assert key.startswith("wk_")
    assert catalog.write_keys() == {key: "shop"}
    assert [(source.name, source.kind, source.enabled) for source in catalog.sources()] == [("shop", "http", True)]


def test_a_disabled_source_has_no_write_key(catalog: Catalog) -> None:
    """A stopped source's key is not accepted, and is again when it is let go on."""
    key = catalog.create_source("shop")
    catalog.enable_source("shop", enabled=False)
    assert catalog.write_keys() == {}
    catalog.enable_source("shop", enabled=True)
    assert catalog.write_keys() == {key: "shop"}


def test_a_rotated_write_key_replaces_the_old(catalog: Catalog) -> None:
    """After rotation only the new key works."""
    old = catalog.create_source("shop")
    new = catalog.rotate_write_key("shop")
    assert new != old
    assert catalog.write_keys() == {new: "shop"}


def test_names_are_unique_and_plain(catalog: Catalog) -> None:
    """A second source of a name, and names that need quoting, are refused."""
    catalog.create_source("shop")
    with pytest.raises(AlreadyExists, match="shop"):
        catalog.create_source("shop")
    for name in ("", "a b", "-a", "a/b", "ä", "a" * 65, "a\n"):
        with pytest.raises(InvalidRequest):
            catalog.create_source(name)


def test_unknown_sources_are_not_found(catalog: Catalog) -> None:
    """Changing a source that is not there says so."""
    with pytest.raises(NotFoundError):
        catalog.enable_source("shop", enabled=False)
    with pytest.raises(NotFoundError):
        catalog.rotate_write_key("shop")


def test_a_secret_key_has_its_scopes(catalog: Catalog) -> None:
    """A secret key authenticates with just the scopes it was made with."""
    key = catalog.create_secret_key("reader", ["profiles:read", "events:read"])
    assert key.startswith("sk_")
    assert catalog.authenticate(key) == frozenset({"profiles:read", "events:read"})
    assert catalog.authenticate(key + "x") is None
    assert catalog.authenticate("") is None
    assert catalog.authenticate("\ud800") is None


def test_a_secret_is_nowhere_in_the_files(catalog: Catalog, tmp_path: Path) -> None:
    """Of a secret key, only its digest and last four characters are at rest."""
    key = catalog.create_secret_key("reader", SCOPES)
    assert catalog.secret_keys()[0].hint == key[-4:]
    for file in tmp_path.iterdir():
        assert key[3:-4].encode() not in file.read_bytes()


def test_a_revoked_key_opens_nothing(catalog: Catalog) -> None:
    """Revoking is at once; the row stays for the record; the name may be used again."""
    key = catalog.create_secret_key("reader", ["*"])
    catalog.revoke("reader")
    assert catalog.authenticate(key) is None
    assert catalog.secret_keys()[0].revoked_at_ms is not None
    with pytest.raises(NotFoundError):
        catalog.revoke("reader")
    assert catalog.authenticate(catalog.create_secret_key("reader", ["*"])) == frozenset({"*"})
    with pytest.raises(AlreadyExists):
        catalog.create_secret_key("reader", ["*"])


@pytest.mark.parametrize("scopes", [[], ["profiles"], ["profiles:read", "everything"]])
def test_scopes_are_those_there_are(catalog: Catalog, scopes: list[str]) -> None:
    """A key without a scope or with an unknown one is not made."""
    with pytest.raises(InvalidRequest):
        catalog.create_secret_key("reader", scopes)
    assert catalog.secret_keys() == []


def test_definitions_come_in_versions(catalog: Catalog) -> None:
    """Each change of the definitions is a version that can be read for ever; version 0 is empty."""
    assert catalog.definitions() == Definitions()
    one = catalog.save_definitions(Definitions(traits=(Trait("orders", 'count("Order")'),)), "ann")
    two = catalog.save_definitions(Definitions(audiences=(Audience("buyers", "orders > 0"),)), "bob")
    assert (one.version, two.version) == (1, 2)
    assert catalog.definitions() == two
    assert catalog.definitions(1) == one
    assert catalog.definitions(0) == Definitions()
    assert [(row.version, row.author) for row in catalog.versions()] == [(1, "ann"), (2, "bob")]
    with pytest.raises(NotFoundError):
        catalog.definitions(3)


def test_unchanged_definitions_keep_their_version(catalog: Catalog) -> None:
    """Applying the same definitions twice makes one version."""
    definitions = Definitions(traits=(Trait("orders", 'count("Order")'),))
    saved = catalog.save_definitions(definitions, "ann")
    assert catalog.save_definitions(definitions, "ann") == saved
    assert len(catalog.versions()) == 1


def test_definitions_create_their_sources(catalog: Catalog) -> None:
    """Named sources are made or changed; those that are not named stay."""
    default = catalog.create_source("default")
    catalog.save_definitions(Definitions(sources=(Source("shop"), Source("app"))), "ann")
    keys = {name: key for key, name in catalog.write_keys().items()}
    assert set(keys) == frozenset({"default", "shop", "app"})
    catalog.save_definitions(Definitions(sources=(Source("shop", enabled=False), Source("app"))), "ann")
    assert catalog.write_keys() == {default: "default", keys["app"]: "app"}


def test_a_base_guards_against_a_concurrent_apply(catalog: Catalog) -> None:
    """Definitions that were compared with an older version are not written over a newer one."""
    catalog.save_definitions(Definitions(traits=(Trait("a", "events"),)), "ann", base=0)
    with pytest.raises(Conflict):
        catalog.save_definitions(Definitions(traits=(Trait("b", "events"),)), "bob", base=0)
    assert catalog.definitions().traits[0].name == "a"


def test_destinations_of_an_older_version_can_be_read() -> None:
    """The flag that private hosts once were is skipped, and allows nothing any more."""
    old = b'{"version":2,"destinations":[{"name":"d","url":"http://10.0.0.1/","events":["*"],"allow_private":true}]}'
    found = msgspec.json.decode(old, type=Definitions)
    assert found == Definitions(2, destinations=(Destination("d", url="http://10.0.0.1/", events=("*",)),))


def test_a_signing_secret_is_made_once(catalog: Catalog) -> None:
    """Each destination keeps its own secret."""
    secret = catalog.signing_secret("crm")
    assert secret.startswith("whsec_")
    assert catalog.signing_secret("crm") == secret
    assert catalog.signing_secret("ads") != secret


def test_a_former_signing_secret_ends(tmp_path: Path) -> None:
    """It is in force for as long as was said, also where a later rotation would let it live longer."""
    clock = ManualClock()
    catalog = Catalog(tmp_path / "catalog.sqlite", clock)
    first = catalog.signing_secret("crm")
    second = catalog.rotate_signing_secret("crm", 100)
    clock.advance(60_000)
    third = catalog.rotate_signing_secret("crm", 100)
    assert catalog.signing_secret("crm") == third
    assert [one.secret for one in catalog.signing_secrets("crm")] == [third, second, first]
    clock.advance(40_000)
    assert [one.secret for one in catalog.signing_secrets("crm")] == [third, second]
    clock.advance(60_000)
    assert [one.secret for one in catalog.signing_secrets("crm")] == [third]
    catalog.close()


def test_a_leaked_signing_secret_ends_at_once(catalog: Catalog) -> None:
    """With no time for the former, only the new one is in force, and no other byte of them is kept."""
    catalog.rotate_signing_secret("crm", 100)
    other = catalog.signing_secret("ads")
    new = catalog.rotate_signing_secret("crm", 0)
    assert [one.secret for one in catalog.signing_secrets("crm")] == [new]
    assert catalog.signing_secret("ads") == other


def test_signing_secrets_do_not_pile_up(catalog: Catalog) -> None:
    """Each in force is a signature in every request: a few at once, for a month at most."""
    for _ in range(SIGNING_SECRETS_MAX - 1):
        catalog.rotate_signing_secret("crm", 100)
    with pytest.raises(InvalidRequest, match="in force already"):
        catalog.rotate_signing_secret("crm", 100)
    assert len(catalog.signing_secrets("crm")) == SIGNING_SECRETS_MAX
    assert catalog.rotate_signing_secret("crm", 0)
    for seconds in (-1, SIGNING_OLD_VALID_MAX_S + 1):
        with pytest.raises(InvalidRequest):
            catalog.rotate_signing_secret("crm", seconds)


def test_generation_grows_with_every_change(catalog: Catalog) -> None:
    """Whoever polls the generation misses no change, and reading is none."""
    seen = [catalog.generation()]
    for change in (
        lambda: catalog.create_source("shop"),
        lambda: catalog.enable_source("shop", enabled=False),
        lambda: catalog.rotate_write_key("shop"),
        lambda: catalog.create_secret_key("reader", ["*"]),
        lambda: catalog.revoke("reader"),
        lambda: catalog.save_definitions(Definitions(sources=(Source("app"),)), "ann"),
        lambda: catalog.signing_secret("crm"),
        lambda: catalog.rotate_signing_secret("crm", 60),
    ):
        change()
        seen.append(catalog.generation())
    assert seen == sorted(set(seen))
    catalog.sources(), catalog.secret_keys(), catalog.definitions(), catalog.authenticate("sk_")
    assert catalog.generation() == seen[-1]


def test_bootstrap_happens_once(catalog: Catalog) -> None:
    """The first keys are made on an empty catalog only."""
    first = catalog.bootstrap()
    assert first is not None
    write_key, secret = first
    assert catalog.write_keys() == {write_key: "default"}
    assert catalog.authenticate(secret) == frozenset({"*"})
    assert catalog.bootstrap() is None


def test_what_was_written_is_there_after_reopening(tmp_path: Path) -> None:
    """A second catalog on the same file sees everything that the first wrote, and the file is its owner's only."""
    path = tmp_path / "catalog.sqlite"
    first = Catalog(path, SystemClock())
    key = first.create_secret_key("reader", ["*"])
    assert Catalog(path, SystemClock()).authenticate(key) == frozenset({"*"})
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_many_writers_take_turns(tmp_path: Path) -> None:
    """Concurrent writers on their own connections lose nothing and never fail on a locked file."""
    path = tmp_path / "catalog.sqlite"
    catalogs = [Catalog(path, SystemClock()) for _ in range(4)]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda n: catalogs[n % 4].create_source(f"s{n}"), range(40)))
        saved = list(
            pool.map(
                lambda n: (
                    catalogs[n % 4].save_definitions(Definitions(traits=(Trait(f"t{n}", "events"),)), "x").version
                ),
                range(20),
            )
        )
    assert len(catalogs[0].write_keys()) == 40
    assert sorted(saved) == list(range(1, 21))


def test_a_copy_is_whole(catalog: Catalog, tmp_path: Path) -> None:
    """A backup taken while running opens as a catalog of its own."""
    key = catalog.create_secret_key("reader", ["*"])
    catalog.backup(tmp_path / "copy.sqlite")
    assert Catalog(tmp_path / "copy.sqlite", SystemClock()).authenticate(key) == frozenset({"*"})
    with pytest.raises(StorageError):
        catalog.backup(tmp_path / "copy.sqlite")


def test_a_newer_schema_is_refused(catalog: Catalog, tmp_path: Path) -> None:
    """A catalog of a newer Onefold is not touched."""
    catalog.close()
    with sqlite3.connect(tmp_path / "catalog.sqlite") as connection:
        connection.execute("UPDATE numbers SET value = 99 WHERE name = 'schema'")
    connection.close()
    with pytest.raises(TooNew):
        Catalog(tmp_path / "catalog.sqlite", SystemClock())


def test_a_file_that_is_no_catalog_is_damage(tmp_path: Path) -> None:
    """Something else under the catalog's name is reported, not overwritten."""
    (tmp_path / "catalog.sqlite").write_bytes(b"not a database" * 1000)
    with pytest.raises(Damaged):
        Catalog(tmp_path / "catalog.sqlite", SystemClock())
    assert (tmp_path / "catalog.sqlite").read_bytes().startswith(b"not a database")


def test_a_catalog_needs_its_directory(tmp_path: Path) -> None:
    """An absent directory is a storage error."""
    with pytest.raises(StorageError):
        Catalog(tmp_path / "none" / "catalog.sqlite", SystemClock())


@pytest.mark.skipif(sys.platform != "linux", reason="inotify is Linux's")
def test_a_watch_tells_of_every_change(catalog: Catalog, tmp_path: Path) -> None:
    """Another handle's change is told before it can be read, a look tells nothing."""
    watch, other = catalog.watch(), Catalog(tmp_path / "catalog.sqlite", SystemClock())
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
