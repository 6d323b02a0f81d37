"""What happens to accounts and their members, told as short stories over a platform in memory."""

from typing import Any

import pytest
from msgspec import structs

from onefold.errors import StorageError
from onefold.limits import DAY_MS, HOUR_MS, SWEEP_MAX_PROFILES, TICK_MAX_TIMERS
from onefold.model.account import members_of
from onefold.model.definitions import Audience, Definitions, Trait
from onefold.model.effect import Entered, Left
from onefold.model.entry import Tick
from onefold.model.rules import Rules
from onefold.testing.memory.state import MemoryState
from onefold.testing.world import World, group, identify, track

DEFINITIONS = Definitions(
    version=1,
    traits=(Trait("plan", "account.traits.plan"), Trait("company", "account.id")),
    audiences=(
        Audience("big", "account.seats_used >= 3"),
        Audience("lively", 'account.uses_1h > 0 and account.traits.plan == "pro"'),
    ),
    account_traits=(
        Trait("seats_used", 'unique_count("Used", properties.seat)'),
        Trait("uses_1h", 'count("Used", within="1h")'),
    ),
)


def used(user: str, account: str | int | None = "acme", at_ms: int | None = None, **more: Any) -> dict[str, Any]:
    """A use of a seat, naming the account."""
    context = {} if account is None else {"groupId": account}
    return track("Used", at_ms, user=user, properties={"seat": user}, context=context, **more)


def told(world: World) -> None:
    """Let everybody be told."""
    world.pass_time(0)


def audiences(world: World, user: str) -> set[str]:
    """The audiences that the user is in."""
    return set(world.person(f"user_id:{user}").audiences)


def account_id(world: World, name: str = "acme") -> int:
    """The account's id."""
    found = world.state.lookup(f":{name}")
    assert found is not None
    return found


def moves(world: World) -> list[tuple[int, str, bool]]:
    """(profile, audience, entered), in order."""
    kinds = (Entered, Left)
    return [(e.profile, e.audience, isinstance(e, Entered)) for e in world.effects() if isinstance(e, kinds)]


def test_members_enter_when_a_colleague_uses_the_product_and_leave_by_time_alone() -> None:
    """Nobody sends anything for a member who is moved by what others do, nor when the account's window ends."""
    world = World(DEFINITIONS)
    world.send(group("acme", user="ann", traits={"plan": "pro"}), group("acme", user="bob"))
    world.send(used("cid"), used("ann", None))
    world.fold()
    told(world)
    assert [audiences(world, name) for name in ("ann", "bob", "cid")] == [{"lively"}] * 3
    world.send(used("ann"), used("bob"))
    world.fold()
    told(world)
    assert [audiences(world, name) for name in ("ann", "bob", "cid")] == [{"lively", "big"}] * 3
    world.pass_time(HOUR_MS - 1)
    assert audiences(world, "bob") == {"lively", "big"}
    world.pass_time(1)
    assert [audiences(world, name) for name in ("ann", "bob", "cid")] == [{"big"}] * 3
    left = [effect for effect in world.effects() if isinstance(effect, Left)]
    assert [(effect.audience, effect.reason) for effect in left] == [("lively", "account")] * 3


def test_the_latest_event_that_names_an_account_says_whose_a_person_is() -> None:
    """By the time of events, not by their arrival; the account left behind keeps what it was told."""
    world = World(DEFINITIONS)
    now = world.now_ms
    world.send(group("new", now, user="ann", traits={"plan": "pro"}))
    world.send(group("old", now - DAY_MS, user="ann", traits={"plan": "free"}))
    world.send(used("ann", "old", now - 1))
    world.fold()
    assert world.person("user_id:ann").computed == {"plan": "pro", "company": "new"}
    assert world.profile(":old").events == 2
    assert [world.state.size(members_of(account_id(world, name))) for name in ("old", "new")] == [0, 1]
    world.send(group("old", now, user="ann", message="z" * 9), group(7, now + 1, user="bob"), used("bob", "7"))
    world.pass_time(1)
    assert world.person("user_id:bob").computed == {"company": "7"}
    assert world.profile(":7").events == 2


@pytest.mark.parametrize("value", ["", "  ", "null", None, True, 1.5, ["x"], {"id": "x"}, "x" * 400])
def test_what_cannot_be_a_name_names_no_account(value: Any) -> None:
    """The event counts for its person alone."""
    world = World(DEFINITIONS, rules=Rules(frozenset({"null"})))
    world.send({"type": "track", "event": "Used", "userId": "ann", "context": {"groupId": value}})
    world.fold()
    assert world.person("user_id:ann").computed == {}
    assert world.state.counts().get("accounts", 0) == 0


def test_no_identifier_of_a_person_is_an_accounts() -> None:
    """An external id of any type stays the person's own, also one that looks like an account's."""
    world = World(DEFINITIONS)
    ids = [{"id": "acme", "type": kind, "collection": "users"} for kind in ("", " ", "group_id", "account", ":")]
    world.send(group("acme", user="ann"))
    world.send(track("Used", user="bob", context={"externalIds": ids}))
    world.fold()
    assert world.person("user_id:bob").computed == {}
    assert world.state.counts()["profiles"] == 2


