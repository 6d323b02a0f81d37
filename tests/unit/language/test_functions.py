"""The catalogue of functions, and the values of each, in examples."""

import math
from typing import Any

import pytest

from onefold.language import functions as f
from onefold.language import nodes as n
from onefold.language.reading.check import check_expression
from onefold.language.scalars import amounts, geo, patterns, shares, text
from onefold.testing.reference.values import Person, Place, evaluate
from onefold.testing.world import World, define, identify

BERLIN = "Europe/Berlin"
DECLARED: dict[str, Any] = {
    "name": "  Ada  Lovelace ",
    "sku": "A-12-x", "n": 2.5, "minus": -7, "big": 1e300, "text": "12.50", "tags": ["a", "b"],
    "pets": [{"kind": "cat", "age": 1}, {"kind": "dog", "age": 9, "tags": ["x"]}], "none": [], "born": "2000-02-29",
    "at": "2025-03-30T00:30:00Z", "zone": "Asia/Kathmandu", "no_day": "2025-02-30", "long": "x" * 20_000, "yes": True,
}  # fmt: skip

EXAMPLES: list[tuple[str, Any]] = [
    ("trim(traits.name)", "Ada  Lovelace"),
    ("trim(traits.n)", None),
    ('like(traits.sku, "A-__-%")', True),
    ('like(traits.sku, "A-_")', False),
    ('like("a\\nb", "a_b")', True),
    ('like("a.b", "a.b") and not like("axb", "a.b")', True),
    ('matches(traits.sku, "[0-9]{2}")', True),
    ('matches(traits.sku, "^[0-9]")', False),
    ('matches(traits.n, ".")', False),
    ('replace(traits.sku, "-", "")', "A12x"),
    ('replace(traits.sku, "", "z")', "A-12-x"),
    ('replace(traits.long, "x", "yy")', None),
    ("concat(traits.long, traits.long)", None),
    ('concat(traits.sku, "!", "?")', "A-12-x!?"),
    ("concat(traits.sku, traits.n)", None),
    ("substring(traits.sku, 2, 2)", "12"),
    ("substring(traits.sku, 2)", "12-x"),
    ("substring(traits.sku, 99)", ""),
    ("substring(traits.sku, -1)", None),
    ("substring(traits.sku, 0.5)", None),
    ("left(traits.sku, 1)", "A"),
    ("right(traits.sku, 1)", "x"),
    ("right(traits.sku, 0)", ""),
    ('split(traits.sku, "-")', ["A", "12", "x"]),
    ('split(traits.sku, "")', None),
    ('element(split(traits.sku, "-"), 1)', "12"),
    ("element(traits.tags, 2)", None),
    ("traits.tags[1]", "b"),
    ("traits.pets[1].tags[0]", "x"),
    ("traits.pets[9].tags", None),
    ('contains_any(traits.tags, "z", "b")', True),
    ("to_number(traits.text)", 12.5),
    ('to_number(" 1_0")', None),
    ('to_number("1e999")', None),
    ('to_number("-3")', -3),
    ("to_number(traits.yes)", None),
    ("to_string(traits.n)", "2.5"),
    ("to_string(2.0)", "2"),
    ("to_string(traits.yes)", "true"),
    ("to_string(traits.tags)", None),
    ("abs(traits.minus)", 7),
    ("round(traits.n)", 3),
    ("round(-2.5)", -3),
    ("round(0.49999999999999994)", 0),
    ("round(2.345, 1)", 2.3),
    ("round(traits.big, 5)", 1e300),
    ("floor(-0.5)", -1),
    ("ceil(traits.n)", 3),
    ("sqrt(traits.minus)", None),
    ("sqrt(9)", 3),
    ("power(2, 10)", 1024),
    ("power(traits.big, 2)", None),
    ("power(-1, 0.5)", None),
    ("least(traits.n, traits.sku, traits.minus)", -7),
    ("greatest(traits.sku, traits.gone)", None),
    ("coalesce(traits.gone, traits.n, 1)", 2.5),
    ('case(traits.n > 9, "many", traits.n > 2, "some", "few")', "some"),
    ("case(traits.n > 9, 1)", None),
    ("1 if traits.gone else 2", 2),
    ("between(traits.n, 2.5, 3) and not between(traits.n, 2.6, 3)", True),
    ('any(traits.pets, kind == "dog" and age > 8)', True),
    ("all(traits.pets, age > 8)", False),
    ('none(traits.pets, kind == "fish")', True),
    ("all(traits.none, false) and none(traits.none, true) and not any(traits.none, true)", True),
    ("none(traits.gone, true) and not all(traits.gone, true) and not any(traits.n, true)", True),
    ('any(traits.pets, any(tags, item == "x"))', True),
    ('any(traits.tags, item == "b")', True),
    ("year(traits.at)", 2025),
    (f'hour(traits.at, "{BERLIN}")', 1),
    ('hour("2025-03-30T01:00:00Z", "Europe/Berlin")', 3),
    ("hour(traits.at, traits.zone)", 6),
    ("hour(traits.at, traits.sku)", None),
    ('day("2025-03-31", "America/New_York")', 31),
    ('weekday("2025-03-30")', 7),
    ("weekday(traits.no_day)", None),
    ('days_between("2025-03-29T23:30:00Z", traits.at)', 1),
    ('days_between("2025-03-29T23:30:00Z", traits.at, "Europe/Berlin")', 0),
    ('days_between("2025-03-01", "2024-03-01")', -365),
    ('date_add("2025-01-31", "-1d") == "2025-01-30"', True),
    ('date_add("9999-12-28", "30d") == "2025-01-30"', False),
    ("month(to_instant(traits.at))", 3),
    ("years_since(traits.born)", 25),
    ("days_until_anniversary(traits.born)", 335),
    ("is_anniversary(traits.sku)", False),
    ("round(geo_distance(52.52, 13.405, 48.8566, 2.3522))", 877),
    ("geo_distance(91, 0, 0, 0)", None),
    ("geo_distance(0, 0, 0, traits.text)", None),
]  # fmt: skip
NOW_MS = 1_743_292_800_000  # 2025-03-30T00:00Z


