"""Functions of the language as DuckDB SQL: those that it says exactly. The others are asked of Python (`in_python`)."""

from collections.abc import Callable
from typing import Protocol

from onefold.language import nodes as n
from onefold.language.functions import FUNCTIONS as CATALOGUE
from onefold.language.instants import FIRST_MS, LAST_MS
from onefold.language.sql import zones
from onefold.language.sql.columns import (
    EXACT,
    Layers,
    Sql,
    alike,
    as_json,
    as_number,
    as_string,
    double,
    joined,
    json_equal,
    quoted,
)

_FALSE = Sql("boolean", "false")


class Scope(Protocol):
    """Where a call stands (`expressions`)."""

    layers: Layers
    now: str
    timezone: str

    def value(self, node: n.Node) -> Sql:
        """The value of a tree."""
        ...

    def instant(self, value: Sql) -> Sql:
        """The instant that a value is, or names."""
        ...


def native(scope: Scope, node: n.Call) -> Sql | None:
    """The SQL of a call; None where only Python can say it."""
    make = FUNCTIONS.get(node.function)
    if make is not None:
        return make(scope, *map(scope.value, node.args))
    special = _WITH_LITERALS.get(node.function)
    return None if special is None else special(scope, node)


def is_native(node: n.Call) -> bool:
    """Whether SQL may say a call, depending on its arguments."""
    return node.function in FUNCTIONS or node.function in _WITH_LITERALS


# --- of any values -----------------------------------------------------------------------------------------
def _exists(_scope: Scope, value: Sql) -> Sql:
    return Sql("boolean", f"({value.text} IS NOT NULL)", value.level)


def _cased(function: str) -> Callable[[Scope, Sql], Sql]:
    def cased(scope: Scope, value: Sql) -> Sql:
        text = scope.layers.name(as_string(scope.layers, value))
        ascii_ = f"strlen({text.text}) = length({text.text})"
        exact = f"onefold_{function}({text.text})"
        return Sql("string", f"CASE WHEN {ascii_} THEN {function}({text.text}) ELSE {exact} END", text.level)

    return cased


def _length(scope: Scope, value: Sql) -> Sql:
    value = scope.layers.name(value)
    text = scope.layers.name(as_string(scope.layers, value))
    items = f"CASE WHEN starts_with({value.text}, '[') THEN json_array_length({value.text}) END"
    either = f"length({text.text})" if value.kind == "string" else f"coalesce(length({text.text}), {items})"
    return joined("number", f"({either})::DOUBLE", (value, text))


def _contains(scope: Scope, whole: Sql, part: Sql) -> Sql:
    whole, part = scope.layers.name(whole), scope.layers.name(part)
    text, wanted = (scope.layers.name(as_string(scope.layers, each)) for each in (whole, part))
    in_text = f"coalesce(contains({text.text}, {wanted.text}), false)"
    if whole.kind not in ("json", "list"):
        return joined("boolean", in_text, (text, wanted))
    if part.kind in ("list", "instant"):
        return _FALSE
    among = f"coalesce(onefold_contains({whole.text}, {as_json(part).text}), false)"
    if part.known and isinstance(part.literal, str) and (there := json_equal(part.literal)) is not None:
        among = f"list_contains(json_extract({whole.text}, '$[*]')::VARCHAR[], {quoted(there)})"
    return joined(
        "boolean",
        f"CASE WHEN coalesce(starts_with({whole.text}, '['), false) THEN {among} ELSE {in_text} END",
        (whole, part, text, wanted),
    )


def _of_strings(function: str) -> Callable[[Scope, Sql, Sql], Sql]:
    def of_strings(scope: Scope, whole: Sql, part: Sql) -> Sql:
        found = [as_string(scope.layers, each) for each in (whole, part)]
        return joined("boolean", f"coalesce({function}({found[0].text}, {found[1].text}), false)", found)

    return of_strings


def _contains_any(scope: Scope, whole: Sql, *parts: Sql) -> Sql:
    found = [_contains(scope, whole, part) for part in parts]
    return joined("boolean", "(" + " OR ".join(each.text for each in found) + ")", found)


def _coalesce(_scope: Scope, *values: Sql) -> Sql:
    kind, found = alike(values)
    return joined(kind, f"coalesce({', '.join(each.text for each in found)})", found)


def _whole(function: str) -> Callable[[Scope, Sql], Sql]:
    def whole(_scope: Scope, value: Sql) -> Sql:
        return Sql("number", f"({function}({as_number(value)}) + '0'::DOUBLE)", value.level)

    return whole


