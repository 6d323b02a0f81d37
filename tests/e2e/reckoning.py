"""What must hold after an ordeal, told from the log's own bytes and from what clients and receiver have seen.

Nothing here asks the platform what is right: who is who is a union of identifiers, traits are a dozen plain lines
over each person's distinct messages. The effects alone are the platform's word, held against the webhooks that came;
and those of events against the log as well.
"""

import contextlib
import json
import math
from collections import Counter, defaultdict
from collections.abc import Iterator
from typing import Any, NamedTuple

from msgspec import Struct

from onefold.language.instants import parse_instant
from onefold.model import effect as effects
from onefold.model import profile as profiles
from onefold.model.effect import Admitted, AnyEffect, Created, Entered, Left, Merged
from onefold.model.profile import Profile
from onefold.ports import LogReader, State
from onefold.runtime.delivering.payload import TYPES, tag_of
from onefold.storage.place import Place
from onefold.testing.world import Person, person_of
from tests.e2e.evidence import AUDIENCES, DESTINATION, EVENT, LATER_AUDIENCES, Evidence, Hook

_EVERYTHING = 1 << 40


class Fact(NamedTuple):
    """What the log says, read line by line."""

    sent: Counter[str]
    """How often each message lies in the log."""
    messages: dict[str, dict[str, Any]]
    """The good ones, each once."""
    bad: int


class Told(NamedTuple):
    """A person as the messages in the log make them."""

    person: Person
    events: int


class Effect(NamedTuple):
    """An effect that the destination has subscribed to, as its webhook has to show it."""

    key: str
    kind: str
    profile: int


class Remains(Struct):
    """What lies in log, state and book after an ordeal."""

    fact: Fact
    counts: dict[str, int]
    profiles: list[Profile]
    effects: list[Effect]
    """Those that the destination has subscribed to, in the order in which they came to be."""
    all_effects: int
    books: dict[str, int]
    partitions: int


def look(evidence: Evidence) -> Remains:
    """Read the data of a platform that has stopped."""
    place = Place.open(evidence.settings, create=False)
    with (
        contextlib.closing(place.state(readonly=True)) as state,
        contextlib.closing(place.log_reader()) as log,
        contextlib.closing(place.deliveries(readonly=True)) as deliveries,
    ):
        return Remains(
            fact=read_log(log, evidence),
            counts=state.counts(),
            profiles=list(_profiles(state, log.partitions)),
            effects=_wanted(state),
            all_effects=sum(len(batch) for _, _, batch in state.effects(0, _EVERYTHING)),
            books=deliveries.counts().get(DESTINATION, {}),
            partitions=log.partitions,
        )


def check(evidence: Evidence, remains: Remains) -> list[str]:
    """Everything that does not hold; empty: all is well."""
    parts = (
        _durable(evidence, remains.fact),
        _counted(remains),
        _folded(remains),
        _sent(evidence.hooks, remains.effects),
        _events_sent(evidence.hooks, remains.fact),
        _books(remains),
        _commands(evidence, remains.partitions),
    )
    return [problem for part in parts for problem in part]


def read_log(log: LogReader, evidence: Evidence) -> Fact:
    """Every message in the log, whatever the platform made of it."""
    fact = Fact(Counter(), {}, 0)
    bad = 0
    for record in _records(log):
        entry = json.loads(record)
        if entry["kind"] != "received":
            continue
        arrived = [*entry["events"], *(json.loads(rejected["body"]) for rejected in entry.get("rejected", []))]
        for event in arrived:
            name = event["messageId"]
            fact.sent[name] += 1
            if evidence.tally.messages[name].good:
                fact.messages[name] = event
            else:
                bad += 1
    return fact._replace(bad=bad)


# --- I1 ------------------------------------------------------------------------------------------------------
def _durable(evidence: Evidence, fact: Fact) -> Iterator[str]:
    """What was acknowledged is in the log, as it was sent; clients gave up on nothing."""
    tally = evidence.tally
    if lost := tally.acknowledged - fact.sent.keys():
        yield f"I1: acknowledged, but not in the log: {sorted(lost)}"
    if open_ := tally.messages.keys() - tally.acknowledged:
        yield f"never acknowledged: {sorted(open_)}"
    if changed := [name for name, event in fact.messages.items() if event != tally.messages[name].event]:
        yield f"I1: not in the log as they were sent: {changed}"


