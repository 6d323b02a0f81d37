"""Aggregates as DuckDB SQL: what each keeps of an event, how a person's events become one row, and the value of that.

An event's part of an aggregate does not depend on the instant that is asked about, so it is worked out once (`picked`),
however many instants follow. Sums are exact: whole parts and fractions are added as integers, and rounded once.
"""

from fractions import Fraction
from typing import NamedTuple

from onefold.language import nodes as n
from onefold.language.sql import behaviour
from onefold.language.sql.behaviour import Steps
from onefold.language.sql.columns import Layers, Sql, as_json, as_number, double, joined, quoted
from onefold.language.sql.expressions import EventScope
from onefold.language.sql.functions import FRACTION_BITS
from onefold.language.sql.tallies import distinct, tally
from onefold.language.sql.windows import ALWAYS, Window
from onefold.limits import DAY_MS, PERCENTILE_VALUES_MAX

_SUMMABLE_MAX = 1e290
_SQUARED_MAX = 1e140
"""As in the stream: larger numbers do not count in a sum, or a standard deviation."""
_WHOLE_MAX = 1 << 43
"""Numbers below are added as integers, and sums below are rounded without Python."""
_HALF = 1 << 53
_LONG = 19
"""Digits from which on a whole number may not fit 64 bits."""
KEYS = "now_ms, person"
_TALLIES = ("most_frequent", "unique", "unique_count", "top")
_DAYS = ("days_active", "streak", "longest_streak")
_SESSIONS = ("session_count", "session_length", "session_time")
_WEIGHTS = dict.fromkeys((*_TALLIES, *_DAYS, *_SESSIONS), 4) | {"percentile": 2, "stddev": 8}
_STREAK_MS = 64 * DAY_MS
"""Longer after an event no streak ends with it: two months and a change of clocks."""


class Slot(NamedTuple):
    """One aggregate on its way into SQL. Columns of `picked`, and of what is grouped from it, are named after it."""

    name: str
    function: str
    """One of the language's aggregates, or `sequence`."""
    event: str
    """The name of the events that may count, `*` for all; aggregates of one name are computed together."""
    condition: str
    """Column of `picked`: whether the event counts."""
    value: str = ""
    """Column of `picked`; empty where only the event's time matters."""
    window: Window = ALWAYS
    node: n.Aggregate | None = None
    """Has the options of some functions."""
    instants: bool = False
    """Its values are instants."""
    today: str = ""
    """Of a streak: the column with the number of the present period."""
    steps: Steps | None = None

    @property
    def counted(self) -> str:
        """Whether an event of `moments` is in it at `now_ms`."""
        return f"{self.condition}{self.window.holds()}{f' AND {self.value} IS NOT NULL' if self.value else ''}"

    @property
    def weight(self) -> int:
        """About how many looks of a count cost as much as one of it."""
        if self.node is not None and self.node.timezone == n.PERSON:
            return 4
        if self.steps is not None:
            return 4 * len(self.steps.bits) * (2 if self.steps.same else 1)
        return _WEIGHTS.get(self.function, 1)

    @property
    def turns_ms(self) -> int | None:
        """So long after an event its value no longer changes by time alone; None: it may always."""
        lasts_ms = self.window.lasts_ms or 0
        if self.function == "time_since":
            return None
        if self.function == "streak":
            return max(lasts_ms, _STREAK_MS)
        if self.steps is not None and (last := self.steps.sequence.steps[-1]).negated:
            return max(lasts_ms, last.within_ms or 0)
        return lasts_ms


# --- of an event -------------------------------------------------------------------------------------------
def condition(scope: EventScope, event: str, where: n.Node | None) -> Sql:
    """Whether an event of this name counts, whenever that was."""
    parts = [] if event == "*" else [Sql("boolean", f"name = {quoted(event)}")]
    if where is not None:
        parts.append(scope.boolean(where))
    return joined("boolean", " AND ".join(f"({part.text})" for part in parts) or "true", parts)


def field(scope: EventScope, aggregate: n.Aggregate) -> Sql | None:
    """What an event has to say to it: a DOUBLE, an instant, or JSON text; None where only its time matters."""
    if aggregate.field is None:
        return None
    value = scope.layers.name(scope.value(aggregate.field))
    function = aggregate.function
    if function in ("min", "max", "percentile", "sum", "avg", "stddev"):
        number = scope.layers.name(Sql("number", as_number(value), value.level))
        fits = f"isfinite({number.text})"
        if function in ("sum", "avg", "stddev"):
            fits = f"abs({number.text}) <= {double(_SQUARED_MAX if function == 'stddev' else _SUMMABLE_MAX)}"
        return Sql("number", f"CASE WHEN {fits} THEN {number.text} END", number.level)
    if value.kind == "instant":
        return value
    if function in _TALLIES:
        return distinct(scope.layers, as_json(value))
    return storable(scope.layers, as_json(value))


def storable(layers: Layers, value: Sql) -> Sql:
    """A value with its whole numbers within 64 bits, as every store holds it."""
    value = layers.name(value)
    long = f"length({value.text}) >= {_LONG} AND regexp_matches({value.text}, '[0-9]{{{_LONG}}}')"
    return Sql("json", f"CASE WHEN {long} THEN onefold_storable({value.text}) ELSE {value.text} END", value.level)


