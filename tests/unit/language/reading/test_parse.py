"""The parser: what is read, what is refused, where, and what is proposed instead."""

import pytest

from onefold.language import nodes as n
from onefold.language.durations import parse_duration, show_duration
from onefold.language.instants import parse_instant
from onefold.language.problem import Problem
from onefold.language.reading.parse import parse_expression
from onefold.language.reading.show import show
from onefold.limits import DAY_MS, EXPRESSION_MAX_CHARS, HOUR_MS


def read(text: str) -> n.Node:
    """The tree of a text that is right."""
    node = parse_expression(text)
    assert not isinstance(node, list), [problem.show() for problem in node]
    return node


def wrong(text: str) -> list[Problem]:
    """What is wrong with a text."""
    problems = parse_expression(text)
    assert isinstance(problems, list), show(problems)
    return problems


def test_an_aggregate_has_event_field_condition_and_window() -> None:
    """All parts of an aggregate end up in its node, with columns in the text."""
    text = 'sum("Order Completed", properties.revenue, where=properties.currency == "EUR", within="30d")'
    where = n.Compare(49, "==", n.Field(49, ("properties", "currency")), n.Literal_(72, "EUR"))
    field = n.Field(23, ("properties", "revenue"))
    assert read(text) == n.Aggregate(0, "sum", "Order Completed", field, where, 30 * DAY_MS)


@pytest.mark.parametrize("text", ["count()", 'count("*")'])
def test_count_of_everything(text: str) -> None:
    """A count without a name is over all events."""
    assert read(text) == n.Aggregate(0, "count", "*")


def test_names_mean_what_their_scope_says() -> None:
    """`traits.` is declared in profile scope and the event's own in event scope; bare names are traits or built-ins."""
    assert read("traits.plan") == n.Declared(0, ("plan",))
    assert read("last_seen") == n.Builtin(0, "last_seen")
    assert read("is_vip") == n.TraitRef(0, "is_vip")
    node = read('count("*", where=traits.plan == name)')
    assert isinstance(node, n.Aggregate)
    assert node.where == n.Compare(17, "==", n.Field(17, ("traits", "plan")), n.Field(32, ("name",)))


def test_a_field_of_any_name_is_reached_with_brackets() -> None:
    """Names with spaces and words of the language stand in brackets and quotes."""
    assert read('first("*", properties["order id"].class_["x"])') == n.Aggregate(
        0, "first", "*", n.Field(11, ("properties", "order id", "class_", "x"))
    )


def test_lists_are_reached_into_by_number() -> None:
    """Brackets with a number lead to an item, counted from 0, also of a declared trait."""
    node = read('first("*", properties.products[0].price)')
    assert isinstance(node, n.Aggregate)
    assert node.field == n.Field(11, ("properties", "products", 0, "price"))
    assert read("traits.tags[12]") == n.Declared(0, ("tags", 12))


def test_in_the_condition_of_a_list_names_are_fields_of_its_items() -> None:
    """Whatever they are called; `item` is the item itself."""
    node = read('any(traits.a, count > 1 and item > 2 and item.item == "x" and item["if"] == b.c[0])')
    fields = [part.left for part in node.condition.parts]  # type: ignore[attr-defined]
    assert [field.path for field in fields] == [("count",), (), ("item",), ("if",)]
    assert n.canonical(read(show(node))) == n.canonical(node)


def test_a_branch_is_a_case() -> None:
    """`a if c else b` is written `case(c, a, b)`, and a case without a last value has none."""
    assert n.canonical(read("1 if a else 2 if b else 3")) == n.canonical(read("case(a, 1, case(b, 2, 3))"))
    node = read("case(a, 1, b, 2)")
    assert isinstance(node, n.Case)
    assert (len(node.conditions), len(node.values), node.otherwise) == (2, 2, None)


def test_short_forms_mean_what_they_stand_for() -> None:
    """`between` is a chain of comparisons, consent the latest word of an event, `from_now` the other way of `ago`."""
    assert n.canonical(read("between(a, 1, 5)")) == n.canonical(read("a >= 1 and a <= 5"))
    said = 'last("*", context.consent.categoryPreferences.marketing) == true'
    assert n.canonical(read('consent("marketing")')) == n.canonical(read(said))
    assert read('from_now("7d")') == n.Now(0, -7 * DAY_MS)


def test_a_chain_of_comparisons_is_a_conjunction() -> None:
    """`0 < x < 5` is `0 < x and x < 5`."""
    assert n.canonical(read("0 < x < 5")) == n.canonical(read("0 < x and x < 5"))


def test_an_expression_may_have_lines_and_other_alphabets() -> None:
    """Columns count characters, whatever bytes they take and whatever lines stand before."""
    node = read('traits.größe == "ä"\n  and x')
    assert isinstance(node, n.And)
    assert node.parts[1] == n.TraitRef(26, "x")


