"""A person's events come from history and log together: each once, whatever of them is where."""

import pytest
from msgspec import structs

from onefold.limits import RECENT_EVENTS_MAX
from onefold.model.effect import Admitted
from onefold.model.past import Past
from onefold.model.rules import Rules
from onefold.runtime.history.bodies import Bodies
from onefold.runtime.past.person_events import PersonEvents
from onefold.testing.memory.history import MemoryHistory
from onefold.testing.world import World, define, identify, track

MANY = 3 * RECENT_EVENTS_MAX


def two_become_one() -> World:
    """Somebody in two partitions, first as two profiles."""
    world = World(define({}), partitions=2)
    for n in range(MANY):
        world.pass_time(1_000)
        own = track("B", properties={"n": n}, anonymous="a") if n % 2 else track("B", properties={"n": n}, user="u")
        world.send(track("A", user="somebody else"), own, partition=n % 2)
    world.send(identify(user="u", anonymous="a"))
    world.fold()
    return world


def history_up_to(world: World, commit: int) -> MemoryHistory:
    """A history that has what the commits up to this one admitted."""
    bodies, found = Bodies(world.reader), list[Past]()
    for number, partition, effects in world.state.effects(0, 1 << 30):
        if number <= commit:
            found += bodies.pasts(partition, [effect for effect in effects if isinstance(effect, Admitted)])
    return MemoryHistory(found, cursor=commit)


@pytest.mark.parametrize("share", [0, 0.3, 0.9, 1])
def test_every_event_comes_once(share: float) -> None:
    """However far history has come, what it lacks is read from the log, just as history would have had it."""
    world = two_become_one()
    profile = world.profile("user_id:u")
    whole = history_up_to(world, world.state.newest())
    expected = whole.of_profiles([profile.id, *(merge.absorbed for merge in profile.merges)])
    part = history_up_to(world, int(share * world.state.newest()))
    found = PersonEvents(part, world.reader, world.state, lambda _: Rules()).of(profile)
    assert len(found) == profile.events == MANY + 1
    assert sorted(found, key=lambda past: past.order) == [past_of(profile.id, past, found) for past in expected]


def past_of(owner: int, expected: Past, found: list[Past]) -> Past:
    """As it was read: whose it was then is not known of what is read from the log."""
    read = next(past for past in found if (past.partition, past.position) == (expected.partition, expected.position))
    assert read.profile in (owner, expected.profile)
    return structs.replace(expected, profile=read.profile)


def test_without_history_the_latest_are_found() -> None:
    """The profile names its latest events, and the log has them."""
    world = two_become_one()
    profile = world.profile("user_id:u")
    found = PersonEvents(None, world.reader, world.state, lambda _: Rules()).of(profile)
    assert len(found) == len(profile.recent) == RECENT_EVENTS_MAX


def test_what_retention_has_removed_is_missing() -> None:
    """Events that neither history nor log has are left out."""
    world = World(define({}))
    world.send(track("A", user="u"))
    world.fold()
    profile = world.profile("user_id:u")
    profile.recent.append(99 << 16)
    assert len(PersonEvents(None, world.reader, world.state, lambda _: Rules()).of(profile)) == 1
