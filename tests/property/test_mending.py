"""Two workers on one state: who is overtaken folds again just the people concerned, as if they had taken turns."""

import random
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest

from onefold.limits import DAY_MS
from onefold.model.changes import Changes, Cursor
from onefold.model.definitions import Definitions
from onefold.model.rules import Rules
from onefold.ports import Loaded
from onefold.runtime.folding.fold import Folding
from onefold.runtime.folding.programs import Programs
from onefold.testing.memory.state import MemoryState
from onefold.testing.world import World, track
from tests.property.test_step import DEFINITIONS, life


class Overtaken:
    """A worker's handle on a state in which, just before each of its commits, somebody else has a turn."""

    def __init__(
        self, state: MemoryState, meanwhile: Callable[[], object], note: Callable[[Cursor, int], None]
    ) -> None:
        self._state = state
        self._meanwhile = meanwhile
        self._note = note

    def __getattr__(self, name: str) -> Any:
        return getattr(self._state, name)

    def commit(self, parts: Sequence[Changes], loaded: Loaded, encoded: Mapping[int, bytes]) -> int:
        self._meanwhile()
        number = self._state.commit(parts, loaded, encoded)
        for changes in parts:
            self._note(changes.cursor, changes.partition)
        return number


def _defined(_version: int) -> Definitions:
    return DEFINITIONS


def interleaved(
    seed: int, duplicates: float, length: int = 120, rulings: float = 0.0
) -> tuple[World, list[tuple[int, int]], Folding]:
    """A world folded by two workers who overtake each other, and in which order their commits came."""
    chance, ruled = random.Random(seed), random.Random(seed)
    state = MemoryState()
    world = World(DEFINITIONS, partitions=2, state=state)
    world.fold()
    for at_ms, event in life(seed, length):
        world.now_ms = max(world.now_ms, at_ms)
        world.send(event, partition=chance.randrange(2))
        if chance.random() < duplicates:
            world.send(event, partition=chance.randrange(2))
        if ruled.random() < rulings:
            world.rule(Rules(frozenset({"a0.0"}) if ruled.random() < 0.5 else frozenset()))
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
    return world, order, slow


@pytest.mark.parametrize("seed", range(60))
@pytest.mark.parametrize(("duplicates", "rulings"), [(0.0, 0.0), (0.2, 0.0), (0.2, 0.1)])
def test_overtaking_is_as_taking_turns(seed: int, duplicates: float, rulings: float) -> None:
    """State and effects are byte for byte those of folding the same runs of the log one after the other."""
    world, order, _ = interleaved(seed, duplicates, rulings=rulings)
    again = World(partitions=2)
    again.reader, again.folding = world.reader, Folding(world.reader, again.state, Programs(_defined))
    for partition in range(2):
        again.folding.advance(partition, until=1)
    for partition, until in order:
        while again.folding.cursor(partition).offset < until:
            again.folding.advance(partition, until=until)
    assert again.state.digest() == world.state.digest()


@pytest.mark.parametrize("seed", range(60))
def test_overtaking_is_not_seen_where_partitions_share_commits(seed: int) -> None:
    """Two workers of two partitions each, of which one is overtaken: the same people, and every event once."""
    chance = random.Random(seed)
    state = MemoryState()
    world, alone = World(DEFINITIONS, partitions=4, state=state), World(DEFINITIONS)
    for at_ms, event in life(seed, 120):
        alone.now_ms = world.now_ms = max(world.now_ms, at_ms)
        world.send(event, partition=chance.randrange(4))
        alone.send(event)

    def meanwhile() -> None:
        if chance.random() < 0.6:
            other.advance(chance.randrange(2, 4), chance.randrange(1, 4))

    mine: Any = Overtaken(state, meanwhile, lambda _cursor, _partition: None)
    slow = Folding(world.reader, mine, Programs(_defined))
    other = Folding(world.reader, state.another(), Programs(_defined))
    while slow.advance_all((0, 1)) or other.advance_all((2, 3)):
        pass
    world.folding = Folding(world.reader, state, Programs(_defined))
    world.fold()
    alone.fold()
    world.pass_time(DAY_MS)
    alone.pass_time(DAY_MS)
    assert world.people() == alone.people()
    assert world.state.counts()["admitted"] == 120


def test_conflicts_are_mended() -> None:
    """Most conflicts are settled by folding again the people concerned, not the whole commit."""
    mended = conflicts = 0
    for seed in range(60):
        _, _, slow = interleaved(seed, 0.0)
        mended += slow.mended
        conflicts += slow.conflicts
    assert mended > conflicts // 2 > 100, (mended, conflicts)


def test_an_old_message_keeps_no_commit_from_being_mended() -> None:
    """A message that came again after the window is no news of another worker, and is folded like any other."""
    state = MemoryState()
    world = World(DEFINITIONS, partitions=2, state=state, rules=Rules(dedupe_window_ms=1_000))
    event = track("Order Completed", user="u1", message="again")
    world.send(event)
    world.fold()
    world.now_ms += 5_000
    world.send(event)
    world.send(track("Order Completed", user="u1", message="elsewhere"), partition=1)
    other = Folding(world.reader, state.another(), Programs(_defined), alone=False)
    mine: Any = Overtaken(state, lambda: [other.advance(1)], lambda _cursor, _partition: None)
    slow = Folding(world.reader, mine, Programs(_defined), alone=False)
    slow.advance(0)
    assert (slow.conflicts, slow.mended) == (1, 1)
    assert world.profile("user_id:u1").events == 3