def test_a_large_account_tells_its_members_in_steps_that_are_bounded() -> None:
    """No commit has more than so many profiles, everybody enters once, and a crash between any two changes nothing."""
    world = World(DEFINITIONS)
    many = 2 * TICK_MAX_TIMERS + 7
    world.send(*(group("acme", user=f"u{n}") for n in range(many)))
    world.fold()
    told(world)
    world.send(*(used(f"u{n}") for n in range(3)))
    world.fold()
    state = world.state
    assert isinstance(state, MemoryState)
    steps = 0
    while state.next_due_ms(0) <= world.now_ms:
        world._append(0, Tick(world.now_ms))
        state.fail_next("commit", StorageError("the disk is full"), after=steps % 2 == 0)
        with pytest.raises(StorageError):
            world.fold()
        programs = world.folding._programs
        world.folding = world.new_folding()
        world.folding._programs = programs
        world.fold()
        steps += 1
        _, profiles, _ = state._touched[state.newest()]
        assert len(profiles) <= TICK_MAX_TIMERS + 1
    assert steps == 3
    entered = [effect.profile for effect in world.effects() if isinstance(effect, Entered) and effect.audience == "big"]
    assert (len(entered), len(set(entered))) == (many, many)
    assert state.sizes()["big"] == many


def test_values_that_keep_changing_keep_nobody_waiting() -> None:
    """Members far down the list are told within one round, though each step of it meets new values."""
    definitions = structs.replace(DEFINITIONS, audiences=(Audience("some", "account.seats_used >= 1"),))
    world = World(definitions)
    many = 3 * TICK_MAX_TIMERS
    world.send(*(group("acme", user=f"u{n}") for n in range(many)))
    world.fold()
    told(world)
    for n in range(4):
        world.send(used(f"u{n}"))
        world.fold()
        world._append(0, Tick(world.now_ms))
        world.fold()
    assert world.state.sizes()["some"] == many
    told(world)
    assert {person.computed["company"] for person in world.people()} == {"acme"}


def test_a_merge_keeps_the_latest_account_whoever_survives() -> None:
    """Also where the account has told the one who goes and not the one who stays, or the other way round."""
    for first, second in (("acme", "umbrella"), ("umbrella", "acme")):
        world = World(DEFINITIONS)
        now = world.now_ms
        world.send(group(first, now - 1, anonymous="a"), group(second, now, anonymous="b"))
        world.send(track("A", user="ann", anonymous="a"), group("acme", user="bob"))
        world.fold()
        told(world)
        world.send(*(used(f"u{n}") for n in range(3)))
        world.send(track("A", user="ann", anonymous="b"))
        world.fold()
        told(world)
        assert world.person("user_id:ann").computed == {"company": second}
        assert audiences(world, "ann") == ({"big"} if second == "acme" else set())
        sizes = [world.state.size(members_of(account_id(world, name))) for name in ("acme", "umbrella")]
        assert sizes == ([5, 0] if second == "acme" else [4, 1])


def test_somebody_without_an_account_gets_that_of_whom_they_turn_out_to_be() -> None:
    """With values that are the account's present ones, though it may have told the other others."""
    world = World(DEFINITIONS)
    world.send(track("A", user="ann"), group("acme", anonymous="a"))
    world.send(*(used(f"u{n}") for n in range(2)))
    world.fold()
    world.send(used("u9"), identify(user="ann", anonymous="a"))
    world.fold()
    told(world)
    assert audiences(world, "ann") == {"big"}
    assert world.state.size(members_of(account_id(world))) == 4


def test_definitions_that_come_and_go_take_their_accounts_along() -> None:
    """Without definitions of accounts there are no members and no values; with them again, all begins anew."""
    world = World(DEFINITIONS)
    world.send(group("acme", user="ann", traits={"plan": "pro"}), *(used(f"u{n}") for n in range(3)))
    world.fold()
    told(world)
    world.define(Definitions(version=2, audiences=(Audience("seen", "events > 0"),)))
    world.send(used("ann"), used("dan"))
    world.pass_time(HOUR_MS)
    assert world.person("user_id:ann").computed == {}
    assert world.state.sizes() == {"seen": 5}
    assert world.state.size(members_of(account_id(world))) == 0
    assert (world.profile(":acme").slots, world.profile(":acme").computed) == ({}, {})
    world.define(structs.replace(DEFINITIONS, version=3))
    world.send(used("ann"))
    world.pass_time(1)
    assert world.person("user_id:ann").computed == {"company": "acme"}
    assert world.profile(":acme").events == 1
    assert world.profile(":acme").computed == {"seats_used": 1, "uses_1h": 1}
    assert world.person("user_id:dan").computed == {}


def test_new_definitions_judge_members_by_what_accounts_have_under_them() -> None:
    """The sweep gives everybody their account's values under the new definitions; who is quiet stays so."""
    world = World(DEFINITIONS)
    many = SWEEP_MAX_PROFILES + 5
    world.send(*(group("acme", user=f"u{n}") for n in range(many)), *(used(f"u{n}") for n in range(3)))
    world.fold()
    told(world)
    new = structs.replace(
        DEFINITIONS,
        version=2,
        audiences=(Audience("full", "account.full"), Audience("big", "account.seats_used > 3")),
        account_traits=(*DEFINITIONS.account_traits, Trait("full", "seats_used >= 3")),
        quiet=("full", "big"),
    )
    before = len(moves(world))
    world.define(new)
    world.fold()
    assert world.state.sizes() == {"full": many}
    told(world)
    assert world.state.sizes() == {"full": many}
    assert all(not entered and audience == "lively" for _, audience, entered in moves(world)[before:])


def test_effects_of_one_event_are_in_order_and_name_no_account() -> None:
    """What changes for the sender comes with the event; for others, behind it; an account has no effects."""
    world = World(DEFINITIONS)
    world.send(group("acme", user="ann", traits={"plan": "pro"}), group("acme", user="bob"))
    world.fold()
    world.send(used("ann"))
    world.fold()
    told(world)
    ann, bob = (world.state.lookup(f"user_id:{name}") for name in ("ann", "bob"))
    assert moves(world) == [(ann, "lively", True), (bob, "lively", True)]
    assert {effect.profile for effect in world.effects()} == {ann, bob}
