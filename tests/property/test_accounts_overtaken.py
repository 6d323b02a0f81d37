"""Two workers on one state, with accounts: who is overtaken folds again whoever met, as if they had taken turns."""

import random
from typing import Any

import pytest

from onefold.limits import DAY_MS
from onefold.model.changes import Cursor
from onefold.model.definitions import Definitions
from onefold.model.entry import Tick
from onefold.runtime.folding.fold import Folding
from onefold.runtime.folding.programs import Programs
from onefold.testing.memory.state import MemoryState
from onefold.testing.world import World
from tests.property.test_accounts import DEFINITIONS, accounts, life, lived, members, until
from tests.property.test_mending import Overtaken


def _defined(_version: int) -> Definitions:
    return DEFINITIONS


def written(seed: int, partitions: int, ticks: float) -> World:
    """A world whose log has events, and ticks behind this share of them; nothing of it is folded."""
    chance = random.Random(seed)
    world = World(DEFINITIONS, partitions=partitions)
    for at_ms, event in life(seed, 120):
        world.now_ms = max(world.now_ms, at_ms)
        world.send(event, partition=chance.randrange(partitions))
        if chance.random() < ticks:
            world._append(chance.randrange(partitions), Tick(world.now_ms))
    return world


@pytest.mark.parametrize("seed", range(60))
def test_overtaking_is_as_taking_turns(seed: int) -> None:
    """State and effects are byte for byte those of folding the same runs of the log one after the other.

    Without ticks: who is due is read before a commit, and whoever comes due meanwhile waits for the next.
    """
    chance = random.Random(seed)
    world, state = written(seed, 2, 0.0), MemoryState()
    order: list[tuple[int, int]] = []

    def note(cursor: Cursor, partition: int) -> None:
        order.append((partition, cursor.offset))

    def meanwhile() -> None:
        if chance.random() < 0.6:
            other.advance(1, chance.randrange(1, 4))

    mine: Any = Overtaken(state, meanwhile, note)
    theirs: Any = Overtaken(state.another(), lambda: None, note)
    slow = Folding(world.reader, mine, Programs(_defined))
    other = Folding(world.reader, theirs, Programs(_defined))
    for partition, folding in ((0, slow), (1, other)):
        while folding.advance(partition, chance.randrange(1, 12)):
            pass
    again = Folding(world.reader, world.state, Programs(_defined))
    for partition, offset in order:
        while again.cursor(partition).offset < offset:
            again.advance(partition, until=offset)
    assert world.state.digest() == state.digest()


@pytest.mark.parametrize("seed", range(60))
def test_overtaking_cannot_be_seen_in_the_end(seed: int) -> None:
    """Once everybody has been told, people, accounts and members are those of one worker with one partition."""
    chance = random.Random(seed)
    world, state = written(seed, 4, 0.3), MemoryState()

    def meanwhile() -> None:
        if chance.random() < 0.6:
            other.advance(chance.randrange(2, 4), chance.randrange(1, 4))

    mine: Any = Overtaken(state, meanwhile, lambda _cursor, _partition: None)
    slow = Folding(world.reader, mine, Programs(_defined))
    other = Folding(world.reader, state.another(), Programs(_defined))
    while slow.advance_all((0, 1)) or other.advance_all((2, 3)):
        pass
    world.state, world.folding = state, Folding(world.reader, state, Programs(_defined))
    end_ms = world.now_ms + DAY_MS
    alone = until(lived(life(seed, 120)), end_ms)
    assert until(world, end_ms).people() == alone.people()
    assert accounts(world) == accounts(alone)
    assert members(world) == members(alone)
    assert world.state.sizes() == alone.state.sizes()
