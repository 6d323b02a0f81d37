"""How it was: a profile and an audience's members as of an instant, over ten million events of a million people.

`python -m bench.as_of [--quick] [--files DIR]`. Events are those of `bench.preview`; beside them five million moves of
three audiences, and merges. The tables are written as the history role writes them, sorted, and read as the API does.
"""

import argparse
import random
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import duckdb

from bench.preview import DAYS_A_FILE, EVENTS, FILES, NOW_MS, PEOPLE, events_sql
from bench.report import Row, table
from bench.workload import definitions
from onefold.limits import DAY_MS
from onefold.model.catalog import VersionRow
from onefold.model.definitions import Definitions
from onefold.model.past import beginning
from onefold.model.profile import Profile
from onefold.model.rules import Rules
from onefold.runtime.past import told
from onefold.runtime.past.profile_then import PastDefinitions, Sources, profile_then
from onefold.storage.history import audience_moves
from onefold.storage.history.delta import EVENTS as EVENTS_SHAPE
from onefold.storage.history.delta import MERGES, DeltaHistory
from onefold.storage.history.table import Table
from onefold.testing.memory.log import MemoryLog
from onefold.testing.memory.state import MemoryState

AT_MS = NOW_MS - 7 * DAY_MS
_SINCE_MS = NOW_MS - FILES * DAYS_A_FILE * DAY_MS
_ABSORBED = 50_000
_LOOKS = 50
_DAY = "DATE '1970-01-01' + (at_ms // 86400000)::INT AS day, 1::BIGINT AS part"


class _Catalog:
    """One version of the definitions, from before all events."""

    def versions(self) -> list[VersionRow]:
        """As `Catalog.versions`."""
        return [VersionRow(1, "bench", 0)]

    def definitions(self, version: int | None = None) -> Definitions:  # noqa: ARG002 (the port's)
        """As `Catalog.definitions`."""
        return definitions()


