"""Crossings: which audiences a value moves when it changes, found by bisection and not by asking each.

Many audiences ask the same of one trait or aggregate with other literals: `views_7d >= 10`, `views_7d >= 20`. In the
order of their literals, those that a change from one value to another moves are neighbours.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from math import ceil, floor
from typing import Any, NamedTuple

from onefold.language.values import NUMBERS

Moves = list[tuple[str, bool]]
Test = tuple[str, int | float | str, str]
"""(operator, literal, audience): `<`, `<=`, `>`, `>=` with a number, `==` with a string."""


class _Side(NamedTuple):
    """The tests of one operator, by ascending literal."""

    op: str
    cut: Callable[[Sequence[Any], Any], int]
    """Where a value stands among the literals."""
    above: bool
    """True: a value satisfies the tests before its place; False: those from there on."""
    literals: list[int | float]
    audiences: list[str]

    def place(self, value: Any) -> int:
        """What is no number satisfies nothing."""
        if type(value) in NUMBERS:
            return self.cut(self.literals, value)
        return 0 if self.above else len(self.literals)


_CUTS: dict[str, tuple[Callable[[Sequence[Any], Any], int], bool]] = {
    ">=": (bisect_right, True),
    ">": (bisect_left, True),
    "<": (bisect_right, False),
    "<=": (bisect_left, False),
}


def turns(op: str, literal: float) -> Iterable[int]:
    """The whole numbers whose comparison with a literal has another answer than that of the whole number before."""
    match op:
        case ">=" | "<":
            return (ceil(literal),)
        case ">" | "<=":
            return (floor(literal) + 1,)
    return (int(literal), int(literal) + 1) if literal == int(literal) else ()


class Crossings:
    """All tests of one value."""

    def __init__(self, tests: Iterable[Test]) -> None:
        self._sides: list[_Side] = []
        self._equal: dict[str, list[str]] = {}
        numeric: dict[str, list[tuple[Any, str]]] = {}
        for op, literal, audience in tests:
            if isinstance(literal, str):
                assert op == "=="
                self._equal.setdefault(literal, []).append(audience)
            else:
                numeric.setdefault(op, []).append((literal, audience))
        for op, found in sorted(numeric.items()):
            found.sort()
            cut, above = _CUTS[op]
            self._sides.append(_Side(op, cut, above, [literal for literal, _ in found], [name for _, name in found]))

    def turns(self) -> frozenset[int]:
        """The whole numbers that move an audience where a count comes to them from the one before."""
        return frozenset(n for side in self._sides for literal in side.literals for n in turns(side.op, literal))

    def described(self, numbers: Mapping[str, int]) -> tuple[list[Any], dict[str, list[int]]]:
        """For the native kernel, with audiences by these numbers: each operator's literals and audiences; texts'."""
        sides = [[side.op, side.literals, [numbers[name] for name in side.audiences]] for side in self._sides]
        return sides, {text: [numbers[name] for name in names] for text, names in self._equal.items()}

    def move(self, old: Any, new: Any, now: int, audiences: dict[str, int], moves: Moves) -> None:
        """The value was `old` when the audiences were judged last, and is `new`: enter and leave accordingly."""
        if old == new and type(old) is type(new):
            return
        numbers = type(old) in NUMBERS and type(new) in NUMBERS
        for side in self._sides:
            if numbers:
                was, now_at = side.cut(side.literals, old), side.cut(side.literals, new)
            else:
                was, now_at = side.place(old), side.place(new)
            if was != now_at:
                low, high = (was, now_at) if was < now_at else (now_at, was)
                enter = side.above == (was < now_at)
                _turn(side.audiences[low:high], now, audiences, moves, enter=enter)
        if self._equal:
            if type(old) is str:
                _turn(self._equal.get(old, ()), now, audiences, moves, enter=False)
            if type(new) is str:
                _turn(self._equal.get(new, ()), now, audiences, moves, enter=True)


def _turn(names: Iterable[str], now: int, audiences: dict[str, int], moves: Moves, *, enter: bool) -> None:
    for name in names:
        if enter:
            if name not in audiences:
                audiences[name] = now
                moves.append((name, True))
        elif name in audiences:
            del audiences[name]
            moves.append((name, False))
