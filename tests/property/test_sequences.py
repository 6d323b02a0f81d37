"""Sequences as they are kept, against trying every choice of events."""

import random
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onefold.language import nodes as n
from onefold.language.keeping.sequences import Chain, chain_of, is_written_out
from onefold.limits import DAY_MS, NEVER_MS, SEQUENCE_EVENTS_MAX
from onefold.testing.generate.behaviour import sequence
from onefold.testing.reference.behaviour import completions
from onefold.testing.reference.values import Occurrence

START_MS = 1_750_000_000_000
NAMES = ("Order Completed", "Product Viewed", "Product Added", "page")
Happened = tuple[Occurrence, int]
"""An event and the value of the field that must be the same in all steps."""


class Profile:
    """What a value arms."""

    due_ms = NEVER_MS


@st.composite
def sequences(draw: st.DrawFn) -> n.Sequence:
    """Any sequence whose steps have no conditions: what bits an event has, the test says."""
    return sequence(lambda choices: draw(st.sampled_from(choices)), lambda: None, counted=True)


events = st.lists(
    st.tuples(st.sampled_from((0, 1, 500, 1_000, 5_000, 60_000, 3_600_000)), st.sampled_from(NAMES), st.integers(1, 2)),
    max_size=9,
)


def _happened(steps: Sequence[tuple[int, str, int]]) -> list[Happened]:
    at_ms, found = START_MS, []
    for tie, (later_ms, name, same) in enumerate(steps):
        at_ms += later_ms
        found.append((Occurrence(at_ms, tie, name), same))
    return found


def _bits(node: n.Sequence, name: str) -> int:
    return sum(1 << i for i, step in enumerate(node.steps) if step.event in (name, "*"))


def _take(node: n.Sequence, slots: dict[str, Any], at_ms: int, bits: int, same: int) -> bool:
    """As the stream does: what is written out for these steps, else the chain itself."""
    chain = chain_of(node)
    if is_written_out(node, bits):
        return chain.putter(bits)(slots, "k", at_ms)
    return chain.put(slots, "k", at_ms, bits, same)


@settings(max_examples=300, deadline=None)
@given(node=sequences(), seed=st.integers(0, 1 << 30), count=st.sampled_from((3, 20, 700)), counted=st.booleans())
def test_what_is_written_out_does_as_the_chain_does(node: n.Sequence, seed: int, count: int, *, counted: bool) -> None:
    """For each choice of steps the very same state, and word of a change: late, at one instant, past the bound."""
    chain, chance = chain_of(node, counted=counted), random.Random(seed)
    choices = [bits for bits in range(1, 1 << len(node.steps)) if is_written_out(node, bits)]
    ours: dict[str, Any] = {}
    theirs: dict[str, Any] = {}
    at_ms = START_MS
    for bits in chance.choices(choices, k=count) if choices else ():
        at_ms += chance.choice((0, 1, 1_000, 60_000, 3_600_000))
        when = at_ms - (chance.randrange(7_200_000) if chance.random() < 0.1 else 0)
        assert chain.putter(bits)(ours, "k", when) == chain.put(theirs, "k", when, bits)
        assert ours == theirs


def _fed(node: n.Sequence, happened: Sequence[Happened], now_ms: int) -> dict[str, Any]:
    """The slot after these events, each step of the way kept and read again."""
    slots: dict[str, Any] = {}
    for event, same in happened:
        in_window = node.during_ms is None or event.at_ms > now_ms - node.during_ms
        if (bits := _bits(node, event.name)) and in_window:
            _take(node, slots, event.at_ms, bits, same if node.same else 0)
            slots = msgspec.msgpack.decode(msgspec.msgpack.encode(slots))
    return slots


def _expected(node: n.Sequence, happened: Sequence[Happened], now_ms: int) -> int:
    return completions(node, happened, now_ms, lambda step, event: step.event in (event.name, "*"))


