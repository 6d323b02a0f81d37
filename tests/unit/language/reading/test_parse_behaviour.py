"""What people did, as it is written: what is read, what is refused, and what is proposed instead."""

import pytest

from onefold.language import nodes as n
from onefold.language.reading.check import checked
from onefold.language.reading.parse import parse_expression
from onefold.language.reading.show import show
from onefold.limits import DAY_MS, HOUR_MS
from onefold.testing.world import define


def read(text: str) -> n.Node:
    """The tree of an expression that must be right."""
    node = parse_expression(text)
    assert isinstance(node, n.Node), [problem.show() for problem in node]
    return node


@pytest.mark.parametrize(
    ("text", "means"),
    [
        ('did("Order")', 'count("Order") >= 1'),
        ('did("Order", at_least=3, within="30d")', 'count("Order", within="30d") >= 3'),
        ('did("Order", at_most=2)', 'count("Order") <= 2'),
        ('did("Order", at_least=2, at_most=4)', 'count("Order") >= 2 and count("Order") <= 4'),
        ('did("Order", exactly=0, where=properties.price > 1)', 'count("Order", where=properties.price > 1) == 0'),
        ('did_not("Order", within="this_month")', 'count("Order", within="this_month") == 0'),
        ('did_not("Order", at_least=2)', 'count("Order") < 2'),
        ('velocity("Order", within="7d")', 'count("Order", within="1w") / count("Order", within=between("2w", "1w"))'),
        (
            'velocity("Order", properties.x, within="1d")',
            'sum("Order", properties.x, within="1d") / sum("Order", properties.x, within=between("2d", "1d"))',
        ),
        ('sequence("A", then="B")', 'sequence("A", "B")'),
        ('sequence("A", then=("B", "C"), within="7d")', 'sequence("A", "B", "C", within="1w")'),
        ('sequence("A", then="B", absent="X", within="7d")', 'sequence("A", without("X"), "B", within="1w")'),
        ('sequence("A", "B", then="C", absent="X")', 'sequence("A", without("X"), "B", without("X"), "C")'),
        ('sequence("A", absent="X", within="1h")', 'sequence("A", without("X", within="1h"))'),
        ('sequence("A", "B", same="product_id")', 'sequence("A", "B", same=properties.product_id)'),
    ],
)
def test_other_forms_are_read_as_what_they_stand_for(text: str, means: str) -> None:
    """Whoever reads trees knows counts, sums and steps, and nothing else."""
    assert show(read(text)) == means
    assert n.canonical(read(text)) == n.canonical(read(means))


