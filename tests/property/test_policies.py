"""Policies of identity over random lives of people who share devices, addresses and a kiosk."""

import random
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from onefold.core.identity.rulebook import namespace, rulebook_of
from onefold.limits import HOUR_MS
from onefold.model.changes import Changes
from onefold.model.definitions import Definitions
from onefold.model.identity import DIFFERENCES, POLICIES, IdentifierType, Identity, Policy, TraitRule
from onefold.ports import Loaded
from onefold.runtime.folding.fold import Folding
from onefold.runtime.folding.programs import Programs
from onefold.storage.embedded.state import LmdbState
from onefold.testing.memory.state import MemoryState
from onefold.testing.seeded import START_MS
from onefold.testing.world import World, rfc3339
from tests.property.test_step import DEFINITIONS, life, until

NAMES = ("Ann", "Bob", "Carla", "Dieter")
TRAITS = (TraitRule("plan", "most-frequent"), TraitRule("points", "sum"), TraitRule("email", "verified-first"))


def identity(policy: Policy) -> Identity:
    """Rules that meet each other: limits, soft types and hot values where the policy has them."""
    merging = policy in ("merge-any", "segment")
    told = DIFFERENCES if merging else ()
    types = (
        IdentifierType("user_id"),
        IdentifierType("email", limit=2 if merging else None, per="day" if merging else "ever", unless=told),
        IdentifierType("anonymous_id", limit=3 if merging else None, soft=merging, unless=told),
    )
    return Identity(policy, types, hot=6 if merging else 0, traits=TRAITS)


def defined(policy: Policy) -> Definitions:
    """Traits and audiences of the step's tests, under these rules."""
    return structs.replace(DEFINITIONS, identity=identity(policy))


