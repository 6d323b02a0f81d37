"""Expressions → Python source: how each node of the tree reads in the generated code of the stream.

What a name means depends on where it stands: in an event (`EventScope`) or in a profile (`ProfileScope`).
"""

from collections.abc import Mapping
from typing import Any

from onefold.language import nodes as n
from onefold.language.functions import FUNCTIONS, INSTANT, MOMENT, ZONE, Kind, is_instant, moves
from onefold.language.keeping import accounts
from onefold.language.keeping.aggregates import MONOIDS
from onefold.language.keeping.calendars import PERSON_ZONE, spans_of
from onefold.language.keeping.monoids import monoid_of, periods_of
from onefold.language.scalars import dates, shares
from onefold.language.stream.excerpt import attribute
from onefold.language.stream.inputs import tells_time, walk
from onefold.language.values import NUMBERS as _NUMBERS
from onefold.language.values import arithmetic, compare, dig, instant, negate, same
from onefold.language.zones import zone
from onefold.limits import NEVER_MS
from onefold.model.account import ID, LINK
from onefold.model.event import Context

_BUILTIN_SOURCE = {"first_seen": "p.first_seen_ms", "last_seen": "p.last_seen_ms", "events": "p.events"}
_ALWAYS_NUMBERS = frozenset(name for name, shape in n.AGGREGATES.items() if shape.nothing is not None)
MIRRORED = {"==": "==", "!=": "!=", "<": ">", "<=": ">=", ">": "<", ">=": "<="}
"""An operator → what it is with its sides exchanged."""
_HOLDERS = {"properties": "q", "context": "k"}
"""Local names of an event's objects in generated code; each is None or a Struct, which is always true."""
_AT_AN_END = {"first": 0, "last": -1}
"""Aggregates whose value over a window is that of one of its ends, since panes are in time order."""


class Surroundings:
    """What expressions are compiled among: the types of traits, the time zone, and objects made of their literals."""

    def __init__(self, types: Mapping[str, n.Type], timezone: str) -> None:
        self.types = types
        self.timezone = timezone
        self.constants: dict[str, Any] = {}
        """Name in generated code → object."""
        self._names: dict[tuple[str, Any], str] = {}

    def constant(self, what: str, literal: Any, value: Any) -> str:
        """Source of an object, which is what `literal` stands for as a `what`; numbers are written out."""
        if type(value) is int:
            return repr(value)
        name = self._names.setdefault((what, literal), f"const_{len(self._names)}")
        self.constants[name] = value
        return name

    def spans(self, calendar: str) -> str:
        """Source of the spans of a calendar window in people's own zones."""
        in_zone = zone(self.timezone)
        assert in_zone is not None, self.timezone
        return self.constant("spans", calendar, spans_of(calendar, in_zone))

    def periods(self, aggregate: n.Aggregate) -> str:
        """Source of what finds the period, of those that an aggregate over days counts, that an instant is in."""
        found = periods_of(aggregate)
        return self.constant("periods", found, found.index)


