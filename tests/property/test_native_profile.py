"""The kernel's profiles against Python's own: the same attributes, whatever is done to them, and the same bytes."""

import copy
import operator
import pickle
import random
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from onefold import kernel
from onefold.limits import HOUR_MS, NEVER_MS
from onefold.model import profile as profiles
from onefold.model.definitions import Definitions
from onefold.model.identity import POLICIES
from onefold.model.profile import Declared, Link, Merge, Notes, Profile
from onefold.testing.world import World
from tests.property.test_accounts import DEFINITIONS as WITH_ACCOUNTS
from tests.property.test_accounts import life as life_of_companies
from tests.property.test_policies import crowd, defined
from tests.property.test_step import DEFINITIONS, life

pytestmark = pytest.mark.skipif(kernel.native is None, reason=kernel.found.standing)

TEXT = st.characters(exclude_categories=["Cs"])
SCALARS = st.none() | st.booleans() | st.integers(-(1 << 63), (1 << 64) - 1) | st.floats() | st.text(TEXT) | st.binary()
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=20) | st.dictionaries(st.text(TEXT), inner, max_size=20),
    max_leaves=8,
)
SEEDS = range(15)
LIVES = 40
"""Profiles of each seed."""
FIELDS = Profile.__struct_fields__

Act = tuple[str, Callable[[Profile], Any]]


def native(profile: Profile) -> Profile:
    """The same as the kernel's."""
    made: Profile | None = kernel.native.Profile.decode(profiles.encode(profile))
    assert made is not None
    assert type(made) is kernel.native.Profile
    return made


def give_all(profile: Profile, identifiers: Sequence[str], since_ms: int) -> None:
    """Give a profile all of these."""
    for each in identifiers:
        profile.give(each, since_ms)


class Anyone:
    """Profiles of all shapes, and what is done to them, from a seed."""

    def __init__(self, seed: int) -> None:
        self._chance = random.Random(seed)

    def number(self) -> int:
        """An integer of 64 bits, often at the edge of a size in which it is stored."""
        edge = self._chance.choice((1, -1)) * (1 << self._chance.choice((0, 4, 5, 7, 8, 15, 16, 31, 32, 54, 62)))
        return edge + self._chance.choice((-1, 0, 1))

    def place(self) -> int:
        """One that is not negative, of up to 64 bits."""
        return self._chance.randrange(1 << self._chance.choice((3, 8, 20, 57, 63, 64)))

    def text(self) -> str:
        """Text around the sizes in which it is stored."""
        size = self._chance.choice((0, 1, 3, 3, 8, 8, 31, 32, 40))
        return "".join(self._chance.choices("ab_:.é漢🎉", k=size))

    def value(self, depth: int = 3) -> Any:
        """What a slot or a trait may have."""
        kind = self._chance.randrange(10 if depth else 6)
        if kind >= 6:
            return (
                self.named(lambda: self.value(depth - 1)) if kind > 7 else self.several(lambda: self.value(depth - 1))
            )
        makers: Sequence[Callable[[], Any]] = (
            lambda: self._chance.choice((None, True, False)),
            self.number,
            self.place,
            lambda: self._chance.choice((0.0, -0.0, 0.1, 1e300, float("inf"), float("nan"))),
            self.text,
            lambda: self._chance.randbytes(self._chance.choice((0, 1, 255, 256))),
        )
        return makers[kind]()

    def several(self, make: Callable[[], Any]) -> list[Any]:
        """Around the sizes in which lists are stored."""
        return [make() for _ in range(self._chance.choice((0, 0, 1, 2, 15, 16)))]

    def named(self, make: Callable[[], Any]) -> dict[str, Any]:
        """An object of such a size."""
        return {f"{self.text()}{n}": make() for n in range(self._chance.choice((0, 0, 1, 2, 15, 16)))}

    def declared(self) -> Declared:
        """A declared trait."""
        return Declared(self.value(1), self.number(), self._chance.randbytes(16), self.place())

    def notes(self) -> Notes:
        """What rules of identity keep."""
        return Notes(
            seen=self.named(self.number), never=self.several(self.text), parts={"plan": self.named(self.declared)}
        )

    def profile(self) -> Profile:
        """One person."""
        numbers = [self.number() for _ in range(5)]
        return Profile(
            self.place(),
            numbers[0],
            numbers[1],
            numbers[2],
            numbers[3],
            due_ms=self._chance.choice((NEVER_MS, numbers[4])),
            version=self.number(),
            events=self._chance.choice((0, 1, 300)),
            identifiers={f"a:{n}": self.number() for n in range(self._chance.choice((0, 1, 3, 32, 33)))},
            declared=self.named(self.declared),
            computed=self.named(self.value),
            slots=self.named(self.value),
            audiences=self.named(self.number),
            links=self.several(lambda: Link("a:1", self.text(), 0, self.place(), "rule", self.number())),
            merges=self.several(lambda: Merge(self.place(), self.number(), self.place(), self.number())),
            recent=[self.place() for _ in range(self._chance.choice((0, 1, 15, 19, 20)))],
            notes=self._chance.choice((None, None, Notes(), self.notes())),
        )

    def acts(self) -> list[Act]:
        """Some things that are done to a profile."""
        return [self._act() for _ in range(self._chance.randrange(10))]

    def _act(self) -> Act:
        field, other = self._chance.choice(FIELDS), self.profile()
        numbers = (self.number(), self.number(), self.place())
        asked = tuple(self._chance.choices([*other.identifiers, "a:40", ""], k=self._chance.randrange(3)))
        acts: list[Act] = [
            (f"read {field}", operator.attrgetter(field)),
            (f"set {field}", lambda one: setattr(one, field, copy.deepcopy(getattr(other, field)))),
            ("add", lambda one: one.slots.update(copy.deepcopy(other.slots))),
            ("remove", lambda one: one.audiences.popitem() if one.audiences else None),
            ("link", lambda one: one.links.extend(other.links)),
            ("note", lambda one: one.noted().seen.update(other.identifiers)),
            ("count", lambda one: setattr(one, "events", one.events + 1)),
            (f"give {asked}", lambda one: give_all(one, asked, numbers[0])),
            (f"saw {numbers}", lambda one: one.saw(*numbers)),
            (f"has {asked}", lambda one: one.has_all(asked)),
            ("encode", profiles.encode),
        ]
        return self._chance.choice(acts)


