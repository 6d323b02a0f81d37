"""Events folded while the commit before them is under way come out as if each commit had been waited for (I2, I3)."""

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from onefold.errors import Conflict, Unavailable
from onefold.limits import DAY_MS
from onefold.model.definitions import Definitions
from onefold.model.entry import Outgoing, encode
from onefold.ports import Record
from onefold.runtime.folding.committing import Beside
from onefold.runtime.folding.fold import Folding
from onefold.runtime.folding.programs import Programs
from onefold.storage.embedded.state import LmdbState, Options
from onefold.testing.memory.log import MemoryLog
from onefold.testing.memory.state import MemoryState
from onefold.testing.world import World, track
from tests.property.test_step import DEFINITIONS, RULES, life

SEEDS = range(40)


class Late:
    """The state shows a commit at the last moment: when the next one is to begin."""

    def __init__(self, state: Any, meanwhile: Callable[[], object] = lambda: None) -> None:
        self._state = state
        self._meanwhile = meanwhile
        self._asked: tuple[Any, ...] = ()
        self._looks = 0

    def begin(self, *asked: Any) -> None:
        self._asked = asked

    def ended(self, within_s: float) -> bool:
        assert within_s < 1
        self._meanwhile()
        self._looks += 1
        return self._looks % 3 == 0

    def end(self) -> int:
        return int(self._state.commit(*self._asked))


class Early(Late):
    """The state shows a commit at once, but nobody says so before it is asked for."""

    def begin(self, *asked: Any) -> None:
        self._outcome: int | Exception
        try:
            self._outcome = int(self._state.commit(*asked))
        except (Conflict, Unavailable) as error:
            self._outcome = error

    def end(self) -> int:
        if isinstance(self._outcome, Exception):
            raise self._outcome
        return self._outcome


def _defined(_version: int) -> Definitions:
    return DEFINITIONS


def told(seed: int, state: Any, partitions: int = 1, rulings: float = 0.1) -> World:
    """A world in which a life has arrived, with repeated messages and changed rules, and nothing of it is folded."""
    chance = random.Random(seed)
    world = World(DEFINITIONS, partitions=partitions, state=state)
    world.fold()
    for at_ms, event in life(seed, 60):
        world.now_ms = max(world.now_ms, at_ms)
        for _ in range(1 + (chance.random() < 0.2)):
            world.send(event, partition=chance.randrange(partitions))
        if chance.random() < rulings:
            world.rule(chance.choice(RULES))
    return world


def folding(world: World, beside: Any, remembered: int, *, alone: bool = True) -> Folding:
    """A worker that commits beside; it remembers so few people that some must be loaded while they are under way."""
    made = Folding(world.reader, world.state, Programs(_defined), alone=alone, remembered=remembered)
    made.commit_beside(beside)
    return made


def fold(world: World, chance: random.Random, disturb: Callable[[], object] = lambda: None, most: int = 9) -> None:
    """Fold everything, a few events at a time; an engine that is away is asked again."""
    partitions = range(world.partitions)
    while True:
        disturb()
        try:
            if not world.folding.advance_all(partitions, chance.randrange(1, most)):
                return
        except (Unavailable, Conflict):
            continue


@pytest.mark.parametrize("kind", [Late, Early, Beside])
@pytest.mark.parametrize("seed", SEEDS)
def test_nothing_shows_that_commits_were_made_beside(seed: int, kind: Any) -> None:
    """State and effects are those of a worker that waits for each commit, byte for byte."""
    plain, world = told(seed, MemoryState()), told(seed, MemoryState())
    plain.fold(5)
    world.folding = folding(world, kind(world.state), 0)
    fold(world, random.Random(seed))
    assert world.state.digest() == plain.state.digest()
    assert world.effects() == plain.effects()


@pytest.mark.parametrize("kind", [Late, Early])
@pytest.mark.parametrize("seed", SEEDS)
def test_what_arrives_meanwhile_leaves_with_the_next_commit(seed: int, kind: Any) -> None:
    """Events that arrive while a commit is under way are folded before it ends, and come out the same."""
    plain, world, chance = World(DEFINITIONS), World(DEFINITIONS), random.Random(seed)
    coming = life(seed, 60)

    def arrive(into: World, at_ms: int, event: dict[str, Any]) -> None:
        into.now_ms = max(into.now_ms, at_ms)
        into.send(event)
        if event["messageId"] in ("m20", "m40"):
            into.rule(RULES[1])

    def meanwhile() -> None:
        if left and chance.random() < 0.7:
            arrive(world, *left.pop(0))

    plain.fold()
    world.fold()
    for at_ms, event in coming:
        arrive(plain, at_ms, event)
    plain.fold()
    left = list(coming)
    world.folding = folding(world, kind(world.state, meanwhile), 0)
    while left:
        arrive(world, *left.pop(0))
        fold(world, chance, most=20)
    fold(world, chance)
    assert world.state.digest() == plain.state.digest()
    assert world.effects() == plain.effects()
    assert world.state.newest() < len(coming) - 5


