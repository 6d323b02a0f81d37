"""The tree of an expression: what the parser makes, the checker types, and every back end reads.

Three scopes. In *profile* scope (traits, audiences) stand aggregates, traits and built-ins; in *event* scope
(`where=` and the field of an aggregate) stand fields of the event; in *item* scope (the condition of `any`, `all` and
`none`) stand fields of one item of a list. Missing values are None: a comparison with
a missing value is false (but `!=`, which is just `not ==`), arithmetic with one is missing.
"""

from collections.abc import Iterator
from typing import Any, Literal

import xxhash
from msgspec import Struct, structs

Type = Literal["number", "string", "boolean", "instant", "list", "any"]
"""`any`: known only when the value is seen (event properties, declared traits)."""


class Shape(Struct, frozen=True):
    """How an aggregate function is written, and what it gives."""

    gives: Type
    field: Type | None = None
    """What its field must be able to be; None: it has no field."""
    nothing: int | None = None
    """Its value over no events."""
    options: tuple[str, ...] = ()
    """Keywords of its own, beside `where=`, `within=` and `timezone=`."""
    number: tuple[str, float, float] | None = None
    """What its third place holds: what it is called, the least, the most."""
    by_day: bool = False
    """It depends on where days begin, and so on a time zone."""
    moves: bool = False
    """Its value changes with time alone, whatever its window."""


AGGREGATES: dict[str, Shape] = {
    "count": Shape("number", nothing=0),
    "sum": Shape("number", "number", nothing=0),
    "avg": Shape("number", "number"),
    "min": Shape("number", "number"),
    "max": Shape("number", "number"),
    "first": Shape("any", "any"),
    "last": Shape("any", "any"),
    "most_frequent": Shape("any", "any"),
    "unique": Shape("list", "any"),
    "unique_count": Shape("number", "any", nothing=0),
    "top": Shape("list", "any", number=("how many", 1, 100)),
    "percentile": Shape("number", "number", number=("the percentage", 0, 100)),
    "stddev": Shape("number", "number"),
    "time_since": Shape("number", options=("unit",), moves=True),
    "days_active": Shape("number", nothing=0, by_day=True),
    "streak": Shape("number", nothing=0, options=("per",), by_day=True, moves=True),
    "longest_streak": Shape("number", nothing=0, options=("per",), by_day=True),
    "session_count": Shape("number", nothing=0, options=("gap",)),
    "session_length": Shape("number", options=("gap",)),
    "session_time": Shape("number", nothing=0, options=("gap",)),
}
"""Aggregate function → its shape. `did`, `did_not` and `velocity` are other ways to write counts and sums."""

PERIODS = ("day", "week", "month", "quarter", "year")
"""Calendar periods; weeks begin on Monday."""
CALENDARS: dict[str, tuple[str, int]] = {
    "this_day": ("day", 0),
    "yesterday": ("day", 1),
    **{f"{which}_{p}": (p, ago) for p in PERIODS[1:] for which, ago in (("this", 0), ("last", 1))},
}
"""Calendar window → its period, and how many periods ago."""
PERSON = "person"
"""The time zone that is each person's own."""
COMPARISONS = ("==", "!=", "<", "<=", ">", ">=")
ARITHMETIC = ("+", "-", "*", "/", "%")
QUANTIFIERS = ("any", "all", "none")

Path = tuple[str | int, ...]
"""Steps into nested values: the name of an object's field, the number of a list's item (from 0)."""

BUILTINS: dict[str, Type] = {"first_seen": "instant", "last_seen": "instant", "events": "number"}
"""Names that every profile has: event times of its first and latest event, and how many it has had."""


class Node(Struct, frozen=True):
    """Any part of an expression. `column` counts from 0 in the expression's text."""

    column: int


class Literal_(Node, frozen=True):
    """A number, string, boolean, or None."""

    value: str | int | float | bool | None


class Now(Node, frozen=True):
    """`now()`, `ago("60d")`, or `from_now("7d")` with a negative distance: an instant that moves with time."""

    ago_ms: int = 0


