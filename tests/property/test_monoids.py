"""Aggregates of behaviour as monoids: any order and any grouping of events gives the reference's value."""

import random
from collections.abc import Sequence
from functools import reduce
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onefold.language import nodes as n
from onefold.language.keeping.monoids import monoid_of, periods_of
from onefold.language.keeping.quantiles import bucket, middle, percentile
from onefold.limits import ACTIVE_PERIODS_MAX, DAY_MS, HOUR_MS, MINUTE_MS, PERCENTILE_VALUES_MAX, SESSIONS_MAX
from onefold.model.profile import Profile
from onefold.testing.generate.behaviour import ZONES
from onefold.testing.reference import values as reference
from onefold.testing.reference.values import Occurrence, Person

NOW_MS = 1_750_000_000_000
FIELD = n.Field(0, ("properties", "x"))
NUMBERS = st.integers(-50, 50) | st.sampled_from((0.1, 0.2, 1.0, 1e16, -1e16, 1 << 52, 2.5, 1e-9, 1e120, -0.0))
VALUES = NUMBERS | st.sampled_from(("a", "b", "1", True, False, None)) | st.lists(st.integers(), max_size=1)
STEPS = st.sampled_from((0, 1, MINUTE_MS - 1, MINUTE_MS, HOUR_MS, DAY_MS, 6 * DAY_MS, 31 * DAY_MS))

aggregates: st.SearchStrategy[n.Aggregate] = st.one_of(
    st.builds(lambda k: n.Aggregate(0, "top", "*", FIELD, number=k), st.integers(1, 4)),
    st.builds(
        lambda p: n.Aggregate(0, "percentile", "*", FIELD, number=p), st.sampled_from((0, 10, 33.3, 50, 95, 99.9, 100))
    ),
    st.just(n.Aggregate(0, "stddev", "*", FIELD)),
    st.builds(lambda ms: n.Aggregate(0, "time_since", "*", every_ms=ms), st.sampled_from((HOUR_MS, DAY_MS, None))),
    st.builds(
        lambda function, per, zone: n.Aggregate(0, function, "*", timezone=zone, per=per),
        st.sampled_from(("streak", "longest_streak")), st.sampled_from((None, "week", "month")), st.sampled_from(ZONES),
    ),
    st.builds(lambda zone: n.Aggregate(0, "days_active", "*", timezone=zone), st.sampled_from(ZONES)),
    st.builds(
        lambda function, gap: n.Aggregate(0, function, "*", every_ms=gap),
        st.sampled_from(("session_count", "session_length", "session_time")),
        st.sampled_from((None, 1_000, MINUTE_MS, DAY_MS)),
    ),
)  # fmt: skip


def _kept(state: Any) -> Any:
    return msgspec.msgpack.decode(msgspec.msgpack.encode(state))


def _states(node: n.Aggregate, happened: Sequence[tuple[int, Any]]) -> list[Any]:
    monoid, by_day = monoid_of(node), n.AGGREGATES[node.function].by_day
    source = periods_of(node).index if by_day else None
    lifted = [monoid.lift(source(at_ms) if source else value, at_ms, b"") for at_ms, value in happened]
    return [_kept(state) for state in lifted if state is not None]


puts: st.SearchStrategy[n.Aggregate] = aggregates | st.builds(
    lambda function: n.Aggregate(0, function, "*", FIELD),
    st.sampled_from(("sum", "avg", "min", "max", "most_frequent", "unique", "unique_count")),
)


