"""What must hold after every simulated run (I1 to I4, I9, I10), told plainly from the log and from what was sent.

Nothing here asks the platform what is right: duplicates are found by walking the log, people are counted by the marks
of their events, and the people of a run must equal those of a run without faults over each distinct message once.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from random import Random
from typing import Any, NamedTuple

import msgspec
from msgspec import Raw
from msgspec.structs import replace

from onefold.language.instants import parse_instant
from onefold.model import delivery as deliveries
from onefold.model import effect as effects
from onefold.model import entry as entries
from onefold.model import profile as profiles
from onefold.model.entry import Outgoing
from onefold.model.position import position
from onefold.model.profile import Profile
from onefold.model.rules import Rules
from onefold.runtime.delivering.payload import TYPES, tag_of
from onefold.runtime.delivering.selecting import Subscription
from onefold.runtime.replay import replay
from onefold.testing.memory.state import MemoryState
from onefold.testing.simulation.delivery import DESTINATION, Reached
from onefold.testing.simulation.people import marks
from onefold.testing.simulation.simulate import RULINGS, Simulation
from onefold.testing.simulation.undo import undone, without
from onefold.testing.world import Person, World, person_of, rfc3339

_EVERYTHING = 1 << 40
_PARTITIONS = 4
"""At least as many as any run has."""
_decode_whole = msgspec.json.Decoder(entries.Outgoing).decode


class Heard(NamedTuple):
    """An event in the log."""

    partition: int
    position: int
    entry: Outgoing
    now_ms: int
    """Its partition's time there."""
    forgotten_ms: int
    """Messages before it are not known there any more: some window that was in force until then has ended."""
    event: dict[str, Any]
    mark: str


class Fact(NamedTuple):
    """What the log says, read without the platform's step."""

    admitted: list[Heard]
    duplicates: int
    quarantined: int
    marks: Counter[str]
    """How often each event lies in the log, admitted or not."""


def check(run: Simulation) -> list[str]:
    """Everything that does not hold; empty: all is well."""
    fact = read_log(run)
    parts = (
        _durable(run, fact), _counted(run, fact), _replayed(run), _once(run, fact), _folded(run, fact), _sent(run),
        _remembered(run, fact), _consistent(run),
    )  # fmt: skip
    return [problem for part in parts for problem in part]


def read_log(run: Simulation) -> Fact:
    """Walk the log as it lies there and judge each event by the rules in words: once within the window, somebody's."""
    fact = Fact([], 0, 0, Counter())
    duplicates = quarantined = 0
    for partition in range(run.plan.partitions):
        admitted_ms: dict[tuple[str, str], int] = {}
        for heard in _events(run, partition):
            fact.marks[heard.mark] += 1
            message = (heard.entry.source, _message(heard))
            before_ms = admitted_ms.get(message)
            if before_ms is not None and before_ms >= heard.forgotten_ms:
                duplicates += 1
            elif run.crowd.events[heard.mark].good:
                admitted_ms[message] = heard.now_ms
                fact.admitted.append(heard)
            else:
                quarantined += 1
        for mark in _rejected(run, partition):
            fact.marks[mark] += 1
            quarantined += 1
    return fact._replace(duplicates=duplicates, quarantined=quarantined)


# --- I1, I10 -------------------------------------------------------------------------------------------------
def _durable(run: Simulation, fact: Fact) -> Iterator[str]:
    """What was acknowledged is in the log; what is in the log was sent."""
    tried = {event.mark for request in run.crowd.requests if request.tries for event in request.events}
    for request in run.crowd.requests:
        if not request.ended:
            yield f"a request with {[event.mark for event in request.events]} was never answered for good"
        for event in request.events:
            if request.stored and event.mark not in fact.marks:
                yield f"I1: {event.mark} was acknowledged, but is not in the log"
    for mark in fact.marks.keys() - tried:
        yield f"I1: {mark} is in the log, but was never sent"


