"""Merge algebra: how several values of a trait become one does not depend on the order of events and merges."""

import random
from typing import Any

import pytest

from onefold.core.identity.survivorship import hear, put_together
from onefold.limits import TRAIT_PARTS_MAX
from onefold.model.identity import KEEPS, Keep, TraitRule
from onefold.model.profile import Declared, Profile

VALUES = (1, 2, 2.5, -3, 1e300, 10**20, "a", "b", "", True, None, [1, "a"], ["a", "b"], {"x": 1})
PARTS = ("", "crm", "shop", "web", "user_id:1", "verified", "said")


def rule_of(keep: Keep) -> TraitRule:
    """A rule for the trait `t`."""
    return TraitRule("t", keep, ("crm", "shop") if keep == "source-order" else ())


def said(chance: random.Random, rule: TraitRule, most: int = 12) -> list[tuple[str, Declared]]:
    """Who said what, and when; each with a tie of its own, as events have."""
    ties = chance.sample(range(1 << 16), most)
    single = rule.keep in ("oldest", "max", "min")
    return [
        ("" if single else chance.choice(PARTS), Declared(chance.choice(VALUES), chance.randrange(5), tie.to_bytes(2)))
        for tie in ties[: chance.randint(1, most)]
    ]


def told(rule: TraitRule, words: list[tuple[str, Declared]]) -> Profile:
    """A profile that has heard all of this."""
    profile = Profile(0, 0, 0, 0, 0)
    for part, word in words:
        hear(profile, rule, part, word)
    return profile


def seen(profile: Profile) -> Any:
    """What is kept of the trait, and what is shown."""
    notes = profile.notes
    return profile.declared, {key: dict(sorted(parts.items())) for key, parts in (notes.parts if notes else {}).items()}


@pytest.mark.parametrize("keep", [keep for keep in KEEPS if keep != "newest"])
@pytest.mark.parametrize("seed", range(40))
def test_neither_order_nor_grouping_can_be_seen(keep: Keep, seed: int) -> None:
    """Commutative and associative: any order of what was said, and any way of merging, shows and keeps the same."""
    chance, rule = random.Random(seed), rule_of(keep)
    words = said(chance, rule)
    expected = seen(told(rule, words))
    shuffled = chance.sample(words, len(words))
    assert seen(told(rule, shuffled)) == expected
    groups = [told(rule, some) for some in (shuffled[::3], shuffled[1::3], shuffled[2::3]) if some]
    chance.shuffle(groups)
    while len(groups) > 1:
        one, other = groups.pop(), groups.pop(0)
        put_together(one, other, rule)
        groups.append(one)
    assert seen(groups[0]) == expected


@pytest.mark.parametrize(
    ("keep", "words", "expected"),
    [
        ("oldest", [("", "new", 2), ("", "old", 1)], "old"),
        ("max", [("", 3, 1), ("", 10, 0), ("", "z", 2)], 10),
        ("min", [("", 3, 1), ("", -1, 0), ("", "a", 2)], -1),
        ("max", [("", "a", 1), ("", "b", 0)], "b"),
        ("min", [("", "a", 1), ("", "b", 2), ("", "ab", 2)], "a"),
        ("sum", [("user_id:1", 10, 1), ("user_id:1", 20, 2), ("user_id:2", 5, 0), ("user_id:3", "x", 3)], 25),
        ("union", [("user_id:1", ["a", "b"], 1), ("user_id:2", ["b", "c"], 2)], ["b", "c", "a"]),
        ("source-order", [("web", "w", 3), ("shop", "s", 2), ("crm", "c", 1)], "c"),
        ("source-order", [("web", "w", 3), ("app", "a", 4)], "a"),
        ("verified-first", [("said", "new", 9), ("verified", "sure", 1)], "sure"),
        ("most-frequent", [("user_id:1", "x", 1), ("user_id:2", "y", 9), ("user_id:3", "x", 2)], "x"),
        ("keep-both", [("user_id:1", "x", 1), ("user_id:2", "y", 2), ("user_id:3", "x", 3)], ["x", "y"]),
    ],
)
def test_what_each_rule_shows(keep: Keep, words: list[tuple[str, Any, int]], expected: Any) -> None:
    """Of what several parts have said, at several times, the one value that a profile shows."""
    spoken = [(part, Declared(value, at, bytes([n]))) for n, (part, value, at) in enumerate(words)]
    profile = told(rule_of(keep), spoken)
    assert profile.declared["t"].value == expected


def test_what_was_said_before_there_was_a_rule_counts() -> None:
    """A trait that had the newest value goes on from it."""
    rule, profile = rule_of("sum"), Profile(0, 0, 0, 0, 0)
    profile.declared["t"] = Declared(7, 1, b"")
    hear(profile, rule, "user_id:1", Declared(3, 2, b"a"))
    assert profile.declared["t"].value == 10


def test_parts_are_bounded_and_still_in_no_order() -> None:
    """Of too many parts those that spoke last are kept, whatever the order."""
    rule = rule_of("sum")
    words = [(f"user_id:{n}", Declared(1, n, n.to_bytes(4))) for n in range(TRAIT_PARTS_MAX + 50)]
    there, back = told(rule, words), told(rule, words[::-1])
    assert seen(there) == seen(back)
    assert there.declared["t"].value == TRAIT_PARTS_MAX
