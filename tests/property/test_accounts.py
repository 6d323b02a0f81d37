"""Accounts: the compiled stream against the naive reference; and what is not to be seen of order or batches."""

import random
from typing import Any

import pytest
from msgspec import structs

from onefold.limits import DAY_MS, HOUR_MS
from onefold.model.definitions import Audience, Definitions, Trait
from onefold.runtime.folding.fold import Folding
from onefold.runtime.folding.programs import Programs
from onefold.testing.reference import values as reference
from onefold.testing.reference.values import Occurrence
from onefold.testing.seeded import START_MS, Seeded
from onefold.testing.world import World, rfc3339
from tests.property.test_parity import as_event, as_reference, as_seen, read_once, same_values

SEEDS = range(40)
DEFINITIONS = Definitions(
    version=1,
    traits=(
        Trait("tier", "account.tier"),
        Trait("seats", "account.seats"),
        Trait("plan", "account.traits.plan"),
        Trait("orders", 'count("Order Completed")'),
    ),
    audiences=(
        Audience("team", "account.seats >= 2"),
        Audience("lively", "account.orders_1h > 0 and orders > 0"),
        Audience("of_g0", 'account.id == "g0"'),
        Audience("alone", "not exists(account.id)"),
        Audience("silent", 'account.last_order < ago("2h")'),
    ),
    account_traits=(
        Trait("seats", 'unique_count("*", properties.seat)'),
        Trait("orders_1h", 'count("Order Completed", within="1h")'),
        Trait("revenue", 'sum("Order Completed", properties.revenue)'),
        Trait("last_order", 'last("Order Completed", time)'),
        Trait("tier", 'case(revenue > 50, "gold", revenue > 10, "silver", "none")'),
    ),
)