class Field(Node, frozen=True):
    """Event scope: `properties.items[0].price` → ("properties", "items", 0, "price"); also context, traits.

    Alone stand `name`, `type`, and `time`, the event's own instant.
    """

    path: Path


class Declared(Node, frozen=True):
    """Profile scope: `traits.plan`, a trait that events declare; a path reaches into objects and lists."""

    path: Path


class Item(Node, frozen=True):
    """Item scope: a field of the item, or the item itself where the path is empty."""

    path: Path


class TraitRef(Node, frozen=True):
    """Profile scope: another computed trait, by name."""

    name: str


class OfAccount(Node, frozen=True):
    """Profile scope: what the person's account has; missing without one.

    `account.plan` is its computed trait, `account.traits.plan` one that its events declare (a path reaches into objects
    and lists), `account.id` its name.
    """

    path: Path

    @property
    def name(self) -> str:
        """What the person's copy of the account's values calls it: `id`, `plan`, or `traits.plan`."""
        return str(self.path[0]) if self.path[0] != "traits" else f"traits.{self.path[1]}"


class Builtin(Node, frozen=True):
    """Profile scope: one of BUILTINS."""

    name: str


class And(Node, frozen=True):
    """All of the parts; stops at the first that is false."""

    parts: tuple[Node, ...]


class Or(Node, frozen=True):
    """Any of the parts; stops at the first that is true."""

    parts: tuple[Node, ...]


class Not(Node, frozen=True):
    """True where the part is not."""

    part: Node


class Compare(Node, frozen=True):
    """`left op right`, one of COMPARISONS. Only like compares with like; anything else is false (`!=`: true)."""

    op: str
    left: Node
    right: Node


class In(Node, frozen=True):
    """`item in (a, b)` over literals."""

    item: Node
    options: tuple[str | int | float | bool | None, ...]


class Arithmetic(Node, frozen=True):
    """`left op right`, one of ARITHMETIC; by zero is missing."""

    op: str
    left: Node
    right: Node


class Negate(Node, frozen=True):
    """`-part`."""

    part: Node


class Call(Node, frozen=True):
    """A scalar function, one of `functions.FUNCTIONS`."""

    function: str
    args: tuple[Node, ...]


class Case(Node, frozen=True):
    """The value beside the first condition that is true, else `otherwise`; missing where that is None."""

    conditions: tuple[Node, ...]
    values: tuple[Node, ...]
    otherwise: Node | None


class Quantified(Node, frozen=True):
    """`any`, `all` or `none` of a list's items satisfy the condition, which is in item scope.

    Of what is no list none does: `any` and `all` are false, `none` is true. Of an empty list `all` and `none` are true.
    """

    quantifier: str
    items: Node
    condition: Node


class InAudience(Node, frozen=True):
    """Profile scope, audiences only: the person is in the audience of this name."""

    name: str


class Share(Node, frozen=True):
    """Profile scope: `random_share("salt", 10)`, true of a stable tenth of all people (`scalars.shares`)."""

    salt: str
    percent: int | float


class Aggregate(Node, frozen=True):
    """One of AGGREGATES over the events named `event` (`*`: all) that satisfy `where`, and lie in the window.

    An event at time t is in the window where now - within_ms < t <= now - until_ms (without `until_ms`: t <= now), or
    where it is in the calendar window; without any of these always.
    """

    function: str
    event: str
    field: Field | None = None
    where: Node | None = None
    within_ms: int | None = None
    until_ms: int | None = None
    calendar: str | None = None
    """One of CALENDARS."""
    timezone: str | None = None
    """Where days begin: None is UTC in a checked tree, and the workspace's in one that was only parsed."""
    number: int | float | None = None
    """How many `top` lists; the percentage of `percentile`."""
    every_ms: int | None = None
    """The unit of `time_since`; the gap that ends a session."""
    per: str | None = None
    """The period of a streak, one of the first three of PERIODS."""


