"""Which definitions run in shadow: those that differ, and those that name one that does."""

from onefold.language import nodes as n
from onefold.language.reading.check import checked
from onefold.language.shadow import with_shadow
from onefold.testing.world import define


def _shadow(before: dict[str, str], after: dict[str, str]) -> dict[str, n.Node]:
    live, candidate = define(before, {"who": "a"}), define(after, {"who": "a"})
    both = with_shadow(checked(live), checked(candidate))
    return {name: node for name, node in (both.traits | both.audiences).items() if name.endswith("@shadow")}


def test_what_says_the_same_has_no_twin() -> None:
    """Spaces and brackets are no difference, and neither is a trait that ends."""
    assert _shadow({"a": "events > 1", "b": "events"}, {"a": "( events>1 )"}) == {}


def test_a_changed_trait_takes_along_what_names_it() -> None:
    """Twins name twins, and the live ones where there is none."""
    before = {"n": "events", "m": "events", "a": "n > m"}
    found = _shadow(before, before | {"n": "events + 1"})
    assert found.keys() == {"n@shadow", "a@shadow", "who@shadow"}
    both = found["a@shadow"]
    assert isinstance(both, n.Compare)
    assert isinstance(both.left, n.TraitRef)
    assert isinstance(both.right, n.TraitRef)
    assert (both.left.name, both.right.name) == ("n@shadow", "m")


def test_a_twin_counts_in_the_slot_of_the_live_one() -> None:
    """An aggregate in shadow has the slot that it will have, so that promotion loses nothing."""
    found = _shadow({"a": "events > 1"}, {"a": 'count("A") > 1'})
    node = found["a@shadow"]
    assert isinstance(node, n.Compare)
    assert isinstance(node.left, n.Aggregate)
    assert n.slot(node.left) == n.slot(n.Aggregate(0, "count", "A"))
