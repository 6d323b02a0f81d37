"""One definition, one answer: the stream, SQL over history, and the naive reference, over random cases.

A world is one history of some six people, a few of whom merge, and some twenty sets of definitions; a case is a set of
definitions and a person. Each is looked at at every instant at which something arrived, and after some silence. DuckDB
takes long to plan a statement and hardly any time to run it over so little: so a world is one statement.
"""

import os
from collections.abc import Callable
from datetime import datetime
from typing import Any

import msgspec
import pytest

from onefold.errors import NotInSql
from onefold.language.nodes import Type
from onefold.language.reading.check import Checked, checked
from onefold.language.scalars.dates import undated
from onefold.language.sql.compile import compile_sql
from onefold.language.sql.functions import FUNCTIONS
from onefold.model import profile as profiles
from onefold.model.definitions import Definitions
from onefold.model.past import Past, PastMerge, survivors, unsigned
from onefold.storage.history import sql_functions
from onefold.testing.memory.history import MemoryHistory
from onefold.testing.nights import before_a_night
from onefold.testing.pasts import occurrence, pasts
from onefold.testing.reference import values as reference
from onefold.testing.reference.calls import Instant, kind
from onefold.testing.seeded import Seeded
from onefold.testing.world import World, rfc3339

COUNTED = "parity cases: stream, SQL and reference"
"""What the test tells its cases under (tests/conftest.py)."""
SETS = 20
CASES = 1_000
"""Of each test."""
TESTS = int(os.environ.get("ONEFOLD_PARITY_SQL_CASES", "10000")) // CASES
Values = tuple[dict[str, Any], set[str]]
"""Traits with a value, and audiences."""


@pytest.mark.parametrize("thousand", range(TESTS))
def test_three_ways_are_one(thousand: int, record_property: Callable[[str, object], None]) -> None:
    """At every instant every person has the same traits and audiences in the stream, in SQL and in the reference.

    How many cases there were, the end of the run tells.
    """
    cases, seed = 0, thousand * CASES
    while cases < CASES:
        cases += _hold(seed, Seeded(seed))
        seed += 1
    record_property(COUNTED, cases)


@pytest.mark.parametrize("night", range(12))
def test_three_ways_are_one_while_clocks_are_changed(night: int) -> None:
    """Also over the nights in which a day has 23 or 25 hours, and over leap days."""
    _hold(night, Seeded(night, before_a_night(night + 24)))


def _hold(seed: int, seeded: Seeded) -> int:
    """Hold the three against each other in one world; how many cases it had."""
    sets = [each for each in _sets(seeded) if _has_sql(checked(each))]
    definitions = _together(sets)
    read = checked(definitions)
    world = World()
    world.now_ms = seeded.start_ms
    world.define(definitions)
    seen = _live(world, seeded)
    found, merges = pasts(world)
    asked = _asked(read, MemoryHistory(found, merges), list(seen))
    for now_ms, people in seen.items():
        expected = _expected(read, found, merges, now_ms)
        assert people.keys() == expected.keys() == asked[now_ms].keys(), (seed, now_ms)
        for person, values in expected.items():
            _same(people[person], values, (seed, now_ms, person, "stream"))
            _same(asked[now_ms][person], values, (seed, now_ms, person, "sql"))
    return len(sets) * max(map(len, seen.values()))


def _sets(seeded: Seeded) -> list[Definitions]:
    return [seeded.definitions(prefix=f"s{number}_") for number in range(SETS)]


def _has_sql(definitions: Checked) -> bool:
    if definitions.problems:
        return False
    try:
        compile_sql({"": definitions})
    except NotInSql:
        return False
    return True


def _together(sets: list[Definitions]) -> Definitions:
    return Definitions(
        version=1,
        traits=tuple(trait for each in sets for trait in each.traits),
        audiences=tuple(audience for each in sets for audience in each.audiences),
        timezone=sets[0].timezone,
    )


def _live(world: World, seeded: Seeded) -> dict[int, dict[int, Values]]:
    """Fold a history; instant → person → values, as the stream had them then."""
    seen: dict[int, dict[int, Values]] = {}
    for number, (now_ms, what, who) in enumerate(seeded.crowd()):
        world.pass_time(now_ms - world.now_ms)
        event = {
            "type": what.type,
            "messageId": f"m{what.tie}",
            "timestamp": rfc3339(what.at_ms),
            "properties": what.properties,
            "context": what.context,
            "traits": what.traits,
            **({"event": what.name} if what.type == "track" else {}),
            **who,
        }
        world.send(*[event] * (1 + number % 7 // 6))
        world.fold()
        seen[world.now_ms] = _people(world)
    for ms in seeded.passes():
        world.pass_time(ms)
        seen[world.now_ms] = _people(world)
    return seen


def _people(world: World) -> dict[int, Values]:
    found = {}
    for one in world.state.profile_ids(0, 0, 1 << 30):
        data = world.state.profile(one)
        assert data is not None
        profile = profiles.decode(data)
        found[one] = profile.computed, set(profile.audiences)
    return found


def _asked(definitions: Checked, history: MemoryHistory, instants: list[int]) -> dict[int, dict[int, Values]]:
    """The same from SQL, all instants in one statement."""
    plan = compile_sql({"": definitions})
    connection = history.connect()
    try:
        sql_functions.register(connection, FUNCTIONS | dict(plan.functions))
        rows = connection.execute(plan.values(instants)).fetchall()
    finally:
        connection.close()
    found: dict[int, dict[int, Values]] = {now_ms: {} for now_ms in instants}
    for now_ms, person, *columns in rows:
        named = list(zip(plan.outputs, columns, strict=True))
        traits = {o.name: _value(v, definitions.types[o.name]) for o, v in named if not o.audience and v is not None}
        found[now_ms][unsigned(person)] = traits, {o.name for o, v in named if o.audience and v}
    return found


def _value(text: str, type_: Type) -> Any:
    """A trait's value as the state holds it."""
    return msgspec.json.decode(text, type=datetime if type_ == "instant" else Any)


def _expected(definitions: Checked, found: list[Past], merges: list[PastMerge], now_ms: int) -> dict[int, Values]:
    """The same from the reference."""
    owners = survivors(merges, now_ms)
    people: dict[int, list[Past]] = {}
    for past in found:
        if past.received_ms <= now_ms:
            people.setdefault(owners.get(past.profile, past.profile), []).append(past)
    return {
        person: reference.values(
            definitions, reference.Person(tuple(map(occurrence, theirs)), _declared(theirs)), now_ms
        )
        for person, theirs in people.items()
    }


def _declared(theirs: list[Past]) -> dict[str, Any]:
    """Last write wins, trait by trait, straight from the definition."""
    declared: dict[str, Any] = {}
    for past in sorted(theirs, key=lambda past: past.order):
        if past.event.type == "identify":
            declared |= {name: value for name, value in (past.event.traits or {}).items() if value is not None}
    return declared


def _same(ours: Values, theirs: Values, where: object) -> None:
    """Equal values of equal types; whole doubles and integers are one and the same number."""
    assert ours[1] == theirs[1], where
    traits = {name: _as_reference(value) for name, value in ours[0].items()}
    assert traits == theirs[0], where
    kinds = [{name: kind(value) for name, value in each.items()} for each in (traits, theirs[0])]
    assert kinds[0] == kinds[1], where


def _as_reference(value: Any) -> Any:
    """A trait's value as the reference has it."""
    at_ms = undated(value)
    return value if at_ms is None else Instant(at_ms)
