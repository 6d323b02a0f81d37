"""Explanations over random definitions and histories: they say what the state says, and their events suffice."""

import os
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest

from onefold.core.explaining.explain import explain
from onefold.core.explaining.retrace import retrace
from onefold.language.reading.check import checked
from onefold.language.scalars.dates import dated
from onefold.language.stream.probe import defined, probed
from onefold.model.definitions import Definitions
from onefold.model.explanation import Explanation, Ground
from onefold.model.past import Past
from onefold.model.profile import Profile
from onefold.model.rules import Rules
from onefold.runtime.past.person_events import PersonEvents
from onefold.testing.memory.history import MemoryHistory
from onefold.testing.reference import values as reference
from onefold.testing.reference.calls import Instant
from onefold.testing.reference.values import Occurrence, Place
from onefold.testing.seeded import START_MS, Seeded
from onefold.testing.world import World
from tests.property.test_parity import as_event, same_values

CASES = int(os.environ.get("ONEFOLD_EXPLAIN_CASES", "100"))


class Told(NamedTuple):
    """Somebody's life in a platform in memory."""

    seed: int
    definitions: Definitions
    world: World
    history: list[tuple[int, Occurrence]]
    profile: Profile

    @property
    def names(self) -> list[str]:
        """All that can be explained."""
        return list(defined(self.definitions))

    def pasts(self) -> list[Past]:
        """The person's events, as history gives them."""
        sources = PersonEvents(MemoryHistory(), self.world.reader, self.world.state, lambda _: Rules())
        return sources.of(self.profile)

    def explain(self, name: str) -> Explanation:
        """Explain one definition at the world's present."""
        return explain(probed(self.definitions, name), self.profile, self.pasts(), self.world.now_ms)

    def value(self, name: str) -> Any:
        """What the state says of a definition."""
        return answer(self.world, name, self.profile.computed)

    def chosen(self, grounds: tuple[Ground, ...]) -> list[tuple[int, Occurrence]]:
        """The occurrences behind these events; the log has one record for each, in order."""
        places = sorted(past.position for past in self.pasts())
        assert len(places) == len(self.history)
        wanted = {ground.position for ground in grounds}
        return [each for place, each in zip(places, self.history, strict=True) if place in wanted]


def answer(world: World, name: str, computed: dict[str, Any]) -> Any:
    """A trait's value, or whether the person is in an audience."""
    return computed.get(name) if name.startswith("t") else name in world.person("user_id:u").audiences


def tell(definitions: Definitions, history: list[tuple[int, Occurrence]], until_ms: int, merging: int = 0) -> World:
    """A platform that has seen these events of one person by this time; the first `merging` of them were another's."""
    world = World(definitions)
    world.now_ms = START_MS
    world.fold()
    for n, (now_ms, occurrence) in enumerate(history):
        world.pass_time(now_ms - world.now_ms)
        who = {"anonymousId": "a"} if n < merging else {"userId": "u", "anonymousId": "a"}
        world.send(as_event(occurrence, **who))
        world.fold()
    world.pass_time(until_ms - world.now_ms)
    return world


def lives(hundred: int) -> Iterator[Told]:
    """A hundred lives, by their seeds."""
    for seed in range(hundred * 100, hundred * 100 + 100):
        seeded = Seeded(seed)
        definitions = seeded.definitions()
        if checked(definitions).problems:
            continue
        history = seeded.history()
        merging = 0 if seeded.chance(2) else len(history) // 2
        world = tell(definitions, history, history[-1][0] + seeded.passes()[0], merging)
        yield Told(seed, definitions, world, history, world.profile("user_id:u"))


HUNDREDS = pytest.mark.parametrize("hundred", range(CASES // 100))


@HUNDREDS
def test_an_explanation_says_what_the_state_says(hundred: int) -> None:
    """The answer is the state's, every part's value is what the events make too, and all events are seen."""
    for told in lives(hundred):
        for name in told.names:
            found = told.explain(name)
            assert same_values({name: found.answer.value}, {name: told.value(name)}), told.seed
            assert found.seen == found.events == len(told.history)
            for each in (found.answer, *found.rests_on):
                whole = dated(each.whole.value) if each.whole.instant else each.whole.value
                assert same_values({name: each.value}, {name: whole}), (told.seed, name, each.name)
                wrong = [part for part in each.whole.walk() if part.differs or part.notes]
                assert not wrong, (told.seed, name, wrong)


@HUNDREDS
def test_the_deciding_events_alone_give_the_same_answer(hundred: int) -> None:
    """Folded by a platform that has seen no other event, they make the same value at the same instant."""
    for told in lives(hundred):
        for name in told.names:
            found = told.explain(name)
            chosen = told.chosen(found.grounds)
            assert len(chosen) == len(found.grounds)
            assert found.confirmed
            if chosen:
                again = tell(told.definitions, chosen, told.world.now_ms)
                value = answer(again, name, again.profile("user_id:u").computed)
            else:
                program = probed(told.definitions, name).program
                nobody = retrace(program, [], told.world.now_ms, told.profile.identifiers)
                value = nobody.computed.get(name) if found.answer.kind == "trait" else name in nobody.audiences
            assert same_values({name: value}, {name: told.value(name)}), (told.seed, name, chosen)


@HUNDREDS
def test_every_parts_events_alone_give_that_part_the_same_value(hundred: int) -> None:
    """What is listed below an aggregate is all that its value takes."""
    for told in lives(hundred):
        pasts = {past.position: past for past in told.pasts()}
        for name in told.names:
            for part in told.explain(name).answer.whole.walk():
                if not part.slot or part.evidence is None or '"person"' in part.text:
                    continue  # in a person's own time zone other events decide, too
                chosen = [pasts[ground.position] for ground in part.evidence.grounds]
                seen = tuple(as_occurrence(past) for past in chosen)
                alone = reference.Person(seen)
                node = next(
                    p.node for p in probed(told.definitions, name).probes[name].walk() if p.number == part.number
                )
                value = reference.evaluate(node, alone, Place(told.world.now_ms, told.definitions.timezone))
                ours = Instant(part.value) if part.instant and part.value is not None else part.value
                assert same_values({name: ours}, {name: value}), (told.seed, name, part)


def as_occurrence(past: Past) -> Occurrence:
    """An event as the reference takes it."""
    event = past.event
    tie = int.from_bytes(past.tie, "big")
    parts = (event.properties or {}, event.context or {}, event.traits or {})
    return Occurrence(past.at_ms, tie, past.name, event.type, *parts)


@HUNDREDS
def test_an_answer_turns_when_it_is_said_to(hundred: int) -> None:
    """Until that instant nothing changes, at it the value is the one foretold; without one, it never changes."""
    for told in lives(hundred):
        for name in told.names:
            found = told.explain(name)
            turn, value = found.answer.turn, told.value(name)
            world = tell(told.definitions, told.history, told.world.now_ms)
            until_ms = world.now_ms + 100 * 86_400_000 if turn is None else turn.at_ms - 1
            assert until_ms >= world.now_ms
            world.pass_time(until_ms - world.now_ms)
            now = answer(world, name, world.profile("user_id:u").computed)
            assert same_values({name: now}, {name: value}), (told.seed, name)
            if turn is not None:
                world.pass_time(1)
                now = answer(world, name, world.profile("user_id:u").computed)
                foretold = dated(turn.value) if found.answer.whole.instant else turn.value
                assert same_values({name: now}, {name: foretold}), (told.seed, name, turn)
