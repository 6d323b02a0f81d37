"""What expressions mean, in the slowest and plainest way: the whole history is looked at for every value.

Every back end is held equal to this one (`docs/language.md` says the same in words). It shares no code with them
but the tree and the reading of instants.
"""

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from msgspec import Struct

from onefold.language import nodes as n
from onefold.language.reading.check import Checked
from onefold.language.zones import ZONES
from onefold.testing.reference import behaviour
from onefold.testing.reference.calls import Instant, call, compare, is_number, rank, share, stored

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
    group: str | None = None
    """The account that it names."""


class Person(Struct, frozen=True):
    """Everything that is known of somebody: all events, in any order, and the declared traits in force."""

    history: tuple[Occurrence, ...]
    declared: dict[str, Any] = {}
    identifiers: tuple[str, ...] = ()
    everyone: tuple[Occurrence, ...] = ()
    """All events of everybody, in any order: those that name the person's account are the account's."""


class Place(Struct, frozen=True):
    """Where an expression is asked: the instant, the workspace's time zone, and what was answered before it."""

    now_ms: int
    timezone: str = "UTC"
    computed: Mapping[str, Any] = {}
    members: frozenset[str] = frozenset()
    account: Mapping[str, Any] = {}
    """What the person's account has: `id`, `traits`, and its computed traits by their names."""


def values(checked: Checked, person: Person, now_ms: int) -> tuple[dict[str, Any], set[str]]:
    """All traits that have a value at this instant, and the audiences that the person is in."""
    computed: dict[str, Any] = {}
    account = account_of(checked, person, now_ms)
    for name, node in checked.traits.items():
        place = Place(now_ms, checked.timezone, computed, account=account)
        if (value := evaluate(node, person, place)) is not None:
            computed[name] = value
    members: set[str] = set()
    for name, node in checked.audiences.items():
        if evaluate(node, person, Place(now_ms, checked.timezone, computed, frozenset(members), account)) is True:
            members.add(name)
    return computed, members


def account_of(checked: Checked, person: Person, now_ms: int) -> dict[str, Any]:
    """What the account of a person has: that which the person's latest event naming one names; empty without one."""
    named = [event for event in person.history if event.group is not None]
    if not named:
        return {}
    group = max(named, key=lambda event: (event.at_ms, event.tie)).group
    history = sorted(
        (event for event in person.everyone if event.group == group), key=lambda event: (event.at_ms, event.tie)
    )
    said = [event.traits.items() for event in history if event.type == "group"]
    declared = {name: value for traits in said for name, value in traits if value is not None}
    itself = Person(tuple(history), declared, (f":{group}",))
    found: dict[str, Any] = {}
    for name, node in checked.accounts.items():
        found[name] = evaluate(node, itself, Place(now_ms, checked.timezone, found))
    return {**found, "id": group, "traits": declared}


def evaluate(node: n.Node, person: Person, place: Place | int) -> Any:
    """The value of an expression at a place (or at an instant alone), None where it has none."""
    return _Profile(person, Place(place) if isinstance(place, int) else place).value(node)


class _Scope:
    """Values of the parts that all scopes have."""

    place: Place

    def value(self, node: n.Node) -> Any:  # noqa: C901, PLR0911, PLR0912 (a table, one case for each node)
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
                return call(function, [self.value(arg) for arg in args], self.place.now_ms, self.place.timezone)
            case n.Case(conditions=conditions, values=choices, otherwise=otherwise):
                for condition, choice in zip(conditions, choices, strict=True):
                    if self.value(condition) is True:
                        return self.value(choice)
                return None if otherwise is None else self.value(otherwise)
            case n.Quantified():
                return self._quantified(node)
        return self.name(node)

    def _quantified(self, node: n.Quantified) -> bool:
        items = self.value(node.items)
        if not isinstance(items, list):
            return node.quantifier == "none"
        found = [_Item(item, self.place).value(node.condition) is True for item in items]
        return {"any": any(found), "all": all(found), "none": not any(found)}[node.quantifier]

    def name(self, node: n.Node) -> Any:
        raise AssertionError(node)


class _Item(_Scope):
    def __init__(self, item: Any, place: Place) -> None:
        self.item, self.place = item, place

    def name(self, node: n.Node) -> Any:
        assert isinstance(node, n.Item)
        return dig(self.item, node.path)


class _Event(_Scope):
    def __init__(self, event: Occurrence, place: Place) -> None:
        self.event, self.place = event, place

    def name(self, node: n.Node) -> Any:
        assert isinstance(node, n.Field)
        if node.path == ("time",):
            return Instant(self.event.at_ms)
        return dig(getattr(self.event, str(node.path[0])), node.path[1:])


