"""Ten thousand audiences: checked and compiled within bounds, and as right as few are."""

import random
import time
from typing import NamedTuple

import pytest
from msgspec import structs

from onefold.language.reading.check import checked
from onefold.language.stream.compile import compile_definitions
from onefold.limits import DEFINITIONS_MAX, HOUR_MS
from onefold.model.definitions import Definitions
from onefold.testing.many import many
from onefold.testing.reference.values import Occurrence
from onefold.testing.seeded import START_MS, Seeded
from onefold.testing.world import World
from tests.property.test_parity import as_event, as_reference, expected, same_values

AUDIENCES = 10_000
SAMPLE = 300
"""Groups of definitions that are held against the reference."""
HISTORIES = 2
CPU_MAX_S = 60.0
"""For checking them, and for compiling them: many times what it takes, so that it only fails where it explodes."""
SOURCE_MAX_CHARS = 8_000
"""Of generated code for one audience with its traits, on average."""


class Made(NamedTuple):
    """The workspace, and a world that lives by it."""

    definitions: Definitions
    world: World


def happened(number: int) -> list[tuple[int, Occurrence]]:
    """What one person did, and when it arrived."""
    history = Seeded(number).history(most=12, least=12)
    return [(now_ms, structs.replace(each, tie=each.tie + 100 * number)) for now_ms, each in history]


@pytest.fixture(scope="module")
def made() -> Made:
    """Check and compile them once; that alone is bounded."""
    definitions = many(AUDIENCES)
    assert len(definitions.audiences) == AUDIENCES
    assert AUDIENCES + len(definitions.traits) <= DEFINITIONS_MAX
    begin_s = time.process_time()
    found = checked(definitions)
    assert not found.problems
    checked_s = time.process_time()
    program = compile_definitions(found, 1)
    compiled_s = time.process_time()
    assert checked_s - begin_s < CPU_MAX_S
    assert compiled_s - checked_s < CPU_MAX_S
    assert len(program.source) < SOURCE_MAX_CHARS * AUDIENCES
    world = World()
    world.folding._programs._programs[1] = program
    world.define(definitions)
    world.now_ms = START_MS
    for number in range(HISTORIES):
        for now_ms, occurrence in happened(number):
            world.now_ms = max(world.now_ms, now_ms)
            world.send(as_event(occurrence, userId=f"u{number}"))
            world.fold()
    world.pass_time(HOUR_MS)
    return Made(definitions, world)


@pytest.mark.timeout(600)
def test_they_are_what_the_reference_says(made: Made) -> None:
    """A sample of them, for everybody, after an hour in which time alone moves people."""
    chance = random.Random(1)
    groups = sorted({audience.name.partition("_")[0] for audience in made.definitions.audiences})
    prefixes = tuple(f"{group}_" for group in chance.sample(groups, SAMPLE))
    some = Definitions(
        traits=tuple(trait for trait in made.definitions.traits if trait.name.startswith(prefixes)),
        audiences=tuple(audience for audience in made.definitions.audiences if audience.name.startswith(prefixes)),
        timezone=made.definitions.timezone,
    )
    for number in range(HISTORIES):
        history = [occurrence for _, occurrence in happened(number)]
        person = made.world.person(f"user_id:u{number}")
        computed, audiences = expected(some, history, made.world.now_ms, person.identifiers)
        ours = {name: as_reference(value) for name, value in person.computed.items() if name.startswith(prefixes)}
        assert same_values(ours, computed), number
        assert {name for name in person.audiences if name.startswith(prefixes)} == audiences, number
        assert len(person.audiences) > 100


@pytest.mark.timeout(600)
def test_a_replay_is_the_same_byte_for_byte(made: Made) -> None:
    """Whatever else is different: the log, folded again in larger commits, gives the same state."""
    again = World()
    again.folding._programs._programs[1] = made.world.folding._programs.get(1)
    again.writer = again.reader = made.world.reader  # type: ignore[assignment]
    again.folding._log = made.world.reader
    while again.folding.advance(0):
        pass
    assert again.state.digest() == made.world.state.digest()
