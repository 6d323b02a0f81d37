"""Versions: shadow, promotion and rollback as content of the next version, with its difference."""

from pathlib import Path

import pytest
from msgspec import structs

from onefold.clock import SystemClock
from onefold.errors import DefinitionError, InvalidRequest, NotFoundError
from onefold.model.definitions import Audience, Definitions, Trait
from onefold.runtime.backfill.plan import planned
from onefold.runtime.defining.comparison import PAGE, moves
from onefold.runtime.defining.difference import difference
from onefold.runtime.defining.versions import dropped, history, in_shadow, promoted, rolled_back, shadowed
from onefold.storage.embedded.catalog import SqliteCatalog
from onefold.testing.conformance.state import commit
from onefold.testing.memory.state import MemoryState

ONE = Definitions(traits=(Trait("orders", 'count("Order")'),), audiences=(Audience("buyers", "orders > 0"),))
TWO = Definitions(traits=ONE.traits, audiences=(Audience("buyers", "orders > 1"), Audience("anybody", "events > 0")))


@pytest.fixture
def catalog(tmp_path: Path) -> SqliteCatalog:
    """A catalog with one version."""
    made = SqliteCatalog(tmp_path / "catalog.sqlite", SystemClock())
    made.save_definitions(ONE, "ann")
    return made


def test_a_shadow_is_shown_as_what_it_would_change(catalog: SqliteCatalog) -> None:
    """Putting it there, promoting and dropping it each have a difference that says so."""
    live = catalog.definitions()
    both = in_shadow(live, TWO)
    expected = ["audience anybody: events > 0", "audience buyers: expression orders > 0 → orders > 1"]
    assert difference(live, both) == [f"+ shadow (+ {expected[0]})", f"+ shadow (~ {expected[1]})"]
    assert difference(both, dropped(both)) == [f"- shadow (+ {expected[0]})", f"- shadow (~ {expected[1]})"]
    assert difference(both, promoted(both))[:2] == [f"+ {expected[0]}", f"~ {expected[1]}"]
    assert list(shadowed(both)) == ["buyers@shadow", "anybody@shadow"]


def test_there_is_one_shadow(catalog: SqliteCatalog) -> None:
    """Another takes its place; one that says what is live is none."""
    both = catalog.save_definitions(in_shadow(catalog.definitions(), TWO), "ann")
    other = in_shadow(both, Definitions(audiences=(Audience("anybody", "events > 0"),)))
    assert list(shadowed(other)) == ["anybody@shadow"]
    with pytest.raises(InvalidRequest, match="version 2"):
        in_shadow(both, ONE)
    with pytest.raises(NotFoundError):
        promoted(catalog.definitions(1))
    with pytest.raises(NotFoundError):
        dropped(catalog.definitions(1))


def test_a_shadow_lives_by_the_same_clock(catalog: SqliteCatalog) -> None:
    """One program has one time zone: a candidate with another is refused."""
    with pytest.raises(InvalidRequest, match="Europe/Berlin"):
        in_shadow(catalog.definitions(), structs.replace(TWO, timezone="Europe/Berlin"))


def test_a_shadow_is_computed_over_history_first(catalog: SqliteCatalog) -> None:
    """What only the candidate asks of the past is computed before it runs in shadow, and not again when it is live."""
    live = catalog.definitions()
    both = in_shadow(live, structs.replace(ONE, traits=(Trait("orders", 'count("View")'),)))
    plan = planned(live, both, backfill=True, quiet=False)
    assert (plan.traits, plan.coming) == (live.traits, both)
    assert planned(both, promoted(both), backfill=True, quiet=False).coming is None