@pytest.mark.parametrize(("expression", "value"), EXAMPLES, ids=str)
def test_each_function_by_example(expression: str, value: Any) -> None:
    """The stream and the reference both give the value that is expected."""
    node = check_expression(expression, {})
    assert not isinstance(node, list), [problem.show() for problem in node]
    asked = evaluate(node, Person((), DECLARED), Place(NOW_MS))
    assert (asked, type(asked)) == (value, type(value)) or (asked == value and type(asked) is not bool)
    world = World()
    world.now_ms = NOW_MS
    world.define(define({"found": expression}))
    world.send(identify(user="u", traits=DECLARED))
    world.fold()
    assert world.person("user_id:u").computed.get("found") == value


def test_every_function_is_in_the_examples() -> None:
    """None is left out, but for those that the tests of time are about."""
    shown = " ".join(expression for expression, _ in EXAMPLES)
    elsewhere = {"exists", "lower", "upper", "length", "contains", "starts_with", "ends_with", "elapsed"}
    assert [name for name in f.FUNCTIONS if f"{name}(" not in shown and name not in elsewhere] == []


@pytest.mark.parametrize(
    ("text_", "column", "says", "suggestion"),
    [
        ('matches(traits.a, "(")', 18, "no regular expression: missing )", ""),
        ('matches(traits.a, "(?=x)")', 18, "no regular expression", ""),
        (r'matches(traits.a, "(a)\\1")', 18, "no regular expression", ""),
        ('matches(traits.a, "((a{100}){100}){100}")', 18, "no regular expression", ""),
        ("matches(traits.a, traits.b)", 18, "written out", ""),
        ("like(traits.a, 3)", 15, "a pattern in quotes", ""),
        ('hour(first_seen, "Europe/Berln")', 17, "no time zone", "Europe/Berlin"),
        ("hour(5)", 5, "for instants and dates", ""),
        ('hour("noon")', 5, "is written as", ""),
        ('date_add(first_seen, "1 month")', 21, "differ in length", ""),
        ('date_add(now(), "1d")', 9, "time moves on", ""),
        ("coalesce(first_seen, now())", 21, "time moves on", ""),
        ("round(traits.a, 16)", 16, "from 0 to 15", ""),
        ("round(traits.a, traits.b)", 16, "written out", ""),
        ("exists(now())", 7, "time moves on", ""),
        ("now()", 0, "time moves on", ""),
        ("case(traits.a, now(), first_seen)", 15, "time moves on", ""),
        ('case(traits.a, 1, "x")', 18, "a string beside a number", ""),
        ("case(traits.a, first_seen, traits.b)", 27, "beside an instant", "to_instant(…)"),
        ("case(1, 2)", 5, "a yes or no", ""),
        ("any(5, true)", 4, "goes over lists", ""),
        ("any(traits.a, 5)", 14, "a yes or no", ""),
        ('contains("a", 1)', 14, "a string contains strings", ""),
        ('elapsed(last_seen, "s")', 19, "too often", '"h"'),
        ('elapsed(last_seen, "y")', 19, "a unit in quotes", ""),
        ("first_seen + 1", 0, "arithmetic is for numbers", ""),
        ('min("X", time)', 9, "for numbers", ""),
        ('unique("X", time)', 12, "does not go over instants", ""),
        ('in_audience("vip")', 0, "does not depend on audiences", ""),
        ("least(first_seen, 1)", 6, "for numbers", ""),
    ],
)  # fmt: skip
def test_what_can_never_be_right_is_refused(text_: str, column: int, says: str, suggestion: str) -> None:
    """Arguments that are known to be wrong are shown at their place."""
    problems = check_expression(text_, {})
    assert isinstance(problems, list), text_
    assert (problems[0].column, problems[0].suggestion) == (column, suggestion), problems[0].show()
    assert says in problems[0].message