class _Profile(_Scope):
    def __init__(self, person: Person, place: Place) -> None:
        self.person, self.place, self.now_ms = person, place, place.now_ms

    def name(self, node: n.Node) -> Any:  # noqa: C901, PLR0911 (a table, one case for each node)
        match node:
            case n.TraitRef(name=name):
                return self.place.computed.get(name)
            case n.InAudience(name=name):
                return name in self.place.members
            case n.Share(salt=salt, percent=percent):
                return share(self.person.identifiers, salt, percent)
            case n.Declared(path=path):
                return dig(self.person.declared, path)
            case n.OfAccount(path=path):
                return dig(self.place.account, path)
            case n.Now(ago_ms=ago_ms):
                return Instant(self.now_ms - ago_ms)
            case n.Builtin(name="events"):
                return len(self.person.history)
            case n.Builtin(name=name):
                times = [event.at_ms for event in self.person.history]
                return Instant(min(times) if name == "first_seen" else max(times)) if times else None
            case n.Aggregate():
                return self._aggregate(node)
            case n.Sequence():
                events = [(event, self._same(node, event)) for event in self.person.history]
                found = behaviour.completions(node, events, self.now_ms, self._is_step)
                return found if node.counted else found > 0
        raise AssertionError(node)

    def _aggregate(self, node: n.Aggregate) -> Any:
        zone = self._zone() if node.timezone == n.PERSON else node.timezone or "UTC"
        chosen = [
            event
            for event in sorted(self.person.history, key=lambda event: (event.at_ms, event.tie))
            if node.event in ("*", event.name)
            and behaviour.in_window(node, event.at_ms, self.now_ms, zone)
            and (node.where is None or _Event(event, self.place).value(node.where) is True)
        ]
        times = [event.at_ms for event in chosen]
        match node.function:
            case "count":
                return len(chosen)
            case "days_active" | "streak" | "longest_streak":
                return behaviour.active(node, times, self.now_ms, zone)
            case "session_count" | "session_length" | "session_time":
                return behaviour.sessions(node, times)
            case "time_since":
                return behaviour.time_since(node, times, self.now_ms)
        assert node.field is not None
        return aggregate(node, [_Event(event, self.place).value(node.field) for event in chosen])

    def _zone(self) -> str:
        """The declared one where there is such a zone, else the latest event's, else the workspace's."""
        history = sorted(self.person.history, key=lambda event: (event.at_ms, event.tie))
        said = [zone for event in history if (zone := event.context.get("timezone")) is not None]
        for zone in (self.person.declared.get("timezone"), *said[-1:]):
            if isinstance(zone, str) and zone in ZONES:
                return zone
        return self.place.timezone

    def _same(self, node: n.Sequence, event: Occurrence) -> Any:
        value = None if node.same is None else _Event(event, self.place).value(node.same)
        return rank(value) if isinstance(value, str | bool | int | float) else None

    def _is_step(self, step: n.Step, event: Any) -> bool:
        named = step.event in ("*", event.name)
        return named and (step.where is None or _Event(event, self.place).value(step.where) is True)


def aggregate(node: n.Aggregate, fields: list[Any]) -> Any:  # noqa: C901, PLR0911 (a table, one case for each)
    """The value of an aggregate over these values of its field, in order of event time."""
    present = [value for value in fields if value is not None]
    numbers = [stored(value) for value in present if is_number(value)]
    scalars = [stored(value) for value in present if isinstance(value, str | bool | int | float)]
    match node.function:
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
            return next(iter(_by_frequency(scalars)), None)
        case "top":
            return _by_frequency(scalars)[: int(node.number or 0)] or None
        case "percentile":
            return behaviour.percentile(numbers, node.number or 0)
        case "stddev":
            return behaviour.stddev(numbers)
        case "unique":
            return _distinct(scalars) or None
        case "unique_count":
            return len(_distinct(scalars))
    raise AssertionError(node)


def _by_frequency(scalars: list[Any]) -> list[Any]:
    """The different values, the most frequent first, and of equally frequent ones the smallest."""
    return sorted(_distinct(scalars), key=lambda value: (-_occurrences(value, scalars), rank(value)))


def total(numbers: Iterable[float]) -> Any:
    """The sum, rounded once; whole where all are whole."""
    numbers = [number for number in numbers if abs(number) <= _SUMMABLE]
    if all(isinstance(number, int) for number in numbers):
        return stored(sum(numbers))
    return math.fsum(numbers)


def _distinct(scalars: list[Any]) -> list[Any]:
    found: list[Any] = []
    for value in sorted(scalars, key=rank):
        if not found or rank(found[-1]) != rank(value):
            found.append(value)
    return found


def _occurrences(value: Any, scalars: list[Any]) -> int:
    return sum(rank(other) == rank(value) for other in scalars)


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
        value = stored(_ARITHMETIC[op](a, b))
    except OverflowError:
        return None
    return value if math.isfinite(value) else None


def dig(value: Any, path: Iterable[str | int]) -> Any:
    """The value at a path into nested objects and lists."""
    for step in path:
        if isinstance(step, int):
            value = value[step] if isinstance(value, list) and step < len(value) else None
        else:
            value = value.get(step) if isinstance(value, dict) else None
    return value
