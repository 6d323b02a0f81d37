"""mParticle's strategies: the tables of its documents (https://docs.mparticle.com/guides/idsync/).

Their `Modify` is an event with the customer id and the new address: the profile takes the address, whoever had it
loses it, as in the tables. That the former address leads on to the profile is our own way.
"""

import pytest

from onefold.model.identity import IdentifierType
from onefold.testing.world import World
from tests.unit.core.identities import ids, shown, tell, world_of

TYPES = [
    IdentifierType("customer", unique=True, login=True),
    IdentifierType("email", unique=True, login=True),
    IdentifierType("idfv"),
    IdentifierType("roku"),
]
LAUNCH, LOGOUT = "idfv: 9876", "idfv: 9876"
LOGIN = "customer: ABC123, email: ed.hyde@example.com, idfv: 9876"
SUPPORT = "email: h.jekyll.md@example.com"
MODIFY = "customer: ABC123, email: h.jekyll.md@example.com"
ROKU, ROKU_LOGIN = "roku: 8765", "customer: ABC123, email: h.jekyll.md@example.com, roku: 8765"
KNOWN = {"customer:ABC123", "email:ed.hyde@example.com", "idfv:9876"}


def whose(world: World, line: str) -> int:
    """The number of the profile, from 1, that has the event."""
    before = {number: world.profile_of(number).events for number in ids(world)}
    tell(world, line)
    (found,) = [number for number in ids(world) if world.profile_of(number).events != before.get(number, 0)]
    return ids(world).index(found) + 1


STRATEGIES = {
    "mparticle-profile-conversion": [1, 1, 2, 3, 1, 1, 4, 1],
    "mparticle-link": [1, 2, 3, 4, 2, 2, 5, 2],
    "mparticle-profile-isolation": [1, 2, 1, 3, 2, 2, 4, 2],
}
"""The profile that each request of the table is answered with."""


@pytest.mark.parametrize("policy", STRATEGIES)
def test_the_tables_of_the_documents(policy: str) -> None:
    """Launch, login, logout, support, login again, a new address, a new device, a login on it."""
    world = world_of(policy, TYPES)  # type: ignore[arg-type]  # the keys above are policies
    lines = (LAUNCH, LOGIN, LOGOUT, SUPPORT, LOGIN, MODIFY, ROKU, ROKU_LOGIN)
    assert [whose(world, line) for line in lines] == STRATEGIES[policy]
    known = ids(world)[STRATEGIES[policy][1] - 1]
    assert shown(world, known) == KNOWN | {"email:h.jekyll.md@example.com", "roku:8765"}
    support = ids(world)[STRATEGIES[policy][3] - 1]
    assert world.profile_of(support).identifiers == {}, "the address was unique, so its profile is orphaned"


def test_the_default_is_conversion_with_the_user_id_alone() -> None:
    """https://docs.mparticle.com/guides/idsync/default-strategy/: an address does not log in, a user id does."""
    world = world_of("mparticle-default")
    tell(world, "anonymous_id: a", "user_id: u, anonymous_id: a")
    tell(world, "anonymous_id: a", "email: e@acme.com, anonymous_id: a")
    assert [world.profile_of(number).events for number in ids(world)] == [2, 2]


def test_best_match_has_no_logins() -> None:
    """The table of https://docs.mparticle.com/guides/idsync/best-match-strategy/."""
    world = world_of("mparticle-best-match", [IdentifierType(name) for name in ("email", "idfv", "android")])
    lines = (
        "idfv: 9876",
        "email: ed.hyde@example.com, idfv: 9876",
        "email: poole@example.com, idfv: 9876",
        "android: 8765",
        "android: 8765, email: poole@example.com",
    )
    assert [whose(world, line) for line in lines] == [1, 1, 1, 2, 1]
    assert shown(world, ids(world)[0]) == {
        "idfv:9876", "email:ed.hyde@example.com", "email:poole@example.com", "android:8765",
    }  # fmt: skip


def test_who_is_known_is_found_by_a_login_alone() -> None:
    """https://docs.mparticle.com/guides/idsync/components/: an IDFV of somebody with a login makes a new profile."""
    world = world_of("mparticle-profile-conversion", [IdentifierType("email", login=True), IdentifierType("idfv")])
    assert whose(world, "email: ed.hyde@example.com, idfv: 1234") == 1
    assert whose(world, "email: ed.hyde@example.com") == 1
    assert whose(world, "email: h.jekyll.md@example.com, idfv: 5678") == 2
    assert whose(world, "idfv: 1234") == 3
    assert whose(world, "idfv: 1234") == 3
