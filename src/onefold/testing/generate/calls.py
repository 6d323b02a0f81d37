"""Random calls of the functions of the catalogue, for any drawer of random trees: arguments that mostly fit."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from onefold.language import functions as f
from onefold.language import nodes as n

PATTERNS = ("%", "a%", "%o_s", "_", "", "s%s")
REGEXES = ("a", "^a", "[0-9]+$", "sh?o", "^$", "(a|b)+")
DURATIONS = ("1s", "-1d", "30d", "2h")
UNITS = ("s", "m", "h", "d", "w")
ZONES = ("UTC", "Europe/Berlin", "America/St_Johns", "Asia/Kathmandu", "Pacific/Apia")
DATES = ("2025-06-15", "2000-02-29", "1990-07-01", "2025-06-15T15:06:40Z", "2024-12-31T23:30:00-05:00", "2025-06-31")
AGOS_MS = (0, 3_600_000, 86_400_000, -86_400_000)
_LITERALS: dict[f.Kind, Sequence[Any]] = {
    f.PATTERN: PATTERNS, f.REGEX: REGEXES, f.DURATION: DURATIONS, f.UNIT: UNITS[2:], f.DIGITS: (0, 1, 2, 5),
    f.ZONE: ZONES,
}  # fmt: skip


def named(result: n.Type, *, moving: bool) -> list[str]:
    """The functions that give values of a type; those that move with time only where they may stand."""
    return [name for name, each in f.FUNCTIONS.items() if each.result == result and (moving or not each.moves)]


class Drawer(NamedTuple):
    """How somebody draws trees."""

    pick: Callable[[Sequence[Any]], Any]
    of: Callable[[n.Type], n.Node]
    """Any expression of a type."""
    instants: bool
    """In profile scope, where moving instants and those of the profile can stand."""


def call(name: str, draw: Drawer) -> n.Call:
    """A call of this function that passes the check."""
    function = f.FUNCTIONS[name]
    least = len(function.params) - function.optional
    many = draw.pick((least, len(function.params), len(function.params) + function.more))
    if name in ("contains", "contains_any"):
        whole: n.Type = draw.pick(f.SIZED.types)
        parts = [draw.of("string" if whole == "string" else draw.pick(f.SCALAR.types)) for _ in range(many - 1)]
        return n.Call(0, name, (draw.of(whole), *parts))
    return n.Call(0, name, tuple(_argument(function, function.kind(at), draw) for at in range(many)))


def _argument(function: f.Function, kind: f.Kind, draw: Drawer) -> n.Node:
    if kind in _LITERALS:
        return n.Literal_(0, draw.pick(_LITERALS[kind]))
    if kind is f.MOMENT and function.turn and draw.instants and draw.pick((True, False, False)):
        return n.Now(0, draw.pick(AGOS_MS))
    if kind is f.MOMENT or kind is f.INSTANT:
        return _moment(draw)
    if kind is f.ALIKE:
        return draw.of("any")
    return draw.of(draw.pick(kind.types) if kind is not f.ANY else "any")


def _moment(draw: Drawer) -> n.Node:
    match draw.pick(("instant", "instant", "literal", "any")):
        case "literal":
            return n.Literal_(0, draw.pick(DATES[:-1]))
        case type_:
            return draw.of(type_)


def counted(draw: Drawer) -> n.Node:
    """A comparison of what counts with time, in any unit, with a number."""
    name = draw.pick(("elapsed", "days_between", "years_since", "days_until_anniversary", "hour", "weekday", "day"))
    if name == "elapsed":
        made = n.Call(0, name, (_moment(draw), n.Literal_(0, draw.pick(UNITS))))
    elif name == "days_between":
        pair = (_moment(draw), n.Now(0, draw.pick(AGOS_MS)))
        made = n.Call(0, name, pair if draw.pick((True, False)) else pair[::-1])
    elif f.FUNCTIONS[name].turn:
        made = n.Call(0, name, (n.Now(0, draw.pick(AGOS_MS)),))
    else:
        made = call(name, draw)
    number = n.Literal_(0, draw.pick((-1, 0, 1, 2, 2.5, 10, 29, 30, 364)))
    sides: tuple[n.Node, n.Node] = (made, number) if draw.pick((True, False)) else (number, made)
    return n.Compare(0, draw.pick(n.COMPARISONS), *sides)
