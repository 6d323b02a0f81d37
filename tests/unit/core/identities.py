"""Worked examples of other platforms' documents, told in their own words and folded here."""

from collections.abc import Iterable, Sequence
from typing import Any

from onefold.limits import SECOND_MS
from onefold.model.definitions import Definitions
from onefold.model.identity import IdentifierType, Identity, Policy
from onefold.testing.world import World

Group = frozenset[str]


def world_of(policy: Policy, types: Iterable[IdentifierType] = (), **more: Any) -> World:
    """A platform in memory with these rules."""
    return World(Definitions(version=1, identity=Identity(policy=policy, types=tuple(types), **more)))


def tell(world: World, *lines: str) -> None:
    """Events as `type: value, type: value`, one a second."""
    for line in lines:
        pairs = [pair.partition(": ") for pair in line.split(", ")]
        external = [{"id": value, "type": kind, "collection": "users"} for kind, _, value in pairs]
        world.send({"type": "track", "event": "E", "context": {"externalIds": external}})
        world.now_ms += SECOND_MS
    world.fold()


def people(world: World) -> set[Group]:
    """Everybody's identifiers, but for those that only were theirs."""
    groups: set[Group] = set()
    for number in world.state.profile_ids(0, 0, 1_000):
        profile = world.profile_of(number)
        former = () if profile.notes is None else profile.notes.former
        groups.add(frozenset(each for each in profile.identifiers if each not in former))
    return groups - {frozenset()}


def groups(*lines: str) -> set[Group]:
    """The same, written down."""
    return {frozenset(pair.replace(": ", ":") for pair in line.split(", ")) for line in lines}


def shown(world: World, number: int) -> set[str]:
    """What a profile shows: identifiers that lead to it, and those that it has been seen with."""
    profile = world.profile_of(number)
    return {*profile.identifiers, *(profile.notes.seen if profile.notes else ())}


def ids(world: World) -> Sequence[int]:
    """All profiles, the oldest first."""
    return world.state.profile_ids(0, 0, 1_000)