def _to_instant(scope: Scope, value: Sql) -> Sql:
    return scope.instant(value)


FUNCTIONS: dict[str, Callable[..., Sql]] = {
    "exists": _exists,
    "coalesce": _coalesce,
    "lower": _cased("lower"),
    "upper": _cased("upper"),
    "length": _length,
    "contains": _contains,
    "contains_any": _contains_any,
    "starts_with": _of_strings("starts_with"),
    "ends_with": _of_strings("ends_with"),
    "floor": _whole("floor"),
    "ceil": _whole("ceil"),
    "to_instant": _to_instant,
}
"""Scalar function → its SQL, of its arguments' values."""


# --- of values beside literals -----------------------------------------------------------------------------
def _literal(node: n.Call, at: int) -> object:
    """What a function is told by a literal at this place, or by its absence."""
    kind = CATALOGUE[node.function].kind(at)
    if len(node.args) <= at:
        return CATALOGUE[node.function].default
    argument = node.args[at]
    return kind.prepare(argument.value) if kind.prepare and isinstance(argument, n.Literal_) else None


def _like(scope: Scope, node: n.Call) -> Sql | None:
    text, pattern = as_string(scope.layers, scope.value(node.args[0])), node.args[1]
    if not isinstance(pattern, n.Literal_):
        return None
    return Sql("boolean", f"coalesce({text.text} LIKE {quoted(str(pattern.value))}, false)", text.level)


def _matches(scope: Scope, node: n.Call) -> Sql | None:
    text, pattern = as_string(scope.layers, scope.value(node.args[0])), node.args[1]
    if not isinstance(pattern, n.Literal_):
        return None
    return Sql("boolean", f"coalesce(regexp_matches({text.text}, {quoted(str(pattern.value))}), false)", text.level)


def _round(scope: Scope, node: n.Call) -> Sql | None:
    """Half away from 0, as the language has it; whole numbers stay as they are."""
    value = scope.value(node.args[0])
    number = scope.layers.name(Sql("number", as_number(value), value.level))
    digits = _literal(node, 1)
    if not isinstance(digits, int):
        return None
    text, scale = f"round({number.text})", double(float(10**digits))
    if digits:
        whole = f"{number.text} = trunc({number.text}) OR abs({number.text}) > {double(float(EXACT))}"
        text = f"CASE WHEN {whole} THEN {number.text} ELSE round({number.text} * {scale}) / {scale} END"
    return Sql("number", f"({text} + '0'::DOUBLE)", number.level)


def _part(scope: Scope, node: n.Call) -> Sql | None:
    """A part of an instant's date or time; what a string names may be a day alone."""
    at = scope.value(node.args[0])
    in_zone: object = scope.timezone
    if len(node.args) > 1:
        argument = node.args[1]
        in_zone = argument.value if isinstance(argument, n.Literal_) else None
    if at.kind != "instant" or not isinstance(in_zone, str):
        return None
    return zones.part(scope.layers, node.function, at, in_zone)


def _elapsed(scope: Scope, node: n.Call) -> Sql | None:
    unit_ms = _literal(node, 1)
    if not isinstance(unit_ms, int):
        return None
    at = scope.layers.name(scope.instant(scope.value(node.args[0])))
    passed = scope.layers.name(Sql("instant", f"({scope.now} - {at.text})", at.level))
    rest = f"({passed.text} % {unit_ms} + {unit_ms}) % {unit_ms}"
    return Sql("number", f"(({passed.text} - {rest}) // {unit_ms})::DOUBLE", passed.level)


def _date_add(scope: Scope, node: n.Call) -> Sql | None:
    shift_ms = _literal(node, 1)
    if not isinstance(shift_ms, int):
        return None
    at = scope.layers.name(scope.instant(scope.value(node.args[0])))
    later = scope.layers.name(Sql("instant", f"({at.text} + {shift_ms})", at.level))
    return Sql("instant", f"CASE WHEN {later.text} BETWEEN {FIRST_MS} AND {LAST_MS} THEN {later.text} END", later.level)


_WITH_LITERALS: dict[str, Callable[[Scope, n.Call], Sql | None]] = {
    "like": _like,
    "matches": _matches,
    "round": _round,
    **dict.fromkeys(zones.PARTS, _part),
    "elapsed": _elapsed,
    "date_add": _date_add,
}
"""Function → its SQL where some arguments are literals; None: only Python can say it."""
