"""Properties of the whole step over random lives of a few people who share devices, log in, and merge."""

import random
from typing import Any

import pytest

from onefold.core.digest import digest_of_people
from onefold.limits import DAY_MS, HOUR_MS
from onefold.model import profile as profiles
from onefold.model.entry import Rejected
from onefold.model.rules import Rules
from onefold.runtime.folding.fold import Folding
from onefold.runtime.folding.programs import Programs
from onefold.testing.seeded import START_MS
from onefold.testing.world import World, define, rfc3339

DEFINITIONS = define(
    {
        "orders": 'count("Order Completed")',
        "orders_1h": 'count("Order Completed", within="1h")',
        "revenue": 'sum("Order Completed", properties.revenue)',
        "revenue_1d": 'sum("Order Completed", properties.revenue, within="1d")',
        "average": 'avg("Order Completed", properties.revenue)',
        "largest_1d": 'max("Order Completed", properties.revenue, within="1d")',
        "favourite": 'most_frequent("*", properties.category)',
        "channels": 'unique("*", properties.category)',
        "latest": 'last("*", properties.category, where=properties.revenue > 5)',
        "vip": "orders >= 3 and revenue > 20.5",
    },
    {
        "vips": "vip",
        "pros": 'traits.plan == "pro" or orders_1h > 2',
        "silent": 'last_seen < ago("2h")',
        "never": "orders == 0",
    },
)
RULES = [
    Rules(),
    Rules(dedupe_window_ms=HOUR_MS),
    Rules(frozenset({"u0", "a0.0", "a0.1"}), dedupe_window_ms=3 * HOUR_MS),
    Rules(frozenset({f"{kind}{n}" for n in range(3) for kind in ("u", "a0.", "a1.", "a2.")})),
]
SEEDS = range(40)


