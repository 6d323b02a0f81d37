"""Expressions → DuckDB SQL: how each node of the tree reads there, with the very meaning that `values` gives it.

What SQL cannot say exactly is asked of Python (`sql_functions`), and only for the rows where it matters: whole numbers
past 2^53, letters beyond ASCII, instants in unusual spelling.
"""

from collections.abc import Callable, Iterable
from typing import Any

from onefold.errors import NotInSql
from onefold.language import nodes as n
from onefold.language.instants import parse_instant
from onefold.language.sql.columns import (
    EXACT,
    Layers,
    Sql,
    as_boolean,
    as_json,
    as_number,
    as_string,
    dig,
    joined,
    json_equal,
    literal,
    may_be_large,
    quoted,
)
from onefold.language.stream.source import MIRRORED

FALSE = Sql("boolean", "false")
_SIGN = {"==": "=", "<": "<", "<=": "<=", ">": ">", ">=": ">="}
_USUAL_INSTANT = (
    r"[12][0-9]{3}-[0-9]{2}-[0-9]{2}(T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\.[0-9]{1,3})?Z)?"  # UTC, to the ms
)


class Expressions:
    """The SQL of trees in one scope; `leaf` says what a name means there. Raises `NotInSql` for what it has not."""

    def __init__(self, layers: Layers) -> None:
        self.layers = layers

    def leaf(self, node: n.Node) -> Sql:
        """The value of a name."""
        raise NotInSql(type(node).__name__.lower())

    def value(self, node: n.Node) -> Sql:
        """The value of a tree."""
        match node:
            case n.Literal_(value=value):
                return literal(value)
            case n.And(parts=parts):
                return self._logic(" AND ", parts)
            case n.Or(parts=parts):
                return self._logic(" OR ", parts)
            case n.Not(part=part):
                return self._not(self.boolean(part))
            case n.Compare(op=op, left=left, right=right):
                return self._compare(op, self.value(left), self.value(right))
            case n.In(item=item, options=options):
                return self._in(self.layers.name(self.value(item)), options)
            case n.Arithmetic(op=op, left=left, right=right):
                return self._arithmetic(op, self.value(left), self.value(right))
            case n.Negate(part=part):
                return self._negate(self.value(part))
            case n.Call(function=function, args=args):
                return self._call(function, [self.value(arg) for arg in args])
        return self.leaf(node)

    def boolean(self, node: n.Node) -> Sql:
        """Whether a tree is true."""
        value = self.value(node)
        return Sql("boolean", as_boolean(value), value.level)

    # --- logic -----------------------------------------------------------------------------------------------
    def _logic(self, word: str, parts: tuple[n.Node, ...]) -> Sql:
        found = [self.boolean(part) for part in parts]
        return joined("boolean", "(" + word.join(part.text for part in found) + ")", found)

    def _not(self, part: Sql) -> Sql:
        return Sql("boolean", f"(NOT {part.text})", part.level)

    # --- comparison ------------------------------------------------------------------------------------------
    def _compare(self, op: str, a: Sql, b: Sql) -> Sql:
        if op == "!=":
            return self._not(self._compare("==", a, b))
        kinds = {a.kind, b.kind}
        if "instant" in kinds:
            return _plain(op, self._instant(a), self._instant(b))
        if "list" in kinds:
            return FALSE
        if a.kind == b.kind != "json":
            return _plain(op, a, b) if op == "==" or a.kind != "boolean" else FALSE
        if b.kind == "json" != a.kind:
            a, b, op = b, a, MIRRORED[op]
        return self._any(op, a, b) if a.kind == "json" else FALSE

    def _any(self, op: str, a: Sql, b: Sql) -> Sql:
        """What may be of any kind, with something."""
        if b.kind == "boolean":
            return _plain(op, a, as_json(b)) if op == "==" else FALSE
        if b.kind == "string":
            if op == "==" and b.known and (text := json_equal(b.literal)) is not None:
                return _plain(op, a, Sql("json", quoted(text)))
            return _plain(op, as_string(self.layers, a), b)
        if b.kind == "number" and b.known and abs(b.literal) < EXACT:
            return _plain(op, Sql("number", as_number(a), a.level), b)
        a, b = self.layers.name(a), self.layers.name(b)
        numbers = f"{as_number(a)} {_SIGN[op]} {as_number(b)}"
        if b.kind == "number":
            text = _exactly([a], f"onefold_compare('{op}', {a.text}, {as_json(b).text})", numbers)
        else:
            x, y = (as_string(self.layers, each).text for each in (a, b))
            alike = [numbers, f"{x} {_SIGN[op]} {y}"]
            alike += [f"({a.text} = {b.text} AND {a.text} IN ('true', 'false'))"] if op == "==" else []
            text = f"coalesce({', '.join(alike[:2])}{', ' + alike[2] if alike[2:] else ''})"
            text = _exactly([a, b], f"onefold_compare('{op}', {a.text}, {b.text})", text)
        return joined("boolean", f"coalesce({text}, false)", (a, b))

    def _instant(self, value: Sql) -> Sql:
        if value.kind == "instant":
            return value
        if value.known:
            at_ms = parse_instant(value.literal) if isinstance(value.literal, str) else None
            return Sql("instant", "NULL::BIGINT" if at_ms is None else f"{at_ms}::BIGINT")
        text = self.layers.name(as_string(self.layers, value))
        usual = f"regexp_full_match({text.text}, '{_USUAL_INSTANT}')"
        quick = f"epoch_ms(TRY_CAST({text.text} AS TIMESTAMP))"
        return Sql("instant", f"CASE WHEN {usual} THEN {quick} ELSE onefold_instant({text.text}) END", text.level)

    def _in(self, item: Sql, options: tuple[Any, ...]) -> Sql:
        found = [self._compare("==", item, literal(option)) for option in options]
        return joined("boolean", "(" + " OR ".join(part.text for part in found) + ")", found)

    # --- arithmetic ------------------------------------------------------------------------------------------
    def _arithmetic(self, op: str, left: Sql, right: Sql) -> Sql:
        a, b = self.layers.name(left), self.layers.name(right)
        x = self.layers.name(Sql("number", as_number(a), a.level))
        y = self.layers.name(Sql("number", as_number(b), b.level))
        raw = self.layers.name(joined("number", f"CASE WHEN {y.text} <> 0 THEN {x.text} {op} {y.text} END", (x, y))
                               if op in "/%" else joined("number", f"{x.text} {op} {y.text}", (x, y)))  # fmt: skip
        text = f"CASE WHEN isfinite({raw.text}) THEN {raw.text} END"
        if op == "%":  # Python's remainder has the sign of its right side
            other = f"({y.text} < 0) <> ({raw.text} < 0)"
            text = f"CASE WHEN {raw.text} <> 0 AND {other} THEN {raw.text} + {y.text} ELSE {raw.text} END"
        unsure = [each for each in (a, b) if each.kind == "json"]
        if unsure:
            text = _exactly(unsure, f"onefold_arithmetic('{op}', {_exact(a)}, {_exact(b)})", text)
        return joined("number", text, (raw, a, b, x, y))

    def _negate(self, part: Sql) -> Sql:
        if part.kind == "number":
            return Sql("number", f"(-{part.text})", part.level)
        if part.kind != "json":
            return Sql("number", "NULL::DOUBLE")
        part = self.layers.name(part)
        turned = f"CASE WHEN starts_with({part.text}, '-') THEN substr({part.text}, 2) ELSE '-' || {part.text} END"
        return Sql("json", f"CASE WHEN {as_number(part)} IS NOT NULL THEN {turned} END", part.level)

    # --- functions -------------------------------------------------------------------------------------------
    def _call(self, function: str, args: list[Sql]) -> Sql:
        if function in FUNCTIONS:
            return FUNCTIONS[function](self, *args)
        raise NotInSql(f"{function}()")