def crowd(seed: int, length: int = 60) -> list[tuple[int, dict[str, Any]]]:
    """(arrival, event) of people who borrow each other's devices; some addresses are a family's."""
    chance = random.Random(seed)
    now_ms = START_MS
    events: list[tuple[int, dict[str, Any]]] = []
    for number in range(length):
        now_ms += chance.choice((0, 1, 1000, HOUR_MS // 2, 5 * HOUR_MS))
        person = chance.randrange(4)
        event: dict[str, Any] = {
            "messageId": f"m{number}",
            "timestamp": rfc3339(now_ms - chance.choice((0, 0, 0, 1000, HOUR_MS))),
            "properties": {"revenue": chance.choice((1, 7.77)), "category": chance.choice("abc")},
            "anonymousId": chance.choice(("kiosk", f"a{chance.randrange(5)}", f"a{person}.{chance.randrange(3)}")),
        }
        if chance.random() < 0.4:
            event |= {"type": "identify", "traits": {"plan": chance.choice(("pro", "free")), "points": number}}
            if chance.random() < 0.6:
                event["traits"]["firstName"] = chance.choice((NAMES[person], NAMES[person], chance.choice(NAMES)))
                event["traits"]["email"] = chance.choice((f"p{person}@acme.com", "family@acme.com"))
        else:
            event |= {"type": "track", "event": chance.choice(("Order Completed", "Product Viewed"))}
        if chance.random() < 0.4:
            event["userId"] = f"u{person}"
        events.append((now_ms, event))
    return events


def lived(
    policy: Policy, events: Sequence[tuple[int, dict[str, Any]]], batch: int = 1 << 20, remembered: int = 1_000
) -> World:
    """A world in which all this has arrived, folded in batches of this many events."""
    world = World(defined(policy), remembered=remembered)
    for now_ms, event in events:
        world.now_ms = max(world.now_ms, now_ms)
        world.send(event)
    world.fold(batch)
    return world


def closes(world: World, policy: Policy) -> None:
    """Whoever has an identifier is found by it, and by nobody else's; nobody has two values of a unique type."""
    rulebook = rulebook_of(identity(policy))
    assert rulebook is not None
    found: dict[str, int] = {}
    hot = dict(world.state.members("@hot", 0, 1_000))
    for partition in range(world.partitions):
        for number in world.state.profile_ids(partition, 0, 1 << 20):
            profile = world.profile_of(number)
            notes = profile.noted()
            assert found.keys().isdisjoint(profile.identifiers)
            found |= dict.fromkeys(profile.identifiers, number)
            assert notes.seen.keys().isdisjoint(profile.identifiers)
            active = [each for each in profile.identifiers if each not in notes.former]
            unique = [namespace(each) for each in active if namespace(each) in rulebook.unique]
            if not policy.startswith("mparticle-"):
                assert len(unique) == len(set(unique))
            assert (number in hot) == bool(notes.hot)
    assert world.state.owners(found) == found


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("seed", range(12))
def test_batches_and_memory_cannot_be_seen(policy: Policy, seed: int) -> None:
    """The same log gives the same state byte for byte, in batches of any size, whatever a worker remembers (I2)."""
    events = crowd(seed)
    whole, singly, some, forgetful = (
        lived(policy, events), lived(policy, events, 1), lived(policy, events, 7), lived(policy, events, 3, 1),
    )  # fmt: skip
    assert whole.state.digest() == singly.state.digest() == some.state.digest() == forgetful.state.digest()
    assert whole.effects() == singly.effects() == some.effects() == forgetful.effects()
    closes(whole, policy)


@pytest.mark.parametrize("policy", POLICIES)
def test_the_embedded_engine_agrees(policy: Policy, tmp_path: Path) -> None:
    """Identifiers that change hands, notes and hot values lie on the disk as they lie in memory."""
    events = crowd(99)
    with closing(LmdbState(tmp_path / "state")) as state:
        world = World(defined(policy), state=state)
        for now_ms, event in events:
            world.now_ms = max(world.now_ms, now_ms)
            world.send(event)
        world.fold(7)
        assert state.digest() == lived(policy, events).state.digest()
        closes(world, policy)


class Overtaken:
    """A state in which, just before each commit, somebody else has a turn; it notes the order of commits."""

    def __init__(self, state: MemoryState, chance: random.Random, order: list[tuple[int, int]]) -> None:
        self._state = state
        self._chance = chance
        self._order = order
        self.other: Folding | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._state, name)

    def commit(self, parts: Sequence[Changes], loaded: Loaded, encoded: Mapping[int, bytes]) -> int:
        if self.other is not None and self._chance.random() < 0.6:
            self.other.advance(1, self._chance.randrange(1, 4))
        number = self._state.commit(parts, loaded, encoded)
        self._order += [(changes.partition, changes.cursor.offset) for changes in parts]
        return number


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("seed", range(12))
def test_overtaking_is_as_taking_turns(policy: Policy, seed: int) -> None:
    """Two workers on one state leave what one leaves who folds the same runs of the log one after the other."""
    chance, order, state = random.Random(seed), list[tuple[int, int]](), MemoryState()
    definitions = defined(policy)
    world = World(definitions, partitions=2, state=state)
    world.fold()
    for at_ms, event in crowd(seed, 120):
        world.now_ms = max(world.now_ms, at_ms)
        world.send(event, partition=chance.randrange(2))
    mine: Any = Overtaken(state, chance, order)
    theirs: Any = Overtaken(state.another(), chance, order)
    slow = Folding(world.reader, mine, Programs(lambda _: definitions))
    mine.other = Folding(world.reader, theirs, Programs(lambda _: definitions))
    for partition, folding in ((0, slow), (1, mine.other)):
        while folding.advance(partition, chance.randrange(1, 12)):
            pass
    again = World(partitions=2)
    again.reader, again.folding = world.reader, Folding(world.reader, again.state, Programs(lambda _: definitions))
    for partition in range(2):
        again.folding.advance(partition, until=1)
    for partition, until_offset in order:
        while again.folding.cursor(partition).offset < until_offset:
            again.folding.advance(partition, until=until_offset)
    assert again.state.digest() == world.state.digest()
    closes(world, policy)


@pytest.mark.parametrize("policy", ["merge-any", "adobe-graph-linking"])
@pytest.mark.parametrize("seed", range(20))
def test_who_shares_nothing_is_the_same_in_any_order(policy: Policy, seed: int) -> None:
    """Where no rule keeps anything apart, people do not depend on the order in which events arrive."""
    events = life(seed)
    end_ms = events[-1][0]
    shuffled = [(end_ms, event) for _, event in events]
    rules = Identity(policy, hot=0, traits=TRAITS)

    def world(arrivals: Sequence[tuple[int, dict[str, Any]]]) -> World:
        made = World(structs.replace(DEFINITIONS, identity=rules))
        made.now_ms = end_ms
        made.send(*(event for _, event in arrivals))
        made.fold()
        return until(made, end_ms + 1)

    in_order = world(shuffled)
    random.Random(seed).shuffle(shuffled)
    assert world(shuffled).people() == in_order.people()


@pytest.mark.parametrize("seed", range(20))
def test_the_rules_that_are_built_in_can_be_said(seed: int) -> None:
    """Merging on any identifier with one user id, said in a workspace, makes the people that are made without it."""
    said = Identity("merge-any", (IdentifierType("user_id", unique=True),))
    events = crowd(seed)
    worlds = [World(structs.replace(DEFINITIONS, identity=rules)) for rules in (Identity(), said)]
    for world in worlds:
        for now_ms, event in events:
            world.now_ms = max(world.now_ms, now_ms)
            world.send(event)
        world.fold()
    one, other = (until(world, world.now_ms + HOUR_MS) for world in worlds)
    assert one.people() == other.people()


@pytest.mark.parametrize("policy", POLICIES)
def test_people_say_what_events_do_not(policy: Policy) -> None:
    """A link that somebody says joins two people, and one that is never to be keeps them apart, by every policy."""
    world = World(defined(policy))
    for name in ("ann", "bob", "eve"):
        world.send({"type": "track", "event": "A", "userId": name})
    world.fold()
    world.link("user_id:ann", "user_id:eve", never=True)
    world.link("user_id:ann", "user_id:bob")
    world.link("user_id:eve", "user_id:bob")
    world.link("user_id:nobody", "user_id:bob")
    world.fold()
    apart = policy == "adobe-graph-linking"
    assert (world.profile("user_id:ann").id == world.profile("user_id:bob").id) != apart
    assert world.profile("user_id:eve").id != world.profile("user_id:ann").id
    world.send({"type": "alias", "userId": "bob", "previousId": "x"})
    world.fold()
    assert world.profile("anonymous_id:x").id == world.profile("user_id:bob").id
    assert world.state.counts()["links_idle"] == 1
