"""Folding into PostgreSQL is folding: the same digests as in memory and in LMDB, with one worker and with three."""

import random
import threading
from collections.abc import Callable
from contextlib import ExitStack, closing
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings

from onefold.limits import DAY_MS, HOUR_MS
from onefold.model.definitions import Definitions
from onefold.model.identity import POLICIES, Policy
from onefold.ports import State
from onefold.runtime.folding.committing import Beside
from onefold.runtime.folding.fold import Folding
from onefold.runtime.folding.programs import Programs
from onefold.storage.embedded.state import LmdbState
from onefold.storage.postgres.state import PostgresState
from onefold.testing.conformance.state import OpenState
from onefold.testing.generate.expressions import definitions, histories
from onefold.testing.memory.state import MemoryState
from onefold.testing.reference.values import Occurrence
from onefold.testing.servers.postgres import PostgresServer
from onefold.testing.world import World, rfc3339
from tests.property.test_policies import crowd, defined
from tests.property.test_step import DEFINITIONS, life

pytestmark = pytest.mark.services
PARTITIONS = 3


def _defined(_version: int) -> Definitions:
    return DEFINITIONS


def world_of(seed: int, state: State, length: int = 240) -> World:
    """A life in a log of three partitions, of which nothing is folded yet but the definitions."""
    chance = random.Random(seed)
    world = World(DEFINITIONS, partitions=PARTITIONS, state=state)
    world.fold()
    for at_ms, event in life(seed, length):
        world.now_ms = max(world.now_ms, at_ms)
        world.send(event, partition=chance.randrange(PARTITIONS))
        if chance.random() < 0.1:
            world.send(event, partition=chance.randrange(PARTITIONS))
    return world


def workers(world: World, handles: list[State]) -> list[Folding]:
    """One worker for each handle, who knows that there are others."""
    return [Folding(world.reader, handle, Programs(_defined), alone=False) for handle in handles]


@pytest.mark.parametrize("seed", range(3))
def test_one_worker_gives_the_digests_of_every_engine(seed: int, postgres_url: str, tmp_path: Path) -> None:
    """The same log, folded in the same batches, gives the same state in all engines, byte for byte (I2)."""
    digests = []
    with closing(PostgresState(postgres_url)) as ours, closing(LmdbState(tmp_path / "state")) as embedded:
        for state in (MemoryState(), embedded, ours):
            world = world_of(seed, state)
            world.fold(7)
            world.pass_time(3 * HOUR_MS)
            digests.append(state.digest())
    assert digests[0] == digests[1] == digests[2]


@pytest.mark.parametrize("seed", range(3))
def test_commits_beside_the_folding_leave_the_digest_of_memory(seed: int, postgres_url: str) -> None:
    """Events are folded, and looked up by another connection, while the commit before them is under way (I2, I3)."""
    plain = world_of(seed, MemoryState())
    plain.fold(7)
    with closing(PostgresState(postgres_url)) as ours:
        world, beside = world_of(seed, ours), Beside(ours)
        world.folding = Folding(world.reader, ours, Programs(_defined), remembered=1)
        world.folding.commit_beside(beside)
        world.fold(7)
        beside.close()
        assert world.folding.conflicts == 0
        assert ours.digest() == plain.state.digest()


@pytest.mark.parametrize("policy", POLICIES)
def test_policies_leave_the_digest_of_memory(policy: Policy, postgres_url: str) -> None:
    """Identifiers that change hands, notes and hot values are the same in the database as in memory."""
    digests = []
    with closing(PostgresState(postgres_url)) as ours:
        for state in (MemoryState(), ours):
            world = World(defined(policy), state=state)
            for at_ms, event in crowd(7):
                world.now_ms = max(world.now_ms, at_ms)
                world.send(event)
            world.fold(7)
            digests.append(state.digest())
    assert digests[0] == digests[1]


@pytest.mark.parametrize("seed", range(3))
def test_three_workers_in_turns_give_the_digest_of_memory(seed: int, postgres_url: str) -> None:
    """Workers who load before others commit, and so conflict and mend, do the same on every engine."""

    def folded(open_state: OpenState) -> dict[str, str]:
        chance, first = random.Random(seed), open_state()
        world = world_of(seed, first)
        crew = workers(world, [first, open_state(), open_state()])
        busy = set(range(PARTITIONS))
        while busy:
            partition = chance.choice(sorted(busy))
            if not crew[partition].advance(partition, chance.randrange(1, 20)):
                busy.remove(partition)
        return first.digest()

    with ExitStack() as stack:
        ours = folded(lambda: stack.enter_context(closing(PostgresState(postgres_url))))
    assert ours == folded(MemoryState().another)


@pytest.mark.parametrize("seed", range(2))
def test_three_workers_side_by_side_know_the_same_people(seed: int, postgres_url: str) -> None:
    """However commits fall between each other, people, traits and audiences are those of one worker (I2, I3)."""
    alone = world_of(seed, MemoryState())
    alone.pass_time(DAY_MS)
    with ExitStack() as stack:
        handles: list[State] = [stack.enter_context(closing(PostgresState(postgres_url))) for _ in range(PARTITIONS)]
        world = world_of(seed, handles[0])
        crew = workers(world, handles)
        side_by_side([_to_the_end(folding, partition, seed) for partition, folding in enumerate(crew)])
        assert sum(folding.conflicts for folding in crew) > 0
        world.pass_time(DAY_MS)
        assert world.people() == alone.people()
        counts, expected = handles[1].counts(), alone.state.counts()
        for found in (counts, expected):
            found.pop("merges", None)  # It depends on the order of events how many profiles one person begins as.
        assert counts == expected


def side_by_side(work: list[Callable[[], None]]) -> None:
    """Do all this at once; raises what one of them raised."""
    failed: list[BaseException] = []

    def run(one: Callable[[], None]) -> None:
        try:
            one()
        except BaseException as error:  # noqa: BLE001 - it is raised again by the test's own thread
            failed.append(error)

    threads = [threading.Thread(target=run, args=[one]) for one in work]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failed:
        raise failed[0]


def _to_the_end(folding: Folding, partition: int, seed: int) -> Callable[[], None]:
    chance = random.Random(seed * PARTITIONS + partition)

    def run() -> None:
        while folding.advance(partition, chance.randrange(1, 20)):
            pass

    return run


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(defined=definitions(), history=histories())
def test_any_definitions_and_histories_fold_alike(
    postgres_server: PostgresServer, migrated_database: str, defined: Definitions, history: list[tuple[int, Occurrence]]
) -> None:
    """Random definitions over random histories: PostgreSQL and memory agree, as time passes too."""
    url = postgres_server.create_database(migrated_database)
    try:
        with closing(PostgresState(url)) as ours:
            digests = [_lived(state, defined, history) for state in (MemoryState(), ours)]
    finally:
        postgres_server.drop_database(url)
    assert digests[0] == digests[1]


def _lived(state: State, defined: Definitions, history: list[tuple[int, Occurrence]]) -> dict[str, str]:
    world = World(msgspec.structs.replace(defined, version=1), state=state)
    for n, (now_ms, one) in enumerate(history):
        world.now_ms = max(world.now_ms, now_ms)
        world.send(
            {
                "type": one.type, "messageId": str(n), "userId": f"u{n % 3}", "timestamp": rfc3339(one.at_ms),
                **({"event": one.name} if one.type == "track" else {}),
                "properties": one.properties, "traits": one.traits, "context": one.context,
            }
        )  # fmt: skip
    world.fold(3)
    world.pass_time(DAY_MS)
    return state.digest()
