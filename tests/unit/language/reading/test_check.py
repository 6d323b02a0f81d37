"""The checker: names, types, order and circles."""

from itertools import pairwise

import pytest

from onefold.language.nodes import Type
from onefold.language.reading.check import check_expression, checked
from onefold.limits import DEFINITION_INPUTS_MAX
from onefold.model.definitions import Audience, Definitions, Trait

TRAITS: dict[str, Type] = {"orders_30d": "number", "is_vip": "boolean", "city": "any", "categories": "list"}


def traits(**expressions: str) -> Definitions:
    """Definitions of these traits alone."""
    return Definitions(traits=tuple(Trait(name, text) for name, text in expressions.items()))


def test_traits_come_after_those_that_they_name() -> None:
    """Dependency order does not depend on the order in the files."""
    check = checked(traits(c="a + b", b="a * 2", a='count("X")'))
    assert not check.problems
    assert list(check.traits) == ["a", "b", "c"]
    assert check.types == {"a": "number", "b": "number", "c": "number"}


def test_a_long_chain_of_traits_is_ordered() -> None:
    """Depth of naming is bounded by nothing but the number of definitions."""
    names = [f"t{i}" for i in range(5_000)]
    check = checked(Definitions(traits=tuple(Trait(a, b) for a, b in zip(names, [*names[1:], "events"], strict=False))))
    assert not check.problems
    assert list(check.traits) == names[::-1][: len(check.traits)]


def test_a_circle_is_named_with_its_way() -> None:
    """Traits that need each other are refused once, with the whole circle."""
    (problem,) = checked(traits(a="b", b="c + 1", c="a", d="a")).problems
    assert (problem.code, problem.name, problem.column) == ("cycle", "c", 0)
    assert "a → b → c → a" in problem.message


@pytest.mark.parametrize(
    ("text", "column", "says", "suggestion"),
    [
        ("ordrs_30d > 3", 0, "no trait", "orders_30d"),
        ('orders_30d < "3"', 13, "number < string", "3"),
        ("orders_30d and is_vip", 0, "yes and no", "orders_30d > 0"),
        ("is_vip > 1", 0, "no order", ""),
        ("categories == 1", 0, "not compared", "contains(categories, …)"),
        ("categories in (1, 2)", 0, "not compared", "contains(categories, …)"),
        ('orders_30d in (1, "2")', 0, "never a string", ""),
        ("orders_30d + is_vip > 1", 13, "arithmetic", ""),
        ('"a" + city == "ab"', 0, "arithmetic", ""),
        ("lower(orders_30d) == city", 6, "for strings", ""),
        ('contains(orders_30d, "a")', 9, "strings and lists", ""),
        ('last_seen < "yesterday"', 12, "is written as", ""),
        ("last_seen == now()", 0, "time moves on", ""),
        ("last_seen > 5", 12, "instant > number", ""),
        ('sum("X", name) > 1', 9, "for numbers", ""),
        ('count("X", where=length(name)) > 1', 17, "yes or no", ""),
        ("orders_30d", 0, "an audience is a yes or no", "orders_30d > 0"),
    ],
)
def test_what_can_never_be_right_is_refused(text: str, column: int, says: str, suggestion: str) -> None:
    """Types that are known must fit; the problem stands at the part that does not."""
    problems = check_expression(text, TRAITS, audience=True)
    assert isinstance(problems, list)
    assert (problems[0].column, problems[0].suggestion) == (column, suggestion), problems[0].show()
    assert says in problems[0].message


@pytest.mark.parametrize(
    "text",
    [
        "is_vip",
        "traits.newsletter",
        "city == 1 or city == 'a' or city",
        'last_seen < ago("60d") and first_seen >= "2025-01-31"',
        "traits.trial_ends < now()",
        'contains(categories, "shoes") and length(categories) > 1',
        'last("X", properties.due) > ago("1d")',
        "0 < orders_30d <= 5 and -orders_30d % 2 == 0",
    ],
)
def test_what_only_data_can_tell_is_allowed(text: str) -> None:
    """Unknown types are no mistakes."""
    assert not isinstance(check_expression(text, TRAITS, audience=True), list)