# --- I9 ------------------------------------------------------------------------------------------------------
def _counted(remains: Remains) -> Iterator[str]:
    """The counts are those of the log: each good message is admitted once, again it is a duplicate; bad ones rest."""
    counts, fact = remains.counts, remains.fact
    quarantined = sum(n for name, n in counts.items() if name.startswith("quarantined."))
    found = (counts.get("received", 0), counts.get("admitted", 0), counts.get("duplicate", 0), quarantined)
    received, admitted = fact.sent.total(), len(fact.messages)
    told = (received, admitted, received - admitted - fact.bad, fact.bad)
    if found != told:
        yield f"I9: received, admitted, duplicate, quarantined are {found}; the log says {told}"


# --- I2, I3 --------------------------------------------------------------------------------------------------
def _folded(remains: Remains) -> Iterator[str]:
    """Each person is what their distinct messages make of them."""
    told = people(remains.fact)
    found = {tuple(sorted(each.identifiers)): Told(person_of(each), each.events) for each in remains.profiles}
    if len(found) != len(remains.profiles):
        yield f"I3: {len(remains.profiles)} profiles, but only {len(found)} different people"
    different = [key for key in found.keys() | told.keys() if found.get(key) != told.get(key)]
    for key in sorted(different)[:5]:
        yield f"I3: {found.get(key)} instead of {told.get(key)}"
    if different:
        yield f"I3: {len(different)} of {len(told)} people are not what the log says"


def people(fact: Fact) -> dict[tuple[str, ...], Told]:
    """Who there is and what holds of them, from the messages alone, long after the last."""
    owners: dict[str, str] = {}
    for event in fact.messages.values():
        first, *others = identifiers(event)
        for other in others:
            owners[_root(owners, other)] = _root(owners, first)
    theirs: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
    names: defaultdict[str, set[str]] = defaultdict(set)
    for event in fact.messages.values():
        found = identifiers(event)
        root = _root(owners, found[0])
        theirs[root].append(event)
        names[root].update(found)
    return {tuple(sorted(names[root])): _told(names[root], events) for root, events in theirs.items()}


def identifiers(event: dict[str, Any]) -> list[str]:
    """The identifiers of an event, in one spelling."""
    mail = event.get("traits", {}).get("email", "").lower()
    named = {
        "user_id": event.get("userId"),
        "anonymous_id": event.get("anonymousId"),
        "email": mail if event["type"] == "identify" else None,
    }
    found = [f"{namespace}:{value}" for namespace, value in named.items() if value]
    return [*found, f"anonymous_id:{event['previousId']}"] if event["type"] == "alias" else found


def _root(owners: dict[str, str], name: str) -> str:
    while (owner := owners.get(name, name)) != name:
        name = owner
    return name


def _told(names: set[str], events: list[dict[str, Any]]) -> Told:
    events.sort(key=lambda event: parse_instant(event["timestamp"]) or 0)
    revenues = [event["properties"]["revenue"] for event in events if event.get("event") == EVENT]
    kinds = [kind for event in events if (kind := event.get("properties", {}).get("category"))]
    declared: dict[str, Any] = {}
    for event in events:
        declared |= event.get("traits", {})
    computed: dict[str, Any] = {"orders": len(revenues), "orders_2s": 0, "revenue": math.fsum(revenues)}
    if revenues:
        computed["largest"] = max(revenues)
    if kinds:
        ranking = Counter(kinds)
        computed["favourite"] = min(ranking, key=lambda kind: (-ranking[kind], kind))
        computed |= {"categories": sorted(ranking), "first_category": kinds[0], "last_category": kinds[-1]}
    memberships = {
        "buyers": bool(revenues),
        "pros": declared.get("plan") == "pro",
        "busy": False,
        "silent": True,
        "loyal": len(revenues) >= 3 and math.fsum(revenues) > 30,
    }
    audiences = tuple(sorted(name for name in AUDIENCES | LATER_AUDIENCES if memberships[name]))
    person = Person(tuple(sorted(names)), dict(sorted(declared.items())), dict(sorted(computed.items())), audiences)
    return Told(person, len(events))


# --- I4, I9 --------------------------------------------------------------------------------------------------
def _wanted(state: State) -> list[Effect]:
    """The effects that the destination has subscribed to, in the order in which they came to be."""
    tag = tag_of(DESTINATION)
    return [
        Effect(f"msg_{effects.key(partition, effect)}-{tag}", TYPES[type(effect)], effect.profile)
        for _, partition, batch in state.effects(0, _EVERYTHING)
        for effect in batch
        if _subscribed(effect)
    ]


