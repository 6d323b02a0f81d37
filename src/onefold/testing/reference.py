"""What expressions mean, in the slowest and plainest way: the whole history is looked at for every value.

Every back end is held equal to this one (`docs/language.md` says the same in words). It shares no code with them
but the tree and the reading of instants.
"""

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from msgspec import Struct

from onefold.language import nodes as n
from onefold.language.check import Checked
from onefold.language.instants import parse_instant

_EXACT = 1 << 53
_SUMMABLE = 1e290


class Occurrence(Struct, frozen=True):
    """One admitted event of a person. `name` is the track event's name, any other event's type."""

    at_ms: int
    tie: int
    """Orders events of the same instant."""
    name: str
    type: str = "track"
    properties: dict[str, Any] = {}
    context: dict[str, Any] = {}
    traits: dict[str, Any] = {}


class Person(Struct, frozen=True):
    """Everything that is known of somebody: all events, in any order, and the declared traits in force."""

    history: tuple[Occurrence, ...]
    declared: dict[str, Any] = {}


class Instant(Struct, frozen=True, order=True):
    """An instant, so that nobody takes it for a number."""

    ms: int


def values(checked: Checked, person: Person, now_ms: int) -> tuple[dict[str, Any], set[str]]:
    """All traits that have a value at this instant, and the audiences that the person is in."""
    computed: dict[str, Any] = {}
    for name, node in checked.traits.items():
        if (value := evaluate(node, person, now_ms, computed)) is not None:
            computed[name] = value
    members = {name for name, node in checked.audiences.items() if evaluate(node, person, now_ms, computed) is True}
    return computed, members


def evaluate(node: n.Node, person: Person, now_ms: int, computed: Mapping[str, Any] | None = None) -> Any:
    """The value of an expression at an instant, None where it has none. `computed`: the traits that it names."""
    return _Profile(person, now_ms, computed or {}).value(node)


class _Scope:
    """Values of the parts that both scopes have."""

    def value(self, node: n.Node) -> Any:  # noqa: PLR0911 (a table, one case for each node)
        match node:
            case n.Literal_(value=value):
                return value
            case n.And(parts=parts):
                return all(self.value(part) is True for part in parts)
            case n.Or(parts=parts):
                return any(self.value(part) is True for part in parts)
            case n.Not(part=part):
                return self.value(part) is not True
            case n.Compare(op=op, left=left, right=right):
                return compare(op, self.value(left), self.value(right))
            case n.In(item=item, options=options):
                return any(compare("==", self.value(item), option) for option in options)
            case n.Arithmetic(op=op, left=left, right=right):
                return arithmetic(op, self.value(left), self.value(right))
            case n.Negate(part=part):
                value = self.value(part)
                return -value if is_number(value) else None
            case n.Call(function=function, args=args):
                return call(function, *map(self.value, args))
        return self.name(node)

    def name(self, node: n.Node) -> Any:
        raise AssertionError(node)


class _Event(_Scope):
    def __init__(self, event: Occurrence) -> None:
        self.event = event

    def name(self, node: n.Node) -> Any:
        assert isinstance(node, n.Field)
        return dig(getattr(self.event, node.path[0]), node.path[1:])


class _Profile(_Scope):
    def __init__(self, person: Person, now_ms: int, computed: Mapping[str, Any]) -> None:
        self.person, self.now_ms, self.computed = person, now_ms, computed

    def name(self, node: n.Node) -> Any:
        match node:
            case n.TraitRef(name=name):
                return self.computed.get(name)
            case n.Declared(path=path):
                return dig(self.person.declared, path)
            case n.Now(ago_ms=ago_ms):
                return Instant(self.now_ms - ago_ms)
            case n.Builtin(name="events"):
                return len(self.person.history)
            case n.Builtin(name=name):
                times = [event.at_ms for event in self.person.history]
                return Instant(min(times) if name == "first_seen" else max(times)) if times else None
            case n.Aggregate():
                return aggregate(node, self._chosen(node))
        raise AssertionError(node)

    def _chosen(self, node: n.Aggregate) -> list[Any]:
        """Field of each event that counts (for a count: True), in order of event time."""
        chosen = []
        for event in sorted(self.person.history, key=lambda event: (event.at_ms, event.tie)):
            if node.event not in ("*", event.name) or event.at_ms > self.now_ms:
                continue
            if node.within_ms is not None and event.at_ms <= self.now_ms - node.within_ms:
                continue
            if node.where is None or _Event(event).value(node.where) is True:
                chosen.append(True if node.field is None else _Event(event).value(node.field))
        return chosen


