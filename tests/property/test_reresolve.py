"""People of the past become, byte for byte, what the log folded anew under the rules in force would have made."""

import random
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from msgspec import structs

from onefold.core.run import Parted
from onefold.errors import OnefoldError
from onefold.limits import HOUR_MS
from onefold.model import profile as profiles
from onefold.model.catalog import VersionRow
from onefold.model.definitions import Definitions
from onefold.model.identity import NOTHING, IdentifierType, Identity
from onefold.runtime.history.writing import Historian
from onefold.runtime.history.writing import Sources as Followed
from onefold.runtime.identity import recasting
from onefold.runtime.identity.past import Sources
from onefold.runtime.identity.reresolving import OF_NOBODY, Engines, Outcome, Reresolving
from onefold.runtime.past.profile_then import PastDefinitions
from onefold.runtime.replay import replay
from onefold.testing.clock import ManualClock
from onefold.testing.memory.history import MemoryHistory
from onefold.testing.memory.state import MemoryState
from onefold.testing.rules import random_identity
from onefold.testing.world import World, identify
from tests.property.test_policies import crowd
from tests.property.test_policies import identity as identity_of
from tests.property.test_step import DEFINITIONS
from tests.property.test_unmerge import lived, pass_time
from tests.property.test_whatif import Events, told


class Catalog:
    """Versions of definitions, each with when it was saved."""

    def __init__(self) -> None:
        self._saved: list[tuple[int, Definitions]] = []

    def save(self, definitions: Definitions, at_ms: int) -> Definitions:
        """The next version."""
        self._saved.append((at_ms, structs.replace(definitions, version=len(self._saved) + 1)))
        return self._saved[-1][1]

    def definitions(self, version: int | None = None) -> Definitions:
        """That version, or the latest."""
        return self._saved[-1 if version is None else version - 1][1]

    def versions(self) -> list[VersionRow]:
        """All of them."""
        return [VersionRow(definitions.version, "ann", at_ms) for at_ms, definitions in self._saved]


class Platform:
    """A world with its catalog and its history."""

    def __init__(self, identity: Identity, partitions: int = 1) -> None:
        self.world = World(partitions=partitions)
        self.catalog = Catalog()
        self.history = MemoryHistory()
        self.apply(identity)

    def apply(self, identity: Identity, behind_ms: int = 0) -> None:
        """These rules from here on. `behind_ms`: by so much the clock of whoever saves them is behind."""
        made = self.catalog.save(structs.replace(DEFINITIONS, identity=identity), self.world.now_ms - behind_ms)
        self.world.define(made)
        self.world.fold()

    def follow(self) -> None:
        """Let history have everything."""
        world = self.world
        historian = Historian(Followed(world.state, world.reader), self.history, ManualClock(), 0)
        while historian.turn(world.state.newest()):
            pass
        historian.stop()

    def reresolving(self) -> Reresolving:
        """Who differs from what the rules in force make of the past."""
        world = self.world
        sources = Sources(self.history, world.reader, world.state)
        rules = world.state.rules(world.folding.cursor(0).rules)
        return Reresolving(Engines(sources, world.writer, self.catalog), rules, "ann", lambda *_: None)

    def reresolve(self) -> Outcome:
        """Let the rules in force hold for the past, until nobody differs."""
        for _ in range(5):
            made = self.reresolving()
            found = made.run(lambda *_: self.world.fold(), lambda _: None, lambda: self.world.now_ms)
            self.follow()
            if found.done == 0:
                return found
        raise AssertionError("somebody differs again and again")

    def stored(self) -> dict[int, bytes]:
        """Everybody."""
        ids = [one for home in range(self.world.partitions) for one in self.world.state.profile_ids(home, 0, 1 << 30)]
        found = {one: self.world.profile_of(one) for one in ids}
        for profile in found.values():
            if profile.notes is not None:
                profile.notes.undone = []  # What every recast leaves, and a fresh fold has not.
                profile.notes = None if profile.notes == type(profile.notes)() else profile.notes
        return {one: profiles.encode(profile) for one, profile in found.items()}

    def people(self) -> list[Any]:
        """Everybody, whatever their bytes."""
        return sorted(self.world.people(), key=repr)

    def items(self) -> Mapping[str, Any]:
        """What leads to people, and what they are in."""
        parts = ("identifiers", "timers", "members")
        return {f"{part} {key!r}": value for part, key, value in self.world.state.items() if part in parts}