def test_a_rollback_is_a_version_that_says_why(catalog: SqliteCatalog) -> None:
    """The old content, without what it had in shadow; the history keeps everything, with what each changed."""
    catalog.save_definitions(in_shadow(catalog.definitions(), TWO), "bob")
    catalog.save_definitions(promoted(catalog.definitions()), "bob")
    saved = catalog.save_definitions(rolled_back(catalog, 2), "ann")
    assert (saved.version, saved.traits, saved.audiences, saved.shadow) == (4, ONE.traits, ONE.audiences, None)
    told = [(one.version, one.author, one.note, len(one.changes)) for one in history(catalog, catalog.versions())]
    assert told == [
        (1, "ann", "", 2),
        (2, "bob", "in shadow", 2),
        (3, "bob", "promotes the shadow of version 2", 4),
        (4, "ann", "rolls back to version 2", 2),
    ]
    assert catalog.definitions(4) != catalog.definitions(1)
    assert difference(catalog.definitions(4), catalog.definitions(1)) == []
    with pytest.raises(NotFoundError):
        rolled_back(catalog, 9)


def test_what_is_no_longer_right_does_not_come_back(catalog: SqliteCatalog) -> None:
    """A version that today's checks refuse is not rolled back to, nor run in shadow."""
    catalog.save_definitions(Definitions(audiences=(Audience("bad", "oders > 0"),)), "ann")
    with pytest.raises(DefinitionError, match="oders"):
        rolled_back(catalog, 2)
    with pytest.raises(DefinitionError, match="oders"):
        in_shadow(catalog.definitions(1), catalog.definitions(2))


def test_moves_are_exact_over_pages() -> None:
    """Who is in both stays, who is in one alone enters or leaves; ids of the first few are named."""
    state = MemoryState()
    live = dict.fromkeys(range(1, 2 * PAGE + 2), 1)
    shadow = dict.fromkeys(range(PAGE, 3 * PAGE), 1)
    commit(state, members={"a": live, "a@shadow": shadow, "b": {1: 1}})
    found = moves(state, "a", samples=2)
    assert (found.staying, found.leaving, found.entering) == (PAGE + 2, PAGE - 1, PAGE - 2)
    assert (found.leave, found.enter) == ([1, 2], [2 * PAGE + 2, 2 * PAGE + 3])
    assert moves(state, "none").staying == 0


def test_traits_of_accounts_do_not_run_in_shadow(catalog: SqliteCatalog) -> None:
    """A candidate keeps those that are live, and may read them otherwise; others are refused with what to do."""
    accounts = structs.replace(ONE, account_traits=(Trait("seats", 'count("Used")'),))
    live = catalog.save_definitions(accounts, "ann")
    with pytest.raises(InvalidRequest, match="traits of accounts do not run in shadow"):
        in_shadow(live, structs.replace(TWO, account_traits=(Trait("seats", 'count("Sat")'),)))
    both = in_shadow(live, structs.replace(accounts, audiences=(Audience("buyers", "account.seats > 1"),)))
    assert list(shadowed(both)) == ["buyers@shadow"]
    assert difference(both, promoted(both))[0] == "~ audience buyers: expression orders > 0 → account.seats > 1"


def test_what_comes_quietly_depends_on_accounts_too() -> None:
    """Whoever reads a trait of accounts that says something else is moved by that alone, however far."""
    before = Definitions(
        account_traits=(Trait("seats", 'count("Used")'), Trait("full", "seats > 3")),
        audiences=(Audience("big", "account.full"), Audience("other", "account.traits.plan == 'x'")),
        traits=(Trait("plan", "account.traits.plan"),),
    )
    after = structs.replace(before, account_traits=(Trait("seats", 'count("Sat")'), Trait("full", "seats > 3")))
    assert planned(before, after, backfill=False, quiet=True).quiet == ("big",)


def test_what_accounts_ask_of_the_past_is_computed_first() -> None:
    """The first definition that has to do with accounts, and each new aggregate of theirs; another threshold is not."""
    reads = structs.replace(ONE, audiences=(Audience("pro", 'account.traits.plan == "pro"'),))
    counts = structs.replace(reads, account_traits=(Trait("seats", 'count("Used")'),))
    more = structs.replace(counts, account_traits=(*counts.account_traits, Trait("full", "seats > 3")))
    for before, after, coming in ((ONE, reads, True), (reads, counts, True), (counts, more, False), (more, ONE, False)):
        assert (planned(before, after, backfill=True, quiet=False).coming is not None) == coming