@settings(max_examples=400, deadline=None)
@given(node=sequences(), steps=events, data=st.data())
def test_in_any_order_a_sequence_is_what_every_choice_of_events_says(
    node: n.Sequence, steps: list[tuple[int, str, int]], data: st.DataObject
) -> None:
    """At the last event, and at every instant that the value itself says it may change at, and just before."""
    happened = _happened(steps)
    now_ms = max((event.at_ms for event, _ in happened), default=START_MS)
    slots = _fed(node, data.draw(st.permutations(happened)), now_ms)
    chain, state = chain_of(node), slots.get("k")
    for _ in range(12):
        if state is not None and chain.expires:
            chain.expire(state, now_ms)
        profile = Profile()
        assert chain.count(state, now_ms, profile) == _expected(node, happened, now_ms)
        due_ms = profile.due_ms if state is None or not chain.expires else min(profile.due_ms, chain.due_ms(state))
        if due_ms == NEVER_MS:
            break
        assert due_ms > now_ms
        if not chain.expires:
            assert chain.count(state, due_ms - 1, Profile()) == _expected(node, happened, due_ms - 1)
        now_ms = due_ms


@settings(max_examples=200, deadline=None)
@given(node=sequences(), steps=events, data=st.data())
def test_two_people_who_turn_out_to_be_one_have_done_it_all(
    node: n.Sequence, steps: list[tuple[int, str, int]], data: st.DataObject
) -> None:
    """Merging two states is the state of all events, whoever they were thought to be of."""
    happened = _happened(steps)
    now_ms = max((event.at_ms for event, _ in happened), default=START_MS)
    whose = data.draw(st.lists(st.booleans(), min_size=len(happened), max_size=len(happened)))
    a, b = (
        _fed(node, [each for each, mine in zip(happened, whose, strict=True) if mine is who], now_ms).get("k")
        for who in (True, False)
    )
    chain = chain_of(node)
    merged = chain.merge(a, b) if a is not None and b is not None else a if b is None else b
    assert chain.count(merged, now_ms, Profile()) == _expected(node, happened, now_ms)


Step = tuple[int, int, int]
"""(time, bits of steps, value that must be the same)."""
crowded = st.lists(st.tuples(st.integers(0, 120), st.integers(1, 255), st.integers(1, 3)), min_size=1, max_size=80)
"""Many events, few instants."""


def _steps_of(node: n.Sequence, crowd: Sequence[Step]) -> list[Step]:
    mask = (1 << len(node.steps)) - 1
    return [(START_MS + at, bits & mask or 1, same if node.same else 0) for at, bits, same in crowd]


def _put(chain: Chain, events: Sequence[Step]) -> list[Any]:
    """The state after these events; whoever is told that nothing has changed may rely on it."""
    slots: dict[str, Any] = {}
    for event in events:
        before = chain.count(slots.get("k"), START_MS + 1_000, Profile())
        may_differ = chain.put(slots, "k", *event)
        assert may_differ or chain.count(slots["k"], START_MS + 1_000, Profile()) == before
    state: list[Any] = slots["k"]
    return state


def _content(state: list[Any]) -> tuple[Any, ...]:
    """Records, those of one instant in any order, with their completions; and what is counted."""
    records = state[0]
    return sorted(records[i : i + 19] for i in range(0, len(records), 19)), *state[1:4]


@settings(max_examples=300, deadline=None)
@given(node=sequences(), crowd=crowded, late_ms=st.sampled_from((1, 10, 200)), seed=st.integers(0, 1_000))
def test_late_events_leave_what_they_would_have_left_in_order(
    node: n.Sequence, crowd: list[Step], late_ms: int, seed: int
) -> None:
    """Every record with its completion, and how far the walk has come; so do two people who become one."""
    events, rng, chain = _steps_of(node, crowd), random.Random(seed), chain_of(node)
    mixed = sorted(events, key=lambda event: event[0] + rng.randint(0, late_ms))
    in_order, as_they_came = _put(chain, sorted(events)), _put(chain, mixed)
    assert _content(as_they_came) == _content(in_order)
    fronts = [state[4] for state in (in_order, as_they_came) if state[4] is not None]
    assert all(front == fronts[0] for front in fronts)
    if len(mixed) > 1:
        merged = chain.merge(_put(chain, mixed[::2]), _put(chain, mixed[1::2]))
        assert _content(merged) == _content(in_order)