def both(seed: int, cut: int, events: Events) -> tuple[Platform, Platform, Identity]:
    """A platform whose rules change after some of the events, and one that has had the later rules from the start."""
    before = NOTHING if seed % 3 == 0 else random_identity(seed + 1_000, blocking=False, traits=seed % 2 == 0)
    after = random_identity(seed, blocking=False, traits=seed % 2 == 0)
    old, fresh = Platform(before), Platform(after)
    lived([old.world, fresh.world], [events[:cut], events[:cut]])
    pass_time([old.world, fresh.world], old.world.now_ms + HOUR_MS)
    for each in (old, fresh):
        each.apply(after)
    return old, fresh, after


@pytest.mark.parametrize("seed", range(40))
def test_the_past_is_as_if_the_rules_had_held_from_the_start(seed: int) -> None:
    """Of random lives under random rules before and after: all people, what leads to them, and what they are in."""
    events = told(seed)
    cut = random.Random(seed).randrange(len(events) // 2, len(events) + 1)
    old, fresh, _ = both(seed, cut, events)
    old.follow()
    found = old.reresolve()
    assert found.left == {}
    assert old.stored() == fresh.stored()
    assert old.items() == fresh.items()


@pytest.mark.parametrize("seed", range(24))
def test_life_goes_on_as_if_the_rules_had_held_from_the_start(seed: int) -> None:
    """What comes after it goes to the people who there are then, and another run finds nobody who differs."""
    events = told(seed)
    cut = random.Random(seed).randrange(len(events) // 2, len(events))
    old, fresh, _ = both(seed, cut, events)
    old.follow()
    old.reresolve()
    while fresh.world.reader.ends(0)[1] < old.world.reader.ends(0)[1]:
        fresh.world.scribble(b"as many records as the other")
    fresh.world.fold()
    later = old.world.now_ms + HOUR_MS
    rest = [(max(at_ms, later), event) for at_ms, event in events[cut:]]
    lived([old.world, fresh.world], [rest, rest])
    assert old.stored() == fresh.stored()
    assert old.items() == fresh.items()
    old.follow()
    again = old.reresolving()
    again.run(lambda *_: old.world.fold(), lambda _: None, lambda: old.world.now_ms)
    assert (again.outcome.entries, again.outcome.left) == (0, {})


@pytest.mark.parametrize("seed", range(24))
def test_events_that_come_meanwhile_are_neither_lost_nor_counted_twice(seed: int) -> None:
    """Before each entry is folded events come, also of those who are recast; somebody crashes and begins again."""
    chance = random.Random(seed)
    events = told(seed)
    old, fresh, _ = both(seed, len(events) // 2, events)
    left = [(0, event) for _, event in events[len(events) // 2 :]]
    sent = list(left)
    left.reverse()

    def fold(_partition: int, _offset: int) -> None:
        if chance.random() < 0.2:
            raise InterruptedError  # It is written, and nobody waits for it.
        old.world.fold()

    def now_ms() -> int:
        """Just before an entry is written, somebody else is faster."""
        while left and chance.random() < 0.6:
            old.world.now_ms += 1
            old.world.send(left.pop()[1])
            old.world.fold()
        if chance.random() < 0.2:
            raise InterruptedError
        return old.world.now_ms

    for _ in range(50):
        old.follow()
        outcome = attempted(old, fold, now_ms)
        if not left and outcome is not None and not outcome.done:
            break
        while left and outcome is not None and not outcome.done:
            old.world.now_ms += 1
            old.world.send(left.pop()[1])
            old.world.fold()
    assert outcome is not None
    assert (left, outcome.left) == ([], {})
    for _, event in sent:
        fresh.world.now_ms += 1
        fresh.world.send(event)
    fresh.world.fold()
    assert who(old) == who(fresh)
    assert old.world.state.counts()["admitted"] == fresh.world.state.counts()["admitted"]


def attempted(platform: Platform, fold: Callable[[int, int], None], now_ms: Callable[[], int]) -> Outcome | None:
    """What has come of one run; None: it has crashed, and what it had written is folded after all."""
    try:
        return platform.reresolving().run(fold, lambda _: None, now_ms)
    except InterruptedError:
        platform.world.fold()
        return None


def who(platform: Platform) -> list[Any]:
    """Everybody, but for where in the log they come from."""
    people = [
        (
            sorted(one.identifiers),
            sorted((link.a, link.b, link.rule) for link in one.links),
            one.events,
            {name: said.value for name, said in sorted(one.declared.items())},
            one.computed,
            sorted(one.audiences),
        )
        for one in map(profiles.decode, platform.stored().values())
    ]
    return sorted(people, key=repr)


@pytest.mark.parametrize("seed", range(12))
def test_a_clock_that_is_behind_counts_nothing_twice(seed: int) -> None:
    """Versions saved on a machine whose clock is behind come one after the other, and each event is under one."""
    events = told(seed)
    old, fresh = (Platform(random_identity(each, blocking=False)) for each in (seed + 1_000, seed))
    for n, cut in enumerate((len(events) // 3, 2 * len(events) // 3, len(events))):
        some = events[n * len(events) // 3 : cut]
        lived([old.world, fresh.world], [some, some])
        pass_time([old.world, fresh.world], old.world.now_ms + HOUR_MS)
        early_ms = events[len(events) // 6][0]
        for each in (old, fresh):
            each.apply(random_identity(seed, blocking=False), each.world.now_ms - early_ms if n == 1 else 0)
    old.follow()
    old.reresolve()
    assert who(old) == who(fresh)
    old.follow()
    owners = {one for one in old.stored() if old.world.profile_of(one).events}
    sources = recasting.Sources(
        old.history, old.world.reader, old.world.state, old.catalog, PastDefinitions(old.catalog)
    )
    for one in owners:
        recasting.prepare(sources, {one}, recasting.Wanted())


@pytest.mark.parametrize("seed", range(24))
def test_a_replay_of_several_partitions_makes_the_same_people(seed: int) -> None:
    """Every recast that was done is done again, and no other: whatever told of nothing in between is in its place."""
    chance = random.Random(seed)
    platform = Platform(random_identity(seed + 1_000, blocking=False), partitions=3)
    world = platform.world
    for now_ms, event in told(seed):
        world.now_ms = max(world.now_ms + 1, now_ms)
        world.send(event, partition=chance.randrange(3))
        if chance.random() < 0.3:
            world.tick()
        world.fold(1)
    world.pass_time(HOUR_MS)
    platform.apply(random_identity(seed, blocking=False))
    platform.follow()
    platform.reresolve()
    again = MemoryState()
    replay(world.reader, world.state, again, lambda _done, _all: None)
    counts = [{name: n for name, n in each.counts().items() if "recast" in name} for each in (world.state, again)]
    assert counts[0] == counts[1]
    live = platform.people()
    world.state = again
    assert live == platform.people()


@pytest.mark.parametrize("seed", range(24))
def test_values_that_identify_nobody_any_more_join_nobody(seed: int) -> None:
    """What has nothing else is nobody's; all other events are as if the values had always been blocked."""
    events = told(seed)
    after = random_identity(seed, blocking=True)
    before = random_identity(seed + 1_000, blocking=False)
    old, fresh = Platform(before), Platform(after)
    lived([old.world, fresh.world], [events, events])
    pass_time([old.world, fresh.world], old.world.now_ms + HOUR_MS)
    for each in (old, fresh):
        each.apply(after)
    old.follow()
    left = old.reresolve().left
    assert left.keys() <= {OF_NOBODY}
    if not left:
        assert old.stored() == fresh.stored()
        assert old.items() == fresh.items()
    quarantined = fresh.world.state.counts().get("quarantined.no_identifier", 0)
    shown = sum(len(batch) for batch in old.history.scan())
    assert left or shown == len(events) - quarantined


@pytest.mark.parametrize("seed", range(24))
def test_what_was_brought_under_other_rules_can_be_undone(seed: int) -> None:
    """Whoever is taken apart afterwards is who they are where the rules have held from the start."""
    events = told(seed)
    old, fresh, _ = both(seed, len(events), events)
    for each in (old, fresh):
        each.follow()
    old.reresolve()
    links = {
        (link.a, link.b)
        for data in fresh.stored().values()
        for link in profiles.decode(data).links
        if link.rule == "shared_event"
    }
    a, b = random.Random(seed).choice(sorted(links))
    found = [taken_apart(each, a, b) for each in (old, fresh)]
    assert found[0] == found[1]


def taken_apart(platform: Platform, a: str, b: str) -> Any:
    """Who there would be without this link, or why that cannot be told."""
    world = platform.world
    sources = recasting.Sources(
        platform.history, world.reader, world.state, platform.catalog, PastDefinitions(platform.catalog)
    )
    owners = set(world.state.owners((a, b)).values())
    try:
        made = recasting.prepare(sources, owners, recasting.Wanted(Parted(frozenset({(a, b), (b, a)}))))
    except OnefoldError as error:
        return type(error)
    people = [profiles.decode(data) for data in made.body.coming]
    for one in people:
        one.noted().undone = []
    return people


SHARED = Identity(
    types=(
        IdentifierType("user_id", unique=True),
        IdentifierType("email", unless=("name", "birthday", "shared")),
        IdentifierType("anonymous_id", soft=True),
    )
)


def test_what_a_shared_address_joined_before_that_was_known_is_taken_back() -> None:
    """A receipt from before the second of a couple came is nobody's of the two; hers are those that say her name."""
    old = Platform(SHARED)
    couple = {"email": "couple@acme.com"}
    ann, bob = ({**couple, "firstName": name} for name in ("Ann", "Bob"))
    for event in (
        identify(anonymous="receipt", traits=couple), identify(user="ann", traits=ann),
        identify(anonymous="phone", traits=couple), identify(anonymous="order", traits=ann),
        identify(user="bob", traits=bob), identify(user="bob", anonymous="phone"),
    ):  # fmt: skip
        old.world.send(event)
        old.world.fold()
    assert old.world.profile("user_id:ann").events == 4
    old.follow()
    assert old.reresolve().left == {}
    owners = {name: old.world.state.lookup(f"anonymous_id:{name}") for name in ("receipt", "phone", "order")}
    assert owners["order"] == old.world.state.lookup("user_id:ann") == old.world.state.lookup("email:couple@acme.com")
    assert owners["phone"] == old.world.state.lookup("user_id:bob")
    assert owners["receipt"] not in (owners["order"], owners["phone"])
    assert [old.world.profile(f"anonymous_id:{name}").events for name in owners] == [1, 3, 2]


@pytest.mark.parametrize("seed", range(12))
def test_what_is_shared_is_settled_once(seed: int) -> None:
    """Of random lives with shared addresses: another run finds nobody who differs, and no event is lost."""
    old = Platform(identity_of("merge-any"))
    lived([old.world], [crowd(seed)])
    old.follow()
    assert old.reresolve().left == {}
    again = old.reresolving()
    again.run(lambda *_: old.world.fold(), lambda _: None, lambda: old.world.now_ms)
    assert (again.outcome.entries, again.outcome.left) == (0, {})
    assert sum(profiles.decode(data).events for data in old.stored().values()) == len(crowd(seed))
