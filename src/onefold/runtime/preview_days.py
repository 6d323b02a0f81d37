"""How many would have been in an audience day by day, had it been defined all along."""

from collections.abc import Mapping, Sequence

from msgspec import Struct

from onefold.language.compile_sql import Given, SqlPlan
from onefold.limits import DAY_MS, PREVIEW_ROWS_MAX
from onefold.storage.history_asking import Asking


class Day(Struct, frozen=True):
    """How many people matched at an instant."""

    at_ms: int
    people: int


class Movement(Struct, frozen=True):
    """The days behind, oldest first, each at the time of day of the preview."""

    days: list[Day]
    share: float
    """The share of the people over whom the days were counted, chosen by a hash of their ids; 1.0: exact."""

    def ending(self, people: int) -> "Movement":
        """The same with the last day as it was counted over everyone."""
        return Movement([*self.days[:-1], Day(self.days[-1].at_ms, people)], self.share)


def movements(
    asking: Asking, plan: SqlPlan, columns: Mapping[str, str], instants: Sequence[int]
) -> dict[str, Movement]:
    """Audience → its movement, of audience → column of the plan. The relations `picked` and `roots` are there."""
    everyone = plan.asks_of_everyone
    (rows,) = asking.row("SELECT count(*) FROM events" if everyone else "SELECT count(*) FROM picked")
    halvings = max(0, (rows * len(instants) - 1).bit_length() - PREVIEW_ROWS_MAX.bit_length() + 1)
    while halvings and rows * len(instants) >> halvings - 1 <= PREVIEW_ROWS_MAX:
        halvings -= 1
    given = _share(asking, plan, halvings)._replace(only=frozenset(columns.values()))
    counts = ", ".join(f"count(*) FILTER ({column})" for column in columns.values())
    values = plan.values(instants, given)
    found = {
        at_ms: row for at_ms, *row in asking.rows(f"SELECT now_ms, count(*), {counts} FROM ({values}) GROUP BY now_ms")
    }
    rest = {} if everyone else _blank(asking, plan, instants)
    made: dict[str, list[Day]] = {name: [] for name in columns}
    for at_ms in instants:
        mentioned, *matching = (n << halvings for n in found.get(at_ms, [0] * (1 + len(columns))))
        for (name, column), people in zip(columns.items(), matching, strict=True):
            others = max(0, rest[at_ms][1] - mentioned) if rest and column in rest[at_ms][0] else 0
            made[name].append(Day(at_ms, people + others))
    return {name: Movement(days, 1 / (1 << halvings)) for name, days in made.items()}


def days_before(as_of_ms: int, days: int) -> list[int]:
    """The instants of so many days, the last of which is `as_of_ms`."""
    return [at_ms for at_ms in range(as_of_ms - days * DAY_MS, as_of_ms + 1, DAY_MS) if at_ms > 0]


def _share(asking: Asking, plan: SqlPlan, halvings: int) -> Given:
    """What to count: everything, or what one in so many people did; merged people are chosen as one."""
    mentioned_only = not plan.asks_of_everyone
    if not halvings:
        return Given("picked", mentioned_only=mentioned_only)
    chosen = f"hash(coalesce(r.person, e.profile)) % {1 << halvings} = 0"
    for name, source in (("some_picked", "picked"), ("some_events", "events")):
        if name == "some_picked" or not mentioned_only:
            columns = "e.*" if source == "picked" else "e.profile, e.at_ms, e.received_ms"
            asking.run(
                f"CREATE TEMP TABLE {name} AS SELECT {columns} FROM {source} e "
                f"LEFT JOIN roots r USING (profile) WHERE {chosen}"
            )
    return Given("some_picked", "events" if mentioned_only else "some_events", mentioned_only)


def _blank(asking: Asking, plan: SqlPlan, instants: Sequence[int]) -> dict[int, tuple[set[str], int]]:
    """Instant → columns that are true of whoever is not mentioned, and how many people there were; empty: none is."""
    audiences = [output.column for output in plan.outputs]
    true = {
        at_ms: {column for column, value in zip(audiences, values, strict=True) if value is True}
        for at_ms, *values in asking.rows(plan.blank(instants))
    }
    if not any(true.values()):
        return {}
    born = asking.row(
        f"SELECT {_up_to(instants, 'since_ms')} FROM (SELECT min(received_ms) AS since_ms FROM events GROUP BY profile)"
    )
    gone = asking.row(f"SELECT {_up_to(instants, 'at_ms')} FROM merges")
    return {at_ms: (true[at_ms], b - g) for at_ms, b, g in zip(instants, born, gone, strict=True)}


def _up_to(instants: Sequence[int], column: str) -> str:
    return ", ".join(f"count(*) FILTER ({column} <= {at_ms})" for at_ms in instants)
