"""Explanations of identity over random lives: a path is true link by link; what keeps people apart is what was told."""

import random
from collections.abc import Iterator
from itertools import combinations

import msgspec
import pytest

from onefold.core.identity.apart import Asked, hindrances
from onefold.core.identity.evidence import NOWHERE, bonds, chain
from onefold.core.identity.identifiers import finder_of
from onefold.core.identity.rules import NEWEST_LINK
from onefold.language.stream import excerpt
from onefold.model import entry, position
from onefold.model.effect import LinkRefused
from onefold.model.entry import Linked, Received
from onefold.model.identity import POLICIES, Policy
from onefold.model.profile import Profile
from onefold.model.sighting import Bond, Place
from onefold.runtime.identity.sightings import Seen, Sightings
from onefold.testing.memory.history import MemoryHistory
from onefold.testing.world import World
from tests.property.test_policies import crowd, defined, lived

MERGING = ("merge-any", "segment")
PAIRS = 40
_excerpts = excerpt.decoder((), ())


class Looked:
    """A world with everything that an explanation is made from, and the log read by itself."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.rules = world.state.rules(world.state.cursor(0).rules)
        self.sightings = Sightings(MemoryHistory(), world.reader, world.state, lambda _: self.rules)
        ids = [each for p in range(world.partitions) for each in world.state.profile_ids(p, 0, 1 << 20)]
        self.people = [world.profile_of(number) for number in ids]
        self.seen: dict[int, Seen] = {each.id: self.sightings.of(each) for each in self.people}
        self.log = dict(self._log())

    def _log(self) -> Iterator[tuple[Place, frozenset[str]]]:
        """Place → identifiers of the event there, or those of which somebody has said something."""
        for partition in range(self.world.partitions):
            for record in self.world.reader.read(partition, 0, 1 << 30):
                for index, names in enumerate(self._names(record.data)):
                    yield (partition, position.position(record.offset, index)), names

    def _names(self, data: bytes) -> Iterator[frozenset[str]]:
        finder, found = finder_of(self.rules), entry.decode(data)
        if isinstance(found, Linked):
            yield frozenset((found.a, found.b))
        elif isinstance(found, Received):
            received = _excerpts(data)
            assert isinstance(received, Received)
            for event in received.events:
                yield frozenset(finder.find(event).identifiers)

    def bonds(self, person: Profile) -> list[Bond]:
        """What ties a person together."""
        return bonds(person, self.seen[person.id].sightings)

    def asked(self, a: Profile, b: Profile) -> Asked:
        """Why these two are two."""
        events = {each.place: each for one in (a, b) for each in self.seen[one.id].sightings}
        return Asked(a, b, list(events.values()), self.rules, self.world.now_ms, self.sightings.told)


def told(policy: Policy, seed: int) -> Looked:
    """Lives in one partition or two, in which somebody has also said who is one person, and who never is."""
    chance = random.Random(seed)
    world = lived(policy, crowd(seed)) if seed % 2 else parted(policy, seed)
    world.link(f"user_id:u{chance.randrange(4)}", f"anonymous_id:a{chance.randrange(5)}", never=chance.random() < 0.5)
    world.link("user_id:u0", "user_id:u1")
    world.fold()
    return Looked(world)


def parted(policy: Policy, seed: int) -> World:
    """A life whose events lie in two partitions, folded as they come."""
    chance = random.Random(seed)
    world = World(defined(policy), partitions=2)
    for now_ms, event in crowd(seed):
        world.now_ms = max(world.now_ms, now_ms)
        world.send(event, partition=chance.randrange(2))
        world.fold()
    return world


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("seed", range(6))
def test_a_path_joins_both_ends_by_links_that_are_in_the_log(policy: Policy, seed: int) -> None:
    """From one identifier to another link by link; where each was made, the log has both, or somebody's word."""
    looked = told(policy, seed)
    chance = random.Random(seed)
    asked = 0
    for person in looked.people:
        pairs = list(combinations(person.identifiers, 2))
        found = looked.bonds(person)
        for a, b in chance.sample(pairs, min(PAIRS, len(pairs))):
            path = chain(found, a, b)
            former = person.notes.former if person.notes else {}
            if path is None:
                assert policy not in MERGING
                assert a in former or b in former or policy.startswith("mparticle")
                continue
            asked += 1
            here = a
            for link in path:
                assert here in (link.a, link.b)
                here = link.b if here == link.a else link.a
                if link.position != NOWHERE:
                    ends = {link.a, link.b} if link.rule != NEWEST_LINK else {link.a}
                    assert ends <= looked.log[link.place]
            assert here == b
            assert len({each for link in path for each in (link.a, link.b)}) == len(path) + 1, "nothing comes twice"
    assert asked


@pytest.mark.parametrize("policy", MERGING)
@pytest.mark.parametrize("seed", range(6))
def test_every_merge_is_at_one_link(policy: Policy, seed: int) -> None:
    """Each profile that ended did so by one link, made where it ended; no link ended two."""
    looked = told(policy, seed)
    for person in looked.people:
        ended = {link.absorbed: link.place for link in looked.bonds(person) if link.absorbed}
        assert ended == {merge.absorbed: (merge.partition, merge.position) for merge in person.merges}


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("seed", range(6))
def test_two_people_share_what_the_log_says_and_are_apart_by_what_was_told(policy: Policy, seed: int) -> None:
    """Whoever met in an event is told so, and nobody else; the rule is that of the effect, where there was one."""
    looked = told(policy, seed)
    refused = [effect for effect in looked.world.effects() if isinstance(effect, LinkRefused)]
    met = 0
    for a, b in combinations(looked.people, 2):
        found = hindrances(looked.asked(a, b))
        events = [
            place
            for place, names in looked.log.items()
            if names & a.identifiers.keys() and names & b.identifiers.keys()
            if any(place == seen.place for one in (a, b) for seen in looked.seen[one.id].sightings)
        ]
        meetings = [each for each in found if each.kind in ("refused", "hot", "moved") and each.events]
        assert sum(each.events for each in meetings) == len(events)
        for each in meetings:
            assert each.sighting is not None
            met += 1
            both = {*a.identifiers, *b.identifiers}
            rules = {
                effect.rule for effect in refused
                if effect.position == each.sighting.position and effect.a in both and effect.b in both
            }  # fmt: skip
            if each.kind == "refused" and rules:
                assert each.told
                assert each.rule in rules
    assert met or policy.startswith("mparticle")


def test_the_same_answer_whatever_the_order_of_events() -> None:
    """An explanation does not depend on the order in which events are read back."""
    looked = told("merge-any", 3)
    for person in looked.people:
        shuffled = list(looked.seen[person.id].sightings)
        random.Random(1).shuffle(shuffled)
        assert msgspec.json.encode(bonds(person, shuffled)) == msgspec.json.encode(looked.bonds(person))
