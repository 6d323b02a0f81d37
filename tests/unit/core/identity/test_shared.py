"""What several people are known to share joins only who is shown to be the one who has it (`unless: [shared]`)."""

import pytest

from onefold.core.identity.identifiers import Who
from onefold.core.identity.regroup import Regrouping, Said
from onefold.model import entry as entries
from onefold.model.effect import LinkRefused
from onefold.model.entry import Linked, Matched
from onefold.model.identity import IdentifierType, Identity, Policy
from onefold.model.rules import Rules
from onefold.testing.world import identify, track
from tests.unit.core.identities import groups, people, world_of

TYPES = [
    IdentifierType("user_id", unique=True),
    IdentifierType("email", unless=("name", "birthday", "shared")),
    IdentifierType("anonymous_id", soft=True),
]
COUPLE = {"email": "couple@acme.com"}


@pytest.mark.parametrize("policy", ["merge-any", "segment"])
def test_an_address_that_was_kept_from_somebody_joins_no_stranger(policy: Policy) -> None:
    """A receipt with the couple's address and nothing else may be either's, so it is nobody's of the two."""
    world = world_of(policy, TYPES)
    world.send(identify(user="ann", traits=COUPLE | {"firstName": "Ann"}))
    world.send(identify(anonymous="before", traits=COUPLE))
    world.send(identify(user="bob", traits=COUPLE | {"firstName": "Bob"}))
    world.send(identify(anonymous="after", traits=COUPLE))
    world.fold()
    assert people(world) == groups(
        "user_id: ann, email: couple@acme.com, anonymous_id: before", "user_id: bob", "anonymous_id: after"
    )
    refused = [effect for effect in world.effects() if isinstance(effect, LinkRefused)]
    assert [(each.a, each.rule) for each in refused] == [
        ("user_id:bob", "other_name"),
        ("anonymous_id:after", "shared"),
    ]


def test_two_accounts_show_that_an_address_is_shared() -> None:
    """Also where nobody ever says a name."""
    world = world_of("merge-any", TYPES)
    for name in ("ann", "bob"):
        world.send(identify(user=name, traits=COUPLE))
    world.send(identify(anonymous="receipt", traits=COUPLE))
    world.fold()
    assert people(world) == groups("user_id: ann, email: couple@acme.com", "user_id: bob", "anonymous_id: receipt")


@pytest.mark.parametrize("words", [{"firstName": "Annie"}, {"birthday": "1980-02-03"}])
def test_it_joins_who_is_called_alike_or_born_on_one_day(words: dict[str, str]) -> None:
    """Whoever is shown to be the one who has it is theirs as ever."""
    world = world_of("merge-any", TYPES)
    world.send(identify(user="ann", traits=COUPLE | {"firstName": "Ann", "birthday": "1980-02-03"}))
    world.send(identify(user="bob", traits=COUPLE | {"firstName": "Bob"}))
    world.send(identify(anonymous="order", traits=COUPLE | words))
    world.fold()
    assert "anonymous_id:order" in world.profile("user_id:ann").identifiers


def test_it_joins_whom_another_identifier_shows() -> None:
    """A browser that is known to be hers is; so is one whose visitor has said her name before."""
    world = world_of("merge-any", TYPES)
    world.send(identify(user="ann", anonymous="phone", traits=COUPLE | {"firstName": "Ann"}))
    world.send(identify(user="bob", traits=COUPLE | {"firstName": "Bob"}))
    world.send(identify(anonymous="laptop", traits={"firstName": "Ann"}))
    for browser in ("phone", "laptop", "tablet"):
        world.send(identify(anonymous=browser, traits=COUPLE))
    world.fold()
    ann = world.profile("user_id:ann").identifiers
    assert {"anonymous_id:phone", "anonymous_id:laptop"} <= ann.keys()
    assert "anonymous_id:tablet" not in ann


