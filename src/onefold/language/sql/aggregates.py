"""Aggregates as DuckDB SQL: what each keeps of an event, how a person's events become one row, and the value of that.

An event's part of an aggregate does not depend on the instant that is asked about, so it is worked out once (`picked`),
however many instants follow. Sums are exact: whole parts and fractions are added as integers, and rounded once.
"""

from typing import NamedTuple

from onefold.errors import NotInSql
from onefold.language import nodes as n
from onefold.language.sql.columns import Layers, Sql, as_json, as_number, double, joined, quoted
from onefold.language.sql.expressions import EventScope
from onefold.language.sql.functions import FRACTION_BITS
from onefold.limits import UNIQUE_VALUES_MAX

_SUMMABLE_MAX = 1e290
_WHOLE_MAX = 1 << 43
"""Numbers below are added as integers, and sums below are rounded without Python."""
_HALF = 1 << 53
_LONG = 19
"""Digits from which on a whole number may not fit 64 bits."""
KEYS = "now_ms, person"
EVENTS_TYPE = "STRUCT(at_ms BIGINT, tie BLOB, event VARCHAR)[]"
"""Events as Python takes them, for what has no SQL."""


class Slot(NamedTuple):
    """One aggregate on its way into SQL. Columns of `picked`, and of what is grouped from it, are named after it."""

    name: str
    function: str
    event: str
    """The name of the events that may count, `*` for all; aggregates of one name are computed together."""
    condition: str
    """Column of `picked`: whether the event counts."""
    value: str
    """Column of `picked`; empty for a count."""
    within_ms: int | None

    @property
    def counted(self) -> str:
        """Whether an event of `picked` is in it at `now_ms`."""
        window = f" AND at_ms > now_ms - {self.within_ms}" if self.within_ms is not None else ""
        present = f" AND {self.value} IS NOT NULL" if self.value else ""
        return f"{self.condition}{window}{present}"

    @property
    def tallied(self) -> bool:
        """Whether it counts each value by itself, in a relation of its own."""
        return self.function in TALLIES


# --- of an event -------------------------------------------------------------------------------------------
def condition(scope: EventScope, aggregate: n.Aggregate) -> Sql:
    """Whether an event counts, whenever that was."""
    parts = [] if aggregate.event == "*" else [Sql("boolean", f"name = {quoted(aggregate.event)}")]
    if aggregate.where is not None:
        parts.append(scope.boolean(aggregate.where))
    return joined("boolean", " AND ".join(f"({part.text})" for part in parts) or "true", parts)


def field(scope: EventScope, aggregate: n.Aggregate) -> Sql | None:
    """What an event has to say to it: a DOUBLE or JSON text; None for a count."""
    if aggregate.field is None:
        return None
    value = scope.layers.name(scope.value(aggregate.field))
    if aggregate.function in ("min", "max"):
        number = scope.layers.name(Sql("number", as_number(value), value.level))
        return Sql("number", f"CASE WHEN isfinite({number.text}) THEN {number.text} END", number.level)
    if aggregate.function in ("sum", "avg"):
        number = scope.layers.name(Sql("number", as_number(value), value.level))
        summable = f"abs({number.text}) <= {double(_SUMMABLE_MAX)}"
        return Sql("number", f"CASE WHEN {summable} THEN {number.text} END", number.level)
    if aggregate.function in TALLIES:
        return as_json(value)
    return storable(scope.layers, as_json(value))


def storable(layers: Layers, value: Sql) -> Sql:
    """A value with its whole numbers within 64 bits, as every store holds it."""
    value = layers.name(value)
    long = f"length({value.text}) >= {_LONG} AND regexp_matches({value.text}, '[0-9]{{{_LONG}}}')"
    return Sql("json", f"CASE WHEN {long} THEN onefold_storable({value.text}) ELSE {value.text} END", value.level)


