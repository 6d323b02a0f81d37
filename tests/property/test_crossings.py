"""Audiences found by bisection are those that asking each one finds."""

from itertools import pairwise
from operator import eq, ge, gt, le, lt, ne
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from onefold.language.stream.crossings import Crossings, turns
from onefold.language.values import NUMBERS, compare

NUMBER = st.one_of(st.integers(-5, 5), st.floats(-5, 5, allow_nan=False).map(lambda x: round(x, 1)))
VALUE = st.one_of(st.none(), st.booleans(), NUMBER, st.sampled_from(["a", "b", "c"]), st.just([1]))
TEST = st.one_of(
    st.tuples(st.sampled_from(["<", "<=", ">", ">="]), NUMBER), st.tuples(st.just("=="), st.sampled_from(["a", "b"]))
)


def _holds(op: str, value: Any, literal: Any) -> bool:
    if op == "==":
        return type(value) is str and bool(value == literal)
    return type(value) in NUMBERS and compare(op, value, literal)


ANSWERS = {"<": lt, "<=": le, ">": gt, ">=": ge, "==": eq, "!=": ne}


@given(st.sampled_from(sorted(ANSWERS)), NUMBER, st.integers(-8, 8))
def test_a_count_turns_an_answer_just_where_it_is_said_to(op: str, literal: float, count: int) -> None:
    """Coming to a count from the one before changes a comparison exactly at its turns."""
    assert (ANSWERS[op](count - 1, literal) != ANSWERS[op](count, literal)) == (count in turns(op, literal))
    crossings, moves = Crossings([(op, literal, "x")] if op[0] in "<>" else []), list[tuple[str, bool]]()
    crossings.move(count - 1, count, 1, {"x": 0} if _holds(op, count - 1, literal) else {}, moves)
    assert (count in crossings.turns()) == bool(moves)


@given(st.lists(TEST, max_size=12), st.lists(VALUE, min_size=2, max_size=8))
def test_crossings_equal_asking_each(tests: list[tuple[str, Any]], values: list[Any]) -> None:
    """Whatever a value goes through, the audiences and their moves are those of judging every test anew."""
    named = [(op, literal, f"audience_{n}") for n, (op, literal) in enumerate(tests)]
    crossings = Crossings(named)
    members = {name: 0 for op, literal, name in named if _holds(op, values[0], literal)}
    for now, (old, new) in enumerate(pairwise(values), start=1):
        before = set(members)
        moves: list[tuple[str, bool]] = []
        crossings.move(old, new, now, members, moves)
        after = {name for op, literal, name in named if _holds(op, new, literal)}
        assert set(members) == after
        assert sorted(moves) == sorted([(n, True) for n in after - before] + [(n, False) for n in before - after])
        assert all(members[name] == now for name in after - before)