def test_an_initial_shows_nobody() -> None:
    """J. may be either of Jane and John."""
    world = world_of("merge-any", TYPES)
    world.send(identify(user="jane", traits=COUPLE | {"firstName": "Jane"}))
    world.send(identify(user="john", traits=COUPLE | {"firstName": "John"}))
    world.send(identify(anonymous="order", traits=COUPLE | {"firstName": "J."}))
    world.fold()
    assert world.profile("anonymous_id:order").identifiers.keys() == {"anonymous_id:order"}


def test_without_the_rule_nothing_is_kept_from_anybody() -> None:
    """Who does not say `shared` has what was there before."""
    types = [TYPES[0], IdentifierType("email", unless=("name", "birthday")), TYPES[2]]
    world = world_of("merge-any", types)
    for name in ("ann", "bob"):
        world.send(identify(user=name, traits=COUPLE | {"firstName": name}))
    world.send(identify(anonymous="receipt", traits=COUPLE))
    world.send(track("A", anonymous="receipt"))
    world.fold()
    assert "anonymous_id:receipt" in world.profile("user_id:ann").identifiers


def test_what_is_known_to_be_shared_beforehand_waits_for_somebody_who_says_who_they_are() -> None:
    """So a past that is gone through again gives no receipt to either, and the address to the first who has a name."""
    rules = Rules(identity=Identity(types=tuple(TYPES)))
    events: list[tuple[tuple[str, ...], dict[str, str] | None]] = [
        (("email:c@acme.com", "anonymous_id:receipt"), COUPLE),
        (("user_id:ann", "email:c@acme.com"), {"firstName": "Ann"}),
        (("user_id:bob", "email:c@acme.com"), {"firstName": "Bob"}),
    ]
    shared: frozenset[str] = frozenset()
    for apart in (False, True):
        found = Regrouping(rules, shared=shared)
        for n, (names, traits) in enumerate(events):
            found.take((n, 0, n), n, Who(names), Said(traits))
        owners = {name: found.owner(f"user_id:{name}") for name in ("ann", "bob")}
        assert (found.owner("anonymous_id:receipt") != owners["ann"]) is apart
        assert found.owner("email:c@acme.com") == owners["ann"] != owners["bob"]
        shared = found.shared()
        assert shared == {"email:c@acme.com"}


def test_an_address_that_says_another_name_is_shared() -> None:
    """Daniel gives Cynthia's: whoever else comes with it and nothing more may be her."""
    world = world_of("merge-any", TYPES)
    hers = {"email": "cynthia.goodman@acme.com"}
    world.send(identify(user="daniel", traits=hers | {"firstName": "Daniel", "lastName": "Goodman"}))
    world.send(identify(anonymous="laptop", traits=hers))
    world.send(identify(anonymous="order", traits=hers | {"firstName": "Dan"}))
    world.fold()
    assert people(world) == groups(
        "user_id: daniel, email: cynthia.goodman@acme.com, anonymous_id: order", "anonymous_id: laptop"
    )


def test_matching_joins_nobody_whom_the_rules_tell_apart() -> None:
    """What a chain of likenesses has come to is held against the rules once more when it is linked."""
    world = world_of("merge-any", TYPES)
    for name in ("ann", "bob"):
        world.send(identify(anonymous=name, traits={"firstName": name}))
    world.send(identify(anonymous="receipt", traits={"lastName": "Lind"}))
    world.fold()
    for name in ("ann", "bob"):
        linked = Linked(
            world.now_ms, f"anonymous_id:{name}", "anonymous_id:receipt", "matching", matched=Matched(0.99, "m")
        )
        world.writer.append({0: [entries.encode(linked)]})
    world.fold()
    assert people(world) == groups("anonymous_id: ann, anonymous_id: receipt", "anonymous_id: bob")
    refused = [effect.rule for effect in world.effects() if isinstance(effect, LinkRefused)]
    assert refused == ["other_name"]