# --- of a person -------------------------------------------------------------------------------------------
def grouped(slot: Slot) -> list[str]:
    """Columns of the relation with one row a person and instant."""
    name, function, value, only = slot.name, slot.function, slot.value, f"FILTER ({slot.counted})"
    match function:
        case "count":
            return [f"count(*) {only} AS {name}"]
        case "min" | "max":
            return [f"{function}({value}) {only} AS {name}"]
        case "first" | "last":
            by = "arg_min" if function == "first" else "arg_max"
            return [f"{by}({value}, {{'at': at_ms, 'tie': tie}}) {only} AS {name}"]
        case "events":
            return [f"list({{'at_ms': at_ms, 'tie': tie, 'event': {value}}} ORDER BY at_ms, tie) {only} AS {name}"]
        case "sum" | "avg":
            odd = f"FILTER ({slot.counted} AND NOT {name}_even)"
            even = f"FILTER ({slot.counted} AND {name}_even)"
            return [
                f"count({value}) {only} AS {name}_n",
                f"sum(TRY_CAST(trunc({value}) AS BIGINT)) {even} AS {name}_whole",
                f"sum(TRY_CAST(({value} - trunc({value})) * {_UNIT} AS BIGINT)) {even} AS {name}_part",
                f"list({value}) {odd} AS {name}_odd",
            ]
    raise NotInSql(f"{function}()")


def nothing(slot: Slot) -> list[str]:
    """The same columns of somebody of whom nothing counted."""
    name = slot.name
    match slot.function:
        case "sum" | "avg":
            return [
                f"0::BIGINT AS {name}_n", f"NULL::HUGEINT AS {name}_whole", f"NULL::HUGEINT AS {name}_part",
                f"NULL::DOUBLE[] AS {name}_odd",
            ]  # fmt: skip
        case "min" | "max" | "unique_count":
            return [f"NULL::DOUBLE AS {name}"]
        case "count":
            return [f"0::BIGINT AS {name}"]
        case "events":
            return [f"NULL::{EVENTS_TYPE} AS {name}"]
    return [f"NULL::VARCHAR AS {name}"]


_UNIT = double(float(1 << FRACTION_BITS))


def summed(slot: Slot) -> list[str]:
    """Columns that `grouped` wants of each event: whether the number is added as integers."""
    if slot.function not in ("sum", "avg"):
        return []
    value = slot.value
    part = f"({value} - trunc({value})) * {_UNIT}"
    return [f"(abs({value}) < {double(float(_WHOLE_MAX))} AND {part} = trunc({part})) AS {slot.name}_even"]


def result(layers: Layers, slot: Slot) -> Sql:
    """The value of an aggregate, of the columns that `grouped` or `tally` gives; all are NULL where nothing counted."""
    name = slot.name
    match slot.function:
        case "count" | "unique_count":
            return Sql("number", f"coalesce({name}, 0)::DOUBLE")
        case "min" | "max":
            return Sql("number", name)
        case "first" | "last" | "most_frequent":
            return Sql("json", name)
        case "unique":
            return Sql("list", name)
        case "sum":
            return Sql("number", f"coalesce({_total(layers, name).text}, '0'::DOUBLE)", _total(layers, name).level)
        case "avg":
            total = _total(layers, name)
            return Sql("number", f"({total.text} / nullif({name}_n, 0)::DOUBLE)", total.level)
    raise NotInSql(f"{slot.function}()")


def _total(layers: Layers, name: str) -> Sql:
    """The sum, rounded once: halves of 53 bits are doubles without loss, and adding two of these rounds once."""
    whole, part = f"coalesce({name}_whole, 0)", f"coalesce({name}_part, 0)"
    easy = layers.name(Sql("boolean", f"({name}_odd IS NULL AND abs({whole}) < {_WHOLE_MAX})"))
    units = layers.name(
        joined("number", f"CASE WHEN {easy.text} THEN {whole} * {1 << FRACTION_BITS}::HUGEINT + {part} END", [easy])
    )
    high = layers.name(Sql("number", f"({units.text} // {_HALF}::HUGEINT)::BIGINT", units.level))
    low = f"({units.text} - {high.text}::HUGEINT * {_HALF}::HUGEINT)::BIGINT::DOUBLE"
    quick = f"({high.text}::DOUBLE * {double(float(_HALF))} + {low}) / {_UNIT}"
    exact = f"onefold_sum({whole}::HUGEINT, {part}::HUGEINT, coalesce({name}_odd, []))"
    none = f"coalesce({name}_n, 0) = 0"
    return layers.name(
        Sql("number", f"CASE WHEN {none} THEN NULL WHEN {easy.text} THEN {quick} ELSE {exact} END", high.level)
    )