@pytest.mark.parametrize(
    ("text", "column", "says", "suggestion"),
    [
        ('count("A", within=30)', 18, "a window is written", '"30d"'),
        ('count("A", within="today")', 18, "calendar windows are", '"this_day"'),
        ('count("A", within="last_mont")', 18, "calendar windows are", '"last_month"'),
        ('count("A", within=between("1d"))', 18, "two durations", 'between("60d", "30d")'),
        ('count("A", within=between("1d", "2d"))', 18, "longer", "between('2d', '1d')"),
        ('count("A", within="1d", timezone="UTC")', 24, "calendar windows", ""),
        ('count("A", within="this_day", timezone="Europe/Berln")', 39, "time zone", '"Europe/Berlin"'),
        ('days_active("A", timezone="person")', 26, "may change", ""),
        ('streak("A", per="year")', 16, "days, weeks or months", ""),
        ('streak("A", per="weak")', 16, "days, weeks or months", '"week"'),
        ('top("A", properties.x)', 0, "how many", ""),
        ('top("A", properties.x, 0)', 23, "from 1 to 100", ""),
        ('top("A", properties.x, 2.5)', 23, "whole number", ""),
        ('percentile("A", properties.x, 101)', 30, "from 0 to 100", ""),
        ('time_since("A", unit="1s")', 21, "at least an hour", '"1h"'),
        ('time_since("A", gap="1h")', 16, "has no `gap=`", ""),
        ("did()", 0, "needs the name of an event", 'did("Order Completed")'),
        ('did("A", at_least=0)', 18, "whole number", ""),
        ('did("A", exactly=1, at_most=2)', 17, "without the other two", ""),
        ('did_not("A", at_most=2)', 13, "has no `at_most=`", "at_least="),
        ('velocity("A")', 0, "how long", 'within="7d"'),
        ('velocity("A", within="this_day")', 21, "how long", 'within="7d"'),
        ('sequence("A")', 0, "two steps", 'sequence("Product Viewed", then="Order Completed")'),
        ('sequence("A", absent="B")', 0, "how long", 'within="7d"'),
        ('sequence(without("A"), "B")', 9, "begins with something", ""),
        ('sequence(step("A", within="1h"), "B")', 9, "none before it", ""),
        ('sequence("A", without("X", within="1h"), "B")', 14, "all the time between", ""),
        ('sequence("A", "B", without("X"))', 19, "for how long", ""),
        ('sequence("A", without("X", within="1h"), without("Y", within="2h"))', 41, "the same time", ""),
        ('sequence("A", "B", same=5)', 24, "a field that all steps share", "properties.product_id"),
        ('sequence("A", B)', 14, "in quotes", '"B"'),
        ('step("A")', 0, "stands in a sequence", 'sequence("Product Viewed", step("Order Completed"))'),
        ('sequence("A", "B", during="x")', 26, "duration", ""),
        ("sequence(" + ", ".join(['"A"'] * 9) + ")", 0, "at most 8", ""),
    ],
)
def test_what_is_refused_and_what_is_proposed(text: str, column: int, says: str, suggestion: str) -> None:
    """Each mistake is found at its column, with a reason and, where one can know, with what was meant."""
    problems = parse_expression(text)
    assert isinstance(problems, list), problems
    assert says in problems[0].message, problems[0].show()
    assert (problems[0].column, problems[0].suggestion) == (column, suggestion), problems[0].show()


def test_steps_keep_their_conditions_and_gaps() -> None:
    """Steps are data: event, condition, gap, negated or not."""
    node = read(
        'sequence("A", without("X", where=properties.p == 1), step("B", within="1h"), within="1d", during="30d")'
    )
    assert isinstance(node, n.Sequence)
    assert [(step.event, step.negated, step.within_ms) for step in node.steps] == [
        ("A", False, None), ("X", True, None), ("B", False, HOUR_MS),
    ]  # fmt: skip
    assert (node.within_ms, node.during_ms, node.counted) == (DAY_MS, 30 * DAY_MS, False)
    assert n.events_of(node) == {"A", "B", "X"}


def test_days_are_counted_in_the_workspaces_zone_unless_one_is_named() -> None:
    """A checked tree says the zone; UTC, which was always meant, is left out."""
    texts = {"a": "days_active()", "b": 'days_active(timezone="Asia/Tokyo")', "c": 'count("A", within="this_day")'}
    here = checked(define(texts))
    assert [getattr(node, "timezone", 0) for node in here.traits.values()] == [None, "Asia/Tokyo", None]
    definitions = define(texts)
    berlin = checked(type(definitions)(version=1, traits=definitions.traits, timezone="Europe/Berlin"))
    zones = [getattr(node, "timezone", 0) for node in berlin.traits.values()]
    assert zones == ["Europe/Berlin", "Asia/Tokyo", "Europe/Berlin"]


def test_slots_of_what_could_be_written_before_are_what_they_were() -> None:
    """States are kept under these names: a new field of an aggregate must not move them."""
    old = read('sum("Order Completed", properties.revenue, where=properties.price > 1, within="30d")')
    assert isinstance(old, n.Aggregate)
    assert n.canonical(old) == (
        "Aggregate('sum','Order Completed',Field(('properties','revenue')),"
        "Compare('>',Field(('properties','price')),Literal_(1)),2592000000)"
    )
    assert n.slot(n.Aggregate(0, "count", "*")) == "a9ded40b78c0"


def test_counted_and_not_share_what_is_kept() -> None:
    """`sequence` and `sequence_count` of the same steps are two readings of one state."""
    first, second = read('sequence("A", "B")'), read('sequence_count("A", "B")')
    assert isinstance(first, n.Sequence)
    assert isinstance(second, n.Sequence)
    assert n.slot(first) == n.slot(second)