def _plain(op: str, a: Sql, b: Sql) -> Sql:
    return joined("boolean", f"coalesce({a.text} {_SIGN[op]} {b.text}, false)", (a, b))


def _exactly(unsure: list[Sql], exact: str, quick: str) -> str:
    """The quick way where no number of these is larger than a double holds exactly."""
    guard = " OR ".join(f"coalesce({may_be_large(each)}, false)" for each in unsure)
    return f"CASE WHEN {guard} THEN {exact} ELSE {quick} END"


def _exact(value: Sql) -> str:
    """A number as JSON, whole where it is; whether a whole computed one is an integer or a double is not known."""
    if value.kind == "json":
        return value.text
    if value.kind != "number":
        return "NULL"
    whole = f"{value.text} = trunc({value.text}) AND abs({value.text}) <= {EXACT}"
    return f"CASE WHEN {whole} THEN {value.text}::BIGINT::VARCHAR ELSE {value.text}::VARCHAR END"


def _exists(_scope: Expressions, value: Sql) -> Sql:
    return Sql("boolean", f"({value.text} IS NOT NULL)", value.level)


def _cased(function: str) -> Callable[[Expressions, Sql], Sql]:
    def cased(scope: Expressions, value: Sql) -> Sql:
        text = scope.layers.name(as_string(scope.layers, value))
        ascii_ = f"strlen({text.text}) = length({text.text})"
        exact = f"onefold_{function}({text.text})"
        return Sql("string", f"CASE WHEN {ascii_} THEN {function}({text.text}) ELSE {exact} END", text.level)

    return cased