def aggregate(node: n.Aggregate, fields: list[Any]) -> Any:  # noqa: C901, PLR0911 (a table, one case for each)
    """The value of an aggregate over these values of its field, in order of event time."""
    present = [value for value in fields if value is not None]
    numbers = [_stored(value) for value in present if is_number(value)]
    scalars = [value for value in present if isinstance(value, str | bool | int | float)]
    match node.function:
        case "count":
            return len(fields)
        case "sum":
            return total(numbers)
        case "avg":
            counted = [value for value in numbers if abs(value) <= _SUMMABLE]
            return total(numbers) / len(counted) if counted else None
        case "min":
            return min(numbers, default=None)
        case "max":
            return max(numbers, default=None)
        case "first":
            return present[0] if present else None
        case "last":
            return present[-1] if present else None
        case "most_frequent":
            most = max((_occurrences(value, scalars) for value in scalars), default=0)
            return min((value for value in scalars if _occurrences(value, scalars) == most), key=rank, default=None)
        case "unique":
            return _distinct(scalars) or None
        case "unique_count":
            return len(_distinct(scalars))
    raise AssertionError(node)


def total(numbers: Iterable[float]) -> Any:
    """The sum, rounded once; whole where all are whole."""
    numbers = [number for number in numbers if abs(number) <= _SUMMABLE]
    if all(isinstance(number, int) for number in numbers):
        return _stored(sum(numbers))
    return math.fsum(numbers)


def _distinct(scalars: list[Any]) -> list[Any]:
    found: list[Any] = []
    for value in sorted(scalars, key=rank):
        if not found or rank(found[-1]) != rank(value):
            found.append(value)
    return found


def _occurrences(value: Any, scalars: list[Any]) -> int:
    return sum(rank(other) == rank(value) for other in scalars)


def rank(value: Any) -> tuple[str, Any]:
    """Order of scalars of all kinds: by the kind's name, then by value."""
    return kind(value), value


def kind(value: Any) -> str:
    """What can be compared with what."""
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int | float):
        return "number"
    if isinstance(value, str):
        return "string"
    return "instant" if isinstance(value, Instant) else "other"


def is_number(value: Any) -> bool:
    """A boolean is never a number."""
    return kind(value) == "number"


def _stored(value: Any) -> Any:
    """Whole numbers past 2^53 are kept as the nearest double."""
    return float(value) if isinstance(value, int) and abs(value) > _EXACT else value


def compare(op: str, a: Any, b: Any) -> bool:
    """Like with like; anything else is unequal and has no order."""
    if kind(a) == "instant" and isinstance(b, str):
        b = _instant(b)
    if kind(b) == "instant" and isinstance(a, str):
        a = _instant(a)
    alike = kind(a) == kind(b) != "other"
    if op == "==":
        return alike and bool(a == b)
    if op == "!=":
        return not (alike and a == b)
    return alike and kind(a) != "boolean" and bool(_ORDER[op](a, b))


def _instant(text: str) -> Instant | None:
    ms = parse_instant(text)
    return None if ms is None else Instant(ms)


_ORDER: dict[str, Callable[[Any, Any], Any]] = {
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
}
_ARITHMETIC: dict[str, Callable[[Any, Any], Any]] = {
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
    "*": lambda a, b: a * b,
    "/": lambda a, b: a / b,
    "%": lambda a, b: a % b,
}


def arithmetic(op: str, a: Any, b: Any) -> Any:
    """Of two numbers; by zero, or past what a double holds, there is no value."""
    if not is_number(a) or not is_number(b) or (op in "/%" and b == 0):
        return None
    try:
        value = _stored(_ARITHMETIC[op](a, b))
    except OverflowError:
        return None
    return value if math.isfinite(value) else None


def call(function: str, *args: Any) -> Any:  # noqa: PLR0911 (a table, one case for each)
    """A scalar function; of the wrong kind of values it has no value, or is false."""
    first, texts = args[0], all(isinstance(arg, str) for arg in args)
    match function:
        case "exists":
            return first is not None
        case "lower":
            return first.lower() if texts else None
        case "upper":
            return first.upper() if texts else None
        case "length":
            return len(first) if isinstance(first, str | list) else None
        case "contains" if isinstance(first, list):
            return any(compare("==", item, args[1]) for item in first)
        case "contains":
            return texts and args[1] in first
        case "starts_with":
            return texts and first.startswith(args[1])
        case "ends_with":
            return texts and first.endswith(args[1])
    raise AssertionError(function)


def dig(value: Any, path: Iterable[str]) -> Any:
    """The value at a path into nested objects."""
    for step in path:
        value = value.get(step) if isinstance(value, dict) else None
    return value
