"""Accounts in PostgreSQL are as in memory and in LMDB: the same digests, and the same people with several workers."""

import random
import threading
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import pytest

from onefold.limits import HOUR_MS
from onefold.model.definitions import Definitions
from onefold.model.entry import Tick
from onefold.ports import State
from onefold.runtime.folding.fold import Folding
from onefold.runtime.folding.programs import Programs
from onefold.storage.embedded.state import LmdbState
from onefold.storage.postgres.state import PostgresState
from onefold.testing.conformance.state import OpenState
from onefold.testing.memory.state import MemoryState
from onefold.testing.world import World
from tests.property.test_accounts import DEFINITIONS, accounts, life, members, until

pytestmark = pytest.mark.services
PARTITIONS = 3


def _defined(_version: int) -> Definitions:
    return DEFINITIONS


def world_of(seed: int, state: State, length: int = 200) -> World:
    """A life in a log of three partitions, with ticks, of which nothing is folded yet but the definitions."""
    chance = random.Random(seed)
    world = World(DEFINITIONS, partitions=PARTITIONS, state=state)
    world.fold()
    for at_ms, event in life(seed, length):
        world.now_ms = max(world.now_ms, at_ms)
        world.send(event, partition=chance.randrange(PARTITIONS))
        if chance.random() < 0.2:
            world._append(chance.randrange(PARTITIONS), Tick(world.now_ms))
    return world


def known(world: World) -> list[Any]:
    """People, accounts, members, sizes, once everybody has been told."""
    until(world, world.now_ms + HOUR_MS)
    sizes, counts = world.state.sizes(), world.state.counts()
    return [world.people(), accounts(world), members(world), sizes, counts["accounts"], counts["profiles"]]


@pytest.mark.parametrize("seed", range(3))
def test_one_worker_gives_the_digests_of_every_engine(seed: int, postgres_url: str, tmp_path: Path) -> None:
    """The same log, folded in the same batches, gives the same state in all engines, byte for byte (I2)."""
    digests, people = [], []
    with closing(PostgresState(postgres_url)) as ours, closing(LmdbState(tmp_path / "state")) as embedded:
        for state in (MemoryState(), embedded, ours):
            world = world_of(seed, state)
            world.fold(7)
            people.append(known(world))
            digests.append(state.digest())
    assert digests[0] == digests[1] == digests[2]
    assert people[0] == people[1] == people[2]


@pytest.mark.parametrize("seed", range(3))
def test_three_workers_at_once_give_the_people_of_one(seed: int, postgres_url: str) -> None:
    """Each folds a partition; whoever is faster, people and accounts are those of a single worker in memory."""
    with ExitStack() as stack:
        opened: OpenState = lambda: stack.enter_context(closing(PostgresState(postgres_url)))  # noqa: E731
        world = world_of(seed, opened())
        crew = [Folding(world.reader, opened(), Programs(_defined), alone=False) for _ in range(PARTITIONS)]

        def fold(partition: int) -> None:
            while crew[partition].advance(partition, 5):
                pass

        threads = [threading.Thread(target=fold, args=(partition,)) for partition in range(PARTITIONS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        alone = world_of(seed, MemoryState())
        alone.fold()
        assert known(world) == known(alone)
