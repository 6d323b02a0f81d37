"""Accounts over history: SQL gives everybody, at every instant, what the stream gives them."""

import pytest

from onefold.errors import NotInSql
from onefold.language.reading.check import checked
from onefold.language.sql.compile import compile_sql
from onefold.model.definitions import Definitions
from onefold.testing.memory.history import MemoryHistory
from onefold.testing.pasts import pasts
from onefold.testing.seeded import START_MS, Seeded
from onefold.testing.world import World
from tests.property.test_accounts import naming
from tests.property.test_parity import as_event
from tests.property.test_parity_sql import Values, _asked, _people


@pytest.mark.parametrize("ten", range(8))
def test_sql_equals_the_stream(ten: int) -> None:
    """Of accounts that change with their members' events, by time and with people who merge and move."""
    tried = 0
    for seed in range(ten * 10, ten * 10 + 10):
        seeded = Seeded(seed)
        definitions = seeded.definitions_with_accounts()
        if checked(definitions).problems or not _has_sql(definitions):
            continue
        tried += 1
        world = World(definitions)
        seen = _live(world, seeded)
        found, merges = pasts(world)
        asked = _asked(checked(definitions), MemoryHistory(found, merges), list(seen))
        for now_ms, people in seen.items():
            assert asked[now_ms] == people, (seed, now_ms)
    assert tried > 3


def _has_sql(definitions: Definitions) -> bool:
    try:
        compile_sql({"": checked(definitions)})
    except NotInSql:
        return False
    return True


def _live(world: World, seeded: Seeded) -> dict[int, dict[int, Values]]:
    """Fold a history; instant → person → values, as the stream had them once all members were told."""
    world.now_ms = START_MS
    seen: dict[int, dict[int, Values]] = {}
    for now_ms, occurrence, who in seeded.crowd(14, 8):
        named = naming(occurrence, seeded.group())
        world.pass_time(now_ms - world.now_ms)
        event = as_event(named, **who)
        world.send(event | {"groupId": named.group} if named.type == "group" else event)
        world.pass_time(0)
        seen[world.now_ms] = _people(world)
    for ms in seeded.passes():
        world.pass_time(ms)
        seen[world.now_ms] = _people(world)
    return seen
