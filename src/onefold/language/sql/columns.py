"""Values as DuckDB SQL: of which kind they are, and columns in layers, so that no text is written twice.

An expression of the language may use a part of it several times over (a comparison of what may be a number or a
string), and parts nest: as plain text it would grow exponentially. Here whatever is used more than once becomes a
column of a projection below, equal texts the same column.
"""

import re
from collections.abc import Iterable, Sequence
from typing import Any, Literal, NamedTuple

import msgspec

from onefold.errors import NotInSql

Kind = Literal["boolean", "number", "string", "json", "list", "instant"]
"""How a value lies in SQL.

`boolean`: BOOLEAN, never NULL; `number`: DOUBLE (whole numbers up to 2^53, as the language keeps them, are doubles
too); `string`: VARCHAR; `instant`: BIGINT, milliseconds; `json`: any value, as JSON text, never `null`; `list`: JSON
text of one. Missing is NULL.
"""

SQL_TYPES: dict[Kind, str] = {
    "boolean": "BOOLEAN", "number": "DOUBLE", "string": "VARCHAR", "json": "VARCHAR", "list": "VARCHAR",
    "instant": "BIGINT",
}  # fmt: skip
"""Kind → the type in SQL."""

LAYERS_MAX = 256
"""Deeper is refused: each layer is a subquery inside the next."""
EXACT = 1 << 53
_NAME = re.compile(r"[a-z_][a-z0-9_]*")
_PLAIN = re.compile(r'[^\x00-\x1f"\\\x7f]*')
_NOTHING = object()
_YEAR_1000_MS = -30_610_224_000_000
"""Earlier years have fewer than four digits in DuckDB's spelling."""


class Sql(NamedTuple):
    """The text of a value, and the lowest layer that has all columns which it mentions."""

    kind: Kind
    text: str
    level: int = 0
    literal: Any = _NOTHING
    """The value itself where the definition says it."""

    @property
    def known(self) -> bool:
        """True for a literal."""
        return self.literal is not _NOTHING


class Layers:
    """Columns over some relation, those of a layer made of those below it."""

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self._known: dict[str, Sql] = {}
        self._columns: list[list[str]] = []

    def name(self, value: Sql) -> Sql:
        """The value as the name of a column (or a literal), which may be written any number of times."""
        if value.known or _NAME.fullmatch(value.text):
            return value
        found = self._known.get(value.text)
        if found is None:
            if value.level >= LAYERS_MAX:
                raise NotInSql(f"expressions that build on each other more than {LAYERS_MAX} deep")
            if value.level == len(self._columns):
                self._columns.append([])
            column = f"{self._prefix}{len(self._known)}"
            self._columns[value.level].append(f"{value.text} AS {column}")
            found = self._known[value.text] = Sql(value.kind, column, value.level + 1)
        return found

    def over(self, relation: str) -> str:
        """A SELECT of all columns over this SELECT."""
        for columns in self._columns:
            relation = f"SELECT *, {', '.join(columns)}\nFROM ({relation})"
        return relation


# --- literals ----------------------------------------------------------------------------------------------
def literal(value: Any) -> Sql:
    """A number, string, boolean or None that a definition says."""
    if value is None:
        return Sql("json", "NULL::VARCHAR", 0, None)
    if isinstance(value, bool):
        return Sql("boolean", "true" if value else "false", 0, value)
    if isinstance(value, str):
        return Sql("string", quoted(value), 0, value)
    if isinstance(value, int) and abs(value) > EXACT:
        return Sql("json", quoted(str(value)), 0, value)
    return Sql("number", f"'{value!r}'::DOUBLE", 0, value)


def quoted(text: str) -> str:
    """A string as SQL writes it."""
    if "\x00" in text:
        return f"decode(from_hex('{text.encode().hex()}'))"
    return "'" + text.replace("'", "''") + "'"


def double(value: float) -> str:
    """A double as SQL writes it, to the last bit."""
    return f"'{value!r}'::DOUBLE"


# --- kinds -------------------------------------------------------------------------------------------------
def joined(kind: Kind, text: str, parts: Iterable[Sql]) -> Sql:
    """A value whose text mentions these parts."""
    return Sql(kind, text, max((part.level for part in parts), default=0))


