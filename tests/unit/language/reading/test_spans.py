"""Every part of an expression is found again in its text, brackets and all."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onefold.language import nodes as n
from onefold.language.nodes import children
from onefold.language.reading.parse import parse_expression
from onefold.language.reading.show import show
from onefold.language.reading.spans import Spans
from onefold.language.stream.probe import parts
from onefold.testing.seeded import Seeded


def spans(text: str) -> list[str]:
    """The text of every part, each before its own parts."""
    node = parse_expression(text)
    assert isinstance(node, n.Node), node
    found, inside = Spans(text), [node]
    shown = []
    while inside:
        part = inside.pop(0)
        shown.append(text[part.column : found.end(part)])
        inside = [*children(part), *inside]
    return shown


@pytest.mark.parametrize(
    ("text", "whole"),
    [
        ("is_vip", ["is_vip"]),
        ("-3 < - x", ["-3 < - x", "-3", "- x", "x"]),
        ("((a) and (b))", ["(a) and (b)", "a", "b"]),
        ("(a or b) and not (c)", ["(a or b) and not (c)", "a or b", "a", "b", "not (c)", "c"]),
        ("0 < x < 5", ["0 < x < 5", "0 < x", "0", "x", "x < 5", "x", "5"]),
        ('traits["a b"].c  in ("x", "y")', ['traits["a b"].c  in ("x", "y")', 'traits["a b"].c']),
        (
            'x not in ("(", ")",) or y',
            ['x not in ("(", ")",) or y', 'x not in ("(", ")",)', 'x not in ("(", ")",)', "x", "y"],
        ),
        (
            'count("A", where=(properties.b == ")")) > 0',
            ['count("A", where=(properties.b == ")")) > 0', 'count("A", where=(properties.b == ")"))',
             'properties.b == ")"', "properties.b", '")"', "0"],
        ),
        ('last_seen\n  < ago("1d")', ['last_seen\n  < ago("1d")', "last_seen", 'ago("1d")']),
        ("(a + b) * -(c)", ["(a + b) * -(c)", "a + b", "a", "b", "-(c)", "c"]),
        ("lower( traits.ä )", ["lower( traits.ä )", "traits.ä"]),
    ],
)  # fmt: skip
def test_parts_stand_where_they_are_said_to(text: str, whole: list[str]) -> None:
    """Paths, calls, signs, brackets, chains and choices end where a reader would say."""
    assert spans(text) == whole


@given(st.integers(0, 10_000))
def test_a_part_cut_out_is_the_same_part(seed: int) -> None:
    """What stands at a part's columns means the part, in any expression of profile scope."""
    for definition in Seeded(seed).definitions().audiences:
        text = definition.expression
        root = parse_expression(text)
        assert isinstance(root, n.Node)
        found, inside = Spans(text), [root]
        while inside:
            part = inside.pop()
            cut = parse_expression(text[part.column : found.end(part)])
            assert isinstance(cut, n.Node)
            if isinstance(part, n.In) and isinstance(cut, n.Not):
                cut = cut.part  # `x not in …` stands for both
            assert n.canonical(cut) == n.canonical(part), (show(part), text[part.column : found.end(part)])
            inside += parts(part)
