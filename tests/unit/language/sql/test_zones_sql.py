"""Local time in SQL is the language's own, to the millisecond, in every zone and around every change of clocks."""

import random

import duckdb
import pytest

from onefold.language.keeping.periods import periods
from onefold.language.scalars import dates
from onefold.language.sql import zones
from onefold.language.sql.columns import Layers, Sql
from onefold.language.sql.functions import FUNCTIONS
from onefold.language.zones import ZONES, zone
from onefold.limits import DAY_MS, HOUR_MS
from onefold.storage.history import sql_functions

NAMES = (
    "UTC", "Europe/Berlin", "America/New_York", "Asia/Kathmandu", "Australia/Lord_Howe", "Pacific/Apia",
    "America/St_Johns", "America/Sao_Paulo", "Asia/Beirut", "Africa/Casablanca", "America/Havana", "Asia/Gaza",
    *random.Random(7).sample(sorted(ZONES), 12),
)  # fmt: skip
_2015, _2040 = 1_420_070_400_000, 2_208_988_800_000


def _instants(name: str) -> list[int]:
    """Around every change of clocks, at random, and beyond the years that are written out."""
    chance = random.Random(name)
    turns = [at_ms for at_ms, _, _ in zones.changes(name)]
    near = [turn + apart for turn in turns for apart in (-HOUR_MS, -1, 0, 1, HOUR_MS // 2, HOUR_MS, 2 * HOUR_MS)]
    return [*near, *(chance.randrange(_2015 - 400 * DAY_MS, _2040 + 400 * DAY_MS) for _ in range(300)), -1, 0]


@pytest.mark.parametrize("name", NAMES)
def test_local_time_is_the_languages(name: str) -> None:
    """Year, month, day, weekday and hour, and the numbers of days, weeks and months, are those of the stream."""
    in_zone = zone(name)
    assert in_zone is not None
    layers, at = Layers("z"), Sql("instant", "at_ms")
    columns = [f"{layers.name(zones.part(layers, part, at, name)).text}::BIGINT" for part in zones.PARTS]
    columns += [zones.period(layers, kind, at, name).text for kind in ("day", "week", "month")]
    functions = (dates.year, dates.month, dates.day_of_month, dates.weekday, dates.hour)
    instants = _instants(name)
    with duckdb.connect(":memory:") as connection:
        sql_functions.register(connection, FUNCTIONS)
        rows = connection.execute(
            f"SELECT at_ms, {', '.join(columns)} FROM ({layers.over(f'SELECT unnest({instants}) AS at_ms')})"
        ).fetchall()
    assert len(rows) == len(instants)
    for at_ms, *found in rows:
        expected = [each(at_ms, in_zone) for each in functions]
        expected += [periods(kind, in_zone).index(at_ms) for kind in ("day", "week", "month")]
        assert found == expected, (at_ms, name)
