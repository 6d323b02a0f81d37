"""The kernel's containers of what a run gathers against Python's: the same to whoever looks, and the same bytes."""

import random
from typing import Any, get_args, get_type_hints

import pytest

from onefold import kernel
from onefold.core.gathered import Containers, Effects
from onefold.model import effect
from onefold.model.effect import AnyEffect
from onefold.runtime.native_profiles import native_containers

pytestmark = pytest.mark.skipif(kernel.native is None, reason=kernel.found.standing)

SEEDS = range(20)


def containers() -> Containers:
    """The kernel's."""
    return native_containers(kernel.native)


class Anything:
    """Effects of all kinds, from a seed."""

    def __init__(self, seed: int) -> None:
        self._chance = random.Random(seed)

    def number(self) -> int:
        """One that is not negative, around all sizes in which it is stored."""
        return max(0, (1 << self._chance.choice((0, 1, 3, 7, 8, 16, 32, 57, 62))) + self._chance.choice((-1, 0, 1)))

    def effects(self, most: int) -> list[AnyEffect]:
        """Up to so many, of few people."""
        return [self._effect() for _ in range(self._chance.randrange(most))]

    def _effect(self) -> AnyEffect:
        kind: Any = self._chance.choice(get_args(AnyEffect))
        made: AnyEffect = kind(*(self._value(name, of) for name, of in get_type_hints(kind).items()))
        return made

    def _value(self, name: str, of: Any) -> Any:
        if name == "profile":
            return self._chance.choice((0, 1, 200, 1 << 56, (1 << 63) + 1))
        text = "".join(self._chance.choices("ab:é漢", k=self._chance.choice((0, 3, 31, 32, 300))))
        several: dict[Any, Any] = {
            int: self.number(),
            bool: self.number() % 2 == 0,
            str: text,
            list[str]: [text] * self._chance.randrange(20),
            dict[str, Any]: {text: self.number(), "": None, "of": [1.5, text, True]},
        }
        return several[of]


@pytest.mark.parametrize("seed", SEEDS)
def test_effects_are_kept_as_they_are_encoded(seed: int) -> None:
    """Effects of all kinds come back in order, and are the bytes that Python encodes."""
    mine, theirs = Effects(), containers().effects()
    for one in Anything(seed).effects(40):
        mine.append(one)
        theirs.append(one)
    assert (len(theirs), bool(theirs), list(theirs)) == (len(mine), bool(mine), mine)
    assert effect.encode(theirs) == effect.encode(mine)
    theirs.clear()
    assert effect.encode(theirs) == effect.encode([])


@pytest.mark.parametrize("seed", SEEDS)
def test_effects_are_retracted_and_put_in_order(seed: int) -> None:
    """What happened to some people is let go of, with the places of their events; the rest is sorted as ever."""
    mine, theirs = Effects(), containers().effects()
    for one in Anything(seed).effects(60):
        mine.append(one)
        theirs.append(one)
    people = {one.profile for one in mine[::7]}
    assert theirs.retract(people) == mine.retract(people)
    assert effect.encode(theirs) == effect.encode(mine)
    mine.put_in_order()
    theirs.put_in_order()
    assert effect.encode(theirs) == effect.encode(mine)
