"""What accounts have, computed over history: as if the definitions had been in force from the first event."""

import random

import pytest
from msgspec import structs

from onefold.clock import Clock
from onefold.core.gather import PastEvent, gather
from onefold.core.identity.identifiers import Finder
from onefold.limits import BACKFILL_MAX_ACCOUNTS, HOUR_MS
from onefold.model.definitions import Audience, Definitions, Trait
from onefold.model.effect import Entered
from onefold.model.rules import Rules
from onefold.runtime.backfill.backfill import Backfill, Engines
from onefold.runtime.folding.programs import Programs
from onefold.testing.clock import ManualClock
from onefold.testing.simulation.simulate import Versions
from onefold.testing.world import World, define
from tests.property.test_accounts import DEFINITIONS, accounts, life, members
from tests.property.test_backfill import Told, advance

NOTHING = define({"orders": 'count("Order Completed")'}, {"buyers": "orders > 0"})
LESS = structs.replace(
    DEFINITIONS,
    account_traits=(Trait("seats", 'unique_count("*", properties.seat)'),),
    traits=(Trait("seats", "account.seats"),),
    audiences=(Audience("team", "account.seats >= 2"),),
)


def live(seed: int, partitions: int, old: Definitions | None) -> World:
    """A life under old definitions and then under those that ask for accounts; None: under these from the start."""
    chance = random.Random(seed)
    world = World(partitions=partitions)
    versions = Versions()
    versions.save(old or DEFINITIONS)
    world.define(versions.definitions())
    clock: Clock = ManualClock(world.now_ms)
    engines = Engines(world.writer, world.state, versions, Told(world))
    workshop = Backfill(engines, clock, at_once=2)
    events = life(seed, 60)
    asked = chance.randrange(len(events))
    for number, (at_ms, event) in enumerate(events):
        world.now_ms = max(world.now_ms, at_ms)
        world.send(event, partition=chance.randrange(partitions))
        if number == asked and old is not None:
            versions.save(structs.replace(old, coming=DEFINITIONS))
            world.define(versions.definitions())
        if chance.random() < 0.5:
            advance(world, chance)
        if old is not None and chance.random() < 0.4:
            workshop.turn()
        if chance.random() < 0.1:  # A crash; sometimes the one before still writes.
            workshop = Backfill(engines, clock, at_once=2)
    world.fold()
    while workshop.turn():
        world.fold()
    if old is not None:
        assert versions.definitions().coming is None
        world.define(versions.definitions())
        world.fold()
    world.pass_time(2 * HOUR_MS)
    return world


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("partitions", [1, 3])
@pytest.mark.parametrize("old", [NOTHING, LESS], ids=["first accounts", "more of accounts"])
def test_as_if_in_force_from_the_first_event(seed: int, partitions: int, old: Definitions) -> None:
    """People, accounts and members, wherever the partitions stand, with people who merge and move meanwhile."""
    computed, always = live(seed, partitions, old), live(seed, partitions, None)
    for hours in (0, 30):
        computed.pass_time(hours * HOUR_MS)
        always.pass_time(hours * HOUR_MS)
        assert computed.people() == always.people()
        assert accounts(computed) == accounts(always)
        assert members(computed) == members(always)
        assert computed.state.sizes() == always.state.sizes()
        assert computed.state.counts()["accounts"] == always.state.counts()["accounts"]


@pytest.mark.parametrize("seed", range(5))
def test_folding_the_log_again_needs_no_history(seed: int) -> None:
    """What history had is in the log."""
    world = live(seed, 1, NOTHING)
    again = World(partitions=1)
    again.reader = world.reader
    again.folding = again.new_folding()
    while again.folding.advance(0):
        pass
    assert again.state.digest() == world.state.digest()


def test_nobody_is_judged_by_what_is_only_gathered() -> None:
    """Until the definitions are in force, accounts are kept and tell nobody anything."""
    world = World(define({}, {"seen": "events > 0"}))
    versions = structs.replace(define({}, {"seen": "events > 0"}, version=2), coming=DEFINITIONS)
    world.define(versions)
    for at_ms, event in life(1, 40):
        world.now_ms = max(world.now_ms, at_ms)
        world.send(event)
    world.pass_time(HOUR_MS)
    assert world.state.counts()["accounts"] == 3
    assert {effect.audience for effect in world.effects() if isinstance(effect, Entered)} == {"seen"}
    assert all(person.computed == {} for person in world.people())


def test_a_person_who_names_too_many_accounts_is_bounded() -> None:
    """So many are added to, and what is left out is counted."""
    definitions = structs.replace(NOTHING, version=1, coming=DEFINITIONS)
    program = Programs(lambda _: definitions).get(1)
    many = BACKFILL_MAX_ACCOUNTS + 7
    events = (PastEvent(n, n.to_bytes(16, "big"), "group", "group", None, None, None, f"g{n}", n) for n in range(many))
    found = gather(events, program, many, Finder(Rules()))
    assert (len(found.accounts), found.passed_over) == (BACKFILL_MAX_ACCOUNTS, 7)
