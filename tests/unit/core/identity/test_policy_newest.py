"""Adobe's identity graph linking rules: the examples of its documents.

https://experienceleague.adobe.com/en/docs/experience-platform/identity/features/identity-graph-linking-rules/
(`identity-optimization-algorithm`, `example-configurations`, with the graphs that their texts describe.)
"""

import pytest

from onefold.core.identity.policy_newest import Tie, settled
from onefold.core.identity.rulebook import rulebook_of
from onefold.model.definitions import Definitions
from onefold.model.effect import LinkRefused, Moved
from onefold.model.identity import IdentifierType, Identity
from onefold.testing.world import World, rfc3339, track
from tests.unit.core.identities import groups, people, tell, world_of

CRM = IdentifierType("crmid", unique=True)
PLAIN = (CRM, IdentifierType("ecid"))
HASHED = (CRM, *map(IdentifierType, ("email_sha", "phone_sha", "gaid", "idfa", "ecid")))
UNIQUE_PHONE = (CRM, IdentifierType("email_sha"), IdentifierType("phone_sha", unique=True), *HASHED[3:])
LOGINS = (CRM, IdentifierType("loginid"), IdentifierType("ecid"))
SHOP = (CRM, IdentifierType("email", unique=True, normalise="lower"), IdentifierType("ecid"))
TWO_PEOPLE = (
    "crmid: Tom, email_sha: aabbcc, phone_sha: 123-4567",
    "crmid: Tom, ecid: 111",
    "crmid: Tom, ecid: 222, idfa: a-a-a",
    "crmid: Summer, email_sha: ddeeff, phone_sha: 765-4321",
    "crmid: Summer, ecid: 333",
    "crmid: Summer, ecid: 444, gaid: b-b-b",
)
TOM = "crmid: Tom, email_sha: aabbcc, phone_sha: 123-4567, ecid: 111, ecid: 222, idfa: a-a-a"
SUMMER = "crmid: Summer, email_sha: ddeeff, phone_sha: 765-4321, ecid: 333, ecid: 444, gaid: b-b-b"
LOGGED_IN = (
    "crmid: Tom, loginid: ID_A", "crmid: Tom, loginid: ID_B", "loginid: ID_A, ecid: 111",
    "crmid: Summer, loginid: ID_C", "crmid: Summer, loginid: ID_D", "loginid: ID_C, ecid: 222",
)  # fmt: skip
EXAMPLES = {
    "CRMID only, shared device": (
        PLAIN,
        ("crmid: Tom, ecid: 111", "crmid: Summer, ecid: 111"),
        groups("crmid: Tom", "crmid: Summer, ecid: 111"),
    ),
    "two people": (HASHED, TWO_PEOPLE, groups(TOM, SUMMER)),
    "shared computer": (
        HASHED,
        (*TWO_PEOPLE, "crmid: Summer, ecid: 111"),
        groups(TOM.replace(", ecid: 111", ""), SUMMER + ", ecid: 111"),
    ),
    "shared Android device": (
        HASHED,
        (*TWO_PEOPLE, "crmid: Tom, ecid: 444, gaid: b-b-b"),
        groups(TOM + ", ecid: 444, gaid: b-b-b", SUMMER.replace(", ecid: 444, gaid: b-b-b", "")),
    ),
    "shared Apple device, ECID resets": (
        HASHED,
        (*TWO_PEOPLE, "crmid: Summer, ecid: 555, idfa: a-a-a"),
        groups(TOM.replace(", idfa: a-a-a", ""), SUMMER + ", ecid: 555, idfa: a-a-a"),
    ),
    "phone that is not unique": (
        HASHED,
        (*TWO_PEOPLE, "crmid: Summer, phone_sha: 123-4567"),
        groups(TOM.replace(", phone_sha: 123-4567", ""), SUMMER + ", phone_sha: 123-4567"),
    ),
    "unique phone": (
        UNIQUE_PHONE,
        (*TWO_PEOPLE, "crmid: Summer, phone_sha: 123-4567"),
        groups(TOM.replace(", phone_sha: 123-4567", ""), SUMMER.replace("765-4321", "123-4567")),
    ),
    "several logins, shared device": (
        LOGINS,
        (*LOGGED_IN, "loginid: ID_C, ecid: 111"),
        groups(
            "crmid: Tom, loginid: ID_A, loginid: ID_B",
            "crmid: Summer, loginid: ID_C, loginid: ID_D, ecid: 222, ecid: 111",
        ),
    ),
    "several logins, bad data": (
        LOGINS,
        (*LOGGED_IN, "crmid: Tom, loginid: ID_D"),
        groups(
            "crmid: Tom, loginid: ID_A, loginid: ID_B, loginid: ID_D, ecid: 111",
            "crmid: Summer, loginid: ID_C, ecid: 222",
        ),
    ),
    "dangling login": (
        LOGINS,
        (*LOGGED_IN[:3], "loginid: ID_C, ecid: 111"),
        groups("crmid: Tom, loginid: ID_A, loginid: ID_B, ecid: 111, loginid: ID_C"),
    ),
    "two registered users": (
        SHOP,
        (
            "crmid: Tom, email: tom@acme.com", "crmid: Summer, email: summer@acme.com",
            "crmid: Tom, ecid: 111", "crmid: Summer, ecid: 111",
        ),
        groups("crmid: Tom, email: tom@acme.com", "crmid: Summer, email: summer@acme.com, ecid: 111"),
    ),
    "registered user and guest": (
        SHOP,
        ("crmid: Tom, email: tom@acme.com", "crmid: Tom, ecid: 111", "email: summer@acme.com, ecid: 111"),
        groups("crmid: Tom, email: tom@acme.com", "email: summer@acme.com, ecid: 111"),
    ),
    "registered user without an e-mail, and guest": (
        SHOP,
        ("crmid: Tom, ecid: 111", "email: summer@acme.com, ecid: 111"),
        groups("crmid: Tom, ecid: 111, email: summer@acme.com"),
    ),
    "two guests": (
        SHOP,
        ("email: tom@acme.com, ecid: 111", "email: summer@acme.com, ecid: 111"),
        groups("email: tom@acme.com", "email: summer@acme.com, ecid: 111"),
    ),
    "guest who registers": (
        SHOP,
        ("email: tom@acme.com, ecid: 111", "email: tom@acme.com, crmid: Tom", "crmid: Tom, ecid: 111"),
        groups("crmid: Tom, email: tom@acme.com, ecid: 111"),
    ),
    "bad e-mail": (
        SHOP,
        (
            "crmid: Jane, ecid: 1", "crmid: John, ecid: 2",
            "crmid: Jane, email: bad@acme.com", "crmid: John, email: bad@acme.com",
        ),
        groups("crmid: Jane, ecid: 1", "crmid: John, ecid: 2, email: bad@acme.com"),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_examples_of_the_documents(name: str) -> None:
    """The people are those of Adobe's graphs."""
    types, events, expected = EXAMPLES[name]
    world = world_of("adobe-graph-linking", types)
    tell(world, *events)
    assert people(world) == expected


def test_anonymous_events_are_whose_login_was_last() -> None:
    """Kevin and Nora share a tablet: what happens without a login belongs to whoever logged in last."""
    world = world_of("adobe-graph-linking", PLAIN)
    tell(world, "crmid: Kevin, ecid: 1", "crmid: Nora, ecid: 1", "ecid: 1")
    assert (world.profile("crmid:Kevin").events, world.profile("crmid:Nora").events) == (1, 2)
    tell(world, "crmid: Kevin, ecid: 1", "ecid: 1")
    assert (world.profile("crmid:Kevin").events, world.profile("crmid:Nora").events) == (3, 2)
    moved = [effect for effect in world.effects() if isinstance(effect, Moved)]
    assert [effect.former for effect in moved] == [world.profile(f"crmid:{name}").id for name in ("Kevin", "Nora")]


def test_an_event_that_comes_late_takes_nothing_from_who_came_after_it() -> None:
    """The newest link is the newest by event time: however late an older one arrives, it does not win."""
    lines = ("crmid: Tom, ecid: 111", "crmid: Summer, ecid: 111")
    in_order, late = (world_of("adobe-graph-linking", PLAIN) for _ in range(2))
    tell(in_order, *lines)
    now_ms = late.now_ms
    late.now_ms += 10_000
    late.send(_at("Summer", now_ms + 1_000))
    late.send(_at("Tom", now_ms))
    late.fold()
    assert people(late) == people(in_order)


def _at(name: str, at_ms: int) -> dict[str, object]:
    external = [{"id": name, "type": "crmid"}, {"id": "111", "type": "ecid"}]
    return {"type": "track", "event": "E", "timestamp": rfc3339(at_ms), "context": {"externalIds": external}}


def test_what_has_lost_its_links_leads_on_to_where_it_led() -> None:
    """A number that a newer one has replaced still finds the person, until somebody else comes with it."""
    world = world_of("adobe-graph-linking", UNIQUE_PHONE)
    tell(world, "crmid: Summer, phone_sha: 1", "crmid: Summer, phone_sha: 2", "phone_sha: 1")
    assert world.profile("phone_sha:1").id == world.profile("crmid:Summer").id
    tell(world, "crmid: Tom, phone_sha: 1")
    assert people(world) == groups("crmid: Summer, phone_sha: 2", "crmid: Tom, phone_sha: 1")


def test_what_was_one_person_under_other_rules_stays_so() -> None:
    """Links that were made before the newest one won hold on: only what clashes goes over."""
    world = World(Definitions(version=1))
    tell(world, "user_id: Tom, anonymous_id: 1", "user_id: Tom, anonymous_id: 2")
    world.define(Definitions(version=2, identity=Identity("adobe-graph-linking")))
    tell(world, "user_id: Summer, anonymous_id: 1")
    assert people(world) == groups("user_id: Tom, anonymous_id: 2", "user_id: Summer, anonymous_id: 1")


def test_links_are_laid_down_by_priority_and_then_by_time() -> None:
    """First those of the latest event, then by the sum of priorities, then the newest; who clashes is dropped."""
    rulebook = rulebook_of(Identity(policy="adobe-graph-linking", types=LOGINS))
    assert rulebook is not None
    ties = [
        Tie(1, "crmid:t", "loginid:a"), Tie(3, "loginid:a", "ecid:1"), Tie(2, "crmid:s", "loginid:c"),
        Tie(9, "loginid:c", "ecid:1", new=True),
    ]  # fmt: skip
    of, kept = settled(ties, {each for tie in ties for each in (tie.a, tie.b)}, rulebook)
    assert of["ecid:1"] == of["crmid:s"] != of["crmid:t"] == of["loginid:a"]
    assert len(kept) == 3


def test_an_event_with_two_values_of_a_unique_type_is_of_the_first() -> None:
    """The other value is kept out, and told: such an event had stopped the partition."""
    world = world_of("adobe-graph-linking", (CRM, IdentifierType("email", unique=True)))
    tell(world, "crmid: Tom, email: a@acme.com, email: b@acme.com", "crmid: Tom", "crmid: Eve, email: b@acme.com")
    assert people(world) == groups("crmid: Tom, email: a@acme.com", "crmid: Eve, email: b@acme.com")
    refused = [effect for effect in world.effects() if isinstance(effect, LinkRefused)]
    assert [(effect.a, effect.b, effect.rule) for effect in refused] == [
        ("crmid:Tom", "email:b@acme.com", "newest_link")
    ]


def test_a_link_whose_end_has_gone_elsewhere_ties_nothing_any_more() -> None:
    """A former identifier that somebody else has claimed leaves a link behind, which had stopped the partition."""
    world = world_of("adobe-graph-linking", (CRM, IdentifierType("phone_sha", unique=True), IdentifierType("ecid")))
    tell(
        world, "crmid: Summer, phone_sha: 1", "phone_sha: 1, ecid: 5", "crmid: Summer, phone_sha: 2",
        "crmid: Tom, phone_sha: 1", "crmid: Summer, phone_sha: 3",
    )  # fmt: skip
    assert frozenset({"crmid:Tom", "phone_sha:1"}) <= next(each for each in people(world) if "crmid:Tom" in each)


@pytest.mark.parametrize("at_once", [1, 100])
def test_where_an_identifier_leads_does_not_depend_on_batches(at_once: int) -> None:
    """Whose it was in the same batch is no reason to look no further: it leads on to where it led as a former one."""
    types = (IdentifierType("user_id", unique=True), IdentifierType("anonymous_id", unique=True))
    world = world_of("adobe-graph-linking", types)
    for user, anonymous in (("", "1"), ("A", "1"), ("B", "1"), ("B", "2"), ("", "1")):
        world.send(track("E", user=user, anonymous=anonymous) if user else track("E", anonymous=anonymous))
        world.now_ms += 1
    world.fold(at_once)
    assert world.profile("anonymous_id:1").id == world.profile("user_id:B").id
    assert world.profile("user_id:B").events == 3
