"""Tallies as DuckDB SQL: aggregates over how often each value came. Each is a relation of its own.

Values are kept as kind (0 boolean, 1 number, 2 string: the order of the language), number and string. Of more than
UNIQUE_VALUES_MAX the ones with the smallest hashes are kept, as in the stream.
"""

from onefold.limits import UNIQUE_VALUES_MAX

KEYS = "now_ms, person"


def kind_of(value: str) -> str:
    """The kind of a value that is JSON text; NULL of what is no boolean, number or string."""
    return (
        f"CASE WHEN {value} IN ('true', 'false') THEN 0 WHEN starts_with({value}, '\"') THEN 2 "
        f"WHEN isfinite(TRY_CAST({value} AS DOUBLE)) THEN 1 END"
    )


def number_of(value: str) -> str:
    """Its number: that of a boolean is 0 or 1, that of a string 0."""
    return (
        f"CASE {kind_of(value)} WHEN 0 THEN ({value} = 'true')::INTEGER::DOUBLE "
        f"WHEN 1 THEN TRY_CAST({value} AS DOUBLE) + '0'::DOUBLE ELSE '0'::DOUBLE END"
    )


def text_of(value: str) -> str:
    """Its string; empty for a number."""
    return f"CASE WHEN starts_with({value}, '\"') THEN json_extract_string({value}, '$') ELSE '' END"


def tally(function: str, name: str, value: str, rows: str, number: float | None) -> str:
    """A SELECT of KEYS and the aggregate's value, called `name`, over the column `value` of these rows.

    `number`: how many values `top` has.
    """
    each = (
        f"SELECT {KEYS}, {kind_of(value)} AS k, {number_of(value)} AS num, {text_of(value)} AS s, count(*) AS n "
        f"FROM {rows} GROUP BY ALL HAVING k IS NOT NULL"
    )
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