class Scope:
    """Source of an expression; subclasses know what names mean where they stand."""

    _LOCAL = "y"
    """What the names of its locals begin with."""

    def __init__(self, among: Surroundings) -> None:
        self.among = among
        self._temporaries = 0
        self._locals: dict[str, str] = {}
        self._items: list[str] = []
        """Names of the items that conditions under way are about, the innermost last."""

    def lines(self) -> list[str]:
        """What must stand before any source that this scope has given."""
        return [f"{name} = {source}" for source, name in self._locals.items()]

    def once(self, source: str) -> str:
        """The name of a local that has the value of this source, which is computed once in a function."""
        return self._locals.setdefault(source, f"{self._LOCAL}{len(self._locals)}")

    def _temporary(self) -> str:
        self._temporaries += 1
        return f"v{self._temporaries}"

    def leaf(self, node: Any) -> str:
        """Source of what a name stands for."""
        raise AssertionError(node)

    def kept(self, node: n.Kept, level: str = "") -> str:
        """Source of the value of what a profile keeps; see `slot_value`."""
        raise AssertionError(node, level)

    def is_instant(self, node: n.Node) -> bool:
        """True for expressions whose values are instants as milliseconds."""
        return is_instant(node, self.among.types)

    def value(self, node: n.Node) -> str:
        """Source of any value, None for missing."""
        match node:
            case n.Literal_(value=value):
                return repr(value)
            case n.And() | n.Or() | n.Not() | n.Compare() | n.In() | n.Quantified() | n.InAudience() | n.Share():
                return f"({self.boolean(node)})"
            case n.Arithmetic(op=op, left=left, right=right):
                return f"arithmetic({op!r}, {self.value(left)}, {self.value(right)})"
            case n.Negate(part=part):
                return f"negate({self.value(part)})"
            case n.Call():
                return self._call(node)
            case n.Case():
                return self._case(node)
            case n.Item(path=path):
                item = self._items[-1]
                return f"dig({item}, {', '.join(map(repr, path))})" if path else item
        return self.leaf(node)

    def boolean(self, node: n.Node) -> str:
        """Source of a real boolean: anything but True is false."""
        match node:
            case n.And(parts=parts):
                return "(" + " and ".join(map(self.boolean, sorted(parts, key=is_dear))) + ")"
            case n.Or(parts=parts):
                return "(" + " or ".join(map(self.boolean, sorted(parts, key=is_dear))) + ")"
            case n.Not(part=part):
                return f"(not {self.boolean(part)})"
            case n.Compare():
                return self._compare(node)
            case n.In(item=item, options=options):
                return self._in(item, options)
            case n.Quantified():
                return self._quantified(node)
            case n.Call(function=function) if FUNCTIONS[function].result == "boolean":
                return self.value(node)
            case n.InAudience(name=name):
                return f"({name!r} in a)"
            case n.Share(salt=salt, percent=percent):
                return f"in_share(p.identifiers, {salt!r}, {percent!r})"
        return f"({self.value(node)} is True)"

    def _case(self, node: n.Case) -> str:
        parts = [
            f"{self.value(value)} if {self.boolean(condition)} else "
            for condition, value in zip(node.conditions, node.values, strict=True)
        ]
        return f"({''.join(parts)}{'None' if node.otherwise is None else self.value(node.otherwise)})"

    def _quantified(self, node: n.Quantified) -> str:
        items, source = self._temporary(), self.value(node.items)
        self._items.append(f"i{items[1:]}")
        test = f"{self.boolean(node.condition)} for {self._items.pop()} in {items}"
        every = "all" if node.quantifier == "all" else "any"
        found = f"(type({items} := {source}) is list and {every}({test}))"
        return f"(not {found})" if node.quantifier == "none" else found

    # --- functions ---------------------------------------------------------------------------------------------
    def _call(self, node: n.Call, level: float | None = None) -> str:
        """Source of a call; with a level, of one whose value is only compared with that number."""
        name, function = node.function, FUNCTIONS[node.function]
        if name == "exists":
            return f"({self.value(node.args[0])} is not None)"
        given = [self._argument(function.kind(index), each) for index, each in enumerate(node.args)]
        if len(given) < len(function.params) and function.zoned:
            given.append(self.among.constant("zone", self.among.timezone, zone(self.among.timezone)))
        elif len(given) < len(function.params):
            given.append(repr(function.default))
        if function.moves:
            given += ["now"] if level is None else ["now", repr(level)]
            return f"timed(p, f_{name}({', '.join(given)}))"
        moving = [(index, each.ago_ms) for index, each in enumerate(node.args) if isinstance(each, n.Now)]
        if name == "days_between" and len(moving) == 1:
            (index, ago_ms), sign = moving[0], 1 if isinstance(node.args[1], n.Now) else -1
            given = [given[1 - index], given[index], given[2], repr(sign), repr(level)]
            return f"timed(p, days_from({', '.join(given)}), {ago_ms})"
        source = f"f_{name}({', '.join(given)})"
        if not moving:
            return source
        agos = ", ".join(repr(ago_ms) for _, ago_ms in moving)
        return f"passing({source}, p, now, turn_{name}, {given[-1]}, {level!r}, {agos})"

    def _argument(self, kind: Kind, node: n.Node) -> str:
        literal = node.value if isinstance(node, n.Literal_) else None
        if kind.prepare is not None and literal is not None:
            return self.among.constant(kind.says, literal, kind.prepare(literal))
        if kind is INSTANT:
            return self._instant(node)
        if kind is MOMENT:
            if literal is not None:
                return self.among.constant("moment", literal, dates.moment(literal))
            return self.value(node) if self.is_instant(node) else f"moment({self.value(node)})"
        return f"zone({self.value(node)})" if kind is ZONE else self.value(node)

    def _instant(self, node: n.Node) -> str:
        return self.value(node) if self.is_instant(node) else f"instant({self.value(node)})"

    # --- comparisons -------------------------------------------------------------------------------------------
    def _compare(self, node: n.Compare) -> str:
        left, right, op = node.left, node.right, node.op
        if self.is_instant(left) or self.is_instant(right):
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
        source = self.compared(left, value)
        if isinstance(value, str) and op == "==":
            return f"({source} == {value!r})"
        if isinstance(left, n.Aggregate) and left.function in _ALWAYS_NUMBERS and not isinstance(value, str):
            return f"({source} {op} {value!r})"
        kind = "is str" if isinstance(value, str) else "in NUMBERS"
        if source.isidentifier():
            return f"(type({source}) {kind} and {source} {op} {value!r})"
        temporary = self._temporary()
        return f"(type({temporary} := {source}) {kind} and {temporary} {op} {value!r})"

    def compared(self, node: n.Node, literal: Any) -> str:
        """Source of a value that is only compared with this literal: time wakes a profile only where it passes that."""
        if isinstance(literal, str):
            return self.value(node)
        if isinstance(node, n.Call) and moves(node):
            return self._call(node, literal)
        if isinstance(node, n.Aggregate) and node.function == "time_since":
            return self.kept(node, f", {literal!r}")
        return self.value(node)

    def _compare_instants(self, node: n.Compare) -> str:
        return f"before({node.op!r}, {self._instant(node.left)}, {self._instant(node.right)})"

    def _in(self, item: n.Node, options: tuple[Any, ...]) -> str:
        source = self.value(item)
        temporary = self._temporary()
        if all(isinstance(option, str) for option in options):
            return f"(type({temporary} := {source}) is str and {temporary} in {options!r})"
        tests = " or ".join(f"same({temporary}, {option!r})" for option in options)
        return f"(({temporary} := {source}) is not None and ({tests}))"