def life(seed: int, length: int = 40) -> list[tuple[int, dict[str, Any]]]:
    """(arrival, event) of people who each have one user id and some anonymous ids of their own."""
    chance = random.Random(seed)
    now_ms = START_MS
    events: list[tuple[int, dict[str, Any]]] = []
    for number in range(length):
        now_ms += chance.choice((0, 1, 1000, HOUR_MS // 2, HOUR_MS))
        person = chance.randrange(3)
        event: dict[str, Any] = {
            "messageId": f"m{number}",
            "timestamp": rfc3339(now_ms - chance.choice((0, 0, 0, 1000, HOUR_MS, DAY_MS))),
            "properties": {"revenue": chance.choice((1, 0.1, 7.77, 30, "x")), "category": chance.choice("abc")},
        }
        if chance.random() < 0.3:
            event |= {"type": "identify", "userId": f"u{person}", "traits": {"plan": chance.choice(("pro", "free"))}}
            if chance.random() < 0.5:
                event["traits"]["email"] = f"p{person}@example.com"
        else:
            event |= {"type": "track", "event": chance.choice(("Order Completed", "Product Viewed"))}
        if "userId" not in event or chance.random() < 0.7:
            event["anonymousId"] = f"a{person}.{chance.randrange(3)}"
        if event["type"] == "track" and chance.random() < 0.3:
            event["userId"] = f"u{person}"
        events.append((now_ms, event))
    return events


def lived(events: list[tuple[int, dict[str, Any]]], batch: int = 1 << 20, partitions: int = 1, seed: int = 0) -> World:
    """A world in which all this has arrived, folded only now, in batches of this many events."""
    chance = random.Random(seed)
    world = World(DEFINITIONS, partitions=partitions)
    for now_ms, event in events:
        world.now_ms = max(world.now_ms, now_ms)
        partition = chance.randrange(partitions)
        world.send(event, partition=partition)
    world.fold(batch)
    return world


def until(world: World, at_ms: int) -> World:
    """The world at this instant."""
    world.pass_time(at_ms - world.now_ms)
    return world


@pytest.mark.parametrize("seed", SEEDS)
def test_batch_size_cannot_be_seen(seed: int) -> None:
    """The same log gives the same state and the same effects, byte for byte, in batches of any size (I2)."""
    events = life(seed)
    whole, singly, some = lived(events), lived(events, 1), lived(events, 7)
    assert whole.state.digest() == singly.state.digest() == some.state.digest()
    assert whole.effects() == singly.effects() == some.effects()


@pytest.mark.parametrize("seed", SEEDS)
def test_batch_size_cannot_be_seen_where_rules_change(seed: int) -> None:
    """Rules hold from their entry on, to the event, in batches of any size, also with a worker that starts anew."""
    events = life(seed)

    def world() -> World:
        chance = random.Random(seed)
        made = World(DEFINITIONS)
        for now_ms, event in events:
            made.now_ms = max(made.now_ms, now_ms)
            made.send(event, *chance.sample([event for _, event in events], 2))
            if chance.random() < 0.2:
                made.rule(chance.choice(RULES))
        return made

    whole, singly, anew = world(), world(), world()
    whole.fold()
    singly.fold(1)
    while anew.folding.advance(0, random.Random(seed).randint(1, 9)):
        programs = anew.folding._programs
        anew.folding = anew.new_folding()
        anew.folding._programs = programs
    anew.fold()
    assert whole.state.counts()["duplicate"] < whole.state.counts()["received"] - len(events)
    assert whole.state.counts()["quarantined.no_identifier"] > 0
    assert whole.state.digest() == singly.state.digest() == anew.state.digest()
    assert whole.effects() == singly.effects() == anew.effects()


def test_what_is_bad_keeps_its_place() -> None:
    """Rejected events and records that are no entries are counted and told in log order, in batches of any size."""

    def world(batch: int) -> World:
        made = World(DEFINITIONS)
        for number in range(6):
            made.send({"type": "track", "event": "A", "userId": "u"}, rejected=[Rejected(1, f"bad {number}", "{}")])
            made.scribble(b"no entry")
        made.fold(batch)
        return made

    whole, singly = world(1 << 20), world(1)
    assert whole.state.digest() == singly.state.digest()
    assert whole.effects() == singly.effects()
    counts = whole.state.counts()
    assert counts["received"] == 18
    assert (counts["admitted"], counts["quarantined.invalid"], counts["quarantined.undecodable"]) == (6, 6, 6)


@pytest.mark.parametrize("seed", SEEDS)
def test_duplicates_change_nothing_but_their_count(seed: int) -> None:
    """Events delivered again, later and in any order, leave the people and the effects as they are (I3)."""
    events = life(seed)
    chance = random.Random(seed)
    again = events + [(events[-1][0], event) for _, event in chance.sample(events, 20)]
    once, twice = lived(events), lived(again)
    assert twice.effects() == once.effects()
    assert twice.state.counts()["duplicate"] == 20
    end_ms = once.now_ms + DAY_MS
    assert until(once, end_ms).people() == until(twice, end_ms).people()


@pytest.mark.parametrize("seed", SEEDS)
def test_partitions_and_interleaving_cannot_be_seen(seed: int) -> None:
    """However events are spread over partitions, people, traits and memberships are the same (I2)."""
    events = life(seed)
    end_ms = events[-1][0] + DAY_MS
    one = until(lived(events), end_ms)
    spread = until(lived(events, batch=3, partitions=3, seed=seed), end_ms)
    assert one.people() == spread.people()
    assert digest(one) == digest(spread)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("share", [3, 8, 1 << 15])
def test_partitions_that_share_commits_cannot_be_seen(seed: int, share: int) -> None:
    """One commit for several partitions has people as many commits have them, and an account that closes."""
    events, chance = life(seed), random.Random(seed)
    world = World(DEFINITIONS, partitions=3)
    for now_ms, event in events:
        world.now_ms = max(world.now_ms, now_ms)
        for _ in range(chance.choice((1, 1, 1, 2))):
            world.send(event, partition=chance.randrange(3))
        if chance.random() < 0.2:
            world.folding.advance_all(range(3), share)
    while world.folding.advance_all(range(3), share):
        pass
    end_ms = events[-1][0] + DAY_MS
    assert until(world, end_ms).people() == until(lived(events), end_ms).people()
    assert world.state.counts()["admitted"] == len(events)
    again = World(partitions=3)
    again.reader, again.folding = world.reader, Folding(world.reader, again.state, Programs(lambda _: DEFINITIONS))
    while sum(again.folding.advance(partition) for partition in range(3)):
        pass
    assert again.people() == world.people()
    assert again.state.sizes() == world.state.sizes()
    # How many merges it took to come to the same people depends on which partition was folded first.
    found, expected = ({**each.state.counts(), "merges": 0} for each in (again, world))
    assert found == expected


@pytest.mark.parametrize("remembered", [1, 2, 5])
@pytest.mark.parametrize("seed", SEEDS)
def test_what_a_worker_forgets_cannot_be_seen(seed: int, remembered: int) -> None:
    """A worker that can keep few profiles in memory, also fewer than a batch has, folds as one that keeps all."""
    events = life(seed, 80)
    world = World(DEFINITIONS, remembered=remembered)
    for now_ms, event in events:
        world.now_ms = max(world.now_ms, now_ms)
        world.send(
            event, {**event, "messageId": f"{event['messageId']}'", "userId": f"u{len(event) % 7}", "anonymousId": None}
        )
        if now_ms % 3 == 0:
            world.fold()
    world.fold()
    whole = World(DEFINITIONS)
    whole.reader, whole.folding = world.reader, Folding(world.reader, whole.state, Programs(lambda _: DEFINITIONS))
    whole.fold()
    assert whole.people() == world.people()


@pytest.mark.parametrize("seed", SEEDS)
def test_order_of_arrival_cannot_be_seen(seed: int) -> None:
    """Late and out-of-order events give the same people as events in order, once all have arrived."""
    events = life(seed)
    end_ms = events[-1][0]
    shuffled = [(end_ms, event) for _, event in events]
    in_order = until(lived(list(shuffled)), end_ms + 1)
    random.Random(seed).shuffle(shuffled)
    out_of_order = until(lived(shuffled), end_ms + 1)
    assert in_order.people() == out_of_order.people()


@pytest.mark.parametrize("seed", SEEDS)
def test_a_merge_adds_two_lives(seed: int) -> None:
    """People who were several profiles have, once joined, what one profile would have had all along."""
    events = [(at_ms, event) for at_ms, event in life(seed) if event.get("userId", "u0") == "u0"]
    end_ms = events[-1][0]
    apart = [(at_ms, {**event, "userId": None, "anonymousId": f"x{n}"}) for n, (at_ms, event) in enumerate(events)]
    joins = [
        (end_ms, {"type": "alias", "userId": "u0", "previousId": f"x{n}", "messageId": f"j{n}"})
        for n in range(len(apart))
    ]
    chance = random.Random(seed)
    chance.shuffle(joins)
    together = [(at_ms, {**event, "userId": "u0", "anonymousId": f"x{n}"}) for n, (at_ms, event) in enumerate(events)]
    merged = until(lived(apart + joins), end_ms + HOUR_MS).person("user_id:u0")
    single = until(lived(together + joins), end_ms + HOUR_MS).person("user_id:u0")
    assert merged == single


@pytest.mark.parametrize("seed", SEEDS)
def test_a_worker_that_starts_anew_goes_on_where_the_state_is(seed: int) -> None:
    """Nothing that a worker remembers is needed: a fresh one after every batch gives the same state."""
    events = life(seed)
    fresh = World(DEFINITIONS)
    for now_ms, event in events:
        fresh.now_ms = max(fresh.now_ms, now_ms)
        fresh.send(event)
        fresh.folding.advance(0, 1)
        forgetful = fresh.new_folding()
        forgetful._programs = fresh.folding._programs
        fresh.folding = forgetful
    fresh.fold(1)
    old = World(DEFINITIONS)
    for now_ms, event in events:
        old.now_ms = max(old.now_ms, now_ms)
        old.send(event)
    old.folding.advance(0, 1)
    old.fold(1)
    assert fresh.people() == old.people()


def digest(world: World) -> str:
    """The digest of a world's people."""
    found = []
    for partition in range(world.partitions):
        for profile_id in world.state.profile_ids(partition, 0, 1 << 20):
            data = world.state.profile(profile_id)
            assert data is not None
            found.append(profiles.decode(data))
    return digest_of_people(found)