class Step(Node, frozen=True):
    """One step of a sequence: an event named `event` (`*`: any) that satisfies `where`.

    `within_ms`: how soon after the step before it must come, exclusive; of a negated step at the end: how long
    none may come. `negated`: no such event lies between its neighbours.
    """

    event: str
    where: Node | None = None
    within_ms: int | None = None
    negated: bool = False


class Sequence(Node, frozen=True):
    """Steps that a person took one after the other, each at a later time than the one before.

    It is completed by its last step, or if that is negated, when that step's time is over. `counted`: how often it
    was completed (by how many last events), else whether it ever was.
    """

    steps: tuple[Step, ...]
    """The first is not negated; at least two."""
    same: Field | None = None
    """Equal in all of a sequence's events, the negated ones included; events without it are passed over."""
    within_ms: int | None = None
    """First to last step, exclusive."""
    during_ms: int | None = None
    """Only events of the last so many milliseconds are looked at."""
    counted: bool = False


Kept = Aggregate | Sequence
"""Nodes that a profile keeps a state for: in profile scope they are leaves."""

_LATER = frozenset(("until_ms", "calendar", "timezone", "number", "every_ms", "per"))
"""Fields of an aggregate that its canonical text has only where they are given: kept states have keys without them."""


def children(node: Node) -> Iterator[Node]:
    """The nodes right below a node, in the order of its text."""
    for name in node.__struct_fields__:
        value = getattr(node, name)
        for item in value if isinstance(value, tuple) else (value,):
            if isinstance(item, Node):
                yield item


def everything(node: Node) -> Iterator[Node]:
    """A node and all nodes below it, whatever their scope."""
    yield node
    for part in children(node):
        yield from everything(part)


def events_of(kept: Kept) -> frozenset[str]:
    """The event names that may change a state; `*` is every name."""
    if isinstance(kept, Aggregate):
        return frozenset((kept.event,))
    return frozenset(step.event for step in kept.steps)


def moves(node: Node) -> bool:
    """Whether a node's own value may change by time alone, other than by its window's expiry."""
    if isinstance(node, Aggregate):
        return AGGREGATES[node.function].moves or node.calendar is not None or node.until_ms is not None
    return isinstance(node, Now) or (isinstance(node, Sequence) and node.steps[-1].negated)


def in_timezone(node: Node, timezone: str) -> Node:
    """The tree in which whatever counts days and names no zone does so in this one."""
    return node if timezone == "UTC" else _in_timezone(node, timezone)


def _in_timezone(node: Any, timezone: str) -> Any:
    if isinstance(node, tuple):
        return tuple(_in_timezone(part, timezone) for part in node)
    if not isinstance(node, Node):
        return node
    if isinstance(node, Aggregate):
        by_day = AGGREGATES[node.function].by_day or node.calendar is not None
        return structs.replace(node, timezone=timezone) if by_day and node.timezone is None else node
    parts = {name: _in_timezone(getattr(node, name), timezone) for name in node.__struct_fields__}
    return type(node)(**parts)


def canonical(node: Any) -> str:
    """A text that is equal for equal meaning-bearing trees: columns left out."""
    if isinstance(node, Node):
        return f"{type(node).__name__}({','.join(_canonical_fields(node))})"
    if isinstance(node, tuple):
        return f"({','.join(canonical(part) for part in node)})"
    return repr(node)


def _canonical_fields(node: Node) -> Iterator[str]:
    for name in node.__struct_fields__:
        value = getattr(node, name)
        if name in _LATER and isinstance(node, Aggregate):
            if value is not None:
                yield f"{name}={canonical(value)}"
        elif name != "column":
            yield canonical(value)


def slot(kept: Kept) -> str:
    """The key under which a profile keeps the state of this node; the same in every version that has it.

    A name, so that every profile's key is one and the same object: looking it up touches no cold memory.
    """
    if isinstance(kept, Sequence):
        kept = structs.replace(kept, counted=False)
    return "a" + xxhash.xxh3_64_hexdigest(canonical(kept).encode())[:11]