def is_dear(node: n.Node) -> bool:
    """Whether a part comes after the others: nothing is to be computed, nor anybody woken, where these decide."""
    return any(n.moves(part) or tells_time(part) for part in walk(node))


class EventScope(Scope):
    """Names are fields of the event `e`; those of its objects are read once, into locals that `lines` assigns."""

    def leaf(self, node: Any) -> str:
        """Source of a field's value."""
        assert isinstance(node, n.Field), node
        root, *rest = node.path
        if root == "type":
            return "e.type"
        if root == "time":
            return "t"
        if root == "name":
            return "(e.event if e.type == 'track' else e.type)"
        keys = ", ".join(map(repr, rest))
        if root == "traits":
            return self.once(f"dig(e.traits, {keys})")
        holder, (field, *deeper) = _HOLDERS[str(root)], rest
        assert isinstance(field, str)
        name = field if root == "context" and field in Context.__struct_fields__ else attribute(field)
        value = f"{holder} and {holder}.{name}"
        return self.once(f"dig({value}, {', '.join(map(repr, deeper))})" if deeper else value)


class ProfileScope(Scope):
    """Names are slots `s`, computed traits `c`, declared traits `d` and built-ins of the profile `p`.

    The span of a calendar window in the person's own zone is found once, into a local that `lines` assigns.
    """

    _LOCAL = "z"
    known = ""
    """The slot whose value is in the local `v`."""

    def leaf(self, node: Any) -> str:
        """Source of what a profile's name stands for."""
        match node:
            case n.Aggregate() | n.Sequence():
                return self.kept(node)
            case n.TraitRef(name=name):
                return f"undated(c.get({name!r}))" if self.is_instant(node) else f"c.get({name!r})"
            case n.Builtin(name=name):
                return _BUILTIN_SOURCE[name]
            case n.Declared(path=(root, *rest)):
                value = f"(w.value if (w := d.get({root!r})) is not None else None)"
                return f"dig({value}, {', '.join(map(repr, rest))})" if rest else value
            case n.OfAccount():
                return self._of_account(node)
            case n.Now(ago_ms=ago):
                return f"(now - {ago})"
        raise AssertionError(node)

    def kept(self, node: n.Kept, level: str = "") -> str:
        """Source of the value of what a profile keeps; see `slot_value`."""
        if not level and n.slot(node) == self.known:
            return "v"
        return slot_value(node, self._span(node), level)

    def _span(self, node: n.Kept) -> str:
        """The local with the span of a calendar window in the person's own zone; empty for anything else."""
        if not isinstance(node, n.Aggregate) or node.calendar is None or node.timezone != n.PERSON:
            return ""
        spans = self.among.spans(node.calendar)
        return self.once(f"{spans}.at(zone_name(d, s.get({n.slot(PERSON_ZONE)!r})), now)")

    def _of_account(self, node: n.OfAccount) -> str:
        """From the copy that the person has of their account's values."""
        if node.name == ID:
            return f"(w[{accounts.GROUP}] if (w := s.get({LINK!r})) is not None else None)"
        value = f"(w[{accounts.VALUES}].get({node.name!r}) if (w := s.get({LINK!r})) is not None else None)"
        if self.is_instant(node):
            return f"undated({value})"
        return f"dig({value}, {', '.join(map(repr, node.path[2:]))})" if node.path[2:] else value

    def _compare_instants(self, node: n.Compare) -> str:
        left, right, op = node.left, node.right, node.op
        if isinstance(left, n.Now) and not isinstance(right, n.Now):
            left, right, op = right, left, MIRRORED[op]
        if isinstance(right, n.Now) and not isinstance(left, n.Now):
            return f"moving({op!r}, {self._instant(left)}, {right.ago_ms}, now, p)"
        return super()._compare_instants(node)


