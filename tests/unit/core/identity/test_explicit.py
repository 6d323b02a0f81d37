"""What people say of identifiers, told as short stories; and what explanations say of limits."""

from msgspec import structs

from onefold.limits import NEVER_MAX
from onefold.model.effect import LinkRefused, Merged
from onefold.model.identity import IdentifierType, Identity, TraitRule
from onefold.testing.world import World, define, identify, track
from tests.unit.core.explaining.test_explain import why


def test_a_link_joins_what_the_rules_keep_apart_and_later_events_go_on() -> None:
    """Two user ids become one person by somebody's word, who then takes a new device as anybody does."""
    for rules in (Identity(), Identity(hot=9), Identity("segment")):
        world = World(structs.replace(define({"n": 'count("A")'}), identity=rules))
        world.send(track("A", user="old"), track("A", user="new"))
        world.link("user_id:old", "user_id:new")
        world.send(track("A", user="new", anonymous="phone"))
        world.fold()
        assert world.person("anonymous_id:phone").computed == {"n": 3}
        assert world.profile("user_id:old").links[0].rule == "explicit"
        merged = [effect for effect in world.effects() if isinstance(effect, Merged)]
        assert [(effect.a, effect.b, effect.rule) for effect in merged] == [("user_id:old", "user_id:new", "explicit")]


def test_never_counts_for_more_than_a_link() -> None:
    """Whichever comes later, what is never one person stays two; each refusal is an effect."""
    world = World()
    world.send(track("A", user="one"), track("A", user="two"))
    world.link("user_id:one", "user_id:two", never=True)
    world.link("user_id:one", "user_id:two")
    world.fold()
    assert world.profile("user_id:one").id != world.profile("user_id:two").id
    assert [e.rule for e in world.effects() if isinstance(e, LinkRefused)] == ["never_link", "never_link"]


def test_never_holds_for_what_events_show_without_any_rules() -> None:
    """A shared address of twins joins nobody, also where a workspace says nothing of identity."""
    world = World()
    world.send(identify(anonymous="a", traits={"email": "ann@acme.com"}))
    world.send(identify(anonymous="b", traits={"email": "bea@acme.com"}))
    world.link("email:ann@acme.com", "email:bea@acme.com", never=True)
    world.send(track("A", anonymous="a"), identify(anonymous="a", traits={"email": "bea@acme.com"}))
    world.fold()
    assert world.profile("anonymous_id:a").id == world.profile("email:ann@acme.com").id
    assert world.profile("email:bea@acme.com").id == world.profile("anonymous_id:b").id


def test_what_is_never_somebodys_is_bounded() -> None:
    """Beyond a thousand such words nothing is kept, and that is told."""
    world = World()
    world.send(track("A", user="u"), *(track("A", user=f"u{n}") for n in range(NEVER_MAX + 1)))
    for n in range(NEVER_MAX + 1):
        world.link("user_id:u", f"user_id:u{n}", never=True)
    world.fold()
    assert len(world.profile("user_id:u").noted().never) == NEVER_MAX
    assert [e.rule for e in world.effects() if isinstance(e, LinkRefused)][-1] == "most_identifiers"


def test_an_explanation_says_what_was_kept_out_and_agrees_with_the_events() -> None:
    """A profile at a limit is explained like any other; a trait of several words is made again from the events."""
    rules = Identity(
        types=(IdentifierType("user_id"), IdentifierType("email", limit=1)), traits=(TraitRule("points", "sum"),)
    )
    definitions = structs.replace(define({"p": "traits.points"}), identity=rules)
    world = World(definitions)
    world.send(identify(user="u", traits={"points": 3}), track("A", anonymous="a"))
    world.send(identify(anonymous="a", traits={"points": 4, "email": "a@acme.com"}))
    world.send(identify(user="u", anonymous="a"), identify(user="u", traits={"email": "b@acme.com"}))
    world.fold()
    assert world.person("user_id:u").computed == {"p": 7}
    found = why(world, "p", definitions)
    assert found.kept_out == ("one_email",)
    assert not any(part.differs for part in found.answer.whole.walk())
