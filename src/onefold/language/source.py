"""Expressions → Python source: how each node of the tree reads in the generated code of the stream.

What a name means depends on where it stands: in an event (`EventScope`) or in a profile (`ProfileScope`).
"""

from typing import Any

from onefold.language import nodes as n
from onefold.language.aggregates import MONOIDS
from onefold.language.excerpt import attribute
from onefold.model.event import Context

_BUILTIN_SOURCE = {"first_seen": "p.first_seen_ms", "last_seen": "p.last_seen_ms", "events": "p.events"}
_ALWAYS_NUMBERS = ("count", "sum", "unique_count")
MIRRORED = {"==": "==", "!=": "!=", "<": ">", "<=": ">=", ">": "<", ">=": "<="}
"""An operator → what it is with its sides exchanged."""
_HOLDERS = {"properties": "q", "context": "k"}
"""Local names of an event's objects in generated code; each is None or a Struct, which is always true."""
_AT_AN_END = {"first": 0, "last": -1}
"""Aggregates whose value over a window is that of one of its ends, since panes are in time order."""


class _Scope:
    """Source of an expression; subclasses know what names mean where they stand."""

    def __init__(self) -> None:
        self._temporaries = 0

    def _temporary(self) -> str:
        self._temporaries += 1
        return f"v{self._temporaries}"

    def leaf(self, node: Any) -> str:
        raise AssertionError(node)

    def value(self, node: n.Node) -> str:
        """Source of any value, None for missing."""
        match node:
            case n.Literal_(value=value):
                return repr(value)
            case n.And() | n.Or() | n.Not() | n.Compare() | n.In():
                return f"({self.boolean(node)})"
            case n.Arithmetic(op=op, left=left, right=right):
                return f"arithmetic({op!r}, {self.value(left)}, {self.value(right)})"
            case n.Negate(part=part):
                return f"negate({self.value(part)})"
            case n.Call(function="exists", args=(arg,)):
                return f"({self.value(arg)} is not None)"
            case n.Call(function=function, args=args):
                return f"{function}({', '.join(map(self.value, args))})"
        return self.leaf(node)

    def boolean(self, node: n.Node) -> str:
        """Source of a real boolean: anything but True is false."""
        match node:
            case n.And(parts=parts):
                return "(" + " and ".join(map(self.boolean, parts)) + ")"
            case n.Or(parts=parts):
                return "(" + " or ".join(map(self.boolean, parts)) + ")"
            case n.Not(part=part):
                return f"(not {self.boolean(part)})"
            case n.Compare():
                return self._compare(node)
            case n.In(item=item, options=options):
                return self._in(item, options)
            case n.Call(function="exists" | "contains" | "starts_with" | "ends_with"):
                return self.value(node)
        return f"({self.value(node)} is True)"

    def _compare(self, node: n.Compare) -> str:
        left, right, op = node.left, node.right, node.op
        if isinstance(left, n.Now) or isinstance(right, n.Now) or is_instant(left) or is_instant(right):
            return self._compare_instants(node)
        if op == "!=":
            return f"(not {self._compare(n.Compare(node.column, '==', left, right))})"
        if isinstance(left, n.Literal_) and not isinstance(right, n.Literal_):
            left, right, op = right, left, MIRRORED[op]
        if isinstance(right, n.Literal_):
            return self._compare_literal(op, left, right.value)
        if op == "==":
            return f"same({self.value(left)}, {self.value(right)})"
        return f"compare({op!r}, {self.value(left)}, {self.value(right)})"

    def _compare_literal(self, op: str, left: n.Node, value: Any) -> str:
        """The common case, without a call: a value against a literal."""
        if value is None:
            return "False"
        if isinstance(value, bool):
            return f"({self.value(left)} is {value})" if op == "==" else "False"
        source = self.value(left)
        if isinstance(value, str) and op == "==":
            return f"({source} == {value!r})"
        if isinstance(left, n.Aggregate) and left.function in _ALWAYS_NUMBERS and not isinstance(value, str):
            return f"({source} {op} {value!r})"
        temporary = self._temporary()
        guard = f"type({temporary} := {source}) " + ("is str" if isinstance(value, str) else "in NUMBERS")
        return f"({guard} and {temporary} {op} {value!r})"

    def _compare_instants(self, node: n.Compare) -> str:
        raise AssertionError(node)

    def _in(self, item: n.Node, options: tuple[Any, ...]) -> str:
        source = self.value(item)
        temporary = self._temporary()
        if all(isinstance(option, str) for option in options):
            return f"(type({temporary} := {source}) is str and {temporary} in {options!r})"
        tests = " or ".join(f"same({temporary}, {option!r})" for option in options)
        return f"(({temporary} := {source}) is not None and ({tests}))"


