"""Merges where partitions have not come to the same definitions yet: nothing stays of what was dropped."""

from onefold.model.entry import Defined, Sweep, encode
from onefold.testing.world import World, define, track

COUNTING = define({"views": 'count("View")'})
DROPPED = define({}, version=2)


def test_what_a_profile_of_older_definitions_brings_along_is_let_go_of() -> None:
    """The older one was swept, the other is absorbed before its home is: what it had counted is gone all the same."""
    world = World(COUNTING, partitions=2)
    world.send(track("View", user="ann", message="a"))
    world.send(track("View", anonymous="phone", message="b"), partition=1)
    world.fold()
    for partition in range(2):
        world.writer.append(
            {partition: [encode(Defined(world.now_ms, 2, {"version": 2})), encode(Sweep(world.now_ms, 0))]}
        )
        if partition == 0:
            world.fold()
            world.send(track("Page", user="ann", anonymous="phone", message="c"))
    world.fold()
    while world.state.next_due_ms(0) <= world.now_ms:
        world.tick()
        world.fold()
    person = world.profile("user_id:ann")
    assert (len(person.merges), person.version) == (1, DROPPED.version)
    assert person.slots == {}