def slot_value(kept: n.Kept, span: str = "", level: str = "") -> str:
    """Source of the value of what a profile keeps, from its slot.

    `span`: source of the span of a calendar window in the person's own zone. `level`: one more argument where the
    value moves.
    """
    key = n.slot(kept)
    if isinstance(kept, n.Sequence):
        return f"kept_{key}.{'count' if kept.counted else 'happened'}(s.get({key!r}), now, p)"
    if kept.function == "count" and kept.calendar is None and kept.until_ms is None:
        return f"s.get({key!r}, 0)" if kept.within_ms is None else f"(w[5] if (w := s.get({key!r})) else 0)"
    state, monoid = _state(kept, key, span), monoid_of(kept)
    if kept.function == "count":
        return f"({state} or 0)"
    if monoid.at is not None:
        return f"{prefix(kept)}_at({state}, now, p{level})"
    return f"{prefix(kept)}_result({state})"


def _state(kept: n.Aggregate, key: str, span: str) -> str:
    """Source of the state over the aggregate's window."""
    function = kept.function
    if kept.calendar is not None:
        if kept.timezone == n.PERSON:
            return f"kept_{key}.calendar.over(s.get({key!r}), {span}, p)"
        return f"kept_{key}.calendar.state(s.get({key!r}), now, p)"
    if kept.until_ms is not None:
        return f"kept_{key}.state(s.get({key!r}), now, p)"
    if kept.within_ms is None:
        return f"s.get({key!r})"
    if monoid_of(kept).remove is not None:
        return f"w[5] if (w := s.get({key!r})) else None"
    if function in _AT_AN_END:
        return f"w[4][{_AT_AN_END[function]}] if (w := s.get({key!r})) else None"
    return f"{prefix(kept)}_total(w[4]) if (w := s.get({key!r})) else None"


def prefix(aggregate: n.Aggregate) -> str:
    """What the names of an aggregate's functions begin with in generated code."""
    return aggregate.function if aggregate.function in MONOIDS else f"{aggregate.function}_{n.slot(aggregate)}"


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


def timed(profile: Any, found: tuple[Any, int], ago_ms: int = 0) -> Any:
    """A value that moves with time, after waking the profile when it can next change: `ago_ms` after its turn."""
    value, turn = found
    if turn < NEVER_MS and turn + ago_ms < profile.due_ms:
        profile.due_ms = turn + ago_ms
    return value


def passing(value: Any, profile: Any, now: int, turn: dates.Turn, *rest: Any) -> Any:
    """The value of a function of `now - ago`, after waking the profile when it, or its comparison, can next change.

    `rest`: the time zone, the level or None, and each `ago`.
    """
    in_zone, level, *agos = rest
    for ago_ms in agos:
        timed(profile, (None, turn(now - ago_ms, in_zone, level)), ago_ms)
    return value


CALLED: dict[str, Any] = {
    **{f"f_{name}": function.call for name, function in FUNCTIONS.items()},
    **{f"turn_{name}": function.turn for name, function in FUNCTIONS.items() if function.turn},
    "NUMBERS": _NUMBERS, "arithmetic": arithmetic, "before": before, "compare": compare, "dated": dates.dated,
    "days_from": dates.days_from, "dig": dig, "in_share": shares.in_share, "instant": instant, "moment": dates.moment,
    "moving": moving, "negate": negate, "passing": passing, "same": same, "timed": timed, "undated": dates.undated,
    "zone": zone,
}  # fmt: skip
"""Whatever the source of an expression may call, by name, beside the constants of its surroundings."""