@settings(max_examples=300, deadline=None)
@given(node=sequences(), crowd=crowded, late_ms=st.sampled_from((1, 10, 200)), seed=st.integers(0, 1_000))
def test_where_nobody_asks_how_often_only_what_changes_whether_is_told(
    node: n.Sequence, crowd: list[Step], late_ms: int, seed: int
) -> None:
    """An event that is said to change nothing leaves whether it was ever completed, and when that changes by itself."""
    rng, chain, slots = random.Random(seed), chain_of(node, counted=False), dict[str, Any]()
    for event in sorted(_steps_of(node, crowd), key=lambda event: event[0] + rng.randint(0, late_ms)):
        before = [_whether(chain, slots, now_ms) for now_ms in (event[0], event[0] + 5_000, event[0] + DAY_MS)]
        if not chain.put(slots, "k", *event):
            after = [_whether(chain, slots, now_ms) for now_ms in (event[0], event[0] + 5_000, event[0] + DAY_MS)]
            assert before == after


def _whether(chain: Chain, slots: dict[str, Any], now_ms: int) -> tuple[bool, int]:
    profile = Profile()
    return chain.happened(slots.get("k"), now_ms, profile), profile.due_ms


def test_silence_is_broken_by_what_has_the_same_value_alone() -> None:
    """Where a value must be the same in all steps, an event with another one breaks nothing."""
    steps = n.Step(0, "A"), n.Step(0, "B", negated=True, within_ms=1_000)
    chain, slots = chain_of(n.Sequence(0, steps, same=n.Field(0, ("properties", "p")), counted=True)), dict[str, Any]()
    chain.put(slots, "k", START_MS, 1, 7)
    chain.put(slots, "k", START_MS + 1, 2, 8)
    assert chain.count(slots["k"], START_MS + 1_000, Profile()) == 1
    chain.put(slots, "k", START_MS + 2, 2, 7)
    assert chain.count(slots["k"], START_MS + 1_000, Profile()) == 0


@pytest.mark.parametrize("seed", range(8))
def test_late_events_among_far_more_than_are_kept(seed: int) -> None:
    """As long as an event is not later than all that are kept, it counts as if it had come in order."""
    rng = random.Random(seed)
    negated = n.Step(0, "X", negated=True)
    node = n.Sequence(
        0, (n.Step(0, "A"), negated, n.Step(0, "B", within_ms=40), n.Step(0, "C")), within_ms=90, counted=True
    )
    events = [(START_MS + 2 * at, rng.choice((1, 2, 4, 8)), 0) for at in range(4 * SEQUENCE_EVENTS_MAX)]
    chain = chain_of(node)
    mixed = sorted(events, key=lambda event: event[0] + (rng.randint(0, 200) if rng.random() < 0.1 else 0))
    counts = [chain.count(_put(chain, each), START_MS + 10_000, Profile()) for each in (events, mixed)]
    assert counts[0] == counts[1] > 0


SIGNED_UP = n.Sequence(0, (n.Step(0, "Signed Up"), n.Step(0, "Order Completed")), counted=True)


def test_what_was_completed_stays_counted_when_its_events_are_let_go_of() -> None:
    """A chain goes on from an event that is no longer kept, and nothing is counted twice."""
    chain = chain_of(SIGNED_UP)
    slots: dict[str, Any] = {}
    many = 3 * SEQUENCE_EVENTS_MAX
    chain.put(slots, "k", START_MS, 1)
    for i in range(many):
        assert chain.put(slots, "k", START_MS + 1 + i, 2)
    state = slots["k"]
    assert chain.count(state, START_MS + many, Profile()) == many
    assert len(msgspec.msgpack.encode(state)) < 25 * SEQUENCE_EVENTS_MAX


@settings(max_examples=20, deadline=None)
@given(st.lists(st.sampled_from((1, 2, 3)), min_size=2 * SEQUENCE_EVENTS_MAX, max_size=2 * SEQUENCE_EVENTS_MAX + 50))
def test_far_more_events_than_are_kept_in_order(bits: list[int]) -> None:
    """In order of time a sequence of adjacent steps is exact, however many events there are."""
    node = n.Sequence(0, (n.Step(0, "A"), n.Step(0, "X", negated=True), n.Step(0, "B", within_ms=4)), counted=True)
    chain = chain_of(node)
    slots: dict[str, Any] = {}
    wanted, begun, unwanted = 0, -10, -10
    for at, each in enumerate(bits):
        mask = (1, 4, 2)[each - 1]
        chain.put(slots, "k", at, mask)
        if mask == 4:
            wanted += at - begun < 4 and not unwanted > begun
        elif mask == 1:
            begun = at
        else:
            unwanted = at
    assert chain.count(slots["k"], len(bits), Profile()) == wanted