@pytest.mark.parametrize("kind", [Late, Early])
@pytest.mark.parametrize("seed", SEEDS)
def test_a_commit_that_fails_takes_what_was_made_on_it_along(seed: int, kind: Any) -> None:
    """Whatever fails, before it has taken effect or after, every event counts once."""
    plain, state = told(seed, MemoryState()), MemoryState()
    world, chance = told(seed, state), random.Random(seed)
    plain.fold(5)
    world.folding = folding(world, kind(state), 0)

    def disturb() -> None:
        if chance.random() < 0.3:
            method = chance.choice(("commit", "commit", "load", "cursor"))
            if method == "commit" and chance.random() < 0.5:
                state.fail_next(method, Conflict("somebody"))
            else:
                state.fail_next(method, Unavailable("away"), after=method == "commit" and chance.random() < 0.5)

    fold(world, chance, disturb)
    assert world.state.digest() == plain.state.digest()
    assert world.effects() == plain.effects()


@pytest.mark.parametrize("kind", [Late, Early])
@pytest.mark.parametrize(("expected", "often"), [(False, 0.1), (True, 0.1), (True, 0.5)])
@pytest.mark.parametrize("seed", SEEDS)
def test_who_is_overtaken_folds_again(seed: int, kind: Any, expected: bool, often: float) -> None:  # noqa: FBT001
    """Another worker that commits in between, to other partitions or the same ones, changes nothing but the order."""
    alone, state = told(seed, MemoryState(), rulings=0), MemoryState()
    world, chance = told(seed, state, partitions=2, rulings=0), random.Random(seed)
    other = Folding(world.reader, state.another(), Programs(_defined), alone=False)
    world.folding = folding(world, kind(state), 0)
    world.folding.share(alone=not expected)

    def disturb() -> None:
        if chance.random() < often:
            other.advance(chance.randrange(2), chance.randrange(1, 4))

    fold(world, chance, disturb)
    alone.fold()
    world.folding = Folding(world.reader, state, Programs(_defined))
    world.pass_time(DAY_MS)
    alone.pass_time(DAY_MS)
    assert world.people() == alone.people()
    found, right = world.state.counts(), alone.state.counts()
    assert all(found[name] == right[name] for name in ("received", "admitted", "duplicate", "profiles"))


@pytest.mark.parametrize("kind", [Late, Early])
def test_who_shares_a_state_keeps_what_was_folded_meanwhile(kind: Any) -> None:
    """A commit of strangers between two of ours has nothing folded again: none of ours is refused, none is dropped."""
    state = MemoryState()
    world = World(DEFINITIONS, partitions=2, state=state)
    world.fold()
    for n in range(40):
        world.send(track("Seen", user=f"u{n}"), partition=n % 2)
    other = Folding(world.reader, state.another(), Programs(_defined))
    made = folding(world, kind(state, lambda: other.advance(1, 1)), 0)
    made.share(alone=False)
    while made.advance(0, 2) or other.advance(1, 1):
        other.advance(1, 1)
    assert state.counts()["admitted"] == 40
    assert made.conflicts == made.mended > 0


@pytest.mark.parametrize("seed", range(10))
def test_a_thread_commits_to_a_state_on_disk(tmp_path: Path, seed: int) -> None:
    """Messages are found, and timers set, while the thread that commits is at work in the same state."""
    plain = told(seed, MemoryState())
    plain.fold()
    state = LmdbState(tmp_path / "state", options=Options(scratch=True, move_messages=8, move_commits=4))
    world = told(seed, state)
    beside = Beside(state)
    world.folding = folding(world, beside, 0)
    fold(world, random.Random(seed))
    assert world.state.digest() == plain.state.digest()
    assert world.effects() == plain.effects()
    beside.close()
    state.close()


class Asked(MemoryLog):
    """Knows how often it was read in vain."""

    vain = 0

    def read(self, partition: int, offset: int, max_bytes: int) -> list[Record]:
        """As `LogReader.read`."""
        found = super().read(partition, offset, max_bytes)
        self.vain += not found
        return found


@pytest.mark.parametrize("partitions", [1, 3])
def test_while_a_commit_is_under_way_nothing_is_read_where_nothing_is(partitions: int) -> None:
    """A read at the end of a log may ask another machine: it is made at the second look in vain, to be sure."""
    state, looks = MemoryState(), 0
    log = Asked(partitions)

    def arrive() -> None:
        nonlocal looks
        looks += 1
        if looks % 10 == 0 and looks <= 500:
            n = looks // 10
            event = msgspec.Raw(msgspec.json.encode(track("Seen", user=f"u{n}", message=f"m{n}")))
            log.append({0: [encode(Outgoing("web", 1_000 + n, [event]))]})

    class Slow(Late):
        def ended(self, within_s: float) -> bool:
            super().ended(within_s)
            return self._looks % 25 == 0

    made = Folding(log, state, Programs(_defined), remembered=0)
    slow: Any = Slow(state, arrive)
    made.commit_beside(slow)
    for _ in range(10):
        arrive()
    while made.advance_all(range(partitions)):
        pass
    assert state.counts()["admitted"] == 50
    assert log.vain == 0
    assert not made.advance_all(range(partitions))
    assert log.vain >= partitions