# --- I9 ------------------------------------------------------------------------------------------------------
def _counted(run: Simulation, fact: Fact) -> Iterator[str]:
    counts = run.state.counts()
    quarantined = sum(n for name, n in counts.items() if name.startswith("quarantined."))
    found = (counts.get("received", 0), counts.get("admitted", 0), counts.get("duplicate", 0), quarantined)
    told = (fact.marks.total(), len(fact.admitted), fact.duplicates, fact.quarantined)
    if found != told:
        yield f"I9: received, admitted, duplicate, quarantined are {found}; the log says {told}"
    resting = [mark for each in run.state.quarantined((-1, 0), _EVERYTHING) for mark in marks(each.body)]
    if twice := [mark for mark, n in Counter(resting).items() if n > fact.marks[mark]]:
        yield f"I9: more often in quarantine than in the log: {twice}"
    for name, reading in (("cursor", _cursors(run)),):
        yield from (
            f"{name} of partition {p} is at {at}, the log ends at {end}" for p, (at, end) in reading if at < end
        )


def _cursors(run: Simulation) -> Iterator[tuple[int, tuple[int, int]]]:
    for partition in range(run.plan.partitions):
        yield partition, (run.state.cursor(partition).offset, run.log.ends(partition)[1])


# --- I2 ------------------------------------------------------------------------------------------------------
def _replayed(run: Simulation) -> Iterator[str]:
    """The log, folded again without faults, gives the same state and effects, byte for byte; or the same people."""
    again = MemoryState()
    replay(run.log, run.state, again, lambda _done, _all: None)
    if run.plan.alone:
        live, replayed = run.state.digest(), again.digest()
        if live != replayed:
            yield f"I2: a replay gives other {[part for part in live if live[part] != replayed.get(part)]}"
    elif (live_people := _people(run.state)) != (replayed_people := _people(again)):
        yield f"I2: a replay gives other people: {_difference(live_people, replayed_people)}"


# --- I3 ------------------------------------------------------------------------------------------------------
def _once(run: Simulation, fact: Fact) -> Iterator[str]:
    """Each person has as many events as distinct messages of theirs were admitted, and nobody else's identifiers."""
    if run.plan.alone or run.reresolving:
        return  # people share a device there, so that an event may be somebody else's
    told = Counter(run.crowd.events[heard.mark].person for heard in fact.admitted)
    found: Counter[int] = Counter()
    for profile in _all(run.state):
        people = {_owner(identifier) for identifier in profile.identifiers}
        if len(people) != 1:
            yield f"I3: {sorted(profile.identifiers)} are in one profile"
        found[min(people)] += profile.events
    if told != found:
        yield f"I3: events by person are {dict(found)}; the log has {dict(told)}"


def _folded(run: Simulation, fact: Fact) -> Iterator[str]:
    """The people are those of a fold without faults, in which each distinct message came once."""
    as_it_was = run.plan.alone and not run.remembers
    world = _same_time(run, fact) if as_it_was else _any_order(run, fact)
    told, found = sorted(world.people(), key=repr), _people(run.state)
    if told != found:
        yield f"I3: not the people of a run without faults: {_difference(found, told)}"


def _same_time(run: Simulation, fact: Fact) -> World:
    """One partition: the log as it is, but for the duplicates in it."""
    world = World()
    admitted = {heard.position: heard for heard in fact.admitted}
    for offset, data in _records(run, 0):
        world.writer.append({0: [_without_duplicates(offset, data, admitted)]})
    world.fold(Random(run.seed).randint(1, 50))  # noqa: S311 - any number will do, the same every time
    return world


def _without_duplicates(offset: int, data: bytes, admitted: Mapping[int, Heard]) -> bytes:
    if not isinstance(entries.decode(data), entries.Received):
        return data
    whole = _decode_whole(data)
    kept = [_with_message(admitted[at]) for at in _positions(offset, whole) if at in admitted]
    return entries.encode(Outgoing(whole.source, whole.at_ms, kept, whole.sent_at_ms))


def _any_order(run: Simulation, fact: Fact) -> World:
    """Several partitions: their events in one, by time, each with the time that it had; definitions at both ends.

    What was admitted is, by whatever rules: none of it is a duplicate here. What was computed over history is as if
    it had been in force from the beginning, and so are rules that were brought over the past. What was undone has
    never been.
    """
    first = run.catalog.definitions(None if run.past or run.reresolving else 1)
    world = World(replace(first, version=1), rules=replace(RULINGS[0], dedupe_window_ms=-1))
    parted = undone(run.state)
    for heard in sorted(fact.admitted, key=lambda heard: (heard.now_ms, heard.partition, heard.position)):
        event = {
            **without(heard.event, parted),
            "messageId": _message(heard),
            "timestamp": rfc3339(_happened_ms(heard)),
        }
        outgoing = Outgoing(heard.entry.source, heard.now_ms, [Raw(msgspec.json.encode(event))])
        world.writer.append({0: [entries.encode(outgoing)]})
        world.now_ms = heard.now_ms
    world.fold()
    if (latest := run.catalog.definitions()).version > 1 and not (run.past or run.reresolving):
        world.define(latest)
        world.fold()
    world.pass_time(run.end_ms - world.now_ms)
    return world


