"""The tree of an expression: what the parser makes, the checker types, and every back end reads.

Three scopes. In *profile* scope (traits, audiences) stand aggregates, traits and built-ins; in *event* scope
(`where=` and the field of an aggregate) stand fields of the event; in *item* scope (the condition of `any`, `all` and
`none`) stand fields of one item of a list. Missing values are None: a comparison with
a missing value is false (but `!=`, which is just `not ==`), arithmetic with one is missing.
"""

from typing import Any, Literal

import xxhash
from msgspec import Struct

Type = Literal["number", "string", "boolean", "instant", "list", "any"]
"""`any`: known only when the value is seen (event properties, declared traits)."""

AGGREGATES = ("count", "sum", "avg", "min", "max", "first", "last", "most_frequent", "unique", "unique_count")
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
    """One of AGGREGATES over the events named `event` (`*`: all) that satisfy `where`, of the last `within_ms`."""

    function: str
    event: str
    field: Field | None = None
    where: Node | None = None
    within_ms: int | None = None


def canonical(node: Any) -> str:
    """A text that is equal for equal meaning-bearing trees: columns left out."""
    if isinstance(node, Node):
        parts = ",".join(canonical(getattr(node, name)) for name in node.__struct_fields__ if name != "column")
        return f"{type(node).__name__}({parts})"
    if isinstance(node, tuple):
        return f"({','.join(canonical(part) for part in node)})"
    return repr(node)


def slot(aggregate: Aggregate) -> str:
    """The key under which a profile keeps the state of this aggregate; the same in every version that has it.

    A name, so that every profile's key is one and the same object: looking it up touches no cold memory.
    """
    return "a" + xxhash.xxh3_64_hexdigest(canonical(aggregate).encode())[:11]
