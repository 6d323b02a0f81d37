"""Undo is exact: people who are taken apart are, byte for byte, who they would be had the link never been."""

import random
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from onefold.core.run import Parted
from onefold.model import profile as profiles
from onefold.model.catalog import VersionRow
from onefold.model.definitions import Definitions
from onefold.model.profile import Profile
from onefold.runtime.history import Historian
from onefold.runtime.history import Sources as Followed
from onefold.runtime.profile_then import PastDefinitions
from onefold.runtime.recasting import Sources, Wanted, prepare
from onefold.testing.clock import ManualClock
from onefold.testing.memory_history import MemoryHistory
from onefold.testing.seeded import START_MS, Seeded
from onefold.testing.world import World, rfc3339


class Catalog:
    """One version of the definitions, from the beginning."""

    def __init__(self, definitions: Definitions) -> None:
        self._definitions = definitions

    def definitions(self, version: int | None = None) -> Definitions:
        """The only one."""
        return self._definitions

    def versions(self) -> list[VersionRow]:
        """The only one."""
        return [VersionRow(1, "ann", START_MS)]


Arrivals = list[tuple[int, dict[str, Any]]]


def arrivals(seed: Seeded, most: int = 40) -> Arrivals:
    """Events of some people with when they come, as JSON has them."""
    found = []
    for n, (now_ms, occurrence, ids) in enumerate(seed.crowd(most)):
        event = {
            "type": occurrence.type, "messageId": f"m{n}", "timestamp": rfc3339(occurrence.at_ms),
            "properties": occurrence.properties, "context": occurrence.context, "traits": occurrence.traits, **ids,
        }  # fmt: skip
        if occurrence.type == "track":
            event["event"] = occurrence.name
        found.append((now_ms, event))
    return found


def lived(worlds: Sequence[World], lives: Sequence[Arrivals]) -> None:
    """Let all this arrive, each at its time, in worlds whose timers go off together: so places in their logs agree."""
    for both in zip(*lives, strict=True):
        until_ms = max(both[0][0], worlds[0].now_ms)
        for world in worlds:
            world.fold()
        while (due_ms := min(world.state.next_due_ms(p) for world in worlds for p in range(world.partitions))) <= until_ms:
            for world in worlds:
                world.now_ms = max(world.now_ms, due_ms)
                world.tick()
                world.fold()
        for world, (_, event) in zip(worlds, both, strict=True):
            world.now_ms = until_ms
            world.send(event)
            world.fold()


def without(events: Arrivals, a: str, b: str) -> Arrivals:
    """The same events without the second id where they have both."""
    found = []
    for now_ms, event in events:
        both = event.get("userId") == a and event.get("anonymousId") == b
        found.append((now_ms, {k: v for k, v in event.items() if k != "anonymousId"} if both else event))
    return found


def sources(world: World, definitions: Definitions, history: MemoryHistory) -> Sources:
    """What a recast reads of a world."""
    catalog = Catalog(definitions)
    return Sources(history, world.reader, world.state, catalog, PastDefinitions(catalog))


def followed(world: World, history: MemoryHistory) -> MemoryHistory:
    """The history of all that the world has done so far."""
    historian = Historian(Followed(world.state, world.reader), history, ManualClock(), 0)
    while historian.turn(world.state.newest()):
        pass
    historian.stop()
    return history


def pair(a: str, b: str) -> Parted:
    """A link that is undone."""
    return Parted(frozenset({(a, b), (b, a)}))


def stored(world: World) -> dict[int, bytes]:
    """Everybody, without the notes of what was undone."""
    found = {}
    for partition in range(world.partitions):
        for one in world.state.profile_ids(partition, 0, 1 << 30):
            profile = world.profile_of(one)
            forget_undone(profile)
            found[one] = profiles.encode(profile)
    return found


def forget_undone(profile: Profile) -> None:
    """Take out the notes that alone may differ."""
    if profile.notes is not None:
        profile.notes.apart, profile.notes.loose = {}, []
        if profile.notes == type(profile.notes)():
            profile.notes = None


def linked(events: Arrivals) -> list[tuple[str, str]]:
    """User ids and anonymous ids that share an event."""
    found = {(e["userId"], e["anonymousId"]) for _, e in events if "userId" in e and "anonymousId" in e}
    return sorted(found)


def items(world: World) -> Mapping[str, Any]:
    """What leads to people, and what they are in."""
    found: dict[str, Any] = {}
    for part, key, value in world.state.items():
        if part in ("identifiers", "timers", "members"):
            found[f"{part} {key!r}"] = value
    return found


@pytest.mark.parametrize("seed", range(40))
def test_people_taken_apart_are_who_they_would_be_without_the_link(seed: int) -> None:
    """Of random lives under random definitions, one link is undone at the end; then life goes on as if it never was."""
    seeded, chance = Seeded(seed), random.Random(seed)
    definitions = seeded.definitions()
    events = arrivals(seeded)
    cut = chance.randrange(len(events) // 2, len(events) + 1)
    if not (links := linked(events[:cut])):
        pytest.skip("nobody is linked")
    a, b = chance.choice(links)
    world, other = World(definitions), World(definitions)
    lived([world, other], [events[:cut], without(events[:cut], a, b)])
    owners = world.state.owners([f"user_id:{a}", f"anonymous_id:{b}"])
    found = prepare(
        sources(world, definitions, followed(world, MemoryHistory())),
        set(owners.values()),
        Wanted(pair(f"user_id:{a}", f"anonymous_id:{b}")),
    )
    world.recast(found.body)
    world.fold()
    assert stored(world) == stored(other)
    assert items(world) == items(other)
    other.scribble(b"as many records as the other")
    lived([world, other], [events[cut:], without(events[cut:], a, b)])
    assert stored(world) == stored(other)
    assert items(world) == items(other)