def _happened_ms(heard: Heard) -> int:
    """The event's time by our clock: the sender's clock is taken out, and nothing happens after it was received."""
    said = heard.event.get("timestamp")
    if said is None:
        return heard.now_ms
    at_ms = parse_instant(said)
    assert at_ms is not None
    if heard.entry.sent_at_ms is not None:
        at_ms = heard.entry.at_ms - (heard.entry.sent_at_ms - at_ms)
    return min(max(at_ms, 0), heard.now_ms)


# --- I4, I9 --------------------------------------------------------------------------------------------------
def _sent(run: Simulation) -> Iterator[str]:
    """Each effect that was subscribed to has reached the destination or is parked, in order, under its own key."""
    wanted = dict(_wanted(run))
    first: dict[int, Reached] = {}
    for reached in run.reached:
        known = first.setdefault(reached.seq, reached)
        if (known.key, known.kind) != (reached.key, reached.kind) or _facts(known) != _facts(reached):
            yield f"I4: delivery {reached.seq} was {known.key} {_facts(known)}, then {reached.key} {_facts(reached)}"
    told = {seq: (reached.key, reached.kind, reached.profile) for seq, reached in first.items()}
    if lost := wanted.keys() - told.keys() - run.shelf.parked.keys():
        yield f"I4: never delivered: {[wanted[seq] for seq in sorted(lost)]}"
    if wrong := {seq for seq in told if told[seq] != wanted.get(seq)}:
        yield f"I4: delivered as something else: {[(told[seq], wanted.get(seq)) for seq in sorted(wrong)]}"
    lanes: defaultdict[int, list[int]] = defaultdict(list)
    for reached in first.values():
        lanes[reached.profile].append(reached.seq)
    yield from (f"I4: profile {profile} in the order {lane}" for profile, lane in lanes.items() if lane != sorted(lane))
    yield from _books(run, len(wanted))


def _books(run: Simulation, wanted: int) -> Iterator[str]:
    counts = run.shelf.counts
    everything = sum(len(batch) for _, _, batch in run.state.effects(0, _EVERYTHING))
    parked = sum(n for name, n in counts.items() if name.startswith("parked."))
    ended = counts.get("delivered", 0) + parked
    if run.shelf.pending or counts.get("taken", 0) != everything or ended != wanted:
        yield f"I9: {everything} effects, {wanted} wanted, but the books of the destination say {counts}"


def _wanted(run: Simulation) -> Iterator[tuple[int, tuple[str, str, int]]]:
    subscription, tag = Subscription([DESTINATION]), tag_of(DESTINATION.name)
    for number, partition, batch in run.state.effects(0, _EVERYTHING):
        for index, effect in enumerate(batch):
            if effect in subscription:
                key = f"msg_{effects.key(partition, effect)}-{tag}"
                yield deliveries.sequence(number, index), (key, TYPES[type(effect)], effect.profile)


def _facts(reached: Reached) -> tuple[Any, ...]:
    """What a delivery says of its effect. Identifiers are the person's at the time of the attempt, so not they."""
    payload = msgspec.json.decode(reached.payload)
    return payload["timestamp"], {name: said for name, said in payload["data"].items() if name != "identifiers"}


# --- history ---------------------------------------------------------------------------------------------------
def _remembered(run: Simulation, fact: Fact) -> Iterator[str]:
    """History has what was admitted, once, and nothing is to come any more."""
    if not run.remembers:
        return
    told = sorted((heard.partition, heard.position) for heard in fact.admitted)
    found = sorted((past.partition, past.position) for batch in run.tables.scan() for past in batch)
    if found != told:
        yield f"I9: history has {len(found)} events, the log admits {len(told)}"
    if run.catalog.definitions().coming is not None:
        yield "definitions are to come for ever"