def _length(scope: Expressions, value: Sql) -> Sql:
    value = scope.layers.name(value)
    text = scope.layers.name(as_string(scope.layers, value))
    items = f"CASE WHEN starts_with({value.text}, '[') THEN json_array_length({value.text}) END"
    either = f"length({text.text})" if value.kind == "string" else f"coalesce(length({text.text}), {items})"
    return joined("number", f"({either})::DOUBLE", (value, text))


def _contains(scope: Expressions, whole: Sql, part: Sql) -> Sql:
    whole, part = scope.layers.name(whole), scope.layers.name(part)
    text, wanted = (scope.layers.name(as_string(scope.layers, each)) for each in (whole, part))
    in_text = f"coalesce(contains({text.text}, {wanted.text}), false)"
    if whole.kind not in ("json", "list"):
        return joined("boolean", in_text, (text, wanted))
    if part.kind in ("list", "instant"):
        return FALSE
    among = f"coalesce(onefold_contains({whole.text}, {as_json(part).text}), false)"
    if part.known and isinstance(part.literal, str) and (there := json_equal(part.literal)) is not None:
        among = f"list_contains(json_extract({whole.text}, '$[*]')::VARCHAR[], {quoted(there)})"
    return joined(
        "boolean",
        f"CASE WHEN coalesce(starts_with({whole.text}, '['), false) THEN {among} ELSE {in_text} END",
        (whole, part, text, wanted),
    )


def _of_strings(function: str) -> Callable[[Expressions, Sql, Sql], Sql]:
    def of_strings(scope: Expressions, whole: Sql, part: Sql) -> Sql:
        found = [as_string(scope.layers, each) for each in (whole, part)]
        return joined("boolean", f"coalesce({function}({found[0].text}, {found[1].text}), false)", found)

    return of_strings


FUNCTIONS: dict[str, Callable[..., Sql]] = {
    "exists": _exists,
    "lower": _cased("lower"),
    "upper": _cased("upper"),
    "length": _length,
    "contains": _contains,
    "starts_with": _of_strings("starts_with"),
    "ends_with": _of_strings("ends_with"),
}
"""Scalar function → its SQL."""


class EventScope(Expressions):
    """Names are fields of the event: columns that `fields` lists, JSON text each."""

    def __init__(self, layers: Layers) -> None:
        super().__init__(layers)
        self.fields: dict[tuple[str, ...], str] = {}
        """Path → column."""

    def leaf(self, node: n.Node) -> Sql:
        """A field of the event."""
        if not isinstance(node, n.Field):
            return super().leaf(node)
        if len(node.path) == 1:
            return Sql("string", str(node.path[0]))
        return Sql("json", self.fields.setdefault(_steps(node.path), f"f{len(self.fields)}"))


class ProfileScope(Expressions):
    """Names are columns of a person as of an instant: aggregates, declared traits, built-ins, and computed traits."""

    def __init__(self, layers: Layers, slot: Callable[[n.Aggregate | n.Declared], Sql]) -> None:
        super().__init__(layers)
        self.traits: dict[str, Sql] = {}
        """Computed traits so far, by name."""
        self.audiences: dict[str, Sql] = {}
        """Audiences so far, by name."""
        self._slot = slot

    def leaf(self, node: n.Node) -> Sql:
        """What a profile's name stands for."""
        match node:
            case n.Aggregate():
                return self._slot(node)
            case n.Declared(path=(_, *rest)):
                whole = self._slot(node)
                return Sql("json", dig(whole.text, _steps(rest)), whole.level) if rest else whole
            case n.TraitRef(name=name):
                return self.traits[name]
            case n.InAudience(name=name):
                return self.audiences[name]
            case n.Builtin(name="events"):
                return Sql("number", "events::DOUBLE")
            case n.Builtin(name=name):
                return Sql("instant", name)
            case n.Now(ago_ms=ago_ms):
                return Sql("instant", f"(now_ms - {ago_ms})")
        return super().leaf(node)


def _steps(path: Iterable[str | int]) -> tuple[str, ...]:
    """A path of names alone. Raises `NotInSql` where it goes into a list."""
    steps = tuple(path)
    if any(isinstance(step, int) for step in steps):
        raise NotInSql("a place in a list")
    return tuple(map(str, steps))
