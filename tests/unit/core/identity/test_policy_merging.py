"""Policies that merge: Segment's worked example, limits by time, what may be shared, and values that join too many."""

import pytest

from onefold.core.identity.rulebook import rulebook_of
from onefold.limits import DAY_MS
from onefold.model.definitions import Definitions
from onefold.model.effect import Hot, LinkRefused
from onefold.model.identity import IdentifierType, Identity, Policy
from onefold.testing.world import World, identify, track
from tests.unit.core.identities import groups, people, world_of


def test_segment_leaves_out_the_lowest_identifier_and_looks_again() -> None:
    """https://segment.com/docs/unify/identity-resolution/identity-resolution-settings/#priority: abc456 and Jane."""
    world = world_of("segment")
    world.send(identify(user="abc123", traits={"email": "jane@example1.com"}))
    world.send(identify(user="abc456", traits={"email": "jane@example1.com"}))
    world.fold()
    assert people(world) == groups("user_id: abc123, email: jane@example1.com", "user_id: abc456")
    refused = [effect for effect in world.effects() if isinstance(effect, LinkRefused)]
    assert [(each.a, each.b, each.rule) for each in refused] == [
        ("user_id:abc456", "email:jane@example1.com", "one_user_id")
    ]


def test_segment_allows_five_of_any_other_type() -> None:
    """The same document's default limits: a sixth anonymous id is left out, and the event is still the user's."""
    world = world_of("segment")
    for number in range(7):
        world.send(track("A", user="u", anonymous=f"a{number}"))
    world.fold()
    person = world.profile("user_id:u")
    assert sum(each.startswith("anonymous_id:") for each in person.identifiers) == 5
    assert person.events == 7
    assert person.notes is not None
    assert person.notes.full.keys() == {"most_anonymous_id"}


def test_segment_orders_what_is_not_named_by_the_alphabet() -> None:
    """user_id and email first, then android.id before anonymous_id, as the document's table has it."""
    rulebook = rulebook_of(Identity(policy="segment"))
    assert rulebook is not None
    found = ["ga_client_id:g", "anonymous_id:a", "android.id:d", "email:e", "user_id:u"]
    assert rulebook.order(found) == ["user_id:u", "email:e", "android.id:d", "anonymous_id:a", "ga_client_id:g"]


def test_a_limit_counts_within_its_time() -> None:
    """Five weekly: what was first seen more than a week ago makes room."""
    world = world_of("merge-any", [IdentifierType("anonymous_id", limit=2, per="week")])
    for number in range(3):
        world.send(track("A", user="u", anonymous=f"a{number}"))
    world.fold()
    assert "anonymous_id:a2" not in world.profile("user_id:u").identifiers
    world.pass_time(7 * DAY_MS)
    world.send(track("A", user="u", anonymous="a2"))
    world.fold()
    assert "anonymous_id:a2" in world.profile("user_id:u").identifiers


def test_a_shared_tablet_makes_no_family_one_person() -> None:
    """Two people with addresses of their own stay two, though both use a device that is called soft."""
    types = [IdentifierType("user_id"), IdentifierType("email"), IdentifierType("anonymous_id", soft=True)]
    world = world_of("merge-any", types)
    for name in ("ann", "bob", "ann"):
        world.send(identify(anonymous="tablet", traits={"email": f"{name}@acme.com"}))
    world.fold()
    assert people(world) == groups("email: ann@acme.com, anonymous_id: tablet", "email: bob@acme.com")
    bob = world.profile("email:bob@acme.com")
    assert bob.notes is not None
    assert (set(bob.notes.seen), set(bob.notes.full)) == ({"anonymous_id:tablet"}, {"soft_identifier"})
    refused = [effect for effect in world.effects() if isinstance(effect, LinkRefused)]
    assert len(refused) == 1


UNLESS = [
    IdentifierType("user_id"),
    IdentifierType("email"),
    IdentifierType("phone", unless=("name", "birthday")),
    IdentifierType("anonymous_id", unless=("name",)),
]


@pytest.mark.parametrize("policy", ["merge-any", "segment"])
def test_a_landline_makes_no_couple_one_person(policy: Policy) -> None:
    """What two share who are called otherwise joins neither them nor what one of them does to the other."""
    world = world_of(policy, UNLESS)
    landline = {"phone": "+12125550100"}
    world.send(identify(anonymous="a", traits=landline | {"firstName": "Ann", "email": "ann@acme.com"}))
    world.send(identify(anonymous="b", traits=landline | {"firstName": "Bob", "email": "bob@acme.com"}))
    world.send(identify(anonymous="b", traits=landline))
    world.send(identify(anonymous="case-7", traits=landline | {"firstName": "Annie"}))
    world.fold()
    assert people(world) == groups(
        "anonymous_id: a, anonymous_id: case-7, email: ann@acme.com, phone: +12125550100",
        "anonymous_id: b, email: bob@acme.com",
    )
    bob = world.profile("email:bob@acme.com")
    assert bob.events == 2
    assert bob.notes is not None
    assert (set(bob.notes.seen), set(bob.notes.full)) == ({"phone:+12125550100"}, {"other_name"})
    assert [effect.rule for effect in world.effects() if isinstance(effect, LinkRefused)] == ["other_name"]


