"""Undo is exact: people who are taken apart are, byte for byte, who they would be had the link never been."""

import random
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import pytest
from msgspec import structs

from onefold.core.run import Parted
from onefold.language.reading.check import checked
from onefold.model import profile as profiles
from onefold.model.catalog import VersionRow
from onefold.model.definitions import Audience, Definitions, Trait
from onefold.model.effect import Recast
from onefold.model.identity import NOTHING, POLICIES, Identity, Policy
from onefold.model.profile import Profile
from onefold.ports import History, State
from onefold.runtime.history.writing import Historian
from onefold.runtime.history.writing import Sources as Followed
from onefold.runtime.identity.recasting import Sources, Wanted, prepare
from onefold.runtime.past.profile_then import PastDefinitions
from onefold.storage.embedded.state import LmdbState
from onefold.storage.history.delta import DeltaHistory
from onefold.testing.clock import ManualClock
from onefold.testing.memory.history import MemoryHistory
from onefold.testing.memory.state import MemoryState
from onefold.testing.seeded import Seeded
from onefold.testing.world import World, rfc3339


class Catalog:
    """Versions of the definitions, the first of them from the beginning."""

    def __init__(self, definitions: Definitions) -> None:
        self._versions = [(definitions, 0)]

    def save(self, definitions: Definitions, at_ms: int) -> Definitions:
        """The next version."""
        self._versions.append((structs.replace(definitions, version=len(self._versions) + 1), at_ms))
        return self._versions[-1][0]

    def definitions(self, version: int | None = None) -> Definitions:
        """One of them."""
        return self._versions[(version or 0) - 1][0]

    def versions(self) -> list[VersionRow]:
        """All of them."""
        return [VersionRow(each.version, "ann", at_ms) for each, at_ms in self._versions]


Following = TypeVar("Following", bound=History)
Arrivals = list[tuple[int, dict[str, Any]]]


def arrivals(seed: Seeded, *, accounts: bool, most: int = 40) -> Arrivals:
    """Events of some people with when they come, as JSON has them."""
    found = []
    for n, (now_ms, occurrence, ids) in enumerate(seed.crowd(most)):
        event: dict[str, Any] = {
            "type": occurrence.type, "messageId": f"m{n}", "timestamp": rfc3339(occurrence.at_ms),
            "properties": occurrence.properties, "context": occurrence.context, "traits": occurrence.traits, **ids,
        }  # fmt: skip
        if occurrence.type == "track":
            event["event"] = occurrence.name
        if accounts and (group := seed.group()) is not None:
            event["context"] = {**occurrence.context, "groupId": group}
        found.append((now_ms, event))
    return found


def lived(worlds: Sequence[World], lives: Sequence[Arrivals]) -> None:
    """Let all this arrive, each at its time, in worlds whose timers go off together: so places in their logs agree."""
    for each in zip(*lives, strict=True):
        pass_time(worlds, max(each[0][0], worlds[0].now_ms))
        for world, (at_ms, event) in zip(worlds, each, strict=True):
            world.send(event, partition=at_ms % world.partitions)
            world.fold()


def pass_time(worlds: Sequence[World], until_ms: int) -> None:
    """Let time pass in all of them."""
    for world in worlds:
        world.fold()
    homes = range(worlds[0].partitions)
    while (due_ms := min(world.state.next_due_ms(home) for world in worlds for home in homes)) <= until_ms:
        for world in worlds:
            world.now_ms = max(world.now_ms, due_ms)
            world.tick()
            world.fold()
    for world in worlds:
        world.now_ms = until_ms


def without(events: Arrivals, a: str, b: str) -> Arrivals:
    """The same events without the second id where they have both."""
    return [
        (at, dropped(event) if (event.get("userId"), event.get("anonymousId")) == (a, b) else event)
        for at, event in events
    ]


def alone(events: Arrivals, b: str) -> Arrivals:
    """The same events, of which those with a user id do not have the other, but for the first that has it at all."""
    known, found = False, []
    for at, event in events:
        mine = event.get("anonymousId") == b
        found.append((at, dropped(event) if mine and known and "userId" in event else event))
        known = known or mine
    return found


def dropped(event: dict[str, Any]) -> dict[str, Any]:
    """The event without its anonymous id."""
    return {name: value for name, value in event.items() if name != "anonymousId"}


class Undone(NamedTuple):
    """What is undone of the links that a user id and an anonymous id have."""

    a: str
    b: str
    loose: bool
    """All that the latter has joined, not just both."""

    @property
    def parted(self) -> Parted:
        """As a recast is told."""
        one, other = f"user_id:{self.a}", f"anonymous_id:{self.b}"
        return Parted(loose=frozenset({other})) if self.loose else Parted(frozenset({(one, other), (other, one)}))


