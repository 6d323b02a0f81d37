"""Definitions that are computed over history are, once in force, as if they had been in force from the first event."""

import random

import msgspec
import pytest

from onefold.clock import Clock
from onefold.core import batch
from onefold.core.identity.identifiers import Who
from onefold.errors import StorageError
from onefold.limits import HOUR_MS
from onefold.model import entry as entries
from onefold.model.changes import Cursor
from onefold.model.definitions import Definitions
from onefold.model.effect import Admitted, Changed, Entered
from onefold.model.entry import Received
from onefold.model.event import Excerpt
from onefold.model.past import Past
from onefold.model.position import split
from onefold.ports import Connection
from onefold.runtime.backfill.backfill import Backfill, Engines
from onefold.testing.clock import ManualClock
from onefold.testing.memory.history import MemoryHistory
from onefold.testing.simulation.simulate import Versions
from onefold.testing.world import World, define
from tests.property.test_step import DEFINITIONS, life

OLD = define({"orders": 'count("Order Completed")'}, {"buyers": "orders > 0"})


class _Nobody:
    """Whose an event is, the effects have said."""

    def find(self, event: Excerpt) -> Who:  # noqa: ARG002 (as the protocol has it)
        return Who(())


class Told(MemoryHistory):
    """History as the effects of a world tell it."""

    def __init__(self, world: World) -> None:
        super().__init__()
        self._world = world

    def cursor(self) -> int:
        return self._world.state.newest()

    def connect(self, spill: str = "") -> Connection:
        pasts = [
            self._past(partition, effect)
            for _, partition, effects in self._world.state.effects(0, 1 << 30)
            for effect in effects
            if isinstance(effect, Admitted)
        ]
        return MemoryHistory(pasts).connect(spill)

    def _past(self, partition: int, effect: Admitted) -> Past:
        offset, index = split(effect.position)
        received = entries.decode(self._world.reader.read(partition, offset, 1)[0].data)
        assert isinstance(received, Received)
        cursor = Cursor(now_ms=effect.at_ms)
        incoming = batch.read(partition, cursor, [(offset, received)], _Nobody()).incoming[index]
        return Past(
            partition, effect.position, effect.profile, incoming.at_ms, effect.at_ms, incoming.fingerprint,
            received.source, effect.name, received.events[index],
        )  # fmt: skip


class Broken(Told):
    """The first two connections break before they have given anything."""

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self.asked = 0

    def connect(self, spill: str = "") -> Connection:
        self.asked += 1
        connection = super().connect(spill)
        if self.asked <= 2:
            connection.execute("DROP TABLE events")
        return connection


def live(seed: int, partitions: int, coming: Definitions, *, backfilled: bool, then_ms: int = 2 * HOUR_MS) -> World:
    """A life under old definitions and then new ones; or under the new ones from the start."""
    chance = random.Random(seed)
    world = World(partitions=partitions)
    versions = Versions()
    versions.save(OLD if backfilled else coming)
    world.define(versions.definitions())
    clock: Clock = ManualClock(world.now_ms)
    engines = Engines(world.writer, world.state, versions, Told(world))
    workshop = Backfill(engines, clock, at_once=2)
    events = life(seed, 60)
    asked = chance.randrange(len(events))
    for number, (at_ms, event) in enumerate(events):
        world.now_ms = max(world.now_ms, at_ms)
        world.send(event, partition=chance.randrange(partitions))
        if number == asked and backfilled:
            versions.save(msgspec.structs.replace(OLD, coming=coming))
            world.define(versions.definitions())
        if chance.random() < 0.5:
            advance(world, chance)
        if backfilled and chance.random() < 0.4:
            workshop.turn()
        if chance.random() < 0.1:  # A crash; sometimes the one before still writes.
            workshop = Backfill(engines, clock, at_once=2)
    world.fold()
    while workshop.turn():
        world.fold()
    if backfilled:
        assert versions.definitions().coming is None
        world.define(versions.definitions())
        world.fold()
    world.pass_time(then_ms)
    return world


