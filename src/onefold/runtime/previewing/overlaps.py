"""How many of an audience's people are in each other audience: counted over these people's events alone."""

from collections.abc import Mapping, Sequence

from onefold.language.reading.check import Checked
from onefold.language.sql.compile import Given, compile_sql
from onefold.runtime.previewing.parts import Copied, copy_mentioned, copy_seen, parts
from onefold.storage.history.asking import Asking

_INSIDE = Copied("inside_picked", "inside_seen")


def shared(asking: Asking, columns: Sequence[str]) -> dict[tuple[str, str], int]:
    """Two of these columns of the relation `members`, or one twice → how many people are in both; none: left out.

    Nearly everybody is in the same audiences as many others, so that it is these groups of people that are counted.
    """
    if not columns:
        return {}
    listed = ", ".join(f"CASE WHEN {column} THEN {at} END" for at, column in enumerate(columns))
    alike = f"SELECT {', '.join(columns)}, count(*) AS n FROM members GROUP BY ALL"
    inside = f"SELECT list_filter([{listed}], lambda each: each IS NOT NULL) AS them, n FROM ({alike})"
    each = f"SELECT unnest(them) AS one, them, n FROM ({inside})"
    pairs = f"SELECT one, unnest(them) AS other, n FROM ({each})"
    found = asking.rows(f"SELECT one, other, sum(n)::BIGINT FROM ({pairs}) GROUP BY one, other")
    return {(columns[one], columns[other]): people for one, other, people in found}


def overlaps(
    asking: Asking, checked: Checked, columns: Mapping[str, str], others: Sequence[str], as_of_ms: int
) -> dict[tuple[str, str], int]:
    """(audience, other audience) → people in both. `columns`: audience → its column of the relation `members`.

    The relation `roots` is there.
    """
    if not columns or not others:
        return {}
    plan = compile_sql({"": checked}, {"": others})
    asking.know(plan.functions)
    listed = ", ".join(columns.values())
    asking.run(
        f"CREATE TEMP TABLE inside AS SELECT person, {listed} FROM members WHERE {' OR '.join(columns.values())}"
    )
    asking.run(
        "CREATE TEMP TABLE inside_profiles AS SELECT person AS profile FROM inside "
        "UNION ALL SELECT profile FROM roots SEMI JOIN inside USING (person)"
    )
    asking.run("CREATE TEMP VIEW inside_events AS SELECT * FROM events SEMI JOIN inside_profiles USING (profile)")
    events = copy_mentioned(asking, plan, [as_of_ms], "inside_events", _INSIDE)
    everyone = plan.asks_of_everyone or any(asking.row(plan.blank([as_of_ms]))[1:])
    if everyone:
        copy_seen(asking, as_of_ms, "inside_events", _INSIDE)
    pairs = [(name, output) for name in columns for output in plan.outputs]
    renamed = ", ".join(f"{output.column} AS other_{output.column}" for output in plan.outputs)
    counted = ", ".join(f"count(*) FILTER ({columns[name]} AND other_{output.column})" for name, output in pairs)
    found = [0] * len(pairs)
    for given in parts(asking, Given(_INSIDE.picked, _INSIDE.seen, not everyone), events * plan.aggregates):
        others_of = f"SELECT * RENAME ({renamed}) FROM ({plan.values([as_of_ms], given)})"
        rows = asking.row(f"SELECT {counted} FROM inside JOIN ({others_of}) USING (person)")
        found = [known + more for known, more in zip(found, rows, strict=True)]
    return {(name, output.name): people for (name, output), people in zip(pairs, found, strict=True)}