def life(seed: int, length: int = 40) -> list[tuple[int, dict[str, Any]]]:
    """(arrival, event) of people of three companies, who merge, change the company, and send late."""
    chance = random.Random(seed)
    now_ms = START_MS
    events: list[tuple[int, dict[str, Any]]] = []
    for number in range(length):
        now_ms += chance.choice((0, 1, 1000, HOUR_MS // 2, HOUR_MS))
        person = chance.randrange(5)
        event: dict[str, Any] = {
            "messageId": f"m{number}",
            "timestamp": rfc3339(now_ms - chance.choice((0, 0, 0, 1000, HOUR_MS, DAY_MS))),
            "properties": {"revenue": chance.choice((1, 0.1, 7.77, 30, "x")), "seat": f"s{person}"},
        }
        if chance.random() < 0.3:
            event |= {"type": "group", "groupId": f"g{chance.randrange(3)}", "traits": {"plan": chance.choice("abc")}}
        else:
            event |= {"type": "track", "event": chance.choice(("Order Completed", "Seat Used"))}
            if chance.random() < 0.5:
                event["context"] = {"groupId": f"g{chance.randrange(3)}"}
        event["anonymousId"] = f"a{person}.{chance.randrange(3)}"
        if chance.random() < 0.3:
            event["userId"] = f"u{person}"
        events.append((now_ms, event))
    return events


def lived(events: list[tuple[int, dict[str, Any]]], batch: int = 1 << 20, partitions: int = 1, seed: int = 0) -> World:
    """A world in which all this has arrived, folded only now, in batches of this many events."""
    chance = random.Random(seed)
    world = World(DEFINITIONS, partitions=partitions)
    for now_ms, event in events:
        world.now_ms = max(world.now_ms, now_ms)
        world.send(event, partition=chance.randrange(partitions))
    world.fold(batch)
    return world


def until(world: World, at_ms: int) -> World:
    """The world at this instant, everybody told."""
    world.pass_time(at_ms - world.now_ms)
    return world


def accounts(world: World) -> dict[str, tuple[Any, ...]]:
    """What is known of each account, by its name."""
    found = {}
    for name in ("g0", "g1", "g2"):
        if world.state.lookup(f":{name}") is not None:
            one = world.profile(f":{name}")
            found[name] = (world.person(f":{name}"), one.events, one.first_seen_ms, one.last_seen_ms)
    return found


def members(world: World) -> dict[str, int]:
    """How many members each account has."""
    sizes = {}
    for name in ("g0", "g1", "g2"):
        account = world.state.lookup(f":{name}")
        if account is not None:
            sizes[name] = world.state.size(f"@{account:016x}")
            assert sizes[name] == len(world.state.members(f"@{account:016x}", 0, 99))
    return sizes


@pytest.mark.parametrize("hundred", range(2))
def test_stream_equals_reference(hundred: int) -> None:
    """After every event and every stretch of time, all people are what the reference says, who looks at everything."""
    tried = 0
    for seed in range(hundred * 100, hundred * 100 + 100):
        seeded = Seeded(seed)
        definitions = seeded.definitions_with_accounts()
        if read_once(definitions).problems:
            continue
        tried += 1
        world = World(definitions)
        world.now_ms = START_MS
        happened: list[tuple[Occurrence, str]] = []
        for now_ms, occurrence, who in seeded.crowd(14, 8):
            named = naming(occurrence, seeded.group())
            world.pass_time(now_ms - world.now_ms)
            event = as_event(named, **who)
            world.send(event | {"groupId": named.group} if named.type == "group" else event)
            world.fold()
            happened.append(
                (named, f"user_id:{who['userId']}" if "userId" in who else f"anonymous_id:{who['anonymousId']}")
            )
            assert_as_expected(world, definitions, happened, seed)
        for ms in seeded.passes():
            world.pass_time(ms)
            assert_as_expected(world, definitions, happened, seed)
    assert tried > 50


def naming(occurrence: Occurrence, group: str | None) -> Occurrence:
    """The occurrence, naming this account; what was an `identify` becomes a `group`."""
    if group is None:
        return occurrence
    if occurrence.type == "identify":
        return structs.replace(occurrence, type="group", name="group", group=group)
    return structs.replace(occurrence, group=group, context={**occurrence.context, "groupId": group})


def assert_as_expected(
    world: World, definitions: Definitions, happened: list[tuple[Occurrence, str]], seed: int
) -> None:
    """Hold everybody against the reference, once all members have been told."""
    world.pass_time(0)
    everyone = tuple(as_seen(occurrence) for occurrence, _ in happened)
    owners = [world.state.lookup(identifier) for _, identifier in happened]
    check = read_once(definitions)
    for person in {identifier for _, identifier in happened}:
        mine = world.state.lookup(person)
        history = [event for event, owner in zip(everyone, owners, strict=True) if owner == mine]
        found = world.person(person)
        expected = reference.Person(tuple(history), declared_by(history), found.identifiers, everyone)
        computed, audiences = reference.values(check, expected, world.now_ms)
        ours = {name: as_reference(value) for name, value in found.computed.items()}
        assert same_values(ours, computed), (seed, person, ours, computed)
        assert set(found.audiences) == audiences, (seed, person)


def declared_by(history: list[Occurrence]) -> dict[str, Any]:
    """Last write wins, trait by trait; a `group` call declares one, `group`."""
    declared: dict[str, Any] = {}
    for event in sorted(history, key=lambda event: (event.at_ms, event.tie)):
        if event.type == "identify":
            declared |= {name: value for name, value in event.traits.items() if value is not None}
        elif event.type == "group":
            declared["group"] = {"id": event.group, **event.traits}
    return declared


@pytest.mark.parametrize("seed", SEEDS)
def test_batch_size_cannot_be_seen(seed: int) -> None:
    """The same log gives the same state and the same effects, byte for byte, in batches of any size (I2)."""
    events = life(seed)
    whole, singly, some = lived(events), lived(events, 1), lived(events, 7)
    assert whole.state.digest() == singly.state.digest() == some.state.digest()
    assert whole.effects() == singly.effects() == some.effects()


@pytest.mark.parametrize("seed", SEEDS)
def test_partitions_and_interleaving_cannot_be_seen(seed: int) -> None:
    """However events are spread over partitions, people, accounts and members are the same (I2)."""
    events = life(seed)
    end_ms = events[-1][0] + DAY_MS
    one = until(lived(events), end_ms)
    spread = until(lived(events, batch=3, partitions=3, seed=seed), end_ms)
    assert one.people() == spread.people()
    assert accounts(one) == accounts(spread)
    assert members(one) == members(spread)
    assert one.state.sizes() == spread.state.sizes()
    assert one.state.counts()["accounts"] == spread.state.counts()["accounts"] == len(accounts(one))


@pytest.mark.parametrize("seed", SEEDS)
def test_order_of_arrival_cannot_be_seen(seed: int) -> None:
    """Late and out-of-order events give the same people and accounts as events in order, once all have arrived."""
    events = life(seed)
    end_ms = events[-1][0]
    shuffled = [(end_ms, event) for _, event in events]
    in_order = until(lived(list(shuffled)), end_ms + 1)
    random.Random(seed).shuffle(shuffled)
    out_of_order = until(lived(shuffled), end_ms + 1)
    assert in_order.people() == out_of_order.people()
    assert accounts(in_order) == accounts(out_of_order)
    assert members(in_order) == members(out_of_order)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_replay_gives_the_same(seed: int) -> None:
    """A log with all its ticks, folded once more, and in one go, gives the same state (I2)."""
    world = World(DEFINITIONS)
    for now_ms, event in life(seed):
        world.pass_time(max(0, now_ms - world.now_ms))
        world.send(event)
        world.fold()
    until(world, world.now_ms + DAY_MS)
    again = World()
    again.reader, again.folding = world.reader, Folding(world.reader, again.state, Programs(lambda _: DEFINITIONS))
    while again.folding.advance(0):
        pass
    assert again.state.digest() == world.state.digest()
    assert again.effects() == world.effects()


@pytest.mark.parametrize("seed", SEEDS)
def test_duplicates_change_nothing(seed: int) -> None:
    """Events delivered again leave people, accounts and effects as they are (I3)."""
    events = life(seed)
    again = events + [(events[-1][0], event) for _, event in random.Random(seed).sample(events, 20)]
    once, twice = lived(events), lived(again)
    assert twice.effects() == once.effects()
    end_ms = once.now_ms + DAY_MS
    assert until(once, end_ms).people() == until(twice, end_ms).people()
    assert accounts(once) == accounts(twice)


def entered(world: World) -> dict[tuple[int, str], int]:
    """How often each person has entered an audience, less how often left."""
    balance: dict[tuple[int, str], int] = {}
    for effect in world.effects():
        kind = type(effect).__name__
        if kind in ("Entered", "Left"):
            key = (effect.profile, effect.audience)
            balance[key] = balance.get(key, 0) + (1 if kind == "Entered" else -1)
            assert balance[key] in (0, 1), key
    return balance
