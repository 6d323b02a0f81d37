"""Why two are two, told as short stories: aliases, identifiers that change hands, old refusals; and who is at a cap."""

import os
import time

import pytest

from onefold.core.identity.apart import Asked, hindrances
from onefold.core.identity.evidence import bonds, chain
from onefold.limits import PROFILE_IDENTIFIERS_MAX, SECOND_MS
from onefold.model.definitions import Definitions
from onefold.model.effect import LinkRefused
from onefold.model.identity import IdentifierType, Identity
from onefold.model.sighting import Hindrance
from onefold.runtime.identity.sightings import Sightings
from onefold.testing.memory.history import MemoryHistory
from onefold.testing.world import World, define, identify, track
from tests.property.test_unmerge import Catalog, Undone, undo
from tests.unit.core.identities import tell, world_of


def apart(world: World, a: str, b: str) -> list[Hindrance]:
    """What keeps these two apart."""
    rules = world.state.rules(world.state.cursor(0).rules)
    sightings = Sightings(MemoryHistory(), world.reader, world.state, lambda _: rules)
    one, other = world.profile(a), world.profile(b)
    events = [*sightings.of(one).sightings, *sightings.of(other).sightings]
    return hindrances(Asked(one, other, events, rules, world.now_ms, sightings.told))


def test_an_alias_of_two_user_ids_is_told() -> None:
    """Segment's users may mean a user id by the previous one: it joins nobody, and says what would."""
    world = World()
    world.send(track("A", user="old"), track("A", anonymous="a"), {"type": "alias", "userId": "new", "previousId": "a"})
    world.send({"type": "alias", "userId": "new", "previousId": "old", "messageId": "m"})
    world.fold()
    assert world.profile("user_id:new").id == world.profile("anonymous_id:a").id
    (found,) = apart(world, "user_id:new", "user_id:old")
    assert (found.kind, found.a, found.b, found.sighting and found.sighting.message) == (
        "alias", "user_id:new", "user_id:old", "m",
    )  # fmt: skip
    assert [each.b for each in apart(world, "user_id:old", "user_id:new")] == ["user_id:new"]


def test_a_group_identifies_nobody() -> None:
    """Two of one company are two people; where a type is read from `groupId` they are one."""
    for identity, one in ((Identity(), False), (Identity(types=(IdentifierType("household", ("groupId",)),)), True)):
        world = World(Definitions(version=1, identity=identity))
        for user in ("a", "b"):
            world.send({"type": "group", "anonymousId": user, "groupId": "acme", "traits": {"plan": "pro"}})
        world.fold()
        assert (world.profile("anonymous_id:a").id == world.profile("anonymous_id:b").id) == one


def test_what_has_changed_hands_is_told_with_the_rule() -> None:
    """A tablet that the newest link gave to somebody else is why the two who had it are two."""
    world = world_of("adobe-graph-linking", [IdentifierType("crm", unique=True)])
    tell(world, "crm: ann, device: tablet", "crm: bob, device: tablet")
    (found,) = apart(world, "crm:ann", "crm:bob")
    assert (found.kind, found.rule, found.shared) == ("moved", "newest_link", "device:tablet")


def test_a_refusal_whose_effect_is_gone_is_asked_of_the_rules_of_now() -> None:
    """It says that it was not told so then; and where nothing would keep them apart today, that it would not."""
    world = World()
    world.send(track("A", user="a", anonymous="t"), track("A", user="b", anonymous="t"))
    world.fold()
    world.state.trim_effects(world.state.newest() + 1)
    (found,) = apart(world, "user_id:a", "user_id:b")
    assert (found.rule, found.told, found.now, found.would_join) == ("one_user_id", False, "one_user_id", False)
    types = (IdentifierType("user_id", unique=False), IdentifierType("anonymous_id"))
    world.define(Definitions(version=1, identity=Identity(types=types)))
    world.fold()
    (found,) = apart(world, "user_id:a", "user_id:b")
    assert (found.rule, found.told, found.now, found.would_join) == ("", False, "", True)


