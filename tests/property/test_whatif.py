"""What other rules are said to make of the past is what the log folded anew under them comes to."""

import random
from typing import Any

import pytest
from msgspec import structs

from onefold.model import effect as effects
from onefold.model.effect import Admitted
from onefold.model.identity import NOTHING, Identity
from onefold.model.profile import Notes, Profile
from onefold.runtime.identity.past import Sources
from onefold.runtime.identity.regrouping import Regrouped
from onefold.testing.memory.history import MemoryHistory
from onefold.testing.pasts import pasts
from onefold.testing.rules import random_identity
from onefold.testing.world import World
from tests.property.test_policies import crowd
from tests.property.test_step import DEFINITIONS

Events = list[tuple[int, dict[str, Any]]]


def told(seed: int, length: int = 70) -> Events:
    """A crowd that also has cards and devices, in every place where events carry such."""
    chance = random.Random(seed)
    events = crowd(seed, length)
    for _, event in events:
        card = f"c{chance.randrange(6)}"
        pick = chance.randrange(8)
        if pick == 0:
            event["properties"]["card"] = card
        elif pick == 1:
            event["context"] = {"card": card, "device": {"id": f"d{chance.randrange(4)}"}}
        elif pick == 2:
            event["context"] = {"externalIds": [{"id": card, "type": "card", "collection": "users"}]}
        elif pick == 3 and event["type"] == "identify":
            event["traits"]["loyalty"] = {"card": card}
        elif pick == 4:
            event["context"] = {"traits": {"email": f"p{chance.randrange(4)}+x@acme.com"}}
        elif pick == 5 and "userId" in event:
            event |= {"type": "alias", "previousId": f"a{chance.randrange(4)}"}
            event.pop("traits", None)
    return events


def lived(identity: Identity, events: Events, partitions: int, seed: int, *, says: bool = False) -> World:
    """A world in which all this has arrived under these rules; some say something of identifiers meanwhile."""
    chance = random.Random(seed)
    world = World(structs.replace(DEFINITIONS, identity=identity), partitions=partitions)
    for number, (now_ms, event) in enumerate(events):
        # Of events of one instant in several partitions nothing says which came first.
        world.now_ms = now_ms + number
        world.send(event, partition=chance.randrange(partitions))
        draw = chance.random()
        if says and draw < 0.1:
            a, b = (f"anonymous_id:a{chance.randrange(5)}", f"user_id:u{chance.randrange(4)}")
            world.link(a, b, never=draw < 0.05, partition=0)
        if partitions > 1:  # In the order in which they came: what another order makes of them is another question.
            world.fold(1)
    world.fold()
    return world


def sources(world: World, known: float = 1.0) -> Sources:
    """The world's log and state, with a history that has so much of its commits."""
    upto = int(world.state.newest() * known)
    there = {
        (partition, each.position)
        for number, partition, told in world.state.effects(0, 1 << 30)
        for each in told
        if number <= upto and isinstance(each, Admitted)
    }
    merged = {
        (partition, each.position)
        for number, partition, told in world.state.effects(0, 1 << 30)
        for each in told
        if number <= upto and isinstance(each, effects.Merged)
    }
    events, merges = pasts(world)
    history = MemoryHistory(
        [past for past in events if (past.partition, past.position) in there],
        [merge for merge in merges if (merge.partition, merge.position) in merged],
        upto,
    )
    return Sources(history, world.reader, world.state)


def everybody(world: World, identity: Identity, known: float = 1.0) -> Regrouped:
    """Who there would be under these rules."""
    rules = world.state.rules(world.folding.cursor(0).rules).with_identity(identity)
    return Regrouped(sources(world, known), rules, lambda *_: None, remembering=True)


def who_is_who(people: list[Profile]) -> dict[int, Any]:
    """What rules of identity have made of each profile."""
    return {
        one.id: (one.identifiers, one.links, one.merges, structs.replace(one.notes or Notes(), parts={}))
        for one in people
    }


def everyone(world: World) -> list[Profile]:
    """All profiles of a world."""
    ids = [one for home in range(world.partitions) for one in world.state.profile_ids(home, 0, 1 << 30)]
    return [world.profile_of(one) for one in ids]


def events_of(world: World) -> dict[int, int]:
    """Profile → how many events it has."""
    return {one.id: one.events for one in everyone(world)}


@pytest.mark.parametrize("partitions", [1, 3])
@pytest.mark.parametrize("seed", range(60))
def test_the_prediction_is_what_a_fresh_fold_makes(seed: int, partitions: int) -> None:
    """Over random histories, rules before and rules after: the same people, links, notes and events, to the byte."""
    before = NOTHING if seed % 3 == 0 else random_identity(seed + 1_000, blocking=False)
    after = random_identity(seed)
    events = told(seed)
    old = lived(before, events, partitions, seed, says=seed % 4 == 0)
    fresh = lived(after, events, partitions, seed, says=seed % 4 == 0)
    found = everybody(old, after, known=random.Random(seed).choice((1.0, 0.7, 0.0)))
    assert who_is_who(list(found.people.people.values())) == who_is_who(everyone(fresh))
    shares: dict[int, int] = {}
    for to in found.shares().values():
        for then, number in to.items():
            shares[then] = shares.get(then, 0) + number
    shares.pop(0, None)
    assert shares == events_of(fresh)
    assert {now: sum(to.values()) for now, to in found.shares().items()} == events_of(old)