@settings(max_examples=500, deadline=None)
@given(node=puts, steps=st.lists(st.tuples(STEPS, VALUES), max_size=12), back=st.sampled_from((1, -1)))
def test_an_event_is_put_as_it_is_lifted_and_combined(
    node: n.Aggregate, steps: list[tuple[int, Any]], back: int
) -> None:
    """The quicker way leaves the very same state, and says so wherever the value is another."""
    monoid, by_day = monoid_of(node), n.AGGREGATES[node.function].by_day
    if monoid.put is None:
        return
    slots: dict[str, Any] = {}
    plain, at_ms = None, NOW_MS
    for apart_ms, value in steps:
        at_ms += back * apart_ms
        given_ = periods_of(node).index(at_ms) if by_day else value
        lifted = monoid.lift(given_, at_ms, b"")
        before = _value(node, plain, at_ms)
        if lifted is not None:
            plain = lifted if plain is None else monoid.combine(plain, lifted)
        said = monoid.put(slots, "k", given_, at_ms, b"")
        assert msgspec.msgpack.encode(slots.get("k")) == msgspec.msgpack.encode(plain)
        assert said or repr(_value(node, plain, at_ms)) == repr(before)


@pytest.mark.parametrize("function", ["most_frequent", "unique_count", "percentile", "top"])
def test_more_values_than_are_kept_are_put_alike(function: str) -> None:
    """Past the bound, too, in whatever order they come."""
    node = n.Aggregate(0, function, "*", FIELD, number=3 if function == "top" else 50)
    monoid, chance = monoid_of(node), random.Random(1)
    assert monoid.put is not None
    slots: dict[str, Any] = {}
    plain = None
    for _ in range(6_000):
        value = chance.choice((float, str))(int(1.25 ** chance.uniform(0, 40)) + chance.randrange(2))
        if (lifted := monoid.lift(value, 0, b"")) is not None:
            plain = lifted if plain is None else monoid.combine(plain, lifted)
        monoid.put(slots, "k", value, 0, b"")
    assert slots["k"] == plain


def _value(node: n.Aggregate, state: Any, now_ms: int = NOW_MS) -> Any:
    monoid = monoid_of(node)
    return monoid.result(state) if monoid.at is None else monoid.at(state, now_ms, Profile(1, 0, 0, 0, 0))


def _expected(node: n.Aggregate, happened: Sequence[tuple[int, Any]], now_ms: int = NOW_MS) -> Any:
    history = tuple(Occurrence(at_ms, i, "E", properties={"x": value}) for i, (at_ms, value) in enumerate(happened))
    return reference.evaluate(node, Person(history), now_ms)


@settings(max_examples=500, deadline=None)
@given(node=aggregates, steps=st.lists(st.tuples(STEPS, VALUES), max_size=12), data=st.data())
def test_any_order_and_grouping_is_one_value(
    node: n.Aggregate, steps: list[tuple[int, Any]], data: st.DataObject
) -> None:
    """States of a few events each, joined in any order, and all at once, are what the reference says of them all."""
    happened, at_ms = [], NOW_MS
    for earlier_ms, value in steps:
        at_ms -= earlier_ms
        happened.append((at_ms, value))
    states = _states(node, data.draw(st.permutations(happened)))
    wanted, monoid = _expected(node, happened), monoid_of(node)
    assert _value(node, monoid.total([_kept(state) for state in states])) == wanted
    cut = data.draw(st.integers(0, len(states)))
    halves = [reduce(monoid.combine, map(_kept, half)) for half in (states[:cut], states[cut:]) if half]
    joined = reduce(monoid.combine, map(_kept, halves)) if halves else None
    assert _value(node, joined) == wanted
    if monoid.remove is not None and cut < len(states) and joined is not None:
        rest = reduce(monoid.remove, map(_kept, states[cut:]), joined)
        assert _value(node, rest) == _value(node, monoid.total(states[:cut]))