def test_whoever_calls_themselves_otherwise_on_a_device_is_somebody_else() -> None:
    """A partner who orders on somebody's tablet gets a profile; what nobody's name is known of joins as ever."""
    world = world_of("merge-any", UNLESS)
    world.send(identify(anonymous="tablet", traits={"firstName": "Ann", "email": "ann@acme.com"}))
    world.send(identify(anonymous="tablet", traits={"firstName": "Bob", "email": "bob@acme.com"}))
    world.send(identify(anonymous="phone", traits={"email": "bob@acme.com"}))
    world.fold()
    assert people(world) == groups(
        "anonymous_id: tablet, email: ann@acme.com", "email: bob@acme.com, anonymous_id: phone"
    )


def test_a_father_and_his_namesake_are_told_apart_by_their_birthdays() -> None:
    """Of two of one name the birthday decides; where nothing else is left, the event is whose its identifier is."""
    world = world_of("merge-any", UNLESS)
    for year, name in (("1960", "x"), ("1990", "y")):
        traits = {"firstName": "Carl", "birthday": f"{year}-0{year[2]}-11", "phone": "+12125550100"}
        world.send(identify(anonymous=name, traits=traits))
    world.send(identify(traits={"firstName": "Carl", "birthday": "1990-09-11", "phone": "+12125550100"}))
    world.fold()
    assert people(world) == groups("anonymous_id: x, phone: +12125550100", "anonymous_id: y")
    assert world.profile("phone:+12125550100").events == 2


def test_a_soft_identifier_still_joins_what_came_before_the_login() -> None:
    """What an anonymous visitor did becomes the person's at the first login."""
    types = [IdentifierType("email"), IdentifierType("anonymous_id", soft=True)]
    world = world_of("merge-any", types)
    world.send(track("A", anonymous="phone"))
    world.send(identify(anonymous="phone", traits={"email": "ann@acme.com"}))
    world.fold()
    assert people(world) == groups("email: ann@acme.com, anonymous_id: phone")


def test_a_value_that_meets_too_many_is_stopped_and_told_of() -> None:
    """Hot: it joins nobody any more, which is an effect, once, and a count; nobody else is held up."""
    world = world_of("merge-any", [], hot=3)
    for number in range(6):
        world.send(identify(anonymous=f"a{number}", traits={"email": "team@acme.com"}))
        world.send(track("A", anonymous=f"a{number}"))
    world.fold()
    hot = [effect for effect in world.effects() if isinstance(effect, Hot)]
    assert [(effect.identifier, effect.others) for effect in hot] == [("email:team@acme.com", 3)]
    joined = world.profile("email:team@acme.com")
    assert len(joined.identifiers) == 4
    assert world.profile("anonymous_id:a5").events == 2
    assert world.state.counts()["hot_identifiers"] == 1
    assert world.state.members("@hot", 0, 9) == [(joined.id, world.now_ms)]
    world.send(identify(traits={"email": "team@acme.com"}))
    world.fold()
    assert world.profile("email:team@acme.com").events == joined.events + 1


def test_a_kiosk_is_hot_once_enough_people_have_used_it() -> None:
    """A device that is refused to one person after the other is not asked of any more."""
    world = world_of("merge-any", [], hot=3)
    for number in range(9):
        world.send(track("A", user=f"u{number}", anonymous="kiosk"))
        world.send(track("A", user=f"u{number}", anonymous="kiosk"))
    world.fold()
    refused = [effect for effect in world.effects() if isinstance(effect, LinkRefused)]
    assert len(refused) == 2
    assert len([effect for effect in world.effects() if isinstance(effect, Hot)]) == 1
    assert world.profile("user_id:u8").events == 2


def test_fields_and_spellings_are_the_workspaces_own() -> None:
    """A card's number is read where the workspace says, without its spaces; blocked values identify nobody."""
    card = IdentifierType(
        "card", fields=("properties.card.number", "traits.card"), normalise="digits", blocked=("1",), patterns=("^9+$",)
    )
    world = World(Definitions(version=1, identity=Identity(types=(card,))))
    world.send(track("Bought", anonymous="a", properties={"card": {"number": "12 34"}}))
    world.send(identify(user="u", traits={"card": 1234}))
    world.send(track("Bought", anonymous="b", properties={"card": {"number": "999"}}))
    world.send(track("Bought", anonymous="c", properties={"card": {"number": "1"}}))
    world.fold()
    assert people(world) == groups("user_id: u, card: 1234, anonymous_id: a", "anonymous_id: b", "anonymous_id: c")
