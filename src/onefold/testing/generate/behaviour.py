"""Random aggregates, windows and sequences, for both generators of definitions: whoever picks is given.

Gaps, units and windows are those of the histories that go with them, so that sessions join, days turn and steps follow.
"""

from collections.abc import Callable, Sequence
from typing import Any

from onefold.language import nodes as n
from onefold.limits import DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS

Pick = Callable[[Sequence[Any]], Any]
Where = Callable[[], n.Node | None]
"""A condition in event scope, or none."""

EVENTS = ("Order Completed", "Product Viewed", "Product Added")
WINDOWS_MS = (SECOND_MS, 10 * SECOND_MS, MINUTE_MS, HOUR_MS, 30 * DAY_MS)
FUNCTIONS: dict[str, tuple[str, ...]] = {
    "number": (
        "count", "count", "count", "sum", "avg", "min", "max", "unique_count", "percentile", "stddev", "time_since",
        "days_active", "streak", "longest_streak", "session_count", "session_length", "session_time",
    ),
    "list": ("unique", "top"),
    "instant": ("first", "last"),
    "any": ("first", "last", "most_frequent"),
}  # fmt: skip
"""Type → functions that may give it."""
ZONES = ("UTC", "Europe/Berlin", "America/New_York", "Asia/Kathmandu", "Australia/Lord_Howe")
_EVERY_MS = {"gap": (SECOND_MS, MINUTE_MS, HOUR_MS, DAY_MS), "unit": (HOUR_MS, DAY_MS), "per": ()}
_SAME = (("properties", "category"), ("properties", "price"), ("properties", "anything"))


def aggregate(pick: Pick, kind: str, fields: Sequence[n.Path], where: Where) -> n.Aggregate:
    """An aggregate that may have a value of this type, over one of these fields."""
    function = pick(FUNCTIONS.get(kind, FUNCTIONS["any"]))
    shape = n.AGGREGATES[function]
    numeric = shape.field == "number"
    field = None
    if shape.field is not None:
        field = n.Field(0, pick([path for path in fields if len(path) > 1 or not numeric]))
    if kind == "instant":
        field = n.Field(0, ("time",))
    within_ms, until_ms, calendar = _window(pick)
    return n.Aggregate(
        0, function, pick((*EVENTS, "*", "page")), field, where(), within_ms, until_ms, calendar,
        timezone=_timezone(pick, shape, calendar),
        number=_number(pick, function),
        every_ms=pick((None, *_EVERY_MS[shape.options[0]])) if shape.options else None,
        per=pick((None, None, "week", "month")) if "per" in shape.options else None,
    )  # fmt: skip


def _window(pick: Pick) -> tuple[int | None, int | None, str | None]:
    match pick(("lifetime", "lifetime", "sliding", "sliding", "between", "calendar")):
        case "sliding":
            return pick(WINDOWS_MS), None, None
        case "between":
            until_ms = pick(WINDOWS_MS[:-1])
            return pick([each for each in WINDOWS_MS if each > until_ms]), until_ms, None
        case "calendar":
            return None, None, pick(tuple(n.CALENDARS))
    return None, None, None


def _timezone(pick: Pick, shape: n.Shape, calendar: str | None) -> str | None:
    if shape.by_day:
        return pick((None, None, *ZONES[1:]))  # type: ignore[no-any-return]
    return pick((None, None, n.PERSON, *ZONES[1:])) if calendar is not None else None


def _number(pick: Pick, function: str) -> int | float | None:
    if function == "top":
        return pick((1, 2, 3))  # type: ignore[no-any-return]
    return pick((0, 25, 50, 90, 99.9, 100)) if function == "percentile" else None


def sequence(pick: Pick, where: Where, *, counted: bool) -> n.Sequence:
    """Two or three steps, some of them negated."""
    steps = [n.Step(0, pick(EVENTS), where())]
    for _ in range(pick((0, 1, 1, 2))):
        if pick((True, False, False)):
            steps.append(n.Step(0, pick((*EVENTS, "page", "*")), where(), None, negated=True))
        steps.append(n.Step(0, pick((*EVENTS, "*")), where(), pick((None, None, *WINDOWS_MS))))
    if len(steps) == 1 or pick((True, False, False)):
        steps.append(n.Step(0, pick((*EVENTS, "page")), where(), pick(WINDOWS_MS), negated=True))
    same = n.Field(0, pick(_SAME)) if pick((True, False, False)) else None
    within_ms, during_ms = pick((None, None, *WINDOWS_MS)), pick((None, None, *WINDOWS_MS))
    return n.Sequence(0, tuple(steps), same, within_ms, during_ms, counted)
