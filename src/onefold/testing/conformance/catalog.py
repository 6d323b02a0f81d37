"""What every catalog must do: each clause of `ports.Catalog`, as a test that takes a way to open one.

Subclass `CatalogConformance` in a test module and give it a fixture `open_catalog`: each call of it returns another
handle on one and the same catalog, as another process would have it, with the clock that it is to go by.
"""

import os
import select
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from msgspec.structs import replace

from onefold.clock import Clock, SystemClock
from onefold.errors import AlreadyExists, Conflict, InvalidRequest, NotFoundError
from onefold.limits import SIGNING_OLD_VALID_MAX_S, SIGNING_SECRETS_MAX
from onefold.model.definitions import Audience, Definitions, Source, Trait
from onefold.ports import Catalog
from onefold.testing.clock import ManualClock

OpenCatalog = Callable[[Clock], Catalog]

PATIENCE_S = 30.0


class CatalogConformance:
    """The port's promises."""

    @pytest.fixture
    def catalog(self, open_catalog: OpenCatalog) -> Catalog:
        """An empty catalog."""
        return open_catalog(SystemClock())

    def test_a_source_gets_a_write_key(self, catalog: Catalog) -> None:
        """A created source can be written to with its key."""
        key = catalog.create_source("shop")
        assert key.startswith("wk_")
        assert catalog.write_keys() == {key: "shop"}
        assert [(source.name, source.kind, source.enabled) for source in catalog.sources()] == [("shop", "http", True)]

    def test_a_disabled_source_has_no_write_key(self, catalog: Catalog) -> None:
        """A stopped source's key is not accepted, and is again when it is let go on."""
        key = catalog.create_source("shop")
        catalog.enable_source("shop", enabled=False)
        assert catalog.write_keys() == {}
        catalog.enable_source("shop", enabled=True)
        assert catalog.write_keys() == {key: "shop"}

    def test_a_rotated_write_key_replaces_the_old(self, catalog: Catalog) -> None:
        """After rotation only the new key works."""
        old = catalog.create_source("shop")
        new = catalog.rotate_write_key("shop")
        assert new != old
        assert catalog.write_keys() == {new: "shop"}

    def test_names_are_unique_and_plain(self, catalog: Catalog) -> None:
        """A second source of a name, and names that need quoting, are refused."""
        catalog.create_source("shop")
        with pytest.raises(AlreadyExists, match="shop"):
            catalog.create_source("shop")
        for name in ("", "a b", "-a", "a/b", "ä", "a" * 65, "a\n", "a\0", "\ud800"):
            with pytest.raises(InvalidRequest):
                catalog.create_source(name)
            with pytest.raises(InvalidRequest):
                catalog.create_source("app", name)
            with pytest.raises(InvalidRequest):
                catalog.create_secret_key(name, ["*"])

    def test_unknown_sources_are_not_found(self, catalog: Catalog) -> None:
        """Changing a source or a key that is not there says so, also where nothing could have that name."""
        for name in ("shop", "", "a\0b", "\ud800"):
            with pytest.raises(NotFoundError):
                catalog.enable_source(name, enabled=False)
            with pytest.raises(NotFoundError):
                catalog.rotate_write_key(name)
            with pytest.raises(NotFoundError):
                catalog.revoke(name)

    def test_a_secret_key_has_its_scopes(self, catalog: Catalog) -> None:
        """A secret key authenticates with just the scopes it was made with."""
        key = catalog.create_secret_key("reader", ["profiles:read", "events:read"])
        assert key.startswith("sk_")
        assert catalog.authenticate(key) == frozenset({"profiles:read", "events:read"})
        assert catalog.authenticate(key + "x") is None
        assert catalog.authenticate("") is None
        assert catalog.authenticate("\ud800") is None

    def test_a_revoked_key_opens_nothing(self, catalog: Catalog) -> None:
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

    def test_a_key_has_a_holder(self, catalog: Catalog) -> None:
        """Whose a key is, is its name while it is in force; of others nobody's."""
        key = catalog.create_secret_key("reader", ["*"])
        assert (catalog.holder(key), catalog.holder(key + "x"), catalog.holder("")) == ("reader", None, None)
        catalog.revoke("reader")
        assert catalog.holder(key) is None

    @pytest.mark.parametrize("scopes", [[], ["profiles"], ["profiles:read", "everything"]])
    def test_scopes_are_those_there_are(self, catalog: Catalog, scopes: list[str]) -> None:
        """A key without a scope or with an unknown one is not made."""
        with pytest.raises(InvalidRequest):
            catalog.create_secret_key("reader", scopes)
        assert catalog.secret_keys() == []

    def test_definitions_come_in_versions(self, catalog: Catalog) -> None:
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

    def test_unchanged_definitions_keep_their_version(self, catalog: Catalog) -> None:
        """Applying the same definitions twice makes one version."""
        definitions = Definitions(traits=(Trait("orders", 'count("Order")'),))
        saved = catalog.save_definitions(definitions, "ann")
        assert catalog.save_definitions(definitions, "ann") == saved
        assert catalog.save_definitions(replace(definitions, note="why"), "ann") == saved
        assert len(catalog.versions()) == 1

    def test_what_is_coming_comes_or_is_called_off(self, catalog: Catalog) -> None:
        """While definitions are being computed over history nobody can put others into force."""
        old = Definitions(traits=(Trait("orders", 'count("Order")'),))
        coming = Definitions(traits=(Trait("views", 'count("View")'),), quiet=("views",))
        first = catalog.save_definitions(old, "ann")
        waiting = catalog.save_definitions(replace(first, coming=coming), "ann")
        assert catalog.definitions().coming == coming
        with pytest.raises(InvalidRequest, match="onefold backfill cancel"):
            catalog.save_definitions(Definitions(), "bob")
        assert catalog.definitions() == waiting
        assert catalog.save_definitions(waiting, "ann") == waiting
        again = catalog.save_definitions(replace(waiting, coming=None), "bob")
        assert (again.version, again.coming, again.traits) == (3, None, old.traits)
        catalog.save_definitions(replace(again, coming=coming), "ann")
        there = catalog.save_definitions(coming, "ann", base=4)
        assert (there.version, there.coming, there.traits) == (5, None, coming.traits)

    def test_a_backfill_is_paused_and_goes_on(self, catalog: Catalog) -> None:
        """Everybody sees it, and is told that something has changed."""
        assert not catalog.backfill_paused()
        before = catalog.generation()
        catalog.pause_backfill(paused=True)
        assert catalog.backfill_paused()
        assert catalog.generation() > before
        catalog.pause_backfill(paused=True)
        catalog.pause_backfill(paused=False)
        assert not catalog.backfill_paused()

    def test_a_version_keeps_its_shadow_and_its_note(self, catalog: Catalog) -> None:
        """What runs in shadow makes a version, and comes back with it."""
        live = catalog.save_definitions(Definitions(traits=(Trait("a", "events"),)), "ann")
        candidate = Definitions(traits=(Trait("a", "events + 1"),))
        saved = catalog.save_definitions(replace(live, shadow=candidate, note="in shadow"), "ann")
        assert (saved.version, saved.shadow, saved.note) == (2, candidate, "in shadow")
        assert catalog.definitions() == catalog.definitions(2) == saved
        assert (catalog.definitions(1).shadow, catalog.definitions(1).note) == (None, "")

    def test_definitions_create_their_sources(self, catalog: Catalog) -> None:
        """Named sources are made or changed; those that are not named stay."""
        default = catalog.create_source("default")
        catalog.save_definitions(Definitions(sources=(Source("shop"), Source("app"))), "ann")
        keys = {name: key for key, name in catalog.write_keys().items()}
        assert set(keys) == frozenset({"default", "shop", "app"})
        catalog.save_definitions(Definitions(sources=(Source("shop", enabled=False), Source("app"))), "ann")
        assert catalog.write_keys() == {default: "default", keys["app"]: "app"}

    def test_a_base_guards_against_a_concurrent_apply(self, catalog: Catalog) -> None:
        """Definitions that were compared with an older version are not written over a newer one."""
        catalog.save_definitions(Definitions(traits=(Trait("a", "events"),)), "ann", base=0)
        with pytest.raises(Conflict):
            catalog.save_definitions(Definitions(traits=(Trait("b", "events"),)), "bob", base=0)
        assert catalog.definitions().traits[0].name == "a"

    def test_a_signing_secret_is_made_once(self, catalog: Catalog) -> None:
        """Each destination keeps its own secret."""
        secret = catalog.signing_secret("crm")
        assert secret.startswith("whsec_")
        assert catalog.signing_secret("crm") == secret
        assert catalog.signing_secret("ads") != secret

    def test_a_former_signing_secret_ends(self, open_catalog: OpenCatalog) -> None:
        """It is in force for as long as was said, also where a later rotation would let it live longer."""
        clock = ManualClock()
        catalog = open_catalog(clock)
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

    def test_a_leaked_signing_secret_ends_at_once(self, catalog: Catalog) -> None:
        """With no time for the former, only the new one is in force, and no other byte of them is kept."""
        catalog.rotate_signing_secret("crm", 100)
        other = catalog.signing_secret("ads")
        new = catalog.rotate_signing_secret("crm", 0)
        assert [one.secret for one in catalog.signing_secrets("crm")] == [new]
        assert catalog.signing_secret("ads") == other

    def test_signing_secrets_do_not_pile_up(self, catalog: Catalog) -> None:
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

    def test_generation_grows_with_every_change(self, catalog: Catalog) -> None:
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

    def test_bootstrap_happens_once(self, catalog: Catalog) -> None:
        """The first keys are made on an empty catalog only."""
        first = catalog.bootstrap()
        assert first is not None
        write_key, secret = first
        assert catalog.write_keys() == {write_key: "default"}
        assert catalog.authenticate(secret) == frozenset({"*"})
        assert catalog.bootstrap() is None

    def test_lists_are_in_the_order_of_their_letters_and_ages(self, catalog: Catalog) -> None:
        """Sources by name, letter by letter as computers count them; keys and versions by age."""
        for name in ("b", "B", "a.b", "a-b", "ab", "a", "0"):
            catalog.create_source(name)
            catalog.create_secret_key(name, ["*"])
        assert [source.name for source in catalog.sources()] == ["0", "B", "a", "a-b", "a.b", "ab", "b"]
        assert [key.name for key in catalog.secret_keys()] == ["b", "B", "a.b", "a-b", "ab", "a", "0"]

    def test_any_text_is_kept(self, catalog: Catalog) -> None:
        """Definitions, authors and destinations of any letters."""
        wild = Definitions(traits=(Trait("ü", "events", "nul\0 '\"名\U0001f600 %s"),))
        saved = catalog.save_definitions(wild, "Ünï'cøde %s")
        assert catalog.definitions() == saved
        assert saved.traits == wild.traits
        assert catalog.versions()[0].author == "Ünï'cøde %s"
        assert catalog.signing_secret("naïve 'crm'") == catalog.signing_secret("naïve 'crm'")

    def test_what_one_changes_others_read(self, open_catalog: OpenCatalog) -> None:
        """A change that has returned is there for every handle, and so is its generation."""
        first, second = open_catalog(SystemClock()), open_catalog(SystemClock())
        key = first.create_secret_key("reader", ["*"])
        assert second.authenticate(key) == frozenset({"*"})
        saved = second.save_definitions(Definitions(traits=(Trait("a", "events"),)), "ann")
        assert first.definitions() == saved
        assert first.generation() == second.generation()

    def test_a_refused_change_changes_nothing(self, catalog: Catalog) -> None:
        """What is wrong about half of a change keeps all of it from being made."""
        before = catalog.generation()
        with pytest.raises(InvalidRequest):
            catalog.save_definitions(Definitions(sources=(Source("good"), Source("no good"))), "ann")
        assert (catalog.sources(), catalog.definitions(), catalog.generation()) == ([], Definitions(), before)

    def test_many_writers_take_turns(self, open_catalog: OpenCatalog) -> None:
        """Concurrent writers on handles of their own lose nothing, make no version twice, and never fail."""
        catalogs = [open_catalog(SystemClock()) for _ in range(4)]
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

    def test_of_many_appliers_on_one_base_one_wins(self, open_catalog: OpenCatalog) -> None:
        """The others hear that the version they had compared with is not the latest any more."""
        catalogs = [open_catalog(SystemClock()) for _ in range(4)]

        def apply(n: int) -> bool:
            wanted = Definitions(traits=(Trait(f"t{n}", "events"),))
            try:
                catalogs[n].save_definitions(wanted, "x", base=0)
            except Conflict:
                return False
            return True

        with ThreadPoolExecutor(4) as pool:
            assert sorted(pool.map(apply, range(4))) == [False, False, False, True]
        assert len(catalogs[0].versions()) == 1

    def test_a_secret_that_many_ask_for_first_is_one(self, open_catalog: OpenCatalog) -> None:
        """Whoever of several processes makes a signing secret, all sign with the same."""
        catalogs = [open_catalog(SystemClock()) for _ in range(4)]
        with ThreadPoolExecutor(4) as pool:
            assert len(set(pool.map(lambda catalog: catalog.signing_secret("crm"), catalogs))) == 1
            assert len([first for first in pool.map(lambda catalog: catalog.bootstrap(), catalogs) if first]) == 1

    def test_a_watch_tells_of_every_change(self, open_catalog: OpenCatalog) -> None:
        """It can be read from after each change of another handle; an engine may have none."""
        catalog, other = open_catalog(SystemClock()), open_catalog(SystemClock())
        if (watch := catalog.watch()) is None:
            return
        try:
            for n in range(3):
                before = catalog.generation()
                other.create_source(f"shop{n}")
                assert select.select([watch], [], [], PATIENCE_S)[0]
                os.read(watch, 4096)
                assert catalog.generation() > before
        finally:
            os.close(watch)
