"""The history role: whatever fails in between, history has just what was admitted, once."""

import random
import tempfile
from collections.abc import Iterable, Sequence
from contextlib import closing
from pathlib import Path

import pytest

from onefold.errors import StorageError
from onefold.language.values import milliseconds
from onefold.model import entry as entries
from onefold.model.delivery import sequence
from onefold.model.effect import Admitted, Entered, Left, Merged
from onefold.model.entry import Received
from onefold.model.past import Names, Past, PastMerge, PastMove, PastRecast
from onefold.model.position import split
from onefold.ports import History
from onefold.runtime.history.writing import Historian, Sources
from onefold.storage.history.delta import DeltaHistory
from onefold.testing.clock import ManualClock
from onefold.testing.conformance.history import contents
from onefold.testing.history_requests import PARTITIONS, requests
from onefold.testing.memory.history import MemoryHistory
from onefold.testing.world import World, define

VERSIONS = [
    define({"views": 'count("Viewed", within="2d")'}, {"lookers": "views > 1", "known": "exists(traits.n)"}, n)
    for n in (1, 2)
]


def shop(seed: int, count: int = 30) -> World:
    """Their requests, folded; the definitions come into force again in between."""
    chance = random.Random(seed)
    world = World(VERSIONS[0], partitions=PARTITIONS)
    for n, (partition, now_ms, events) in enumerate(requests(chance, count)):
        world.pass_time(now_ms - world.now_ms)
        if n == count // 2:
            world.define(VERSIONS[1])
        world.send(*events, partition=partition)
        if chance.random() < 0.5:
            world.fold(max_events=chance.choice((3, 100)))
    world.fold()
    return world


def admitted(world: World) -> set[tuple[int, int, int, int]]:
    """What the effects say was admitted: partition, position, profile, log time."""
    return {
        (partition, effect.position, effect.profile, effect.at_ms)
        for _, partition, effects in world.state.effects(0, 1 << 30)
        for effect in effects
        if isinstance(effect, Admitted)
    }


def merged(world: World) -> list[PastMerge]:
    """What the effects say was merged."""
    found = [
        PastMerge(effect.absorbed, effect.profile, partition, effect.position, effect.at_ms)
        for _, partition, effects in world.state.effects(0, 1 << 30)
        for effect in effects
        if isinstance(effect, Merged)
    ]
    return sorted(found, key=lambda merge: (merge.at_ms, *merge[2:4]))


def moved(world: World) -> list[tuple[int, str, bool, int, int, int, int]]:
    """What the effects say of who entered and left."""
    return [
        (e.profile, e.audience, isinstance(e, Entered), e.at_ms, sequence(number, n), partition, e.position)
        for number, partition, effects in world.state.effects(0, 1 << 30)
        for n, e in enumerate(effects)
        if isinstance(e, Entered | Left)
    ]


def check(world: World, history: History) -> None:
    """History has everything that was admitted, once, every merge and move, and who was in when it began."""
    found = contents(history)
    assert [(past.partition, past.position, past.profile, past.received_ms) for past in found] == sorted(
        admitted(world)
    )
    assert history.merges() == merged(world)
    everybody = [profile for _, _, profile, _ in admitted(world)]
    moves = history.moves_of(everybody)
    assert [move[:7] for move in moves if move.seq] == moved(world)
    for move in moves:
        if move.version == VERSIONS[1].version:
            assert split(move.position)[0] >= world.state.cursor(move.partition).since
    assert history.cursor() == max(number for number, _, _ in world.state.effects(0, 1 << 30))


def write(world: World, history: History, clock: ManualClock) -> None:
    """Be the role until everything is written."""
    historian = Historian(Sources(world.state, world.reader), history, clock, flush_s=5)
    while historian.turn():
        pass
    historian.stop()


@pytest.mark.parametrize("seed", range(20))
def test_everything_admitted_is_written_once(seed: int) -> None:
    """Duplicates, events of nobody, late events and merges: history is what the effects say, bodies and times too."""
    world, history = shop(seed), MemoryHistory()
    write(world, history, ManualClock())
    check(world, history)
    for past in contents(history):
        offset, index = split(past.position)
        entry = entries.decode(world.reader.read(past.partition, offset, 1)[0].data)
        assert isinstance(entry, Received)
        assert past.event == entry.events[index]
        said = past.event.timestamp
        assert past.at_ms == (past.received_ms if said is None else min(milliseconds(said), past.received_ms))
        assert past.extra == ({"channel": "web"} if past.event.type == "track" else {})


class Failing(MemoryHistory):
    """Fails at every other append, before or after it took effect."""

    def __init__(self, chance: random.Random) -> None:
        super().__init__()
        self._chance = chance

    def append(  # noqa: PLR0917 - as the port has it
        self,
        pasts: Iterable[Past],
        merges: Sequence[PastMerge],
        cursor: int,
        moves: Sequence[PastMove] = (),
        recasts: Sequence[PastRecast] = (),
        names: Names | None = None,
    ) -> None:
        """Append, or not, and fail, or not."""
        when = self._chance.choice(("before", "after", "never", "never"))
        if when == "before":
            raise StorageError("the disk is away")
        super().append(pasts, merges, cursor, moves, recasts, names)
        if when == "after":
            raise StorageError("the answer was lost")


@pytest.mark.parametrize("seed", range(20))
def test_a_failed_write_is_neither_a_gap_nor_a_double(seed: int) -> None:
    """Writes that fail, before or after they took effect, are written again exactly as far as they were not."""
    world, chance, clock = shop(seed), random.Random(seed), ManualClock()
    history = Failing(chance)
    historian = Historian(Sources(world.state, world.reader), history, clock, flush_s=5)
    newest = max(number for number, _, _ in world.state.effects(0, 1 << 30))
    while history.cursor() < newest:
        clock.advance(chance.randrange(4_000))
        try:
            historian.turn()
        except StorageError:
            clock.advance(1_000)
    check(world, history)


@pytest.mark.parametrize("seed", range(4))
def test_the_tables_have_it_too(seed: int) -> None:
    """The same on Delta tables, in small commits of roles that follow each other, and tidied in between."""
    world, clock = shop(seed), ManualClock()
    with tempfile.TemporaryDirectory(prefix="onefold-test-") as scratch:
        for turns in (1, 2, 1 << 30):
            with closing(DeltaHistory(Path(scratch), clock=clock)) as history:
                assert history.try_hold()
                historian = Historian(Sources(world.state, world.reader), history, clock, flush_s=0.001)
                for _ in range(turns):
                    clock.advance(10)
                    if not historian.turn():
                        break
        with closing(DeltaHistory(Path(scratch))) as history:
            assert history.try_hold()
            check(world, history)
            while history.tidy():
                pass
            check(world, history)
