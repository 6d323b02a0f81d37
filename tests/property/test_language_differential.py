"""One definition, one answer: compiled definitions against the reference, over random definitions and histories."""

from typing import Any

from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st

from onefold.core.batch import Incoming
from onefold.core.pipeline import judge
from onefold.core.rules import Rules
from onefold.core.run import Run
from onefold.core.timers import wake
from onefold.language.check import checked
from onefold.language.compile_python import compile_definitions
from onefold.language.program import Program
from onefold.model.changes import View
from onefold.model.definitions import Definitions
from onefold.model.event import Event
from onefold.model.profile import Declared, Profile
from onefold.testing import generate
from onefold.testing.reference import Occurrence, Person, kind, values

LATER_MS = (0, 1, 999, 1_000, 1_001, 10_000, 60_000, 3_600_000, 31 * 86_400_000)


class Live:
    """One profile under a program, as the step keeps it: events are folded, timers fire when they are due."""

    def __init__(self, program: Program, declared: dict[str, Any], first: tuple[int, Occurrence]) -> None:
        self.program = program
        at_ms = first[1].at_ms
        self.profile = Profile(1, first[0], at_ms, at_ms, first[0], version=1)
        self.profile.declared = {k: Declared(v, 0, 0) for k, v in declared.items() if v is not None}
        wake(self._run(first[0]), self.profile)
        program.judge_all(self.profile, first[0], {}, [])

    def _run(self, now_ms: int) -> Run:
        run = Run(0, View({}, {1: self.profile}, {}), self.program, Rules())
        run.at(0, now_ms)
        return run

    def pass_time(self, now_ms: int) -> None:
        if self.profile.due_ms <= now_ms:
            wake(self._run(now_ms), self.profile)

    def take(self, now_ms: int, occurrence: Occurrence) -> None:
        self.pass_time(now_ms)
        o = occurrence
        name = o.name if o.type == "track" else None
        event = Event("track" if name else o.type, event=name, properties=o.properties, context=o.context)  # type: ignore[arg-type]
        event.traits = o.traits if o.type == "track" else None
        incoming = Incoming(event, "web", 0, now_ms, o.at_ms, o.tie, b"", [])
        judge(self._run(now_ms), self.profile, incoming)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(
    generate.definitions(), generate.histories(), generate.declared(), st.lists(st.sampled_from(LATER_MS), max_size=3)
)
def test_the_stream_says_what_the_reference_says(
    definitions: Definitions, history: list[tuple[int, Occurrence]], declared: dict[str, Any], later: list[int]
) -> None:
    """After every event, and after time alone, traits and audiences are those of the whole history."""
    check = checked(definitions)
    assert not check.problems, [problem.show() for problem in check.problems]
    history = [(now, _without_traits(event)) for now, event in history]
    if not history:
        return
    for trait in definitions.traits:
        note(f"{trait.name}: {trait.expression}")
    for audience in definitions.audiences:
        note(f"{audience.name}: {audience.expression}")
    note(f"{declared} {history} {later}")
    live = Live(compile_definitions(check, 1), declared, history[0])
    known: list[Occurrence] = []
    now_ms = history[0][0]
    for now_ms, event in history:
        live.take(now_ms, event)
        known.append(event)
        _same(live, values(check, Person(tuple(known), declared), now_ms))
    for step_ms in later:
        now_ms += step_ms
        live.pass_time(now_ms)
        _same(live, values(check, Person(tuple(known), declared), now_ms))


def _without_traits(event: Occurrence) -> Occurrence:
    """What identify declares is the fold's business, not the language's."""
    fields = {name: getattr(event, name) for name in event.__struct_fields__}
    return Occurrence(**{**fields, "traits": event.traits if event.type == "track" else {}})


def _same(live: Live, expected: tuple[dict[str, Any], set[str]]) -> None:
    traits, audiences = expected
    assert _plain(live.profile.computed) == _plain(traits)
    assert set(live.profile.audiences) == audiences


def _plain(value: Any) -> Any:
    """The value with its kind, since Python holds true and 1 for equal."""
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list) else (kind(value), value)