@pytest.mark.parametrize("seed", SEEDS)
def test_what_was_stored_is_stored_again(seed: int) -> None:
    """Whoever was read and touched by nobody has the very bytes that he was read from; and so has a copy."""
    anyone = Anyone(seed)
    for _ in range(LIVES):
        profile = anyone.profile()
        data, one = profiles.encode(profile), native(profile)
        assert profiles.encode(one) == data
        for again in (copy.copy(one), copy.deepcopy(one), pickle.loads(pickle.dumps(one))):
            assert type(again) is type(one)
            assert profiles.encode(again) == data
        assert repr(one) == repr(profiles.decode(data))


@pytest.mark.parametrize("seed", SEEDS)
def test_whatever_is_done_to_it_is_seen(seed: int) -> None:
    """Attributes read, set and changed in place, methods called, in any order: always what Python's own would show."""
    anyone = Anyone(seed)
    for _ in range(LIVES):
        profile = anyone.profile()
        mine, theirs = profiles.decode(profiles.encode(profile)), native(profile)
        for what, act in anyone.acts():
            assert repr(act(theirs)) == repr(act(mine)), what
        for field in FIELDS:
            assert repr(getattr(theirs, field)) == repr(getattr(mine, field))
        assert profiles.encode(theirs) == profiles.encode(mine)


@given(VALUES)
def test_values_that_were_changed_are_stored_as_python_stores_them(value: Any) -> None:
    """What Python puts into a profile is stored as msgspec writes it, whatever it is."""
    one = native(Profile(1, 0, 0, 0, 0))
    one.slots["one"] = value
    assert profiles.encode(one) == profiles.encode(Profile(1, 0, 0, 0, 0, slots={"one": value}))


