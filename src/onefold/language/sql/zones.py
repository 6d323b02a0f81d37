"""Local time as DuckDB SQL: how far clocks are from UTC at an instant, and which day, week or month that is in.

The rules are the language's own (`language/zones`), not DuckDB's: they are written out, change by change, for the years
in which events lie. Instants beyond these are asked of Python.
"""

from bisect import bisect_right
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any

from onefold.language.keeping.periods import periods
from onefold.language.scalars import dates
from onefold.language.sql.columns import Layers, Sql, quoted
from onefold.language.zones import zone
from onefold.limits import DAY_MS, HOUR_MS

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MS = timedelta(milliseconds=1)
_SINCE_MS = (datetime(2015, 1, 1, tzinfo=UTC) - _EPOCH) // _MS
_UNTIL_MS = (datetime(2040, 1, 1, tzinfo=UTC) - _EPOCH) // _MS
"""The years of which the changes are written out."""
_MONDAY = 3
"""1970-01-01 was three days after a Monday."""

PARTS = {
    "year": "year(epoch_ms({local}))::DOUBLE",
    "month": "month(epoch_ms({local}))::DOUBLE",
    "day": "day(epoch_ms({local}))::DOUBLE",
    "weekday": "isodow(epoch_ms({local}))::DOUBLE",
    "hour": f"(({{local}} % {DAY_MS} + {DAY_MS}) % {DAY_MS} // {HOUR_MS})::DOUBLE",
}
"""Functions of the calendar that read a part of an instant's local time → their SQL."""
_PERIODS = {
    "day": "floor({local} / {day}::DOUBLE)::BIGINT",
    "week": "floor(({local} + {monday}) / {week}::DOUBLE)::BIGINT",
    "month": "(year(epoch_ms({local})) * 12 + month(epoch_ms({local})) - 1)",
}
"""Kind of period → its number (`keeping/periods`) of a local time."""


def part(layers: Layers, name: str, at: Sql, in_zone: str) -> Sql:
    """One of PARTS of an instant, in a zone of this name."""
    at = layers.name(at)
    local = _local(layers, at, in_zone, days=False)
    text = PARTS[name].format(local=local.text)
    return Sql("number", _known(at, text, f"onefold_part({quoted(name)}, {quoted(in_zone)}, {at.text})"), local.level)


def period(layers: Layers, kind: str, at: Sql, in_zone: str) -> Sql:
    """The number of the day, week or month that an instant lies in, in a zone of this name: a BIGINT."""
    at = layers.name(at)
    local = _local(layers, at, in_zone, days=True)
    text = _PERIODS[kind].format(local=local.text, day=DAY_MS, monday=_MONDAY * DAY_MS, week=7 * DAY_MS)
    asked = f"onefold_period({quoted(kind)}, {quoted(in_zone)}, {at.text})"
    return layers.name(Sql("instant", _known(at, text, asked), local.level))


def part_in_python(name: str, in_zone: str, at_ms: int) -> float | None:
    """What `part` asks of Python."""
    functions: dict[str, Any] = {
        "year": dates.year, "month": dates.month, "day": dates.day_of_month, "weekday": dates.weekday,
        "hour": dates.hour,
    }  # fmt: skip
    found = functions[name](at_ms, zone(in_zone))
    return None if found is None else float(found)


def period_in_python(kind: str, in_zone: str, at_ms: int) -> int:
    """What `period` asks of Python."""
    found = zone(in_zone)
    assert found is not None
    return periods(kind, found).index(at_ms)


def _known(at: Sql, text: str, asked: str) -> str:
    return f"CASE WHEN {at.text} >= {_SINCE_MS} AND {at.text} < {_UNTIL_MS} THEN {text} ELSE {asked} END"


def _local(layers: Layers, at: Sql, in_zone: str, *, days: bool) -> Sql:
    """Milliseconds since 1970 on local clocks. `days`: where they are put back over midnight, only once that is past.

    So the hour that is repeated belongs to the day that had begun, as `keeping/periods` has it.
    """
    found = changes(in_zone)
    turns = [(at_ms, after) for at_ms, _, after in found[1:]]
    if days:
        turns = [(at_ms + _repeated(at_ms, before, after), after) for at_ms, before, after in found[1:]]
    offset = _choose(at.text, found[0][2], turns)
    return layers.name(Sql("instant", f"({at.text} + {offset})", at.level))


def _repeated(at_ms: int, before_ms: int, after_ms: int) -> int:
    """For how long after this change of clocks the day is still the one that had begun before it."""
    back = (at_ms - 1 + before_ms) // DAY_MS > (at_ms + after_ms) // DAY_MS
    return before_ms - after_ms if back else 0


def _choose(at: str, first: int, turns: list[tuple[int, int]]) -> str:
    """The offset at an instant, by halves."""
    if not turns:
        return str(first)
    middle = len(turns) // 2
    turn_ms, after = turns[middle]
    earlier, later = _choose(at, first, turns[:middle]), _choose(at, after, turns[middle + 1 :])
    return f"CASE WHEN {at} < {turn_ms} THEN {earlier} ELSE {later} END"


@lru_cache(maxsize=64)
def changes(in_zone: str) -> list[tuple[int, int, int]]:
    """(instant, offset before, offset from then on) of each change of clocks in order; the first is no change."""
    found = zone(in_zone)
    assert found is not None, in_zone

    def offset(at_ms: int) -> int:
        local = (_EPOCH + at_ms * _MS).astimezone(found)
        return (local.utcoffset() or timedelta()) // _MS

    changes = [(_SINCE_MS, offset(_SINCE_MS), offset(_SINCE_MS))]
    for at_ms in range(_SINCE_MS + DAY_MS, _UNTIL_MS + DAY_MS, DAY_MS):
        before, after = changes[-1][2], offset(at_ms)
        if before != after:
            span = range(at_ms - DAY_MS, at_ms + 1)
            turn_ms = span[bisect_right(span, False, key=lambda each, before=before: offset(each) != before)]  # type: ignore[misc]
            changes.append((turn_ms, before, after))
    return changes