# --- of a person -------------------------------------------------------------------------------------------
def apart(slot: Slot, rows: str) -> str | None:
    """A SELECT of the slot's columns for each person and instant, of those aggregates that need one of their own."""
    chosen = f"(SELECT * FROM {rows} WHERE {slot.counted})"
    function, name, node = slot.function, slot.name, slot.node
    if slot.steps is not None:
        return _called(name, behaviour.completions(slot.steps, chosen))
    if function in _TALLIES:
        return tally(function, name, slot.value, chosen, None if node is None else node.number)
    if function in _DAYS:
        return _called(name, behaviour.days(function, chosen, slot.value, slot.today, slot.window.lasts_ms))
    if function in _SESSIONS:
        found = behaviour.sessions(chosen, None if node is None else node.every_ms)
        return f"SELECT {KEYS}, many AS {name}, whole_ms AS {name}_ms FROM ({found})"
    return None


def _called(name: str, found: str) -> str:
    return f"SELECT {KEYS}, value AS {name} FROM ({found})"


def grouped(slot: Slot) -> list[str]:
    """Columns of the relation with one row a person and instant, of all other aggregates."""
    name, function, value, only = slot.name, slot.function, slot.value, f"FILTER ({slot.counted})"
    match function:
        case "count":
            return [f"count(*) {only} AS {name}"]
        case "min" | "max":
            return [f"{function}({value}) {only} AS {name}"]
        case "time_since":
            return [f"max(at_ms) {only} AS {name}"]
        case "first" | "last":
            by = "arg_min" if function == "first" else "arg_max"
            order = "at_ms" if slot.instants else "{'at': at_ms, 'tie': tie}"
            return [f"{by}({value}, {order}) {only} AS {name}"]
        case "percentile" | "stddev":
            return [f"list({value}) {only} AS {name}"]
    odd = f"FILTER ({slot.counted} AND NOT {name}_even)"
    even = f"FILTER ({slot.counted} AND {name}_even)"
    return [
        f"count({value}) {only} AS {name}_n",
        f"sum(TRY_CAST(trunc({value}) AS BIGINT)) {even} AS {name}_whole",
        f"sum(TRY_CAST(({value} - trunc({value})) * {_UNIT} AS BIGINT)) {even} AS {name}_part",
        f"list({value}) {odd} AS {name}_odd",
    ]


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
        case "percentile" | "stddev":
            return [f"NULL::DOUBLE[] AS {name}"]
        case "session_count" | "session_length" | "session_time":
            return [f"NULL::BIGINT AS {name}", f"NULL::BIGINT AS {name}_ms"]
        case "count" | "time_since" | "days_active" | "streak" | "longest_streak" | "sequence":
            return [f"NULL::BIGINT AS {name}"]
    return [f"NULL::{'BIGINT' if slot.instants else 'VARCHAR'} AS {name}"]


_UNIT = double(float(1 << FRACTION_BITS))


def summed(slot: Slot) -> list[str]:
    """Columns that `grouped` wants of each event: whether the number is added as integers."""
    if slot.function not in ("sum", "avg"):
        return []
    value = slot.value
    part = f"({value} - trunc({value})) * {_UNIT}"
    return [f"(abs({value}) < {double(float(_WHOLE_MAX))} AND {part} = trunc({part})) AS {slot.name}_even"]


def result(layers: Layers, slot: Slot) -> Sql:
    """The value of an aggregate, of the columns that `grouped` or `apart` gives; all are NULL where nothing counted."""
    name, node = slot.name, slot.node
    match slot.function:
        case "count" | "unique_count" | "days_active" | "streak" | "longest_streak" | "session_count":
            return Sql("number", f"coalesce({name}, 0)::DOUBLE")
        case "sequence":
            assert slot.steps is not None
            if slot.steps.sequence.counted:
                return Sql("number", f"coalesce({name}, 0)::DOUBLE")
            return Sql("boolean", f"coalesce({name} > 0, false)")
        case "min" | "max":
            return Sql("number", name)
        case "first" | "last":
            return Sql("instant" if slot.instants else "json", name)
        case "most_frequent":
            return Sql("json", name)
        case "unique" | "top":
            return Sql("list", name)
        case "time_since":
            return Sql("number", f"((now_ms - {name}) // {(node and node.every_ms) or DAY_MS})::DOUBLE")
        case "session_time":
            return Sql("number", f"(coalesce({name}_ms, 0) / 1000::DOUBLE)")
        case "session_length":
            return Sql("number", f"({name}_ms / (1000 * {name})::DOUBLE)")
        case "percentile":
            return _percentile(layers, name, (node and node.number) or 0)
        case "stddev":
            same = f"list_min({name}) = list_max({name})"
            text = f"CASE WHEN {name} IS NULL THEN NULL WHEN {same} THEN '0'::DOUBLE ELSE onefold_stddev({name}) END"
            return Sql("number", text)
    total = _total(layers, name)
    if slot.function == "sum":
        return Sql("number", f"coalesce({total.text}, '0'::DOUBLE)", total.level)
    return Sql("number", f"({total.text} / nullif({name}_n, 0)::DOUBLE)", total.level)


def _percentile(layers: Layers, name: str, percentage: float) -> Sql:
    """By nearest rank; the stream's own sketch where there are too many different numbers."""
    share = Fraction(str(percentage)) / 100
    rank = f"greatest(1, (len({name}) * {share.numerator} + {share.denominator - 1}) // {share.denominator})"
    many = f"len({name}) > {PERCENTILE_VALUES_MAX} AND list_unique({name}) > {PERCENTILE_VALUES_MAX}"
    sketch = f"onefold_percentile({name}, {double(float(percentage))})"
    exact = f"list_sort({name})[{rank}] + '0'::DOUBLE"
    return layers.name(Sql("number", f"CASE WHEN {many} THEN {sketch} ELSE {exact} END"))


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