def advance(world: World, chance: random.Random) -> None:
    """Some of the partitions come some way, the others stay behind."""
    for partition in range(world.partitions):
        if chance.random() < 0.6:
            world.folding.advance(partition, chance.randrange(1, 20))


@pytest.mark.parametrize("seed", range(80))
@pytest.mark.parametrize("partitions", [1, 3])
def test_as_if_in_force_from_the_first_event(seed: int, partitions: int) -> None:
    """Values, memberships and windows; wherever the partitions stand, with people who merge meanwhile."""
    computed = live(seed, partitions, DEFINITIONS, backfilled=True)
    always = live(seed, partitions, DEFINITIONS, backfilled=False)
    assert computed.people() == always.people()
    computed.pass_time(30 * HOUR_MS)
    always.pass_time(30 * HOUR_MS)
    assert computed.people() == always.people()


@pytest.mark.parametrize("seed", range(5))
def test_folding_the_log_again_needs_no_history(seed: int) -> None:
    """What history had is in the log."""
    world = live(seed, 1, DEFINITIONS, backfilled=True)
    again = World(partitions=1)
    again.reader = world.reader
    again.folding = again.new_folding()
    while again.folding.advance(0):
        pass
    assert again.state.digest() == world.state.digest()


def test_history_that_cannot_be_read_is_read_again() -> None:
    """Trouble in the middle of people costs nobody anything, and nobody counts twice."""
    world, versions = World(partitions=1), Versions()
    versions.save(OLD)
    world.define(versions.definitions())
    for at_ms, event in life(3, 60):
        world.now_ms = max(world.now_ms, at_ms)
        world.send(event)
    versions.save(msgspec.structs.replace(OLD, coming=DEFINITIONS))
    world.define(versions.definitions())
    world.fold()
    engines = Engines(world.writer, world.state, versions, Broken(world))
    workshop, troubles = Backfill(engines, ManualClock(world.now_ms), at_once=1), 0
    while versions.definitions().coming is not None:
        try:
            workshop.turn()
        except StorageError:
            troubles += 1
        world.fold()
    world.define(versions.definitions())
    world.fold()
    world.pass_time(2 * HOUR_MS)
    assert troubles == 2
    assert world.people() == live(3, 1, DEFINITIONS, backfilled=False).people()


def test_first_values_can_be_kept_quiet() -> None:
    """People are in the audience, and have the trait, and no effect tells that they came to it with the version."""
    hushed = {"vips", "never", "revenue"}
    quietly = msgspec.structs.replace(DEFINITIONS, quiet=tuple(hushed))
    heard: set[str] = set()
    for seed in range(20):
        loud = live(seed, 1, DEFINITIONS, backfilled=True, then_ms=0)
        quiet = live(seed, 1, quietly, backfilled=True, then_ms=0)
        assert quiet.people() == loud.people()
        assert quiet.state.sizes() == loud.state.sizes()
        assert told_by_definitions(quiet) == told_by_definitions(loud) - hushed
        heard |= told_by_definitions(loud)
    assert heard > hushed


def told_by_definitions(world: World) -> set[str]:
    """What effects of the sweep after the last version say that people entered, or have new values of."""
    sweep = max(effect.position for effect in world.effects() if isinstance(effect, Entered | Changed))
    told: set[str] = set()
    for effect in world.effects():
        match effect:
            case Entered(audience=audience) if effect.position == sweep:
                told.add(audience)
            case Changed(traits=traits) if effect.position == sweep:
                told.update(traits)
    return told


def test_a_state_that_an_older_program_does_not_know_is_kept() -> None:
    """A partition that is behind merges people whom another one has gathered for already."""
    coming = define({"views": 'count("Product Viewed")'})
    for seed in range(40):
        world = live(seed, 3, coming, backfilled=True)
        assert world.people() == live(seed, 3, coming, backfilled=False).people()