def generate(directory: Path, events: int) -> None:
    """Write the tables, where they are not there yet."""
    if (directory / "done").exists():
        return
    with closing(duckdb.connect(":memory:")) as connection:
        connection.execute("SET threads = 2; SET memory_limit = '2GB'")
        each, table_of = events // FILES, Table(str(directory / "events"), EVENTS_SHAPE, {}, create=True)
        for number in range(FILES):
            since_ms = NOW_MS - (FILES - number) * DAYS_A_FILE * DAY_MS
            made = events_sql(number * each, each, since_ms)
            rows = f"SELECT {_DAY}, * FROM ({made}) ORDER BY profile, at_ms, tie"
            table_of.append(connection.sql(rows), 1)
        moves = Table(str(directory / "moves"), audience_moves.SHAPE, {}, create=True)
        moves.append(audience_moves.rows([beginning(0)], 1), 1)
        made = " UNION ALL ".join(_moves(audience, events // 10) for audience in ("buyers", "regulars", "silent"))
        moves.append(connection.sql(f"SELECT * FROM ({made}) ORDER BY day, audience, profile, seq"), 1)
        Table(str(directory / "merges"), MERGES, {}, create=True).append(connection.sql(_merges(events // 10)), 1)
    (directory / "done").touch()


def _moves(audience: str, people: int) -> str:
    """Everybody enters, three in five leave later, of these one in three comes back; the absorbed only enter."""
    length_ms = NOW_MS - _SINCE_MS
    first = f"{_SINCE_MS} + (hash(i, '{audience}') % {length_ms})::BIGINT"
    again = f"hash(i, '{audience}', 'again') % 15"
    return f"""
        SELECT {_DAY}, profile, '{audience}' AS audience, nth <> 1 AS entered, at_ms, (at_ms << 8 | nth)::BIGINT AS seq,
          0::SMALLINT AS partition, i << 16 AS position, 'event' AS reason, true AS told, 1::INT AS version
        FROM (SELECT i, i AS profile, nth, least({first} + nth * {3 * DAY_MS}, {NOW_MS}) AS at_ms
          FROM range(1, {people + _ABSORBED}) people(i), range(3) moves(nth)
          WHERE nth = 0 OR i <= {people} AND (nth = 1 AND {again} < 9 OR nth = 2 AND {again} < 3))"""


def _merges(people: int) -> str:
    return f"""
        SELECT ({people} + i)::BIGINT AS absorbed, (1 + hash(i) % {people})::BIGINT AS survivor,
          0::SMALLINT AS partition, (i << 16)::BIGINT AS position, {NOW_MS - DAYS_A_FILE * DAY_MS} + i AS at_ms
        FROM range(1, {_ABSORBED}) absorbed(i)"""


def measure(*, quick: bool, files: Path | None = None) -> list[Row]:
    """One row a question."""
    events = EVENTS // 10 if quick else EVENTS
    with tempfile.TemporaryDirectory(prefix="onefold-bench-") as scratch:
        directory = files or Path(scratch)
        directory.mkdir(exist_ok=True)
        generate(directory, events)
        with closing(DeltaHistory(directory, readonly=True)) as history:
            details = {"events": events, "people": min(PEOPLE, events // 10)}
            return [*_audiences(history, details, 1 if quick else 5), _profiles(history, details)]


def _audiences(history: DeltaHistory, details: dict[str, Any], runs: int) -> list[Row]:
    engines = told.Engines(history, MemoryState())
    found: dict[str, Any] = {}

    def page() -> None:
        with told.audiences(engines, AT_MS) as then:
            found["first"] = len(then.members("buyers", -1, 100))

    def everybody() -> None:
        with told.audiences(engines, AT_MS) as then:
            after, members = -1, 0
            while some := then.members("buyers", after, 1_000):
                after, members = some[-1][0], members + len(some)
            found["members"] = members

    first, whole = _timed(page, runs), _timed(everybody, runs)
    details = details | found | {"absorbed": _ABSORBED}
    what = f"members as of an instant, {details['events']:,} events"
    return [
        Row(f"{what}: a page of 100", "s", first, None, "", details),
        Row(f"{what}: all", "s", whole, None, "", details),
    ]


def _profiles(history: DeltaHistory, details: dict[str, Any]) -> Row:
    sources = Sources(history, MemoryLog(1), MemoryState(), PastDefinitions(_Catalog()), lambda _: Rules())
    people = _people(history)
    seen: list[int] = []

    def look(person: int) -> None:
        now = Profile(person, 0, 0, NOW_MS, NOW_MS, identifiers={f"anonymous_id:a{person}": 0})
        seen.append(profile_then(sources, now, person, AT_MS).profile.events)

    look(people[0])
    took = [_timed(lambda person=person: look(person), 1)[0] * 1_000 for person in people[1:]]  # type: ignore[misc]
    details = details | {
        "events_of_each": sorted(seen),
        "definitions": len(definitions().audiences + definitions().traits),
    }
    return Row(f"a profile as of an instant, {details['events']:,} events", "ms", took, None, "", details)


def _people(history: DeltaHistory) -> list[int]:
    """Some who have events."""
    with closing(history.connect()) as connection:
        rows = connection.execute(f"SELECT DISTINCT profile FROM events WHERE at_ms < {AT_MS} AND position % 9973 = 0")
        found = sorted(profile for (profile,) in rows.fetchall())
    return random.Random(1).sample(found, _LOOKS)


def _timed(work: Callable[[], None], runs: int) -> list[float]:
    took = []
    for _ in range(runs):
        began_s = time.perf_counter()
        work()
        took.append(time.perf_counter() - began_s)
    return took


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--files", type=Path, help="keep the generated files here, and use them again")
    given = parser.parse_args()
    rows = measure(quick=given.quick, files=given.files)
    sys.stdout.write(table(rows) + "\n")
    for row in rows:
        sys.stdout.write(f"{row.what}: {row.details}\n")
