"""Following cheaply: what is picked from a commit's bytes is what asking every effect one by one would give."""

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from onefold.model import effect as effects
from onefold.model.definitions import Destination
from onefold.model.effect import (
    Admitted,
    AnyEffect,
    Changed,
    Created,
    Effect,
    Entered,
    Left,
    LinkRefused,
    Merged,
    RejectedEvent,
)
from onefold.ports import Commit as Encoded
from onefold.runtime.delivering.selecting import KINDS, Subscription
from onefold.runtime.delivering.tail import Commit, Tail
from onefold.server.operating import tail as live
from onefold.testing.memory.state import MemoryState

NAMES = st.sampled_from(["page", "Order Completed", "Completed", "entered", "admitted", "vip", "Größe", "", "*"])
U64 = st.integers(0, 2**64 - 1)
EFFECTS: st.SearchStrategy[AnyEffect] = st.one_of(
    st.builds(Admitted, U64, U64, U64, U64, NAMES),
    st.builds(Created, U64, U64, U64, U64),
    st.builds(Merged, U64, U64, U64, U64, U64, NAMES, NAMES, NAMES),
    st.builds(LinkRefused, U64, U64, U64, U64, NAMES, NAMES, NAMES),
    st.builds(Changed, U64, U64, U64, U64, st.dictionaries(NAMES, st.none() | NAMES)),
    st.builds(Entered, U64, U64, U64, U64, NAMES),
    st.builds(Left, U64, U64, U64, U64, NAMES, NAMES),
    st.builds(RejectedEvent, U64, U64, U64, U64, NAMES, NAMES),
)
COMMIT = st.lists(EFFECTS, max_size=20)
CHOICE = st.lists(NAMES, max_size=2).map(tuple)
OTHERS = st.lists(st.sampled_from([*KINDS.values(), "*"]), max_size=2).map(tuple)
DESTINATIONS = st.lists(
    st.builds(Destination, st.just("d"), events=CHOICE, audiences=CHOICE, effects=OTHERS), max_size=4
)


@given(COMMIT, DESTINATIONS)
def test_picks_are_what_asking_each_effect_gives(commit: list[AnyEffect], destinations: list[Destination]) -> None:
    """Decoding by kind and looking for names in the bytes lose nothing, add nothing, and keep places and order."""
    for wanted in (destinations, destinations[:1]):
        subscription = Subscription(wanted)
        expected = [(place, effect) for place, effect in enumerate(commit) if effect in subscription]
        assert subscription.pick(effects.encode(commit)) == expected


@given(COMMIT, DESTINATIONS)
def test_a_follower_finds_its_own_in_what_all_want(commit: list[AnyEffect], destinations: list[Destination]) -> None:
    """One decoding for all destinations serves each of them as well as one of its own."""
    tail = Tail(MemoryState())
    named = [msgspec.structs.replace(each, name=f"d{n}") for n, each in enumerate(destinations)]
    for each in named:
        tail.follow(each)
    encoded = Encoded(1, 0, effects.encode(commit))
    for each in named:
        alone = Subscription([each])
        assert tail.picks(Commit(encoded), alone) == alone.pick(encoded.effects)


@given(st.integers(0, 70_000))
def test_effects_are_counted_without_being_decoded(n: int) -> None:
    """The number of effects is in the first bytes, whichever of its three forms it has."""
    one = effects.encode([Created(1, 2, 3, 4)])[1:]
    few = effects.encode([Created(1, 2, 3, 4)] * n)
    assert effects.count(few) == n
    assert few.endswith(one) or not n


@given(EFFECTS, st.sampled_from([1, 15, 16, 70_000]))
def test_the_first_effect_is_read_alone(first: AnyEffect, n: int) -> None:
    """What every effect has is found at the head of the bytes, whatever numbers it holds and however many follow."""
    found = effects.first(effects.encode([first, *[Created(1, 2, 3, 4)] * (n - 1)]))
    assert found == Effect(first.profile, first.position, first.n, first.at_ms)


@given(
    COMMIT,
    st.builds(live.Filter, st.frozensets(st.sampled_from(live.KINDS)), st.frozensets(NAMES), st.frozensets(NAMES)),
)
def test_the_live_tail_chooses_as_its_words_say(commit: list[AnyEffect], wanted: live.Filter) -> None:
    """Each filter that is given must hold for what is shown; the rest is not even decoded."""

    def passes(shown: live.Shown, effect: AnyEffect) -> bool:
        return (
            (not wanted.kinds or shown.kind in wanted.kinds)
            and (not wanted.names or (isinstance(effect, Admitted) and shown.name in wanted.names))
            and (not wanted.audiences or (isinstance(effect, Entered | Left) and shown.audience in wanted.audiences))
        )

    decoded = effects.decoder(wanted.types())(effects.encode(commit))
    assert wanted.choose(decoded) == [effect for effect in commit if passes(live.show(0, effect), effect)]
