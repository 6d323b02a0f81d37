"""What runs in shadow is judged as if it were live, and nobody can tell from what is live that it is there."""

import random
from typing import Any

import msgspec
import pytest

from onefold.language.reading.check import checked
from onefold.limits import DAY_MS
from onefold.model import profile as profiles
from onefold.model.definitions import Definitions, is_shadow, live_name, shadow_name
from onefold.model.effect import Changed, Entered, Left
from onefold.model.profile import Profile
from onefold.runtime.defining.versions import shadowed
from onefold.testing.seeded import Seeded
from onefold.testing.world import World
from tests.property.test_step import life

SEEDS = range(60)


def _lived(seed: int, *versions: Definitions) -> World:
    """One life under these definitions, one after the other.

    In one partition: between two, whose times differ, what is judged oftener because of a shadow may be told oftener.
    """
    events, chance = life(seed), random.Random(seed)
    world = World(versions[0])
    turns = [len(events) * n // len(versions) for n in range(1, len(versions))]
    for n, (now_ms, event) in enumerate(events):
        world.now_ms = max(world.now_ms, now_ms)
        if n in turns:
            world.fold()
            world.define(versions[turns.index(n) + 1])
        world.send(event)
        if chance.random() < 0.1:
            world.fold()
    world.pass_time(40 * DAY_MS)
    return world


def _profiles(world: World) -> list[Profile]:
    state = world.state
    return [profiles.decode(data) for _, data in sorted(state.survivors(state.profile_ids(0, 0, 1 << 30)).items())]


def _both(seed: int) -> tuple[Definitions, Definitions, Definitions]:
    """Live definitions, a candidate, and the two together."""
    live, candidate = _sound(seed), _sound(seed + 10_000)
    return live, candidate, msgspec.structs.replace(live, shadow=candidate)


def _sound(seed: int) -> Definitions:
    """Definitions without a mistake, of this seed or of one that follows from it."""
    found = Seeded(seed).definitions()
    return _sound(seed + 100_000) if checked(found).problems else found


@pytest.mark.parametrize("seed", SEEDS)
def test_nothing_live_is_touched(seed: int) -> None:
    """The same effects, values and memberships with a shadow as without; no effect names anything in shadow."""
    live, _, both = _both(seed)
    with_shadow, without = _lived(seed, both), _lived(seed, live)
    assert _told(with_shadow) == _told(without)
    assert [_live(profile) for profile in _profiles(with_shadow)] == [_live(profile) for profile in _profiles(without)]
    sizes = {name: size for name, size in with_shadow.state.sizes().items() if not is_shadow(name)}
    assert sizes == without.state.sizes()


def _told(world: World) -> list[Any]:
    """All effects but for their places: timers of what is in shadow make ticks, and so move what comes after them."""
    return [msgspec.structs.replace(effect, position=0) for effect in world.effects()]


def _live(profile: Profile) -> Any:
    computed = {name: value for name, value in profile.computed.items() if not is_shadow(name)}
    audiences = {name: at_ms for name, at_ms in profile.audiences.items() if not is_shadow(name)}
    return profile.id, profile.identifiers, profile.declared, profile.events, computed, audiences


@pytest.mark.parametrize("seed", SEEDS)
def test_a_shadow_is_what_it_would_be_if_it_were_live(seed: int) -> None:
    """Each definition that differs has the values and members that the candidate alone has; sizes are counted."""
    _, candidate, both = _both(seed)
    shadow, alone = _lived(seed, both), _lived(seed, candidate)
    twins = shadowed(both)
    for found, expected in zip(_profiles(shadow), _profiles(alone), strict=True):
        assert {name: at_ms for name, at_ms in found.audiences.items() if is_shadow(name)} == {
            shadow_name(name): at_ms for name, at_ms in expected.audiences.items() if shadow_name(name) in twins
        }
        for name, value in found.computed.items():
            assert not is_shadow(name) or expected.computed[live_name(name)] == value
    for name in twins:
        assert shadow.state.sizes().get(name) == alone.state.sizes().get(live_name(name))
        assert shadow.state.members(name, -1, 1000) == alone.state.members(live_name(name), -1, 1000)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_promoted_shadow_goes_on_where_it_was(seed: int) -> None:
    """After promotion everybody is as if the candidate had been live from the start, and nothing of it is left."""
    _, candidate, both = _both(seed)
    promoted, alone = _lived(seed, both, msgspec.structs.replace(candidate, version=2)), _lived(seed, candidate)
    assert not [name for name in promoted.state.sizes() if is_shadow(name)]
    for found, expected in zip(_profiles(promoted), _profiles(alone), strict=True):
        assert not [name for name in (*found.computed, *found.audiences) if is_shadow(name)]
        assert (found.computed, found.audiences.keys()) == (expected.computed, expected.audiences.keys())
    for effect in promoted.effects():
        assert not (isinstance(effect, Entered | Left) and is_shadow(effect.audience))
        assert not (isinstance(effect, Changed) and any(map(is_shadow, effect.traits)))


@pytest.mark.parametrize("seed", SEEDS)
def test_a_dropped_shadow_leaves_nothing(seed: int) -> None:
    """After it is dropped people, sizes and slots are those of a world that never had it."""
    live, _, both = _both(seed)
    dropped = _lived(seed, both, msgspec.structs.replace(live, version=2))
    never = _lived(seed, live, msgspec.structs.replace(live, version=2))
    assert dropped.effects() == never.effects()
    assert dropped.state.digest() == never.state.digest()
