"""Expressions → DuckDB SQL: how each node of the tree reads there, with the very meaning that `values` gives it.

What SQL cannot say exactly is asked of Python (`sql_functions`), and only for the rows where it matters: whole numbers
past 2^53, letters beyond ASCII, instants in unusual spelling.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from onefold.errors import NotInSql
from onefold.language import nodes as n
from onefold.language.instants import parse_instant
from onefold.language.sql import calls
from onefold.language.sql.columns import (
    EXACT,
    SQL_TYPES,
    Layers,
    Sql,
    alike,
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
from onefold.language.sql.functions import SqlFunction
from onefold.language.sql.in_python import Piece
from onefold.language.stream.source import MIRRORED

FALSE = Sql("boolean", "false")
_SIGN = {"==": "=", "<": "<", "<=": "<=", ">": ">", ">=": ">="}
_USUAL_INSTANT = (
    r"[12][0-9]{3}-[0-9]{2}-[0-9]{2}(T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\.[0-9]{1,3})?Z)?"  # UTC, to the ms
)


class Among(NamedTuple):
    """What expressions are compiled among."""

    types: Mapping[str, n.Type]
    """Of traits."""
    timezone: str
    """The workspace's."""
    functions: dict[str, SqlFunction]
    """Name in SQL → function of Python's, of those that are found on the way."""


class Expressions:
    """The SQL of trees in one scope; `leaf` says what a name means there. Raises `NotInSql` for what it has not."""

    now = ""
    """The column with the instant that is asked about; empty where there is none yet."""

    def __init__(self, layers: Layers, among: Among) -> None:
        self.layers = layers
        self.among = among
        self.timezone = among.timezone

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
            case n.Call():
                return calls.native(self, node) or self.in_python(node)
            case n.Case():
                return self._case(node)
            case n.Quantified():
                return self.in_python(node)
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
            return _plain(op, self.instant(a), self.instant(b))
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

    def instant(self, value: Sql) -> Sql:
        """The instant that a value is, or names."""
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

    # --- what is chosen ----------------------------------------------------------------------------------------
    def _case(self, node: n.Case) -> Sql:
        conditions = [self.boolean(each) for each in node.conditions]
        otherwise = literal(None) if node.otherwise is None else self.value(node.otherwise)
        kind, values = alike([*map(self.value, node.values), otherwise])
        pairs = zip(conditions, values[:-1], strict=True)
        text = "".join(f"WHEN {condition.text} THEN {value.text} " for condition, value in pairs)
        return joined(kind, f"CASE {text}ELSE {values[-1].text} END", (*conditions, *values))

    # --- Python ------------------------------------------------------------------------------------------------
    def in_python(self, node: n.Node) -> Sql:
        """A part that SQL cannot say: the stream's own Python of it, asked with the values of its parts."""
        piece = Piece(node, self.among.types, self.among.timezone)
        given = [self.layers.name(self.value(each)) for each in piece.parts]
        name, function, blank = piece.function([each.kind for each in given])
        if piece.timed and not self.now:
            raise NotInSql("time that moves, in an event")
        self.among.functions[name] = function
        kind = piece.kind
        text = f"{name}({', '.join([each.text for each in given] + [self.now] * piece.timed)})"
        if given and not piece.timed and all(each.kind != "boolean" for each in given):
            missing = " AND ".join(f"{each.text} IS NULL" for each in given)
            empty = "NULL" if blank is None else literal(blank).text if kind != "json" else quoted(blank)
            text = f"CASE WHEN {missing} THEN {empty}::{SQL_TYPES[kind]} ELSE {text} END"
        return joined(kind, text, given)


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


class EventScope(Expressions):
    """Names are fields of the event: columns that `fields` lists, JSON text each."""

    def __init__(self, layers: Layers, among: Among, fields: dict[n.Path, str]) -> None:
        super().__init__(layers, among)
        self.fields = fields
        """Path → column."""

    def leaf(self, node: n.Node) -> Sql:
        """A field of the event."""
        if not isinstance(node, n.Field):
            return super().leaf(node)
        if node.path == ("time",):
            return Sql("instant", "at_ms")
        if len(node.path) == 1:
            return Sql("string", str(node.path[0]))
        return Sql("json", self.fields.setdefault(node.path, f"f{len(self.fields)}"))


class ProfileScope(Expressions):
    """Names are columns of a person as of an instant: aggregates, declared traits, built-ins, and computed traits."""

    now = "now_ms"

    def __init__(self, layers: Layers, among: Among, slot: Callable[[n.Kept | n.Declared], Sql]) -> None:
        super().__init__(layers, among)
        self.traits: dict[str, Sql] = {}
        """Computed traits so far, by name."""
        self.audiences: dict[str, Sql] = {}
        """Audiences so far, by name."""
        self.accounts: dict[str, Sql] = {}
        """What the person's account has, by what it is called (`nodes.OfAccount.name`)."""
        self._slot = slot

    def leaf(self, node: n.Node) -> Sql:
        """What a profile's name stands for."""
        match node:
            case n.Aggregate() | n.Sequence():
                return self._slot(node)
            case n.Declared(path=(_, *rest)):
                whole = self._slot(node)
                return Sql("json", dig(whole.text, rest), whole.level) if rest else whole
            case n.OfAccount(path=(_, *rest)):
                whole = self.accounts[node.name]
                return Sql("json", dig(whole.text, rest[1:])) if rest[1:] else whole
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
            case n.Share():
                raise NotInSql("random_share(), which asks for identifiers")
        return super().leaf(node)