@pytest.mark.parametrize(
    ("text", "column", "says", "suggestion"),
    [
        ("a = 3", 2, "does not compare", "=="),
        ('count("X", where=properties.a = 3)', 30, "does not compare", "=="),
        ("a && b", 2, "in words", "and"),
        ("a AND b", 2, "small", "and"),
        ("a andd b", 2, "joins nothing", "and"),
        ("a b", 2, "operator or a comma is missing", ""),
        ('count("X", within=30d)', 18, "in quotes", '"30d"'),
        ('count("X", within="1 day")', 18, "no duration", '"1d"'),
        ('count("X", within="1 month")', 18, "differ in length", ""),
        ('count("X", within="9999w")', 18, "at most", ""),
        ('count("X", wihin="1d")', 11, "has no `wihin=`", "within="),
        ('cuont("X")', 0, "no function", "count"),
        ("properties.price > 1", 0, "of one event", 'last("*", properties.price)'),
        ('count("X", where=is_vip)', 17, "not in an event", "properties.is_vip"),
        ('count("X", where=last_seen < 1)', 17, "of the profile", ""),
        ('count("X", where=count("Y") > 1)', 17, "many events", ""),
        ('count("X", where=properties.t < now())', 32, "within=", 'within="30d"'),
        ("sum(properties.revenue)", 4, "name of an event", 'sum("*", properties.revenue)'),
        ('sum("X", "revenue")', 9, "one field", "properties.revenue"),
        ("traits.class", 7, "brackets", '["class"]'),
        ("x == null", 5, "exists", "not exists(…)"),
        ("x is y", 2, "no `is`", "=="),
        ("lambda: 1", 0, "no functions", ""),
        ("[x for x in y]", 3, "no loops", ""),
        ('f"{x}"', 0, "prefix", ""),
        ("x := 1", 2, "not given names", ""),
        ("x ** 2", 0, "arithmetic is", ""),
        ("x & y", 2, "bit", "and"),
        ("traits.a[-1]", 0, "place of an item from 0", ""),
        ("traits[0]", 0, "is no list", "traits.…[0]"),
        ("lower()", 0, "takes one value, not 0", ""),
        ('substring("a")', 0, "takes 2 to 3 values, not 1", ""),
        ("coalesce(a)", 0, "takes 2 values or more, not 1", ""),
        ("case(a)", 0, "conditions, each with its value", 'case(x > 3, "many", "few")'),
        ("between(a, 1)", 0, "the least and the greatest", "between(x, 1, 5)"),
        ("between(case(a > 1, 1, 2), 1, 2)", 8, "comparisons inside", ""),
        ("any(traits.a)", 0, "a list and a condition", "any(properties.products, price > 100)"),
        ('any(traits.a, count("X") > 1)', 14, "fields of the item", ""),
        ("any(traits.a, first_seen < now())", 27, "within=", 'within="30d"'),
        ("in_audience(vip)", 0, "in quotes", 'in_audience("vip")'),
        ('count("X", where=in_audience("vip"))', 17, "of people", ""),
        ('count("X", where=consent("a"))', 17, "a person's", ""),
        ('count("X", where=random_share("a", 1))', 17, "of people", ""),
        ('count("X", where=elapsed(time) > 1)', 17, "does not change with time", 'within="30d"'),
        ('random_share("a", 101)', 18, "0 to 100", ""),
        ('random_share("a", b)', 0, "written out", 'random_share("spring test", 10)'),
        ("a IF b else c", 2, "small", "if"),
        ("x.lower()", 0, "no methods", "lower(…)"),
        ('x in "a"', 5, "in brackets", '("a",)'),
        ("(a", 0, "never closed", ""),
        ("a)", 1, "closes nothing", ""),
        ('x == "abc', 5, "never closed", ""),
        ("x == “abc”", 5, "straight", '"'),
        (r'x == "\d"', 6, "backslash", ""),
        ('"a" "b"', 4, "comma", ""),
        ("x == 1e999", 5, "too large", ""),
        ("x == 99999999999999999999", 5, "too large", ""),
        ("", 0, "empty", ""),
    ],
)  # fmt: skip
def test_what_is_refused_and_what_is_proposed(text: str, column: int, says: str, suggestion: str) -> None:
    """Each mistake is found at its column, with a reason and, where one can know, with what was meant."""
    problem = wrong(text)[0]
    assert (problem.column, problem.suggestion) == (column, suggestion), problem.show()
    assert says in problem.message


def test_all_mistakes_come_at_once() -> None:
    """One mistake does not hide the next."""
    assert [p.column for p in wrong('count("X", within="1y") > 0 and lowr(a) == "b" and c ** 2 > 1')] == [18, 32, 51]


@pytest.mark.parametrize(
    "text", ["(" * 3000, "-" * 3999 + "1", "not " * 900 + "x", "a+" * 1900 + "a", "a" * (EXPRESSION_MAX_CHARS + 1),
             "a." * 1900 + "a(", "lower(" * 40 + "a" + ")" * 40, "0 < (0 < (0 < a < 1) < 1) < 1"],
)  # fmt: skip
def test_what_is_too_large_is_refused(text: str) -> None:
    """Size and depth are bounded before they cost anything."""
    assert wrong(text)


@pytest.mark.parametrize(("text", "ms"), [("90s", 90_000), ("1h", HOUR_MS), ("30d", 30 * DAY_MS), ("2w", 14 * DAY_MS)])
def test_durations(text: str, ms: int) -> None:
    """A duration is a whole number and a unit."""
    assert parse_duration(text) == ms
    assert parse_duration(show_duration(ms)) == ms


@pytest.mark.parametrize("text", ["", "0s", "1.5h", "-1d", "1M", "d", "1 d", "99999w", "١d", "1d\n"])  # noqa: RUF001 (a digit that is none)
def test_what_is_no_duration(text: str) -> None:
    """Nothing else is one."""
    assert parse_duration(text) is None


@pytest.mark.parametrize(
    ("text", "ms"),
    [
        ("1970-01-01", 0),
        ("1970-01-01T00:00:01Z", 1000),
        ("1970-01-01 00:00:01", 1000),
        ("1970-01-01T01:00:00.0019+01:00", 1),
        ("1969-12-31T23:59:59.999z", -1),
        ("2025-02-30", None),
        ("20250101", None),
        ("2025-W01-1", None),
        ("2025-01-01T24:00:00Z", None),
        ("0000-01-01", None),
        ("yesterday", None),
        ("", None),
    ],
)
def test_instants(text: str, ms: int | None) -> None:
    """RFC 3339 and plain dates are instants, to the millisecond; nothing else is."""
    assert parse_instant(text) == ms
