"""Recasts over several partitions: what is behind catches up, and what waits for it is not found stale."""

import msgspec

from onefold.model import entry as entries
from onefold.model import profile as profiles
from onefold.model import recast as recasts
from onefold.model.effect import Recast
from onefold.model.entry import Defined, Sweep
from onefold.model.profile import Profile
from onefold.model.recast import Recasting, stamp
from onefold.runtime.folding.fold import Folding
from onefold.runtime.folding.programs import Programs
from onefold.runtime.replay import replay
from onefold.testing.memory.state import MemoryState
from onefold.testing.world import World, define, track

ORDERS = {"orders": 'count("Order Completed")'}
FIRST = define(ORDERS)
SECOND = define(ORDERS | {"views": 'count("Viewed")'}, version=2)


def put(world: World, partition: int, entry: entries.Entry) -> None:
    """Append to one partition, and fold it there."""
    world.writer.append({partition: [entries.encode(entry)]})
    while world.folding.advance(partition):
        pass


def second(world: World, partition: int) -> None:
    """The second definitions come into force in one partition."""
    put(world, partition, Defined(world.now_ms, 2, msgspec.to_builtins(SECOND)))


def same(profile: Profile, reached: dict[int, int]) -> Recasting:
    """This profile comes for itself."""
    data = profiles.encode(profile)
    return Recasting({profile.id: stamp(data)}, [data], {}, reached=reached)


def test_a_sweep_that_is_behind_takes_nobody_back() -> None:
    """Who came under newer definitions than those of their home keeps what these count."""
    world = World(FIRST, partitions=2)
    world.send(track("Viewed", user="u"), track("Order Completed", user="u"), partition=1)
    world.fold()
    second(world, 0)
    person = world.profile("user_id:u")
    views = next(key for key in world.folding._programs.get(2).slots if key not in person.slots)
    coming = profiles.decode(profiles.encode(person))
    coming.version, coming.slots, coming.computed = 2, person.slots | {views: 1}, person.computed | {"views": 1}
    body = Recasting({person.id: stamp(profiles.encode(person))}, [profiles.encode(coming)], {})
    world.recast(body)
    while world.folding.advance(0):
        pass
    put(world, 1, Sweep(world.now_ms, 0))
    second(world, 1)
    world.fold()
    assert world.person("user_id:u").computed == {"orders": 1, "views": 1}


def test_a_recast_waits_for_what_it_was_made_of() -> None:
    """Where a log is folded again partition by partition, an entry is folded once the others have come as far."""
    world = World(FIRST, partitions=2)
    world.send(track("Order Completed", user="u"), partition=1)
    world.fold()
    reached = {partition: world.folding.cursor(partition).offset for partition in range(2)}
    world.recast(same(world.profile("user_id:u"), reached))
    world.fold()
    again = MemoryState()
    folding = Folding(world.reader, again, Programs(lambda _: FIRST))
    while folding.advance(0):
        pass
    assert folding.cursor(0).offset == world.folding.cursor(0).offset - 1
    while folding.advance(1) or folding.advance(0):
        pass
    (recast,) = [each for _, _, effects in again.effects(0, 1 << 30) for each in effects if isinstance(each, Recast)]
    assert recast.applied


def test_what_the_log_has_lost_is_not_waited_for() -> None:
    """A partition that ends before what was read of it keeps nobody waiting: the entry is stale, and that is told."""
    world = World(FIRST, partitions=2)
    world.send(track("Order Completed", user="u"))
    world.fold()
    person = world.profile("user_id:u")
    person.events += 1
    world.recast(same(person, {1: 1_000}))
    world.fold()
    assert world.state.counts()["recasts_stale"] == 1


def test_a_replay_follows_entries_that_told_of_nothing() -> None:
    """Sweeps change profiles and have no effects: a recast of those whom they changed is done in a replay, too."""
    world = World(FIRST, partitions=2)
    world.send(track("Order Completed", user="u"), partition=1)
    world.fold()
    world.define(define(ORDERS, version=2))
    world.fold()
    reached = {partition: world.folding.cursor(partition).offset for partition in range(2)}
    world.recast(same(world.profile("user_id:u"), reached))
    world.fold()
    again = MemoryState()
    replay(world.reader, world.state, again, lambda _done, _all: None)
    assert (world.state.counts()["recasts"], again.counts().get("recasts_stale")) == (1, None)


def test_of_one_partition_entries_are_as_they_were() -> None:
    """What was read of whom is written only where there are several partitions; older entries are read as ever."""
    one = Recasting({1: b"x"}, [b"y"], {2: 1})
    old = recasts.encode(one)
    assert old[0] == 0x95
    assert recasts.decode(old) == one
    one.reached = {0: 7, 3: 9}
    assert recasts.decode(recasts.encode(one)) == one
