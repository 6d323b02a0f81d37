"""Days, sessions and sequences as DuckDB SQL: what depends on the order of a person's events, by window functions.

Each is a relation of its own, with one row for each instant and person of whom something counts.
"""

from collections.abc import Sequence
from typing import NamedTuple

from onefold.language import nodes as n
from onefold.language.keeping.monoids import SESSION_GAP_MS
from onefold.limits import ACTIVE_PERIODS_MAX, DAY_MS

KEYS = "now_ms, person"
_SHORTEST_MS = DAY_MS
"""No period that is counted is shorter."""


class Steps(NamedTuple):
    """A sequence over columns of `moments`."""

    sequence: n.Sequence
    bits: tuple[str, ...]
    """Of each step, whether the event is one."""
    same: str
    """The value that must be the same in all, its one text (`tallies.distinct`); empty: none need be."""


# --- days --------------------------------------------------------------------------------------------------
def days(function: str, rows: str, index: str, today: str, lasts_ms: int | None) -> str:
    """A SELECT of KEYS and `value`: `days_active`, `streak` or `longest_streak` over these rows.

    `index`: their column with the number of the period; `today`: that with the one of the instant. In a run of periods
    the number less the place in order is the same for all.
    """
    if function == "streak":  # most have been away for longer than a period, and have none
        here = f"SELECT {KEYS} FROM {rows} GROUP BY {KEYS} HAVING max({index}) >= max({today}) - 1"
        rows = f"(SELECT * FROM {rows} SEMI JOIN ({here}) USING ({KEYS}))"
    bounded = lasts_ms is not None and lasts_ms < ACTIVE_PERIODS_MAX * _SHORTEST_MS
    distinct = (
        f"SELECT DISTINCT {KEYS}, {index} AS i{f', {today} AS today' if function == 'streak' else ''} FROM {rows}"
    )
    if function == "days_active" and bounded:
        return f"SELECT {KEYS}, count(*) AS value FROM ({distinct}) GROUP BY {KEYS}"
    order = f"(PARTITION BY {KEYS} ORDER BY i)"
    placed = (
        f"SELECT *, i - row_number() OVER {order} AS run, max(i) OVER (PARTITION BY {KEYS}) AS latest FROM ({distinct})"
    )
    kept = f"SELECT * FROM ({placed}) WHERE i > latest - {ACTIVE_PERIODS_MAX}"
    if function == "days_active":
        return f"SELECT {KEYS}, count(*) AS value FROM ({kept}) GROUP BY {KEYS}"
    if function == "longest_streak":
        runs = f"SELECT {KEYS}, count(*) AS length FROM ({kept}) GROUP BY {KEYS}, run"
        return f"SELECT {KEYS}, max(length) AS value FROM ({runs}) GROUP BY {KEYS}"
    runs = (
        f"SELECT {KEYS}, count(*) AS length, max(i) AS i, any_value(today) AS today FROM ({kept}) GROUP BY {KEYS}, run"
    )
    return f"SELECT {KEYS}, arg_max(length, i) AS value FROM ({runs}) GROUP BY {KEYS} HAVING max(i) >= max(today) - 1"


# --- sessions ----------------------------------------------------------------------------------------------
def sessions(rows: str, every_ms: int | None) -> str:
    """A SELECT of KEYS, how many sessions there are (`many`), and how long they are together (`whole_ms`)."""
    gap_ms = every_ms or SESSION_GAP_MS
    apart = f"SELECT {KEYS}, at_ms - lag(at_ms) OVER (PARTITION BY {KEYS} ORDER BY at_ms) AS apart FROM {rows}"
    begins = f"apart IS NULL OR apart >= {gap_ms}"
    return (
        f"SELECT {KEYS}, count(*) FILTER ({begins}) AS many, "
        f"coalesce(sum(apart) FILTER (apart < {gap_ms}), 0)::BIGINT AS whole_ms FROM ({apart}) GROUP BY {KEYS}"
    )


