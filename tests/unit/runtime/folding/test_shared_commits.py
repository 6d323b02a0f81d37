"""Partitions that share a commit leave one timer for each profile, whoever of them has touched it."""

import msgspec

from onefold.limits import HOUR_MS, NEVER_MS
from onefold.model import entry as entries
from onefold.model import profile as profiles
from onefold.model.entry import Defined
from onefold.testing.world import World, define, track

OLD = define({"orders_1h": 'count("Ordered", within="1h")'})
NEW = define({"orders_1h": 'count("Ordered", within="1h")', "all_of_them": 'count("Ordered")'}, version=2)


def test_a_partition_that_is_behind_leaves_no_timer_of_its_own() -> None:
    """It makes the timer of another one earlier and marks the profile: what is left is the mark, and nothing else."""
    world = World(OLD, partitions=2)
    world.send(track("Ordered", user="u", at_ms=world.now_ms - 2 * HOUR_MS))
    world.fold()
    world.writer.append({0: [entries.encode(Defined(world.now_ms, 2, msgspec.to_builtins(NEW)))]})
    world.fold()
    world.send(track("Ordered", user="u", at_ms=world.now_ms), partition=0)
    world.send(track("Ordered", user="u", at_ms=world.now_ms - HOUR_MS // 2), partition=1)
    assert world.folding.advance_all([0, 1]) == 2
    assert timers(world) == armed(world) == {(0, owner(world))}
    world.define(NEW)
    world.pass_time(0)
    assert timers(world) == armed(world) == {(world.now_ms + HOUR_MS // 2, owner(world))}
    world.pass_time(2 * HOUR_MS)
    assert timers(world) == armed(world) == set()


def owner(world: World) -> int:
    """The one profile."""
    return world.profile("user_id:u").id


def timers(world: World) -> set[tuple[int, int]]:
    """(due, profile) as the state wakes them."""
    return {timer for partition in range(2) for timer in world.state.due(partition, NEVER_MS - 1, 100)}


def armed(world: World) -> set[tuple[int, int]]:
    """(due, profile) as the profiles have it."""
    found = set()
    for partition in range(2):
        for one in world.state.profile_ids(partition, 0, 100):
            data = world.state.profile(one)
            assert data is not None
            if (due_ms := profiles.decode(data).due_ms) < NEVER_MS:
                found.add((due_ms, one))
    return found