# --- the state itself --------------------------------------------------------------------------------------------
def _consistent(run: Simulation) -> Iterator[str]:
    """What leads to people leads to those who say so, members are those who say so, and each event is one person's."""
    people = {profile.id: profile for profile in _all(run.state)}
    leads = {name: run.state.lookup(name) for one in people.values() for name in one.identifiers}
    kept = sum(part == "identifiers" for part, _, _ in run.state.items())
    if wrong := [name for one in people.values() for name in one.identifiers if leads[name] != one.id]:
        yield f"I2: {wrong} lead to others than who has them"
    if kept != len(leads):
        yield f"I2: {kept} identifiers lead to people, who have {len(leads)}"
    told = Counter(audience for one in people.values() for audience in one.audiences)
    if run.state.sizes() != dict(told):
        yield f"I2: audiences have {run.state.sizes()} members, {dict(told)} say so"
    for audience in told:
        members = {one.id: one.audiences[audience] for one in people.values() if audience in one.audiences}
        if dict(run.state.members(audience, 0, _EVERYTHING)) != members:
            yield f"I2: who is in {audience} is not who says so"
    if run.remembers:
        yield from _attributed(run, people)


def _attributed(run: Simulation, people: Mapping[int, Profile]) -> Iterator[str]:
    """Each event in history is one person's, who has counted it."""
    found: Counter[int] = Counter()
    for batch in run.tables.scan():
        for past in batch:
            owner = run.state.profile(past.profile)
            if owner is None:
                yield f"I9: {past.partition}:{past.position:x} is nobody's"
            else:
                found[profiles.decode(owner).id] += 1
    told = {profile.id: profile.events for profile in people.values() if profile.events}
    if dict(found) != told:
        yield f"I9: people have {told} events, history has {dict(found)} of them"


# --- reading ---------------------------------------------------------------------------------------------------
def _records(run: Simulation, partition: int) -> Iterator[tuple[int, bytes]]:
    yield from run.log.read(partition, 0, _EVERYTHING)


def _events(run: Simulation, partition: int) -> Iterator[Heard]:
    now_ms = forgotten_ms = 0
    window_ms = Rules().dedupe_window_ms
    for offset, data in _records(run, partition):
        now_ms = max(now_ms, msgspec.json.decode(data)["at_ms"])
        forgotten_ms = max(forgotten_ms, now_ms - window_ms)
        entry_here = entries.decode(data)
        if isinstance(entry_here, entries.Ruled):
            window_ms = entry_here.rules.dedupe_window_ms
        if not isinstance(entry_here, entries.Received):
            continue
        entry = _decode_whole(data)
        for at, raw in zip(_positions(offset, entry), entry.events, strict=True):
            event = msgspec.json.decode(raw)
            yield Heard(partition, at, entry, now_ms, forgotten_ms, event, event["context"]["mark"])


def _positions(offset: int, entry: Outgoing) -> list[int]:
    return [position(offset, index) for index in range(len(entry.events))]


def _rejected(run: Simulation, partition: int) -> Iterator[str]:
    for _, data in _records(run, partition):
        if isinstance(entries.decode(data), entries.Received):
            for rejected in _decode_whole(data).rejected:
                yield marks(rejected.body)[0]


def _message(heard: Heard) -> str:
    """Its messageId, or the name that its place in the log gives it."""
    return str(heard.event.get("messageId") or f"{heard.partition}:{heard.position:x}")


def _with_message(heard: Heard) -> Raw:
    return Raw(msgspec.json.encode({**heard.event, "messageId": _message(heard)}))


def _all(state: MemoryState) -> Iterator[Profile]:
    for partition in range(_PARTITIONS):
        for profile_id in state.profile_ids(partition, 0, _EVERYTHING):
            data = state.profile(profile_id)
            assert data is not None
            yield profiles.decode(data)


def _people(state: MemoryState) -> list[Person]:
    return sorted(map(person_of, _all(state)), key=repr)


def _owner(identifier: str) -> int:
    """`user_id:u3`, `anonymous_id:a3.1` and `email:p3@example.com` are person 3's."""
    return int(identifier.partition(":")[2][1])


def _difference(found: Sequence[Person], told: Sequence[Person]) -> str:
    """A few of those who are in one alone."""
    mine, other = [one for one in found if one not in told], [one for one in told if one not in found]
    return f"{mine[:3]} instead of {other[:3]}"