@settings(max_examples=300, deadline=None)
@given(node=aggregates, steps=st.lists(STEPS, min_size=1, max_size=6))
def test_what_moves_with_time_changes_just_when_it_says(node: n.Aggregate, steps: list[int]) -> None:
    """The profile is armed for the very millisecond at which the value is another."""
    monoid = monoid_of(node)
    if monoid.at is None:
        return
    happened, at_ms, now_ms = [], NOW_MS, NOW_MS
    for earlier_ms in steps:
        at_ms -= earlier_ms
        happened.append((at_ms, None))
    state = monoid.total(_states(node, happened))
    for _ in range(4):
        profile = Profile(1, 0, 0, 0, 0)
        value = monoid.at(state, now_ms, profile)
        assert value == _expected(node, happened, now_ms)
        if profile.due_ms > now_ms + 400 * DAY_MS:
            break
        assert monoid.at(state, profile.due_ms - 1, Profile(1, 0, 0, 0, 0)) == value
        now_ms = profile.due_ms


@settings(max_examples=30, deadline=None)
@given(
    st.lists(
        st.floats(0.01, 1e6) | st.floats(-1e6, -0.01), min_size=PERCENTILE_VALUES_MAX + 1, max_size=1500, unique=True
    ),
    st.integers(0, 100),
    st.randoms(use_true_random=False),
)  # fmt: skip
def test_percentiles_of_many_values_are_near_and_do_not_depend_on_order(
    numbers: list[float], p: int, random: Any
) -> None:
    """Past the bound the error is 2^-7 of the value, doubled for each level; any order and grouping gives the same."""
    monoid = percentile(p)
    states = [monoid.lift(x, 0, b"") for x in numbers]
    whole = monoid.total(states)
    assert whole is not None
    random.shuffle(states)
    halves = [reduce(monoid.combine, map(_kept, half)) for half in (states[:700], states[700:])]
    assert monoid.combine(*map(_kept, halves)) == whole
    exact = sorted(numbers)[max(1, -(-len(numbers) * p // 100)) - 1]
    assert len(whole[1]) <= PERCENTILE_VALUES_MAX
    assert abs(monoid.result(whole) - exact) <= abs(exact) * 2 ** (whole[0] - 7)


@given(
    st.floats(allow_nan=False, allow_infinity=False),
    st.floats(allow_nan=False, allow_infinity=False),
    st.integers(0, 12),
)
def test_buckets_are_in_the_order_of_their_numbers(x: float, y: float, level: int) -> None:
    """And a bucket's middle lies in it, at every level."""
    if x <= y:
        assert bucket(x, level) <= bucket(y, level)
    assert bucket(x, level) == bucket(x, 0) >> level
    key = bucket(x, level)
    assert bucket(middle(key, level), level) == key or abs(x) < 1e-288


def test_more_sessions_than_can_be_joined_are_still_counted() -> None:
    """Old sessions are settled: their number and length stay, and what comes too late for them changes nothing."""
    node = n.Aggregate(0, "session_count", "*", every_ms=MINUTE_MS)
    many = 3 * SESSIONS_MAX
    times = [t for i in range(many) for t in (NOW_MS + i * HOUR_MS, NOW_MS + i * HOUR_MS + 30_000)]
    state = reduce(monoid_of(node).combine, _states(node, [(t, None) for t in times]))
    assert _value(node, state) == many
    length = n.Aggregate(0, "session_length", "*", every_ms=MINUTE_MS)
    assert _value(length, state) == 30
    late = _states(node, [(NOW_MS + 10 * HOUR_MS + 40_000, None)])[0]
    assert monoid_of(node).combine(_kept(state), late) == state


def test_only_so_many_active_days_are_kept_whatever_their_order() -> None:
    """The latest ones; an event of the year 1 or 9999 cannot make a profile large."""
    node = n.Aggregate(0, "days_active", "*")
    far = [(-62_135_596_800_000, None), (NOW_MS, None), (NOW_MS - 5_000 * DAY_MS, None), (NOW_MS - DAY_MS, None)]
    for order in (far, far[::-1], far[2:] + far[:2]):
        state = reduce(monoid_of(node).combine, _states(node, order))
        assert _value(node, state) == 2
        assert len(state[1]) <= ACTIVE_PERIODS_MAX // 8 + 1