def rid(events: Arrivals, undone: Iterable[Undone]) -> Arrivals:
    """The life that there would have been."""
    for each in sorted(undone, key=lambda one: one.loose):
        events = alone(events, each.b) if each.loose else without(events, each.a, each.b)
    return events


def sources(world: World, catalog: Catalog, history: History) -> Sources:
    """What a recast reads of a world."""
    return Sources(history, world.reader, world.state, catalog, PastDefinitions(catalog))


def followed(world: World, history: Following) -> Following:
    """The history of all that the world has done so far."""
    historian = Historian(Followed(world.state, world.reader), history, ManualClock(), 0)
    while historian.turn(world.state.newest()):
        pass
    historian.stop()
    return history


def stored(world: World, unseen: Collection[str] = ()) -> dict[int, bytes]:
    """Everybody, without the notes of what was undone, nor of having met identifiers that are to be `unseen`."""
    found = {}
    for partition in range(world.partitions):
        for one in world.state.profile_ids(partition, 0, 1 << 30):
            profile = world.profile_of(one)
            forget_seen(profile, unseen)
            forget_undone(profile)
            found[one] = profiles.encode(profile)
    return found


def forget_undone(profile: Profile) -> None:
    """Take out the notes that alone may differ."""
    if profile.notes is not None:
        profile.notes.apart, profile.notes.loose, profile.notes.undone = {}, [], []
        if profile.notes == type(profile.notes)():
            profile.notes = None


def forget_seen(profile: Profile, unseen: Collection[str]) -> None:
    """Take out what it says of having met these."""
    if profile.notes is None:
        return
    for name in unseen:
        profile.notes.full = {}  # Which identifier a rule kept out is not noted there.
        profile.notes.seen.pop(name, None)
        profile.notes.met.pop(name, None)


def linked(events: Arrivals) -> list[tuple[str, str]]:
    """User ids and anonymous ids that share an event."""
    found = {(e["userId"], e["anonymousId"]) for _, e in events if "userId" in e and "anonymousId" in e}
    return sorted(found)


def leading(world: World) -> Mapping[str, Any]:
    """What leads to people, and what they are in."""
    found: dict[str, Any] = {}
    for part, key, value in world.state.items():
        if part in ("identifiers", "timers", "members"):
            found[f"{part} {key!r}"] = value
    return found


def undo(world: World, definitions: Definitions | Catalog, history: History, undone: Undone) -> None:
    """As `onefold identity unmerge` does it."""
    catalog = definitions if isinstance(definitions, Catalog) else Catalog(definitions)
    owners = world.state.owners([f"user_id:{undone.a}", f"anonymous_id:{undone.b}"])
    read = sources(world, catalog, followed(world, history))
    world.recast(prepare(read, set(owners.values()), Wanted(undone.parted)).body)
    world.fold()
    applied = [each.applied for each in world.effects() if isinstance(each, Recast)]
    assert all(applied)


class How(NamedTuple):
    """In what world people live."""

    identity: Identity = NOTHING
    accounts: bool = False
    partitions: int = 1
    state: Callable[[], State] = MemoryState
    history: Callable[[], History] = MemoryHistory
    redefined: bool = False
    """Other definitions come into force on the way."""
    unseen: bool = False
    """Whatever others have noted of identifiers that join nobody any more is passed over."""


PLAIN = How()


