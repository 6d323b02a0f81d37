"""Stretches of windows against adding up whatever lies between."""

import random
from typing import Any

import msgspec
import pytest

from onefold.language.keeping.aggregates import MONOIDS
from onefold.language.keeping.stretches import Between, Stretches
from onefold.limits import DAY_MS, HOUR_MS, NEVER_MS
from onefold.model.profile import Profile

START_MS = 1_750_000_000_000
FUNCTIONS = ("count", "sum", "avg", "max", "last", "most_frequent")


def _lifted(function: str, at_ms: int, number: Any) -> Any:
    return MONOIDS[function].lift(number, at_ms, b"t%d" % (at_ms % 97))


def _value(function: str, events: list[tuple[int, Any]]) -> Any:
    monoid = MONOIDS[function]
    return monoid.result(monoid.total([_lifted(function, *event) for event in sorted(events, key=lambda e: e[0])]))


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize("seed", range(12))
def test_a_stretch_is_what_lies_in_it(function: str, seed: int) -> None:
    """However it moves, and whatever comes late, is dropped, joined, or kept and read again meanwhile."""
    rng = random.Random(seed)
    quantum_ms = rng.choice((1, 900_000))
    stretches = Stretches(MONOIDS[function], 20 * DAY_MS, quantum_ms)
    window: Any = None
    events: list[tuple[int, Any]] = []
    now_ms, dropped_ms = START_MS, 0
    for _ in range(150):
        now_ms += rng.choice((0, 1, 1_000, HOUR_MS, DAY_MS))
        at_ms = max(now_ms - rng.choice((0, 0, 0, 5_000, 2 * DAY_MS)), dropped_ms)
        events.append((at_ms, rng.choice((1, 2.5, -7, 10, 0.1))))
        if window is not None and rng.random() < 0.05:
            other = stretches.add(None, at_ms, _lifted(function, *events[-1]))
            window = stretches.merge(window, other)
        else:
            window = stretches.add(window, at_ms, _lifted(function, *events[-1]))
        if rng.random() < 0.1:
            dropped_ms = max(dropped_ms, now_ms - rng.randint(0, 4 * DAY_MS)) // quantum_ms * quantum_ms
            stretches.drop(window, dropped_ms)
            events = [event for event in events if event[0] >= dropped_ms]
        if rng.random() < 0.7:
            span_ms = rng.choice((HOUR_MS, DAY_MS, 3 * DAY_MS)) // quantum_ms * quantum_ms
            end_ms = (now_ms - rng.choice((-1, 0, DAY_MS))) // quantum_ms * quantum_ms + rng.choice((0, quantum_ms))
            start_ms = end_ms - span_ms
            found = MONOIDS[function].result(stretches.total(window, start_ms, end_ms))
            assert found == _value(function, [event for event in events if start_ms <= event[0] < end_ms])
        if rng.random() < 0.2:
            window = msgspec.msgpack.decode(msgspec.msgpack.encode(window))


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize("seed", range(6))
def test_a_window_between_two_ages_turns_when_it_says(function: str, seed: int) -> None:
    """Events come into it and leave it by time alone, at the instant for which the profile is armed."""
    rng = random.Random(seed)
    between = Between(MONOIDS[function], 3 * HOUR_MS, HOUR_MS)
    window: Any = None
    events: list[tuple[int, Any]] = []
    now_ms = START_MS
    for _ in range(60):
        now_ms += rng.choice((0, 60_000, 1_800_000))
        events.append((now_ms - rng.choice((0, 0, 600_000)), rng.choice((1, 2.5, 4))))
        window = between.add(window, events[-1][0], _lifted(function, *events[-1]))
        for _ in range(rng.randint(0, 3)):
            between.expire(window, now_ms)
            profile = Profile(1, 0, 0, 0, 0)
            found = MONOIDS[function].result(between.state(window, now_ms, profile))
            assert found == _value(function, _within(events, now_ms))
            due_ms = min(profile.due_ms, between.due_ms(window))
            if due_ms == NEVER_MS:
                break
            assert now_ms < due_ms
            assert _within(events, due_ms - 1) == _within(events, now_ms)
            if due_ms > now_ms + HOUR_MS:
                break
            now_ms = due_ms


def _within(events: list[tuple[int, Any]], now_ms: int) -> list[tuple[int, Any]]:
    return [event for event in events if now_ms - 3 * HOUR_MS < event[0] <= now_ms - HOUR_MS]
