"""Explanations of what people's accounts decide."""

from onefold.core.explaining.explain import explain
from onefold.language.stream.probe import probed
from onefold.limits import MINUTE_MS
from onefold.model.explanation import Explanation
from onefold.testing.world import World, group, track
from tests.unit.core.explaining.test_explain import part, pasts
from tests.unit.core.test_accounts import DEFINITIONS, used


def why(world: World, name: str, who: str) -> Explanation:
    """An explanation at the world's present."""
    found = sorted(pasts(world, who), key=lambda past: past.position)
    return explain(probed(DEFINITIONS, name), world.profile(who), found, world.now_ms)


def company() -> World:
    """Three seats of a company, and one person who has used nothing themselves."""
    world = World(DEFINITIONS)
    world.send(group("umbrella", user="ann"))
    world.pass_time(1)
    world.send(group("acme", user="ann", traits={"plan": "pro"}))
    world.pass_time(MINUTE_MS)
    world.send(*(used(f"u{n}") for n in range(3)), track("A", user="ann"), track("A", user="cid"))
    world.pass_time(MINUTE_MS)
    return world


def test_an_audience_that_reads_the_account_names_it_and_the_event_that_did() -> None:
    """The account's value, whose it is, and the event by which the person is a member; that alone gives the answer."""
    found = why(company(), "big", "user_id:ann")
    assert found.answer.value is True
    seats = part(found, "account.seats_used")
    assert (seats.kind, seats.value, seats.differs) == ("account", 3, False)
    assert [(note.reason, note.text) for note in seats.notes] == [("account", "of the person's account acme")]
    assert seats.evidence is not None
    assert [ground.name for ground in seats.evidence.grounds] == ["group"]
    assert [ground.position for ground in found.grounds] == [ground.position for ground in seats.evidence.grounds]
    assert found.confirmed
    assert found.beyond_ms == found.at_ms


def test_a_trait_that_the_account_declares_is_explained() -> None:
    """Conditions stand beside each other, each with its account."""
    found = why(company(), "lively", "user_id:ann")
    assert found.answer.value is True
    assert part(found, "account.traits.plan").value == "pro"
    assert part(found, "account.uses_1h").value == 3
    assert found.confirmed


def test_somebody_without_an_account_is_told_so() -> None:
    """There is no value, and no event that named an account."""
    found = why(company(), "big", "user_id:cid")
    assert found.answer.value is False
    seats = part(found, "account.seats_used")
    assert seats.value is None
    assert [note.text for note in seats.notes] == ["no event of the person has named an account"]
    assert found.confirmed