def _subscribed(effect: AnyEffect) -> bool:
    return isinstance(effect, Entered | Left | Created | Merged) or (
        isinstance(effect, Admitted) and effect.name == EVENT
    )


def _sent(hooks: list[Hook], told: list[Effect]) -> Iterator[str]:
    """Every effect has come under its own key, nothing else has, and each person's have come in order."""
    if len({effect.key for effect in told}) != len(told):
        yield "I4: two effects have one key"
    first: dict[str, Hook] = {}
    for hook in hooks:
        known = first.setdefault(hook.key, hook)
        if _facts(known) != _facts(hook):
            yield f"I4: {hook.key} was {_facts(known)}, then {_facts(hook)}"
    by_key = {effect.key: effect for effect in told}
    if lost := [effect for effect in told if effect.key not in first]:
        yield f"I4: {len(lost)} effects never came, the first of them {lost[:5]}"
    if invented := first.keys() - by_key.keys():
        yield f"I4: came, but is no effect: {sorted(invented)[:5]}"
    lanes: defaultdict[int, list[str]] = defaultdict(list)
    for key in first:
        if key in by_key:
            lanes[by_key[key].profile].append(key)
    orders: defaultdict[int, list[str]] = defaultdict(list)
    for effect in told:
        if effect.key in first:
            orders[effect.profile].append(effect.key)
    yield from (
        f"I4: of profile {profile} came {lane} instead of {orders[profile]}"
        for profile, lane in lanes.items()
        if lane != orders[profile]
    )


def _events_sent(hooks: list[Hook], fact: Fact) -> Iterator[str]:
    """Each distinct message that was subscribed to has come, under one key."""
    keys: defaultdict[str, set[str]] = defaultdict(set)
    for hook in hooks:
        if hook.payload["type"] == "event":
            keys[hook.payload["data"]["event"]["messageId"]].add(hook.key)
    told = {name for name, event in fact.messages.items() if event.get("event") == EVENT}
    if keys.keys() != told:
        yield f"I4: orders that came and were not sent, or the other way round: {sorted(keys.keys() ^ told)}"
    if twice := {name: found for name, found in keys.items() if len(found) > 1}:
        yield f"I4: came under several keys: {twice}"


def _books(remains: Remains) -> Iterator[str]:
    """The destination's counts close, and are those of the effects."""
    everything, told = remains.all_effects, len(remains.effects)
    found = {name: n for name, n in remains.books.items() if n}
    due = {"taken": everything, "delivered": told, "filtered.unsubscribed": everything - told}
    if found != {name: n for name, n in due.items() if n}:
        yield f"I9: the books of the destination say {found}; the effects say {due}"


def _facts(hook: Hook) -> tuple[Any, ...]:
    """What a delivery says of its effect. Identifiers are the person's at the time of the attempt, so not they."""
    data = {name: said for name, said in hook.payload["data"].items() if name != "identifiers"}
    return hook.payload["type"], hook.payload["timestamp"], data


# --- the command's own word ------------------------------------------------------------------------------------
def _commands(evidence: Evidence, partitions: int) -> Iterator[str]:
    """The platform stopped well, `onefold doctor` finds nothing, a replay gives the same."""
    if evidence.stop_code:
        yield f"the platform stopped with {evidence.stop_code}"
    for finding in (*evidence.doctor_beside, *evidence.doctor):
        if finding["verdict"] != "ok" and finding["name"] != "disk":
            yield f"doctor: {finding}"
    replay = evidence.replay
    if not replay["same_people"]:
        yield f"I2: a replay gives other people: {replay}"
    if partitions == 1 and not replay["equal"]:
        yield f"I2: a replay gives other bytes: {replay}"


# --- reading ---------------------------------------------------------------------------------------------------
def _records(log: LogReader) -> Iterator[bytes]:
    for partition in range(log.partitions):
        offset, end = log.ends(partition)
        while offset < end:
            for record in log.read(partition, offset, 1 << 20):
                yield record.data
                offset = record.offset + 1


def _profiles(state: State, partitions: int) -> Iterator[Profile]:
    for partition in range(partitions):
        for profile_id in state.profile_ids(partition, 0, _EVERYTHING):
            data = state.profile(profile_id)
            assert data is not None
            yield profiles.decode(data)