class EventScope(_Scope):
    """Names are fields of the event `e`; those of its objects are read once, into locals that `lines` assigns."""

    def __init__(self) -> None:
        super().__init__()
        self._locals: dict[str, str] = {}

    def lines(self) -> list[str]:
        """What must stand before any source that this scope has given."""
        return [f"{name} = {source}" for source, name in self._locals.items()]

    def leaf(self, node: Any) -> str:
        """Source of a field's value."""
        assert isinstance(node, n.Field), node
        root, *rest = node.path
        if root == "type":
            return "e.type"
        if root == "name":
            return "(e.event if e.type == 'track' else e.type)"
        keys = ", ".join(map(repr, rest))
        if root == "traits":
            return self._local(f"dig(e.traits, {keys})")
        holder, (field, *deeper) = _HOLDERS[root], rest
        name = field if root == "context" and field in Context.__struct_fields__ else attribute(field)
        value = f"{holder} and {holder}.{name}"
        return self._local(f"dig({value}, {', '.join(map(repr, deeper))})" if deeper else value)

    def _local(self, source: str) -> str:
        return self._locals.setdefault(source, f"y{len(self._locals)}")

    def _compare_instants(self, node: n.Compare) -> str:
        raise AssertionError(f"the checker lets no instant into event scope: {node}")


class ProfileScope(_Scope):
    """Names are slots `s`, computed traits `c`, declared traits `d` and built-ins of the profile `p`."""

    def leaf(self, node: Any) -> str:
        """Source of what a profile's name stands for."""
        match node:
            case n.Aggregate():
                return slot_value(node)
            case n.TraitRef(name=name):
                return f"c.get({name!r})"
            case n.Builtin(name=name):
                return _BUILTIN_SOURCE[name]
            case n.Declared(path=(root, *rest)):
                value = f"(w.value if (w := d.get({root!r})) is not None else None)"
                return f"dig({value}, {', '.join(map(repr, rest))})" if rest else value
            case n.Now(ago_ms=ago):
                return f"(now - {ago})"
        raise AssertionError(node)

    def _compare_instants(self, node: n.Compare) -> str:
        left, right, op = node.left, node.right, node.op
        if isinstance(left, n.Now) and not isinstance(right, n.Now):
            left, right, op = right, left, MIRRORED[op]
        if isinstance(right, n.Now) and not isinstance(left, n.Now):
            return f"moving({op!r}, {self._instant(left)}, {right.ago_ms}, now, p)"
        return f"before({op!r}, {self._instant(left)}, {self._instant(right)})"

    def _instant(self, node: n.Node) -> str:
        return self.value(node) if is_instant(node) else f"instant({self.value(node)})"


def slot_value(aggregate: n.Aggregate) -> str:
    """Source of an aggregate's value from its slot."""
    key, function = n.slot(aggregate), aggregate.function
    if aggregate.within_ms is None:
        return f"s.get({key!r}, 0)" if function == "count" else f"{function}_result(s.get({key!r}))"
    if function == "count":
        return f"(w[5] if (w := s.get({key!r})) else 0)"
    if MONOIDS[function].remove is not None:
        return f"{function}_result(w[5] if (w := s.get({key!r})) else None)"
    if function in _AT_AN_END:
        return f"{function}_result(w[4][{_AT_AN_END[function]}] if (w := s.get({key!r})) else None)"
    return f"{function}_result({function}_total(w[4]) if (w := s.get({key!r})) else None)"


def is_instant(node: n.Node) -> bool:
    """True for expressions whose values are instants as milliseconds."""
    return isinstance(node, n.Now) or (isinstance(node, n.Builtin) and n.BUILTINS[node.name] == "instant")


def before(op: str, a: int | None, b: int | None) -> bool:
    """Compare two instants; with a missing one only `!=` is true."""
    if a is None or b is None:
        return op == "!="
    match op:
        case "<":
            return a < b
        case "<=":
            return a <= b
        case ">":
            return a > b
        case ">=":
            return a >= b
        case "==":
            return a == b
    return a != b


def moving(op: str, instant: int | None, ago_ms: int, now: int, profile: Any) -> bool:
    """Compare an instant with `now - ago_ms`, and wake the profile when the answer can next change."""
    if instant is not None:
        turn = instant + ago_ms
        due = turn if turn > now else turn + 1
        if now < due < profile.due_ms:
            profile.due_ms = due
    return before(op, instant, now - ago_ms)