def test_equal_profiles_are_equal() -> None:
    """Of the same contents they are equal, whoever keeps them; and no key of a dictionary, as they change."""
    profile = Profile(1, 0, 0, 0, 0, identifiers={"a:1": 2}, slots={"count": 1})
    one = native(profile)
    assert one == native(profile)
    assert one == profile
    one.slots["count"] = 2
    assert one != profile
    somebody: object = "somebody"
    assert one != somebody
    with pytest.raises(TypeError):
        hash(one)


def test_the_latest_events_are_kept() -> None:
    """Of more events than are kept the oldest are forgotten, whatever the sizes of their places."""
    mine = Profile(1, 0, 0, 0, 0)
    theirs = native(mine)
    for n in range(90):
        place = (n % 3) << (n % 57)
        assert theirs.saw(n % 7, n, place) == mine.saw(n % 7, n, place)
        assert profiles.encode(theirs) == profiles.encode(mine)


@pytest.mark.parametrize("data", [b"", b"\x90", b"\xdc\x00\x10", b"\xc0", b"\xdc\x00\x10" + b"\x00" * 16])
def test_what_is_no_profile_is_left_to_python(data: bytes) -> None:
    """Bytes that are not those of a profile are nobody's, and no mistake of the kernel's."""
    assert kernel.native.Profile.decode(data) is None


def test_traits_from_before_places_are_left_to_python() -> None:
    """A trait that was declared before places were kept gets one as Python reads it; so Python does."""
    old = profiles.encode_part([1, 2, 3, 4, 5, 6, 7, 8, {}, {"plan": ["pro", 1, b"tie"]}, {}, {}, {}, [], [], []])
    assert kernel.native.Profile.decode(old) is None
    assert profiles.decode(old).declared["plan"].place == -1


def lived(definitions: Definitions, events: Sequence[tuple[int, dict[str, Any]]], seed: int, with_kernel: Any) -> World:
    """A world in which all this has arrived and time has passed, folded in commits of any size."""
    chance = random.Random(seed)
    world = World(definitions, partitions=2, remembered=chance.choice((1, 3, 1000)), native=with_kernel)
    for now_ms, event in events:
        if chance.random() < 0.3:
            world.pass_time(max(0, now_ms - world.now_ms))
        world.now_ms = max(world.now_ms, now_ms)
        world.send(event, partition=chance.randrange(2))
        if chance.random() < 0.3:
            world.fold(chance.choice((1, 7, 1000)))
        if chance.random() < 0.03:
            world.define(structs.replace(definitions, version=world.folding.cursor(0).version + 1))
    world.fold()
    world.pass_time(30 * HOUR_MS)
    return world


def same(definitions: Definitions, events: Sequence[tuple[int, dict[str, Any]]], seed: int) -> None:
    """The worker leaves the same state and effects with the kernel as without."""
    theirs, mine = (lived(definitions, events, seed, module) for module in (kernel.native, None))
    assert theirs.state.digest() == mine.state.digest()
    assert theirs.effects() == mine.effects()
    for world, kind in ((theirs, kernel.native.Profile), (mine, Profile)):
        ids = [one for part in range(2) for one in world.state.profile_ids(part, -1, 1_000)]
        kept = [profile for one in ids if (profile := world.folding._profiles.get(one)) is not None]
        assert kept
        assert {type(profile) for profile in kept} == {kind}


@pytest.mark.parametrize("seed", range(30))
def test_the_step_leaves_the_same_state(seed: int) -> None:
    """People who merge, whose windows move, and who are reloaded, reswept and remembered: byte for byte the same."""
    same(DEFINITIONS, life(seed), seed)


@pytest.mark.parametrize("seed", range(15))
def test_accounts_are_the_same(seed: int) -> None:
    """Accounts, their links and what their members are told: byte for byte the same."""
    same(WITH_ACCOUNTS, life_of_companies(seed), seed)


@pytest.mark.parametrize("policy", sorted(POLICIES))
@pytest.mark.parametrize("seed", range(5))
def test_policies_are_the_same(policy: Any, seed: int) -> None:
    """Rules of identity, which keep notes of people: byte for byte the same."""
    same(defined(policy), crowd(seed), seed)