def as_number(value: Sql) -> str:
    """The number as a DOUBLE, NULL where it is none. A whole number past 2^53 is rounded: see `may_be_large`."""
    if value.kind == "number":
        return value.text
    return f"TRY_CAST({value.text} AS DOUBLE)" if value.kind == "json" else "NULL::DOUBLE"


def as_string(layers: Layers, value: Sql) -> Sql:
    """The string, NULL where it is none."""
    if value.kind == "string":
        return value
    if value.kind != "json":
        return Sql("string", "NULL::VARCHAR")
    value = layers.name(value)
    text = f"CASE WHEN starts_with({value.text}, '\"') THEN json_extract_string({value.text}, '$') END"
    return Sql("string", text, value.level)


def as_boolean(value: Sql) -> str:
    """Whether it is true: anything else is false."""
    if value.kind == "boolean":
        return value.text
    return f"coalesce({value.text} = 'true', false)" if value.kind == "json" else "false"


def as_json(value: Sql) -> Sql:
    """The value as JSON text."""
    match value.kind:
        case "boolean":
            return Sql("json", f"CASE WHEN {value.text} THEN 'true' ELSE 'false' END", value.level)
        case "number":
            return Sql("json", f"({value.text})::VARCHAR", value.level)
        case "string":
            return Sql("json", f"to_json({value.text})::VARCHAR", value.level)
        case "list" | "json":
            return Sql("json", value.text, value.level)
    raise AssertionError(value)


def as_output(value: Sql) -> Sql:
    """The value as JSON text, where it leaves the statement: an instant is a string there, in UTC."""
    if value.kind != "instant":
        return as_json(value)
    at_ms = value.text
    forms = [f"strftime(epoch_ms({at_ms}), '\"%Y-%m-%dT%H:%M:%S{fraction}Z\"')" for fraction in ("", ".%f")]
    usual = f"CASE WHEN {at_ms} % 1000 = 0 THEN {forms[0]} ELSE {forms[1]} END"
    text = f"CASE WHEN {at_ms} >= {_YEAR_1000_MS} THEN {usual} ELSE onefold_dated({at_ms}) END"
    return Sql("json", text, value.level)


def alike(values: Sequence[Sql]) -> tuple[Kind, list[Sql]]:
    """Values of which any may be taken, as one kind that has them all; what is missing is of each kind."""
    kinds = {value.kind for value in values if value.literal is not None}
    if len(kinds) != 1 or kinds <= {"boolean", "json"}:
        return "json", [as_json(value) for value in values]
    (kind,) = kinds
    nothing = f"NULL::{SQL_TYPES[kind]}"
    return kind, [Sql(kind, nothing) if value.literal is None else value for value in values]


def json_equal(value: str) -> str | None:
    """The JSON text of a string, where it has just one; None where a writer could write it in several ways."""
    return msgspec.json.encode(value).decode() if _PLAIN.fullmatch(value) else None


def may_be_large(value: Sql) -> str:
    """Whether a number in JSON may be a whole one past 2^53, which a double does not hold."""
    return f"(length({value.text}) > 15 AND regexp_full_match({value.text}, '-?[0-9]+'))"


def path(keys: Iterable[str | int]) -> list[str]:
    """JSON paths that lead to a value one after the other; mostly it is one."""
    steps: list[str] = []
    for key in keys:
        if isinstance(key, int) or (_PLAIN.fullmatch(key) and key not in ("", "*")):
            step = f"[{key}]" if isinstance(key, int) else f'."{key}"'
            if steps and steps[-1].startswith("$"):
                steps[-1] += step
            else:
                steps.append("$" + step)
        else:
            steps.append("/" + key.replace("~", "~0").replace("/", "~1"))
    return steps


def dig(text: str, keys: Iterable[str | int]) -> str:
    """The value at a path into an object, as JSON text."""
    for step in path(keys):
        text = f"json_extract({text}, {quoted(step)})"
    return f"nullif({text}::VARCHAR, 'null')"
