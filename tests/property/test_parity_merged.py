"""One definition, one answer, also for people who turn out to be one in the middle of a window or a sequence."""

import os
import random

import pytest

from onefold.testing.reference.values import Occurrence
from onefold.testing.seeded import START_MS, Seeded
from onefold.testing.world import World
from tests.property.test_parity import as_event, assert_as_expected, read_once


@pytest.mark.parametrize("hundred", range(int(os.environ.get("ONEFOLD_PARITY_CASES", "600")) // 100))
def test_merged_people_are_what_the_reference_says(hundred: int) -> None:
    """Two devices, events late, out of order and twice, until one event joins them: then the value is that of all."""
    for seed in range(1_000_000 + hundred * 100, 1_000_000 + hundred * 100 + 100):
        _case(seed)


def _case(seed: int) -> None:
    seeded, dice = Seeded(seed), random.Random(seed)
    definitions = seeded.definitions()
    arrivals = seeded.history()
    if read_once(definitions).problems or len(arrivals) < 3:
        return
    world = World(definitions)
    world.now_ms = START_MS
    world.fold()
    history: list[Occurrence] = []
    joined = dice.randrange(1, len(arrivals))
    for number, (now_ms, occurrence) in enumerate(arrivals):
        world.pass_time(now_ms - world.now_ms)
        who = {"anonymousId": "a"} if dice.random() < 0.5 else {"userId": "u"}
        if number == joined:
            who = {"anonymousId": "a", "userId": "u"}
        event = as_event(occurrence, **who)
        world.send(event, *([event] if dice.random() < 0.2 else []))
        world.fold()
        history.append(occurrence)
        if number >= joined:
            assert_as_expected(world, definitions, history, seed)
    for ms in seeded.passes():
        world.pass_time(ms)
        assert_as_expected(world, definitions, history, seed)
