"""One definition, one answer: the compiled stream against the naive reference, over random cases."""

import os
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import pytest
import xxhash
from msgspec import structs

from onefold.language.reading.check import checked
from onefold.language.scalars.dates import undated
from onefold.language.stream.compile import compile_definitions
from onefold.model.definitions import Definitions
from onefold.testing.nights import before_a_night
from onefold.testing.reference import calls, values
from onefold.testing.reference.values import Occurrence
from onefold.testing.seeded import Seeded
from onefold.testing.world import World, rfc3339

read_once = lru_cache(maxsize=8)(checked)
"""As `checked`, which each look at somebody would read anew."""


def as_event(occurrence: Occurrence, **who: str) -> dict[str, Any]:
    """What an SDK would have sent for this occurrence."""
    event: dict[str, Any] = {
        "type": occurrence.type,
        "messageId": f"m{occurrence.tie}",
        "timestamp": rfc3339(occurrence.at_ms),
        "properties": occurrence.properties,
        "context": occurrence.context,
        "traits": occurrence.traits,
        **who,
    }
    if occurrence.type == "track":
        event["event"] = occurrence.name
    return event


def as_seen(occurrence: Occurrence) -> Occurrence:
    """The occurrence with the tie that the platform gives it, and the name as expressions read it."""
    digest = xxhash.xxh3_128_digest(f"web\0m{occurrence.tie}".encode())
    return structs.replace(occurrence, tie=int.from_bytes(digest, "big"))


def declared_by(history: list[Occurrence]) -> dict[str, Any]:
    """Last write wins, trait by trait, straight from the definition."""
    latest: dict[str, tuple[int, int, Any]] = {}
    for occurrence in history:
        if occurrence.type == "identify":
            for name, value in occurrence.traits.items():
                new = (occurrence.at_ms, occurrence.tie, value)
                if value is not None and (name not in latest or new[:2] > latest[name][:2]):
                    latest[name] = new
    return {name: value for name, (_, _, value) in latest.items()}


def expected(
    definitions: Definitions, history: list[Occurrence], now_ms: int, identifiers: tuple[str, ...]
) -> tuple[dict[str, Any], set[str]]:
    """What the reference says of somebody with this history."""
    seen = tuple(as_seen(occurrence) for occurrence in history)
    person = values.Person(seen, declared_by(list(seen)), identifiers)
    return values.values(read_once(definitions), person, now_ms)


@pytest.mark.parametrize("hundred", range(int(os.environ.get("ONEFOLD_PARITY_CASES", "1500")) // 100))
def test_stream_equals_reference(hundred: int, record_property: Callable[[str, object], None]) -> None:
    """After every event, and at every instant that passes without one, the profile is what the reference says.

    So it is, too, where the functions of events share what they can.
    """
    for seed in range(hundred * 100, hundred * 100 + 100):
        _hold(seed, Seeded(seed))
    record_property("parity cases: stream and reference", 100)


@pytest.mark.parametrize("hundred", range(3))
def test_stream_equals_reference_while_clocks_are_changed(hundred: int) -> None:
    """Also over the nights in which a day has 23 or 25 hours, and over leap days, in every zone."""
    for seed in range(hundred * 100, hundred * 100 + 100):
        _hold(seed, Seeded(seed, before_a_night(seed)))


def _hold(seed: int, seeded: Seeded) -> None:
    definitions = seeded.definitions()
    if read_once(definitions).problems:
        return
    world = World()
    world.now_ms = seeded.start_ms
    if seed % 3 == 0:
        shared = compile_definitions(read_once(definitions), definitions.version, parts_max=0)
        world.folding._programs._programs[definitions.version] = shared
    world.define(definitions)
    world.fold()
    history: list[Occurrence] = []
    for now_ms, occurrence in seeded.history():
        world.pass_time(now_ms - world.now_ms)
        world.send(as_event(occurrence, userId="u"))
        world.fold()
        history.append(occurrence)
        assert_as_expected(world, definitions, history, seed)
    for ms in seeded.passes():
        world.pass_time(ms)
        assert_as_expected(world, definitions, history, seed)


def assert_as_expected(world: World, definitions: Definitions, history: list[Occurrence], seed: int) -> None:
    """Hold the platform's person against the reference's."""
    person = world.person("user_id:u")
    computed, audiences = expected(definitions, history, world.now_ms, person.identifiers)
    ours = {name: as_reference(value) for name, value in person.computed.items()}
    assert same_values(ours, computed), (seed, ours, computed)
    assert set(person.audiences) == audiences, seed


def as_reference(value: Any) -> Any:
    """A trait's value as the reference has it."""
    at_ms = undated(value)
    return value if at_ms is None else calls.Instant(at_ms)


def same_values(ours: dict[str, Any], theirs: dict[str, Any]) -> bool:
    """Equal values of equal types; whole doubles and integers are one and the same number."""
    return {name: calls.kind(value) for name, value in ours.items()} == {
        name: calls.kind(value) for name, value in theirs.items()
    } and ours == theirs
