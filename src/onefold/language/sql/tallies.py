"""Tallies as DuckDB SQL: aggregates over how often each value came. Each is a relation of its own.

Equal values have one text (`distinct`), and are counted by it; then they are told apart as kind (0 boolean, 1 number,
2 string: the order of the language), number and string. Of more than UNIQUE_VALUES_MAX the ones with the smallest
hashes are kept, as in the stream.
"""

from onefold.language.sql.columns import Layers, Sql
from onefold.limits import UNIQUE_VALUES_MAX

KEYS = "now_ms, person"


def distinct(layers: Layers, value: Sql) -> Sql:
    """The one text of a boolean, number or string that is JSON text; NULL of anything else."""
    value = layers.name(value)
    number = layers.name(Sql("number", f"TRY_CAST({value.text} AS DOUBLE) + '0'::DOUBLE", value.level))
    plain = f"starts_with({value.text}, '\"') OR {value.text} IN ('true', 'false')"
    text = f"CASE WHEN {plain} THEN {value.text} WHEN isfinite({number.text}) THEN {number.text}::VARCHAR END"
    return Sql("json", text, number.level)


_KIND = "CASE WHEN starts_with(value, '\"') THEN 2 WHEN value IN ('true', 'false') THEN 0 ELSE 1 END AS k"
_NUMBER = (
    "CASE WHEN starts_with(value, '\"') THEN '0'::DOUBLE WHEN value IN ('true', 'false') "
    "THEN (value = 'true')::INTEGER::DOUBLE ELSE TRY_CAST(value AS DOUBLE) END AS num"
)
_TEXT = "CASE WHEN starts_with(value, '\"') THEN json_extract_string(value, '$') ELSE '' END AS s"


def tally(function: str, name: str, value: str, rows: str, number: float | None) -> str:
    """A SELECT of KEYS and the aggregate's value, called `name`, over the column `value` of these rows.

    `number`: how many values `top` has. Nearly everybody has few values, and is done with once these are counted.
    """
    best, shown = _form(function, int(number or 0))
    apart = f"SELECT {KEYS}, {_KIND}, {_NUMBER}, {_TEXT}, n FROM"
    sample = (
        f"SELECT * FROM (SELECT *, onefold_hash(k, num, s) AS h FROM ({apart} (SELECT * FROM counted SEMI JOIN "
        f"(SELECT {KEYS} FROM light WHERE many > {UNIQUE_VALUES_MAX}) USING ({KEYS})))) "
        f"QUALIFY row_number() OVER (PARTITION BY {KEYS} ORDER BY h) <= {UNIQUE_VALUES_MAX}"
    )
    few, many = ("many::DOUBLE", "onefold_estimate(best)") if function == "unique_count" else (shown, shown)
    of_few, of_many = ("NULL", "max(h)") if function == "unique_count" else (best, best)
    return (
        f"WITH counted AS (SELECT {KEYS}, {value} AS value, count(*) AS n FROM {rows} GROUP BY {KEYS}, {value}), "
        f"light AS MATERIALIZED (SELECT {KEYS}, count(*) AS many, {of_few} AS best FROM ({apart} counted) "
        f"GROUP BY {KEYS}), heavy AS (SELECT {KEYS}, {of_many} AS best FROM ({sample}) GROUP BY {KEYS}) "
        f"SELECT {KEYS}, {few} AS {name} FROM light WHERE many <= {UNIQUE_VALUES_MAX} "
        f"UNION ALL SELECT {KEYS}, {many} AS {name} FROM heavy"
    )


def _json(row: str) -> str:
    """A value of a tally as JSON text, of a struct that has it."""
    yes = f"CASE WHEN {row}.num = 1 THEN 'true' ELSE 'false' END"
    return f"CASE {row}.k WHEN 0 THEN {yes} WHEN 1 THEN {row}.num::VARCHAR ELSE to_json({row}.s)::VARCHAR END"


def _form(function: str, number: int) -> tuple[str, str]:
    """What to group from a tally, and the value of that, called `best` there: values are structs in their order."""
    listed = f"'[' || array_to_string(list_transform(best, lambda x: {_json('x')}), ',') || ']'"
    ranked = "{'n': -n, 'k': k, 'num': num, 's': s}"
    match function:
        case "most_frequent":
            return f"min({ranked})", _json("best")
        case "top":
            return f"min({ranked}, {number})", listed
        case "unique":
            return "list_sort(list({'k': k, 'num': num, 's': s}))", listed
    return "", ""
