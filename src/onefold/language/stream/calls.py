"""Calls of functions as the native kernel is told of them (`described`)."""

from typing import Any, Protocol

from onefold.language import nodes as n
from onefold.language.functions import FUNCTIONS, INSTANT, MOMENT, PATTERN, REGEX, ZONE, Function, Kind, moves

Described = Any
"""Lists, objects, strings, numbers and booleans."""


class Unknown(Exception):
    """The kernel does not know this."""


class Scope(Protocol):
    """Where a call stands."""

    timezone: str
    """The workspace's."""

    def value(self, node: n.Node) -> Described:
        """Any value."""
        ...

    def is_instant(self, node: n.Node) -> bool:
        """True for expressions whose values are instants as milliseconds."""
        ...


def call(node: n.Call, level: float | None, scope: Scope) -> Described:
    """A call of any function but `exists` and `coalesce`. `level`: the number that its value is only compared with."""
    name, function = node.function, FUNCTIONS[node.function]
    if name == "to_instant":
        return ["instant", scope.value(node.args[0])]
    if function.params[-1] is REGEX:
        return ["test", ["matches", scope.value(node.args[0]), _literal(node.args[1])]]
    if function.params[0] in (INSTANT, MOMENT):
        return _dated(node, level if moves(node) else None, scope)
    if name == "abs" and not isinstance(node.args[0], n.Literal_ | n.Arithmetic | n.Field):
        raise Unknown(node)  # Of the least integer of 64 bits, Python makes a larger one.
    given = [_argument(function.kind(index), each, scope) for index, each in enumerate(node.args)]
    return ["call", name, given + [["literal", each] for each in _left_out(node, function)]]


def _left_out(node: n.Call, function: Function) -> list[Any]:
    return [function.default] if len(node.args) < len(function.params) else []


def _argument(kind: Kind, node: n.Node, scope: Scope) -> Described:
    if kind.prepare is not None and kind is not PATTERN and isinstance(node, n.Literal_):
        return ["literal", kind.prepare(node.value)]
    return scope.value(node)


def _literal(node: n.Node) -> Any:
    assert isinstance(node, n.Literal_), node
    return node.value


def _dated(node: n.Call, level: float | None, scope: Scope) -> Described:
    """What is asked, of which moments, in which zone, how long ago those are that move; and the level."""
    function = FUNCTIONS[node.function]
    kinds = [(function.kind(index), each) for index, each in enumerate(node.args)]
    given = [(kind, each) for kind, each in kinds if kind in (INSTANT, MOMENT)]
    zone = _zone(kinds[-1], scope) if function.zoned else None
    moving = [(index, each.ago_ms) for index, (_, each) in enumerate(given) if isinstance(each, n.Now)]
    asked: list[Any] = [node.function]
    if node.function == "days_between" and len(moving) == 1:
        (index, ago_ms), moving = moving[0], []
        asked, given = ["days_from", 1 if index else -1, ago_ms], [given[1 - index]]
    elif not function.zoned:
        asked += [_prepared(kind, each) for kind, each in kinds[1:]] or [function.default]
    moments = [_moment(kind, each, scope) for kind, each in given]
    return ["dated", asked, moments, zone, [] if function.moves else [ago_ms for _, ago_ms in moving], level]


def _prepared(kind: Kind, node: n.Node) -> Any:
    assert kind.prepare is not None, kind
    return kind.prepare(_literal(node))


def _zone(last: tuple[Kind, n.Node], scope: Scope) -> Described:
    kind, node = last
    if kind is not ZONE:
        return scope.timezone
    return node.value if isinstance(node, n.Literal_) else scope.value(node)


def _moment(kind: Kind, node: n.Node, scope: Scope) -> Described:
    if scope.is_instant(node):
        return ["at", scope.value(node)]
    written = scope.value(node)
    return ["written", written] if kind is MOMENT else ["at", ["instant", written]]
