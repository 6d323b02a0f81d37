"""A worker with a backlog beside one that commits more often: its commits become smaller, and it gets through."""

from collections.abc import Mapping, Sequence
from itertools import count
from typing import Any

import pytest

from onefold.model.changes import Changes
from onefold.model.definitions import Definitions
from onefold.ports import Loaded
from onefold.runtime.folding.fold import Folding
from onefold.runtime.folding.programs import Programs
from onefold.testing.memory.state import MemoryState
from onefold.testing.world import World, define, track

ORDERS = define({"orders": 'count("Ordered")'})
BACKLOG = 6_000
PEOPLE = 40
OTHERS_EVERY_EVENTS = 400
"""The other worker commits whenever this one has spent the time that so many of its events take."""
MANY_ATTEMPTS = 300


def _defined(_version: int) -> Definitions:
    return ORDERS


class Outpaced:
    """A worker's handle on a state in which the other worker commits the oftener, the longer a commit has taken."""

    def __init__(self, state: MemoryState, world: World, other: Folding) -> None:
        self._state = state
        self._world = world
        self._other = other
        self._user = count()
        self._spent_events = 0
        self.attempts = 0
        self.sizes: list[int] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._state, name)

    def commit(self, parts: Sequence[Changes], loaded: Loaded, encoded: Mapping[int, bytes]) -> int:
        self.attempts += 1
        assert self.attempts < MANY_ATTEMPTS, "it never gets through"
        events = sum(len(changes.messages) for changes in parts)
        self._spent_events += events
        for _ in range(self._spent_events // OTHERS_EVERY_EVENTS):
            self._world.send(track("Ordered", user=f"u{next(self._user) % PEOPLE}"), partition=1)
            assert self._other.advance(1)
        self._spent_events %= OTHERS_EVERY_EVENTS
        number = self._state.commit(parts, loaded, encoded)
        self.sizes.append(events)
        return number


@pytest.mark.parametrize("alone", [False, True], ids=["among-others", "unsuspecting"])
def test_a_backlog_is_folded_beside_a_worker_that_commits_more_often(*, alone: bool) -> None:
    """However often the other touches people in common, every event of the backlog is folded, once."""
    state = MemoryState()
    world = World(ORDERS, partitions=2, state=state)
    world.fold()
    for n in range(BACKLOG):
        world.send(track("Ordered", user=f"u{n % PEOPLE}"))
    other = Folding(world.reader, state.another(), Programs(_defined), alone=False)
    handle: Any = Outpaced(state, world, other)
    slow = Folding(world.reader, handle, Programs(_defined), alone=alone)
    while slow.advance(0):
        pass
    assert sum(handle.sizes) == BACKLOG
    assert world.state.counts()["admitted"] == world.state.counts()["received"] >= BACKLOG
    folded = sum(world.profile(f"user_id:u{n}").events for n in range(PEOPLE))
    assert folded == world.state.counts()["admitted"]


def test_commits_grow_again_once_nobody_is_faster() -> None:
    """What was made small by one that was faster is large again some commits after it has gone."""
    state = MemoryState()
    world = World(ORDERS, partitions=2, state=state)
    world.fold()
    other = Folding(world.reader, state.another(), Programs(_defined), alone=False)
    handle: Any = Outpaced(state, world, other)
    slow = Folding(world.reader, handle, Programs(_defined), alone=False)
    for gone in (False, True):
        for n in range(BACKLOG):
            world.send(track("Ordered", user=f"{gone}{n}" if gone else f"u{n % PEOPLE}"))
        while slow.advance(0):
            pass
    assert min(handle.sizes) < OTHERS_EVERY_EVENTS
    assert max(handle.sizes[-3:]) > 4 * OTHERS_EVERY_EVENTS