def test_what_people_say_is_kept_with_who_said_it_through_merges() -> None:
    """A word goes with the profile that it was said of, once, whoever absorbs it; also where it was refused."""
    world = World()
    world.send(track("A", user="a"), track("A", user="b"), track("A", anonymous="x"), track("A", anonymous="y"))
    world.link("user_id:a", "user_id:b", never=True, by="eve")
    world.link("user_id:a", "user_id:b", by="bob")
    world.link("anonymous_id:x", "user_id:a", by="joe")
    world.link("anonymous_id:x", "anonymous_id:y", by="kim")
    world.fold()
    words = world.profile("user_id:a").noted().words
    assert [(word.by, word.never) for word in words] == [("eve", True), ("bob", False), ("joe", False), ("kim", False)]
    assert [word.by for word in world.profile("user_id:b").noted().words] == ["eve", "bob"]
    found = bonds(world.profile("user_id:a"), [])
    path = chain(found, "user_id:a", "anonymous_id:y")
    assert path is not None
    assert [(link.rule, link.by) for link in path] == [("explicit", "joe"), ("explicit", "kim")]
    assert all(link.absorbed for link in path)


def test_a_link_that_was_undone_is_told_with_who_undid_it() -> None:
    """The event that had made it is still there, and joins them no more; nor do they seem to share anything else."""
    definitions = Definitions(version=1)
    world = World(definitions)
    world.send(track("A", user="a"), track("A", anonymous="t"), track("A", user="a", anonymous="t", message="m"))
    world.fold()
    assert world.profile("user_id:a").id == world.profile("anonymous_id:t").id
    undo(world, Catalog(definitions), MemoryHistory(), Undone("a", "t", loose=False))
    undone, refused = apart(world, "user_id:a", "anonymous_id:t")
    assert (undone.kind, undone.a, undone.b, undone.by) == ("undone", "user_id:a", "anonymous_id:t", "ann")
    assert undone.at_ms == world.now_ms
    assert (refused.rule, refused.told, refused.sighting and refused.sighting.message) == ("unmerged", False, "m")


def test_a_profile_at_the_cap_is_judged_and_says_so() -> None:
    """Without any rules, too: what is beyond a thousand identifiers is refused, told, counted, and noted."""
    world = World(define({"n": 'count("A")'}))
    most = PROFILE_IDENTIFIERS_MAX
    for number in range(most + 20):
        world.send(track("A", user="u", anonymous=f"d{number}"))
    world.fold()
    profile = world.profile("user_id:u")
    assert len(profile.identifiers) == most
    assert profile.computed == {"n": most + 20}
    assert profile.noted().full.keys() == {"most_identifiers"}
    refused = [effect for effect in world.effects() if isinstance(effect, LinkRefused)]
    assert len(refused) == 21
    assert world.state.counts()["links_refused.most_identifiers"] == 21
    assert world.state.lookup(f"anonymous_id:d{most + 5}") is None


OTHERS = int(os.environ.get("ONEFOLD_OTHERS", "12000"))
"""Identifiers on one value: a million with ONEFOLD_OTHERS=1000000, which takes minutes."""


@pytest.mark.timeout(120 + OTHERS // 1_000)
def test_very_many_identifiers_on_one_value() -> None:
    """With rules or without, all of them are admitted, nothing is lost, and the last cost about what the first did."""
    for identity in (Identity(), Identity(types=(IdentifierType("user_id"), IdentifierType("email")), hot=250)):
        world = World(Definitions(version=1, identity=identity))
        spent: list[float] = []
        for tenth in range(10):
            events = range(tenth * OTHERS // 10, (tenth + 1) * OTHERS // 10)
            for first in range(events.start, events.stop, 500):
                some = range(first, min(first + 500, events.stop))
                world.send(*(identify(anonymous=f"a{n}", traits={"email": "team@acme.com"}) for n in some))
            begin = time.process_time()
            world.fold()
            spent.append(time.process_time() - begin)
            world.now_ms += SECOND_MS
        counts = world.state.counts()
        assert counts["received"] == counts["admitted"] == OTHERS
        team = world.profile("email:team@acme.com")
        assert len(team.identifiers) <= PROFILE_IDENTIFIERS_MAX
        alone = world.state.counts()["profiles"] - 1
        assert team.events + alone == OTHERS
        assert sum(count for name, count in counts.items() if name.startswith("links_refused.")) <= OTHERS
        assert max(spent[5:]) < 8 * max(min(spent[1:5]), 0.01)
