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

    `number`: how many values `top` has.
    """
    counted = f"SELECT {KEYS}, {value} AS value, count(*) AS n FROM {rows} GROUP BY {KEYS}, {value}"
    each = f"SELECT {KEYS}, {_KIND}, {_NUMBER}, {_TEXT}, n FROM ({counted})"
    many = f"SELECT {KEYS} FROM each GROUP BY {KEYS} HAVING count(*) > {UNIQUE_VALUES_MAX}"
    sample = (
        f"SELECT * FROM (SELECT *, onefold_hash(k, num, s) AS h FROM each SEMI JOIN many USING ({KEYS})) "
        f"QUALIFY row_number() OVER (PARTITION BY {KEYS} ORDER BY h) <= {UNIQUE_VALUES_MAX}"
    )
    kept = f"SELECT *, NULL::UBIGINT AS h FROM each ANTI JOIN many USING ({KEYS}) UNION ALL ({sample})"
    best, shown = _form(function)
    source = "kept"
    if function == "top":
        place = f"row_number() OVER (PARTITION BY {KEYS} ORDER BY {_RANK})"
        source = f"(SELECT * FROM kept QUALIFY {place} <= {int(number or 0)})"
    return (
        f"WITH each AS MATERIALIZED ({each}), many AS MATERIALIZED ({many}), kept AS ({kept}), "
        f"best AS (SELECT {KEYS}, {best} AS best FROM {source} GROUP BY {KEYS}) "
        f"SELECT {KEYS}, {shown} AS {name} FROM best"
    )


_RANK = "n DESC, k, num, s"


def _json(row: str = "") -> str:
    """A value of a tally as JSON text, of columns with this before their names."""
    yes = f"CASE WHEN {row}num = 1 THEN 'true' ELSE 'false' END"
    return f"CASE {row}k WHEN 0 THEN {yes} WHEN 1 THEN {row}num::VARCHAR ELSE to_json({row}s)::VARCHAR END"


def _form(function: str) -> tuple[str, str]:
    """What to group from a tally, and the value of that, called `best` there."""
    match function:
        case "most_frequent":
            return "min({'n': -n, 'k': k, 'num': num, 's': s})", _json("best.")
        case "unique":
            return f"'[' || string_agg({_json()}, ',' ORDER BY k, num, s) || ']'", "best"
        case "top":
            return f"'[' || string_agg({_json()}, ',' ORDER BY {_RANK}) || ']'", "best"
    return "CASE WHEN max(h) IS NULL THEN count(*)::DOUBLE ELSE onefold_estimate(max(h)) END", "best"