# --- sequences ---------------------------------------------------------------------------------------------
def completions(steps: Steps, rows: str) -> str:
    """A SELECT of KEYS and how often the sequence was completed (`value`) by these rows, each of which is some step.

    As in the stream (`keeping/sequences`) each step knows the latest event that ends a chain up to there, and the
    latest beginning of that chain: both only ever grow, so each is a maximum over what came before.
    """
    stages, silent, silent_ms = _stages(steps)
    same = ", same" if steps.same else ""
    first, last = stages[0], stages[-1]
    if len(stages) > 1:  # most people have not done all of it, and need not be walked through
        rows = f"(SELECT * FROM {rows} SEMI JOIN ({_able(steps, rows, stages)}) USING ({KEYS}{_own(steps)}))"
    relation = _instants(steps, rows, last.bit)
    ending = f"CASE WHEN {first.bit} THEN at_ms END"
    relation = f"SELECT *, {ending} AS e0, {ending} AS g0 FROM ({relation})"
    for number, stage in enumerate(stages[1:], start=1):
        relation = _stage(relation, number, stage, same, steps.sequence.within_ms)
    done = f"e{len(stages) - 1} IS NOT NULL"
    if silent:
        after = f"(PARTITION BY {KEYS}{same} ORDER BY at_ms ROWS BETWEEN 1 FOLLOWING AND UNBOUNDED FOLLOWING)"
        relation = f"SELECT *, min(CASE WHEN {silent} THEN at_ms END) OVER {after} AS broken FROM ({relation})"
        over = f"at_ms + {silent_ms}"
        done += f" AND {over} <= now_ms AND coalesce(broken >= {over}, true)"
    return f"SELECT {KEYS}, sum(n)::BIGINT AS value FROM ({relation}) WHERE {done} GROUP BY {KEYS}"


class _Stage(NamedTuple):
    """A step that is not negated."""

    bit: str
    unwanted: str
    """Whether an event is one of the negated steps between the one before and this; empty: there are none."""
    within_ms: int | None


def _stages(steps: Steps) -> tuple[list[_Stage], str, int]:
    """The steps that are not negated, and the condition and the time of the negated ones at the end."""
    stages: list[_Stage] = []
    unwanted: list[str] = []
    for number, step in enumerate(steps.sequence.steps):
        if step.negated:
            unwanted.append(f"b{number}")
        else:
            stages.append(_Stage(f"b{number}", " OR ".join(unwanted), step.within_ms))
            unwanted = []
    return stages, " OR ".join(unwanted), (steps.sequence.steps[-1].within_ms or 0) if unwanted else 0


def _own(steps: Steps) -> str:
    """The column of what must be the same, where anything must, after a comma."""
    return f", {steps.same}" if steps.same else ""


def _able(steps: Steps, rows: str, stages: Sequence[_Stage]) -> str:
    """Who has an event of each step that is not negated, with the same value where that matters."""
    columns = [column for column, step in zip(steps.bits, steps.sequence.steps, strict=True) if not step.negated]
    assert len(columns) == len(stages)
    everything = " AND ".join(f"bool_or({column})" for column in columns)
    return f"SELECT {KEYS}{_own(steps)} FROM {rows} GROUP BY {KEYS}{_own(steps)} HAVING {everything}"


def _instants(steps: Steps, rows: str, last: str) -> str:
    """The events of one person and instant together, since none is before another; `n`: how many may complete."""
    same = f", {steps.same} AS same" if steps.same else ""
    bits = [f"{column} AS b{number}" for number, column in enumerate(steps.bits)]
    each = f"SELECT {KEYS}, at_ms{same}, {', '.join(bits)} FROM {rows}"
    whether = ", ".join(f"bool_or(b{number}) AS b{number}" for number in range(len(steps.bits)))
    group = f"{KEYS}, at_ms{', same' if steps.same else ''}"
    return f"SELECT {group}, {whether}, count(*) FILTER ({last}) AS n FROM ({each}) GROUP BY {group}"


def _stage(relation: str, number: int, stage: _Stage, same: str, whole_ms: int | None) -> str:
    """The relation with the ends (`e`) and beginnings (`g`) of chains up to this stage."""
    before = f"(PARTITION BY {KEYS}{same} ORDER BY at_ms ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)"
    columns = [f"max(e{number - 1}) OVER {before} AS pe", f"max(g{number - 1}) OVER {before} AS pg"]
    fits = f"{stage.bit} AND pe IS NOT NULL"
    if stage.unwanted:
        columns.append(f"max(CASE WHEN {stage.unwanted} THEN at_ms END) OVER {before} AS pu")
        fits += " AND coalesce(pu <= pe, true)"
    if stage.within_ms is not None:
        fits += f" AND at_ms - pe < {stage.within_ms}"
    if whole_ms is not None:
        fits += f" AND at_ms - pg < {whole_ms}"
    looked = f"SELECT *, {', '.join(columns)} FROM ({relation})"
    return (
        f"SELECT * EXCLUDE (pe, pg{', pu' if stage.unwanted else ''}), CASE WHEN {fits} THEN at_ms END AS e{number}, "
        f"CASE WHEN {fits} THEN pg END AS g{number} FROM ({looked})"
    )
