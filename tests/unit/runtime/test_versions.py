"""Versions: shadow, promotion and rollback as content of the next version, with its difference."""

from pathlib import Path

import pytest
from msgspec import structs

from onefold.clock import SystemClock
from onefold.errors import DefinitionError, InvalidRequest, NotFoundError
from onefold.model.definitions import Audience, Definitions, Trait
from onefold.runtime.backfill_plan import planned
from onefold.runtime.comparison import PAGE, moves
from onefold.runtime.difference import difference
from onefold.runtime.versions import dropped, history, in_shadow, promoted, rolled_back, shadowed
from onefold.storage.catalog_sqlite import SqliteCatalog
from onefold.testing.conformance.state import commit
from onefold.testing.memory_state import MemoryState

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