def case(seed: int, times: int, how: How = PLAIN) -> bool:
    """Of a random life some links are undone, one after the other, while it goes on; whether there were any."""
    identity, accounts, partitions, *_ = how
    seeded, chance = Seeded(seed), random.Random(seed)
    definitions = seeded.definitions_with_accounts() if accounts else seeded.definitions()
    definitions = structs.replace(definitions, identity=identity)
    events = arrivals(seeded, accounts=accounts)
    cuts = sorted(chance.sample(range(len(events) // 2, len(events) + 1), times))
    if checked(definitions).problems or not linked(events[: cuts[0]]):
        return False
    undone = [Undone(*chance.choice(linked(events[:cut])), loose=chance.random() < 0.4) for cut in cuts]
    life = rid(events, undone)
    world, other = (World(definitions, partitions=partitions, state=how.state()) for _ in range(2))
    history = how.history()
    assert history.try_hold()
    catalog = Catalog(definitions)
    early = cuts[0] // 3 if how.redefined else 0
    lived([world, other], [events[:early], life[:early]])
    if how.redefined:
        redefine([world, other], catalog, definitions)
    for begin, cut, each in zip([early, *cuts], cuts, undone, strict=False):
        lived([world, other], [events[begin:cut], life[begin:cut]])
        undo(world, catalog, history, each)
        other.scribble(b"as many records as the other")
    unseen = {f"anonymous_id:{each.b}" for each in undone if each.loose and how.unseen}
    require: Callable[[World, World], None] = partial(require_the_same, unseen=unseen)
    if accounts or partitions > 1:
        require = require_the_same_people
    require(world, other)
    lived([world, other], [events[cuts[-1] :], life[cuts[-1] :]])
    require(world, other)
    return True


def redefine(worlds: Sequence[World], catalog: Catalog, definitions: Definitions) -> None:
    """More definitions come into force, and one that was there goes; nothing is computed over history."""
    more = Trait("counted", 'count("*")'), Trait("kinds", 'unique("*", type)')
    audiences = (*definitions.audiences[1:], Audience("busy", "counted > 2"))
    pass_time(worlds, worlds[0].now_ms + 1)
    wanted = structs.replace(definitions, traits=(*definitions.traits, *more), audiences=audiences)
    if checked(wanted).problems:  # Another audience asks for the one that has gone.
        wanted = structs.replace(wanted, audiences=(*definitions.audiences, audiences[-1]))
    saved = catalog.save(wanted, worlds[0].now_ms)
    for world in worlds:
        world.define(saved)
        world.fold()
    pass_time(worlds, worlds[0].now_ms + 1)


def require_the_same_people(world: World, other: World) -> None:
    """The same but for bytes: an account has the values of now when its members are folded again."""
    pass_time([world, other], world.now_ms + 1)
    assert world.people() == other.people()
    assert relations(world) == relations(other)


def relations(world: World) -> list[tuple[str, int]]:
    """Who is a member of what."""
    return sorted(
        (key.split(b"\0")[0].decode(), int.from_bytes(key[-8:]))
        for part, key, _ in world.state.items()
        if part == "members"
    )


def require_the_same(world: World, other: World, unseen: Collection[str] = ()) -> None:
    """The same people, byte for byte, whom the same leads to. `unseen`: as `stored`."""
    other.fold()
    mine, theirs = stored(world, unseen), stored(other, unseen)
    assert {one: profiles.decode(data) for one, data in mine.items()} == {
        one: profiles.decode(data) for one, data in theirs.items()
    }
    assert mine == theirs
    assert leading(world) == leading(other)


@pytest.mark.parametrize("hundred", range(3))
def test_people_taken_apart_are_who_they_would_be_without_the_link(hundred: int) -> None:
    """Random lives under random definitions; after an undo life goes on as if the link had never been."""
    assert sum(case(seed, 1) for seed in range(hundred * 100, hundred * 100 + 40)) > 20


def test_what_was_undone_stays_undone_when_more_is() -> None:
    """Two undoes, one after the other, and events in between: as if neither link had ever been."""
    assert sum(case(seed, 2) for seed in range(1_000, 1_030)) > 12


def test_rules_of_the_workspace_hold_when_people_are_folded_again() -> None:
    """The same where the workspace has an `identity` section."""
    assert sum(case(seed, 1, How(Identity(hot=9))) for seed in range(2_000, 2_030)) > 12


def test_whose_account_is_whose_is_undone_too() -> None:
    """People who came to an account as one are its members each for themselves, or not."""
    assert sum(case(seed, 1, How(accounts=True)) for seed in range(3_000, 3_030)) > 12


def test_several_partitions_have_their_people_taken_apart() -> None:
    """Whoever has events in several partitions is made again of all of them: the same people, wherever at home."""
    assert sum(case(seed, 1, How(partitions=3)) for seed in range(4_000, 4_030)) > 12


def test_the_engines_on_the_disk_have_them_taken_apart(tmp_path: Path) -> None:
    """The same on LMDB, with history in Delta tables: byte for byte."""
    fresh = (tmp_path / f"{n}" for n in count())
    how = How(state=lambda: LmdbState(next(fresh)), history=lambda: DeltaHistory(next(fresh)))
    assert sum(case(seed, 2, how) for seed in range(5_000, 5_008)) > 3


def test_definitions_of_then_count_as_they_did() -> None:
    """What came into force on the way has counted from then on, as it has for everybody."""
    assert sum(case(seed, 1, How(redefined=True)) for seed in range(8_000, 8_040)) > 12


@pytest.mark.parametrize("policy", POLICIES)
def test_every_policy_is_undone_exactly(policy: Policy) -> None:
    """Whether people merge, or identifiers change hands: the same people as if the link had never been."""
    assert sum(case(seed, 1, How(Identity(policy, hot=0))) for seed in range(7_000, 7_016)) > 6


@pytest.mark.parametrize("policy", ["segment", "merge-any"])
@pytest.mark.parametrize("seed", [7_045, 7_057, 7_119, *range(7_200, 7_212)])
def test_what_others_have_seen_of_an_identifier_that_joins_nobody_stays_noted(policy: Policy, seed: int) -> None:
    """They are the same people, but for the note that their events came with it, and that a rule kept it from them.

    Whoever has met a kiosk is not folded again when it is told to join nobody: that may be thousands.
    """
    case(seed, 1, How(Identity(policy), unseen=True))