@pytest.mark.parametrize(
    ("name", "code", "suggestion"),
    [("Is-VIP", "name", "is_vip"), ("last_seen", "reserved", "trait_last_seen"), ("count", "reserved", "trait_count"),
     ("", "name", ""), ("1a", "name", ""), ("a" * 101, "name", ""), ("größe", "name", "gr_e")],
)  # fmt: skip
def test_names(name: str, code: str, suggestion: str) -> None:
    """A name is plain, of a bounded length, and means nothing else."""
    (problem,) = checked(Definitions(traits=(Trait(name, "1"),))).problems
    assert (problem.code, problem.suggestion, problem.in_name) == (code, suggestion, True)


def test_a_name_is_given_once() -> None:
    """Traits and audiences share one set of names."""
    definitions = Definitions(traits=(Trait("a", "1"), Trait("a", "2")), audiences=(Audience("a", "true"),))
    assert [p.code for p in checked(definitions).problems] == ["duplicate", "duplicate"]


def test_a_moving_instant_is_no_value_of_a_trait() -> None:
    """It would change with every millisecond; what an event fixed does not."""
    (problem,) = checked(traits(a="now()", b="last_seen")).problems
    assert (problem.code, problem.name) == ("type", "a")


def audiences(**expressions: str) -> Definitions:
    """Definitions of these audiences alone."""
    return Definitions(audiences=tuple(Audience(name, text) for name, text in expressions.items()))


def test_an_audience_is_no_trait() -> None:
    """An expression that takes one for a trait is shown how to ask."""
    (problem,) = checked(audiences(a="true", b="not a")).problems
    assert (problem.code, problem.name, problem.column) == ("wrong_scope", "b", 4)
    assert problem.suggestion == 'in_audience("a")'


def test_audiences_come_after_those_that_they_name() -> None:
    """Whatever their order in the files; depth is bounded by their number alone."""
    check = checked(audiences(c='in_audience("b")', b='not in_audience("a")', a="events > 1"))
    assert not check.problems
    assert list(check.audiences) == ["a", "b", "c"]
    names = [f"a{i}" for i in range(3_000)]
    chain = {a: f'in_audience("{b}")' for a, b in pairwise(names)}
    check = checked(audiences(**chain, **{names[-1]: "true"}))
    assert not check.problems
    assert list(check.audiences) == names[::-1]


def test_audiences_do_not_go_round_in_circles() -> None:
    """A circle is shown once with its way, an unknown audience with the nearest."""
    (problem,) = checked(audiences(a='in_audience("b")', b='not in_audience("a")')).problems
    assert (problem.code, problem.part, problem.name, problem.column) == ("cycle", "audience", "b", 4)
    assert "a → b → a" in problem.message
    (problem,) = checked(audiences(vip="true", b='in_audience("vipp")')).problems
    assert (problem.code, problem.suggestion) == ("unknown_name", "vip")
    (problem,) = checked(
        Definitions(traits=(Trait("t", 'in_audience("a")'),), audiences=(Audience("a", "true"),))
    ).problems
    assert (problem.code, problem.part) == ("wrong_scope", "trait")


def test_what_depends_on_too_much_is_refused() -> None:
    """Definitions that build on each other stay linear in their number: each depends on a bounded number of things."""
    names = [f"a{i}" for i in range(DEFINITION_INPUTS_MAX + 2)]
    chain = {b: f'in_audience("{a}") and count("{b}") > 1' for a, b in pairwise(names)}
    (problem,) = checked(audiences(a0='count("a0") > 1', **chain)).problems
    assert (problem.code, problem.part, problem.name) == ("too_large", "audience", f"a{DEFINITION_INPUTS_MAX}")
    assert not checked(
        audiences(a0='count("a0") > 1', **{b: chain[b] for b in names[1:DEFINITION_INPUTS_MAX]})
    ).problems