# --- tallies: how often each value came --------------------------------------------------------------------
TALLIES = ("most_frequent", "unique", "unique_count")
"""Aggregates over how often each value came."""


def _json(row: str = "") -> str:
    """A value of a tally as JSON text, of columns with this before their names."""
    yes = f"CASE WHEN {row}num = 1 THEN 'true' ELSE 'false' END"
    return f"CASE {row}k WHEN 0 THEN {yes} WHEN 1 THEN {row}num::VARCHAR ELSE to_json({row}s)::VARCHAR END"


def _tallied(slot: Slot) -> tuple[str, str]:
    """What to group from a tally, and the value of that, called `best` there."""
    match slot.function:
        case "most_frequent":
            return "min({'n': -n, 'k': k, 'num': num, 's': s})", _json("best.")
        case "unique":
            return f"'[' || string_agg({_json()}, ',' ORDER BY k, num, s) || ']'", "best"
    return "CASE WHEN max(h) IS NULL THEN count(*)::DOUBLE ELSE onefold_estimate(max(h)) END", "best"


def tally(slot: Slot, rows: str) -> str:
    """A SELECT of the slot's value for each person and instant, over the events `rows`.

    Values are kept as kind (0 boolean, 1 number, 2 string: the order of the language), number and string. Of more than
    UNIQUE_VALUES_MAX the ones with the smallest hashes are kept, as in the stream.
    """
    value = slot.value
    kind = (
        f"CASE WHEN {value} IN ('true', 'false') THEN 0 WHEN starts_with({value}, '\"') THEN 2 "
        f"WHEN isfinite(TRY_CAST({value} AS DOUBLE)) THEN 1 END"
    )
    number = (
        f"CASE {kind} WHEN 0 THEN ({value} = 'true')::INTEGER::DOUBLE "
        f"WHEN 1 THEN TRY_CAST({value} AS DOUBLE) + '0'::DOUBLE ELSE '0'::DOUBLE END"
    )
    text = f"CASE WHEN starts_with({value}, '\"') THEN json_extract_string({value}, '$') ELSE '' END"
    each = (
        f"SELECT {KEYS}, {kind} AS k, {number} AS num, {text} AS s, count(*) AS n FROM {rows} "
        f"WHERE {slot.counted} GROUP BY ALL HAVING k IS NOT NULL"
    )
    many = f"SELECT {KEYS} FROM each GROUP BY {KEYS} HAVING count(*) > {UNIQUE_VALUES_MAX}"
    sample = (
        f"SELECT * FROM (SELECT *, onefold_hash(k, num, s) AS h FROM each SEMI JOIN many USING ({KEYS})) "
        f"QUALIFY row_number() OVER (PARTITION BY {KEYS} ORDER BY h) <= {UNIQUE_VALUES_MAX}"
    )
    kept = f"SELECT *, NULL::UBIGINT AS h FROM each ANTI JOIN many USING ({KEYS}) UNION ALL ({sample})"
    best, value = _tallied(slot)
    return (
        f"WITH each AS MATERIALIZED ({each}), many AS MATERIALIZED ({many}), kept AS ({kept}), "
        f"best AS (SELECT {KEYS}, {best} AS best FROM kept GROUP BY {KEYS}) "
        f"SELECT {KEYS}, {value} AS {slot.name} FROM best"
    )
