"""Definitions that are many or hostile are compiled in bounded source."""

import pytest

from onefold.language.reading.check import checked
from onefold.language.stream.compile import compile_definitions
from onefold.model.definitions import Audience, Definitions
from onefold.testing.world import World, track

SHAPES = {
    "chained": lambda n: (f'in_audience("a{n - 1}") and ' if n % 200 else "") + f'count("E{n}") > 1',
    "over all events": lambda n: f'count("E{n}") > 1 or sum("*", properties.x{n}) > 3',
    "silent": lambda n: f'count("E{n}") > 1 or last_seen < ago("{n + 1}h")',
}


@pytest.mark.parametrize("shape", SHAPES)
def test_source_is_linear_in_the_definitions(shape: str) -> None:
    """However they depend on each other and on how many events, twice as many make about twice as much."""

    def size(many: int) -> int:
        audiences = tuple(Audience(f"a{n}", SHAPES[shape](n)) for n in range(many))
        found = checked(Definitions(audiences=audiences))
        assert not found.problems
        return len(compile_definitions(found, 1, parts_max=500).source)

    assert size(800) < 2.5 * size(400)


def test_shared_functions_judge_what_an_event_changes() -> None:
    """An event of a name that shares its functions counts in all its slots, and moves all its audiences."""
    audiences = tuple(Audience(f"a{n}", SHAPES["over all events"](n)) for n in range(5))
    definitions = Definitions(1, audiences=audiences)
    world = World(definitions)
    program = compile_definitions(checked(definitions), 1, parts_max=0)
    assert "put_all" in program.source
    world.folding._programs._programs[1] = program
    world.send(
        track("E3", user="u", properties={"x1": 4}),
        track("E3", user="u"),
        track("other", user="u", properties={"x0": 4}),
    )
    world.fold()
    assert world.person("user_id:u").audiences == ("a0", "a1", "a3")
