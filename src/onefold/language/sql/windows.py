"""Windows in SQL: which events of a person lie in one at an instant, and how long an event matters.

What depends on the instant alone, such as when this month began, is a column beside the instant (`Instants`). What
depends on the person's own zone, too, is worked out once for each zone that people have, and overrides that column.
"""

from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from onefold.language import nodes as n
from onefold.language.keeping.periods import periods
from onefold.language.sql.columns import quoted
from onefold.language.zones import zone
from onefold.limits import DAY_MS

_UTC = "UTC"
_SPARE_MS = 2 * DAY_MS
"""More than zones are apart, and than clocks change."""
_LONGEST_MS = {"day": DAY_MS, "week": 7 * DAY_MS, "month": 31 * DAY_MS, "quarter": 92 * DAY_MS, "year": 366 * DAY_MS}


class Window(NamedTuple):
    """Which events count, by their time."""

    within_ms: int | None = None
    until_ms: int | None = None
    span: str = ""
    """Of a calendar window: what the columns are called that hold its bounds, before `_from` and `_to`."""
    lasts_ms: int | None = None
    """So long after it an event is in no such window any more; None: it may always be."""

    def holds(self) -> str:
        """A condition on rows with `at_ms` and `now_ms`, to be appended to another."""
        parts = []
        if self.span:
            parts = [f"at_ms >= {self.span}_from", f"at_ms < {self.span}_to"]
        if self.within_ms is not None:
            parts.append(f"at_ms > now_ms - {self.within_ms}")
        if self.until_ms is not None:
            parts.append(f"at_ms <= now_ms - {self.until_ms}")
        return "".join(f" AND {part}" for part in parts)


ALWAYS = Window()


class Instants:
    """The instants that are asked about, with what windows and periods want to know of them."""

    def __init__(self) -> None:
        self._spans: dict[tuple[str, str], str] = {}
        self._theirs: dict[tuple[str, str], str] = {}
        self._periods: dict[tuple[str, str], str] = {}

    def window(self, node: n.Aggregate, workspace_zone: str) -> Window:
        """The window of an aggregate."""
        if node.calendar is None:
            return Window(node.within_ms, node.until_ms, lasts_ms=node.within_ms)
        kind, ago = n.CALENDARS[node.calendar]
        personal = node.timezone == n.PERSON
        key = (node.calendar, workspace_zone if personal else node.timezone or _UTC)
        spans, prefix = (self._theirs, "v") if personal else (self._spans, "w")
        lasts_ms = (ago + 1) * _LONGEST_MS[kind] + _SPARE_MS
        return Window(span=spans.setdefault(key, f"{prefix}{len(spans)}"), lasts_ms=lasts_ms)

    def period(self, kind: str, in_zone: str) -> str:
        """The column with the number of the period that the instant lies in."""
        return self._periods.setdefault((kind, in_zone), f"u{len(self._periods)}")

    @property
    def plain(self) -> bool:
        """Nothing is asked of the instants but which they are."""
        return not (self._spans or self._theirs or self._periods)

    def relation(self, instants: Sequence[int]) -> str:
        """A SELECT of one row an instant."""
        columns = [f"unnest({listed(instants)}) AS now_ms"]
        for (calendar, in_zone), name in (*self._spans.items(), *self._theirs.items()):
            spans = [span(calendar, in_zone, now_ms) for now_ms in instants]
            columns.append(f"unnest({listed([since_ms for since_ms, _ in spans])}) AS {name}_from")
            columns.append(f"unnest({listed([until_ms for _, until_ms in spans])}) AS {name}_to")
        for (kind, in_zone), name in self._periods.items():
            found = zone(in_zone)
            assert found is not None, in_zone
            indices = [periods(kind, found).index(now_ms) for now_ms in instants]
            columns.append(f"unnest({listed(indices)}) AS {name}")
        return f"SELECT {', '.join(columns)}"

    def columns(self) -> list[str]:
        """All but `now_ms`, and but those that people's own zones override."""
        spans = [f"{name}_{end}" for name in self._spans.values() for end in ("from", "to")]
        return [*spans, *self._periods.values()]

    def theirs(self) -> dict[str, tuple[str, str]]:
        """Prefix of the columns of a calendar window in each person's own zone → (its name, the workspace's zone)."""
        return {name: key for key, name in self._theirs.items()}


def listed(numbers: Sequence[int]) -> str:
    """Numbers as a list in SQL."""
    return f"[{', '.join(map(str, numbers))}]::BIGINT[]"


def span(calendar: str, in_zone: str, now_ms: int) -> tuple[int, int]:
    """From when until when (exclusive) a calendar window reaches at an instant, in a zone of this name."""
    kind, ago = n.CALENDARS[calendar]
    found_zone = zone(in_zone)
    assert found_zone is not None, in_zone
    found = periods(kind, found_zone)
    index, start_ms, end_ms = found.around(now_ms)
    return (found.start_ms(index - ago), found.start_ms(index - ago + 1)) if ago else (start_ms, end_ms)


def person_span(calendar: str, declared: str, latest: str, workspace_zone: str, now_ms: int) -> list[int]:
    """The same in a person's zone: the declared one where there is such a zone, else that of the latest event.

    Both as JSON, empty where there is none.
    """
    said = [msgspec.json.decode(text) for text in (declared, latest) if text]
    own = next((each for each in said if zone(each) is not None), workspace_zone)
    return list(span(calendar, own, now_ms))


def with_own_zones(theirs: dict[str, tuple[str, str]], columns: tuple[str, str], keys: str) -> dict[str, str]:
    """Relations that make `moments` of `dated`, with the bounds of calendar windows in each person's own zone.

    `columns`: of `dated`, the time zone that an event declares, and the one in its context; JSON text or NULL.
    """
    declared, context = columns
    latest = "arg_max({0}, {{'at': at_ms, 'tie': tie}}) FILTER ({0} IS NOT NULL)"
    pair = f"coalesce({latest.format(declared)}, '') AS said, coalesce({latest.format(context)}, '') AS latest"
    spans, bounds = [], []
    for name, (calendar, workspace_zone) in theirs.items():
        asked = f"onefold_span({quoted(calendar)}, said, latest, {quoted(workspace_zone)}, now_ms)"
        spans.append(f"{asked} AS {name}")
        bounds += [f"coalesce({name}[{at}], i.{name}_{end}) AS {name}_{end}" for at, end in ((1, "from"), (2, "to"))]
    return {
        "owned": (
            f"SELECT {keys}, {pair} FROM dated WHERE {declared} IS NOT NULL OR {context} IS NOT NULL GROUP BY {keys}"
        ),
        "zoned": (
            f"SELECT now_ms, said, latest, {', '.join(spans)} FROM (SELECT DISTINCT now_ms, said, latest FROM owned)"
        ),
        "moments": (
            f"SELECT d.*, {', '.join(bounds)} FROM dated d JOIN instants i ON i.now_ms = d.now_ms "
            f"LEFT JOIN (owned JOIN zoned USING (now_ms, said, latest)) o "
            "ON o.now_ms = d.now_ms AND o.person = d.person"
        ),
    }