def test_the_catalogue_is_consistent() -> None:
    """Left-out parameters have a default or are a time zone; what moves says when."""
    for name, function in f.FUNCTIONS.items():
        if function.optional:
            assert function.optional == 1, name
            assert (function.params[-1] is f.ZONE) == function.zoned
            assert function.zoned or function.default is not None
        moments = [kind for kind in function.params if kind is f.MOMENT]
        assert bool(moments) == bool(function.turn or (function.moves and function.zoned)), name
        assert all(kind.prepare for kind in function.params if kind.literal), name
    assert f.moves(n.Call(0, "hour", (n.Now(0),)))
    assert not f.moves(n.Call(0, "hour", (n.Builtin(0, "first_seen"),)))


def test_hostile_patterns_take_linear_time() -> None:
    """A pattern that makes a backtracking engine stand still is searched like any other."""
    assert not patterns.search("(a+)+$")("a" * 30_000 + "b")
    assert patterns.like("%a" * 200)("a" * 10_000)
    assert not patterns.like("%a" * 200 + "%b")("a" * 10_000)


def test_rounding_and_distances_are_total() -> None:
    """Extreme numbers have a value or none, and never fail."""
    extremes = (0, -0.0, 5e-324, -1e308, 1.7e308, 2**53, -(2**53), 0.5, 1e15 + 0.5)
    for value in extremes:
        for give in (amounts.rounded, amounts.floor, amounts.ceil, amounts.root, amounts.absolute, text.to_string):
            found = give(value)
            assert found is None or isinstance(found, str) or math.isfinite(found)
        assert amounts.rounded(value, 15) is not None
        for other in extremes:
            amounts.power(value, other)
            geo.distance(value, other, other, value)
    assert geo.distance(0, 0, 0, 180) == pytest.approx(math.pi * geo.EARTH_RADIUS_KM)


def test_shares_are_stable_and_nested() -> None:
    """A share has about its part of all, lies within larger ones of its salt, and knows nothing of other salts."""
    people = [[f"anonymous_id:{n}", f"user_id:{n}"] for n in range(20_000)]
    tenth = {n for n, who in enumerate(people) if shares.in_share(who, "a", 10)}
    fifth = {n for n, who in enumerate(people) if shares.in_share(who, "a", 20)}
    other = {n for n, who in enumerate(people) if shares.in_share(who, "b", 10)}
    assert tenth < fifth
    assert abs(len(tenth) - 2_000) < 200
    assert abs(len(tenth & other) - 200) < 70
    assert shares.who_counts(["user_id:b", "email:a@b.c", "user_id:a"]) == "user_id:a"
    assert shares.who_counts(["phone:1", "anonymous_id:z"]) == "anonymous_id:z"
    assert shares.in_share([], "a", 100)
    assert not shares.in_share(["user_id:a"], "a", 0)
