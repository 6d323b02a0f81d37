"""How many would have been in an audience day by day, had it been defined all along."""

from collections.abc import Mapping, Sequence

from msgspec import Struct

from onefold.language.sql.compile import Given, SqlPlan
from onefold.limits import DAY_MS, PREVIEW_LOOKS_MAX
from onefold.runtime.previewing.parts import parts, share
from onefold.storage.history.asking import Asking


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
    """Audience → its movement, of audience → column of the plan.

    The relations `picked`, `roots` and `members` are there; where the plan asks of everyone, `seen_events`, too.
    """
    everyone = plan.asks_of_everyone
    given, parted = _parted(asking, plan, instants)
    given = given._replace(only=frozenset(columns.values()))
    given, halvings = _share(asking, plan, given, instants)
    counts = _count(asking, plan, columns, instants, given)
    same = _still(asking, columns) if parted else [0] * (1 + len(columns))
    rest = {} if everyone else _blank(asking, plan, instants)
    made: dict[str, list[Day]] = {name: [] for name in columns}
    for at_ms, counted in counts.items():
        mentioned, *matching = ((n << halvings) + more for n, more in zip(counted, same, strict=True))
        for (name, column), people in zip(columns.items(), matching, strict=True):
            others = max(0, rest[at_ms][1] - mentioned) if rest and column in rest[at_ms][0] else 0
            made[name].append(Day(at_ms, people + others))
    return {name: Movement(days, 1 / (1 << halvings)) for name, days in made.items()}


def _count(
    asking: Asking, plan: SqlPlan, columns: Mapping[str, str], instants: Sequence[int], given: Given
) -> dict[int, list[int]]:
    """Instant → how many people there are, and how many of them match each audience."""
    counted = ", ".join(f"count(*) FILTER ({column})" for column in columns.values())
    found = {at_ms: [0] * (1 + len(columns)) for at_ms in instants}
    for part in parts(asking, given, _looks(asking, plan, given, instants)):
        query = f"SELECT now_ms, count(*), {counted} FROM ({plan.values(instants, part)}) GROUP BY now_ms"
        for at_ms, *row in asking.rows(query):
            found[at_ms] = [known + more for known, more in zip(found[at_ms], row, strict=True)]
    return found


def _looks(asking: Asking, plan: SqlPlan, given: Given, instants: Sequence[int]) -> int:
    """How often an event is looked at for an aggregate, or for when somebody was seen."""
    (looks,) = asking.row(plan.looks(instants, given))
    if not given.mentioned_only:
        (events,) = asking.row(f"SELECT count(*) FROM {given.events}")
        looks += events * len(instants)
    return int(looks)


def _parted(asking: Asking, plan: SqlPlan, instants: Sequence[int]) -> tuple[Given, bool]:
    """What is to be counted at each instant, and whether the rest is people who are what they were all along.

    Those who are not are `moving`.
    """
    given = Given("picked", "seen_events", mentioned_only=not plan.asks_of_everyone, accounts=True)
    moving = plan.moving(instants[0])
    if moving is None or plan.asks_of_everyone:
        return given, False
    asking.run(
        "CREATE TEMP TABLE moving AS SELECT coalesce(r.person, e.profile) AS person FROM picked e "
        f"LEFT JOIN roots r USING (profile) WHERE {moving} UNION SELECT coalesce(r.person, m.survivor) FROM merges m "
        f"LEFT JOIN roots r ON r.profile = m.survivor WHERE m.at_ms > {instants[0]}"
    )
    asking.run(
        "CREATE TEMP VIEW moving_picked AS SELECT p.* FROM picked p LEFT JOIN roots r USING (profile) "
        "SEMI JOIN moving m ON m.person = coalesce(r.person, p.profile)"
    )
    return given._replace(picked="moving_picked"), True


def _still(asking: Asking, columns: Mapping[str, str]) -> list[int]:
    """How many people who do not move are mentioned, and how many of them are in each audience: now, as all along."""
    asking.run(
        "CREATE TEMP TABLE still AS SELECT DISTINCT coalesce(r.person, p.profile) AS person "
        "FROM picked p LEFT JOIN roots r USING (profile) "
        "ANTI JOIN moving m ON m.person = coalesce(r.person, p.profile)"
    )
    (mentioned,) = asking.row("SELECT count(*) FROM still")
    counted = ", ".join(f"count(*) FILTER ({column})" for column in columns.values())
    return [mentioned, *asking.row(f"SELECT {counted} FROM members SEMI JOIN still USING (person)")]


def days_before(as_of_ms: int, days: int) -> list[int]:
    """The instants of so many days, the last of which is `as_of_ms`."""
    return [at_ms for at_ms in range(as_of_ms - days * DAY_MS, as_of_ms + 1, DAY_MS) if at_ms > 0]


def _share(asking: Asking, plan: SqlPlan, given: Given, instants: Sequence[int]) -> tuple[Given, int]:
    """What one in 2^n people did, and n: 0 where all of it may be counted. Merged people are chosen as one."""
    looks, halvings = _looks(asking, plan, given, instants), 0
    while looks >> halvings > PREVIEW_LOOKS_MAX:
        halvings += 1
    return (share(asking, given, halvings), halvings) if halvings else (given, 0)


def _blank(asking: Asking, plan: SqlPlan, instants: Sequence[int]) -> dict[int, tuple[set[str], int]]:
    """Instant → columns that are true of whoever is not mentioned, and how many people there were; empty: none is."""
    audiences = [output.column for output in plan.outputs if output.audience]
    true = {
        at_ms: {column for column, value in zip(audiences, values, strict=True) if value is True}
        for at_ms, *values in asking.rows(plan.blank(instants, audiences))
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
