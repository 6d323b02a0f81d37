"""Effects of one place are found again among those of all partitions, as long as they are kept; and who said a link."""

import random
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from onefold.core.identity.evidence import bonds
from onefold.model.effect import AnyEffect
from onefold.model.profile import Notes
from onefold.ports import Retention, State
from onefold.runtime.identity.sightings import Sightings, effects_at
from onefold.storage.embedded.state import LmdbState
from onefold.testing.memory.history import MemoryHistory
from onefold.testing.memory.state import MemoryState
from onefold.testing.world import World, define, identify, track

PARTITIONS = 3


def lived(state: State, seed: int) -> World:
    """Events in three partitions, folded in runs of a few."""
    chance = random.Random(seed)
    world = World(define({"n": 'count("A")'}), partitions=PARTITIONS, state=state)
    for number in range(60):
        partition = chance.choice((0, 0, 0, 0, 1, 2))
        user, anonymous = f"u{chance.randrange(6)}", f"a{chance.randrange(6)}"
        world.send(track("A", user=user, anonymous=anonymous, message=f"m{number}"), partition=partition)
        if chance.random() < 0.4:
            world.fold(chance.randrange(1, 5))
    world.fold()
    return world


def by_place(state: State) -> dict[tuple[int, int], list[AnyEffect]]:
    """All effects that the state has, by partition and position."""
    found: dict[tuple[int, int], list[AnyEffect]] = {}
    for _, partition, effects in state.effects(0, 1 << 30):
        for each in effects:
            found.setdefault((partition, each.position), []).append(each)
    return found


@pytest.mark.parametrize("engine", ["memory", "lmdb"])
@pytest.mark.parametrize("seed", range(4))
def test_the_effects_of_a_place_are_found(engine: str, seed: int, tmp_path: Path) -> None:
    """Those of each event, and none of another; of what was trimmed, none."""
    made: Any = MemoryState() if engine == "memory" else LmdbState(tmp_path / "state")
    with closing(made) as state:
        lived(state, seed)
        before = by_place(state)
        for (partition, position), effects in before.items():
            assert list(effects_at(state, partition, position)) == effects
        assert not list(effects_at(state, 0, 1 << 50))
        state.trim_effects(state.newest() // 2)
        left = by_place(state)
        assert 0 < len(left) < len(before)
        for partition, position in before:
            assert list(effects_at(state, partition, position)) == left.get((partition, position), [])


def test_who_said_an_old_link_is_read_from_the_log() -> None:
    """Profiles that do not keep people's words yet have them in the log, as long as that does."""
    world = World()
    world.send(track("A", user="a"), track("A", user="b"))
    world.link("user_id:a", "user_id:b", by="eve")
    world.fold()
    profile = world.profile("user_id:a")
    profile.notes = Notes()
    sightings = Sightings(MemoryHistory(), world.reader, world.state, lambda _: world.state.rules(0))
    assert [link.by for link in sightings.said(bonds(profile, []))] == ["eve"]
    writer: Any = world.writer
    writer.trim(0, world.reader.ends(0)[1], Retention(size_bytes=0))
    assert [link.by for link in sightings.said(bonds(profile, []))] == [""]


def test_what_is_no_longer_kept_is_counted() -> None:
    """Without history only the latest events are there; the others are said to be missing."""
    world = World()
    for number in range(30):
        world.send(identify(user="a", message=f"m{number}", traits={"email": "a@acme.com"}))
    world.fold()
    seen = Sightings(None, world.reader, world.state, lambda _: world.state.rules(0)).of(world.profile("user_id:a"))
    assert (len(seen.sightings), seen.forgotten) == (20, 10)
    assert [each.position for each in seen.sightings] == sorted(each.position for each in seen.sightings)
