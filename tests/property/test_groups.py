"""Many audiences alike, which the stream finds by look-ups: after every event each is as if it had been asked."""

import random
from typing import Any

import pytest

from onefold.language import nodes as n
from onefold.language.reading.check import checked
from onefold.language.stream.compile import compile_definitions
from onefold.model import profile as profiles
from onefold.model.definitions import Definitions
from onefold.model.effect import Entered, Left
from onefold.model.profile import Profile
from onefold.testing.world import World, define, track
from tests.property.test_step import life

TRAITS = {
    "orders": 'count("Order Completed")',
    "orders_1h": 'count("Order Completed", within="1h")',
    "revenue": 'sum("*", properties.revenue)',
    "largest": 'max("*", properties.revenue)',
    "average": 'avg("*", properties.revenue, within="1d")',
    "favourite": 'most_frequent("*", properties.category)',
    "latest": 'last("*", properties.category)',
    "busy": "orders_1h > 1",
}
_OPS = ("<", "<=", ">", ">=", "==", "!=")


def _rule(chance: random.Random, earlier: int) -> str:
    category, number = f'"{chance.choice("abc")}"', chance.choice((0, 1, 2, 3, 7.77, 10, 30))
    event, plan = f'"{chance.choice(("Order Completed", "*"))}"', f'"{chance.choice(("pro", "free"))}"'
    trait = chance.choice(("orders", "orders_1h", "revenue", "largest", "average"))
    compared = f"{trait} {chance.choice(_OPS)} {number}"
    first, second = (f"audience_{chance.randrange(earlier)}" if earlier else "none" for _ in range(2))
    if earlier and chance.random() < 0.25:
        return chance.choice((
            f'in_audience("{first}") and not in_audience("{second}")',
            f'not in_audience("{first}") and {compared}',
            f'favourite == {category} and in_audience("{first}")',
            f'in_audience("{first}") or last_seen < ago("1h")',
            f'in_audience("{first}") != in_audience("{second}")',
        ))  # fmt: skip
    return chance.choice((
        compared,
        f'{number} {chance.choice(_OPS)} count({event}, within="1h")',
        f"count({event}, where=properties.category == {category}) {chance.choice(_OPS)} {number}",
        f"favourite == {category}",
        f"{chance.choice(('favourite', 'latest'))} == {category} and {compared}",
        f"latest == {category} and (busy or traits.plan == {plan})",
        f"traits.plan == {plan} and {compared}",
        f"busy and {compared}",
        f'{compared} and last_seen {chance.choice(("<", "<=", ">"))} ago("{chance.choice(("1h", "2h"))}")',
        f'last_seen {chance.choice(("<", "<="))} ago("{chance.choice(("1h", "2h"))}")',
        f'count({event}) {chance.choice(_OPS)} {number} and count({event}, within="1h") {chance.choice(_OPS)} 2',
        f"count({event}) {chance.choice(_OPS)} {number} or traits.plan == {plan}",
        f"count({event}) {chance.choice(_OPS)} count({event}, where=properties.revenue > 10)",
        f'ago("1h") {chance.choice((">", "<"))} last_seen and {compared}',
        f'favourite == {category} and last_seen > ago("{chance.choice(("1h", "2h"))}")',
        f'random_share("{chance.choice("xyz")}", 50) and {compared}',
        f'elapsed(last_seen, "m") > {number} or any(traits.list, item == {number})',
    ))  # fmt: skip


def _definitions(seed: int) -> Definitions:
    chance = random.Random(seed)
    return define(TRAITS, {f"audience_{n}": _rule(chance, n) for n in range(140)})


@pytest.mark.parametrize("seed", range(25))
def test_looking_up_equals_asking_each(seed: int) -> None:
    """Traits, audiences and the moves between are those of judging every definition after every event."""
    definitions = _definitions(seed)
    program = compile_definitions(checked(definitions), 1)
    world = World(definitions)
    world.fold()
    members: dict[str, set[int]] = {}
    for at_ms, event in life(seed, 60):
        world.pass_time(max(0, at_ms - world.now_ms))
        world.send(event)
        world.fold()
        for profile_id in world.state.profile_ids(0, 0, 99):
            profile = _profile(world, profile_id)
            changed: dict[str, Any] = {}
            moves: list[tuple[str, bool]] = []
            program.judge_all(profile, profile.now_ms, changed, moves)
            assert (changed, moves) == ({}, []), event
    for effect in world.effects():
        if isinstance(effect, Entered):
            assert effect.profile not in members.setdefault(effect.audience, set()), effect
            members[effect.audience].add(effect.profile)
        elif isinstance(effect, Left):
            members[effect.audience].remove(effect.profile)


def _profile(world: World, profile_id: int) -> Profile:
    data = world.state.profile(profile_id)
    assert data is not None
    return profiles.decode(data)


def test_a_trait_may_be_named_like_a_slot() -> None:
    """Whatever a trait is called, its audiences follow its value and no aggregate's."""
    key = n.slot(n.Aggregate(0, "count", "Order Completed"))
    few = {f"few_{at}": f'count("Order Completed") >= {at}' for at in range(1, 4)}
    much = {f"much_{at}": f"{key} >= {at}" for at in (50, 100, 150)}
    world = World(define({key: 'sum("Order Completed", properties.revenue)'}, few | much))
    for message in ("a", "b"):
        world.send(track("Order Completed", user="1", message=message, properties={"revenue": 60}))
    world.fold()
    assert world.person("user_id:1").audiences == ("few_1", "few_2", "much_100", "much_50")


def test_groups_are_used() -> None:
    """The definitions of these tests are looked up in every way there is."""
    source = compile_definitions(checked(_definitions(1)), 1).source
    looked_up = ("branch_0.get", "crossings[", " in turns_", " in edges_", "is str and (j :=", "is bool and (j :=")
    assert all(text in source for text in (*looked_up, "isdisjoint(lapsing.keys())"))
    assert "    v = s.get(" in source
