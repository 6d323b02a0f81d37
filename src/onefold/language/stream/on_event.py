"""The Python of one function for events of one name, from its plan."""

from collections.abc import Iterable, Iterator
from typing import assert_never

from onefold.language import nodes as n
from onefold.language.reading.show import show
from onefold.language.stream.definition import audience_lines, trait_lines
from onefold.language.stream.groups import Branch, of_trait
from onefold.language.stream.plan import (
    EVER,
    AudiencesStep,
    GateStep,
    Guard,
    JudgeStep,
    LapsingStep,
    Plan,
    SlotStep,
    Whole,
)
from onefold.language.stream.putting import Around, is_tally, put
from onefold.language.stream.source import EventScope, ProfileScope, Surroundings, slot_value

_LAPSING = (
    "if seen == 2 and not a.keys().isdisjoint(lapsing.keys()):",
    "    for name in a.keys() & lapsing.keys(): lapsing[name](p, now, changed, moves)",
    "elif seen == 3:",
    "    for j in waiting: j(p, now, changed, moves)",
)
"""Audiences of those who were last seen long ago, where that is all that an event changes: only who is in one can move.

Whoever comes for the first time is in none of them, but may have to wait for some.
"""


def source_of(plan: Plan, name: str, whole: Whole, among: Surroundings) -> list[str]:
    """The lines of the function of this name that does what the plan says."""
    return _OnEvent(plan, whole, among).function(name)


def under(guard: Guard, lines: Iterable[str]) -> Iterator[str]:
    """These lines, where the guard holds."""
    if guard == EVER:
        yield from lines
    else:
        yield f"if {' or '.join(sorted(condition.source for condition in guard))}:"
        yield from ("    " + line for line in lines)


class _OnEvent:
    """The source of one function for events of one name: puts them into slots; judges, if it has what to judge."""

    def __init__(self, plan: Plan, whole: Whole, among: Surroundings) -> None:
        self._plan = plan
        self._whole = whole
        self._scope = EventScope(among)
        self._profile = ProfileScope(among)

    def function(self, name: str) -> list[str]:
        plan = self._plan
        slots, judgements = list(self._slots()), list(self._judgements())
        spans = under(plan.zoned, self._profile.lines()) if plan.zoned else ()
        body = [*slots, *spans, *judgements]
        parameters = "now, seen, changed, moves" if plan.judges else "now"
        lines = [f"def {name}(p, e, t, tie, {parameters}):  # {plan.event!r}"]
        start = ["s = p.slots; c = p.computed; a = p.audiences; d = p.declared; q = e.properties; k = e.context"]
        if plan.flags:
            start.append(" = ".join(f"f{number}" for number in range(plan.flags)) + " = False")
        return lines + ["    " + line for line in (*start, *self._scope.lines(), *body)] + [""]

    # --- slots -----------------------------------------------------------------------------------------------
    def _slots(self) -> Iterator[str]:
        for number, branch in self._plan.branches:
            yield from self._branch(number, branch)
        for step in self._plan.slots:
            yield from self._slot(step)

    def _branch(self, number: int, branch: Branch) -> Iterator[str]:
        """Of many counts that ask one field for equality, the one that the event counts in."""
        field, hit = self._scope.value(branch.field), f"h{number}"
        path = ".".join(map(str, branch.field.path))
        yield f"{hit} = branch_{number}.get({field}) if type({field}) is str else None  # {path}"
        yield f"if {hit} is not None:"
        yield f"    n = s.get({hit}, 0) + 1; s[{hit}] = n"
        if self._plan.judges:
            yield f"    if n in turns_{number}[{hit}]: crossings[{hit}].move(n - 1, n, now, a, moves)"

    def _slot(self, step: SlotStep) -> Iterator[str]:
        kept = step.kept
        yield f"# {describe(kept)}"
        before = [f"b = {slot_value(kept)}"] if step.crosses and not is_tally(kept) else []
        yield from put(step.key, kept, self._plan.event, self._scope, Around(before, list(self._done(step))))

    def _done(self, step: SlotStep) -> Iterator[str]:
        """What follows where the slot has changed."""
        key, kept = step.key, step.kept
        if step.flag is not None:
            yield f"{step.flag.source} = True"
        if step.edge is not None:
            yield f"{step.edge.source} = n in edges_{key}"
        if step.crosses:
            move = f"crossings[{key!r}].move({{}}, now, a, moves)"
            if is_tally(kept):
                yield f"if n in turns_{key}: {move.format('n - 1, n')}"
            else:
                yield move.format(f"b, {slot_value(kept)}")

    # --- judging ---------------------------------------------------------------------------------------------
    def _judgements(self) -> Iterator[str]:
        for step in self._plan.judgements:
            match step:
                case JudgeStep():
                    yield from under(step.guard, under(step.there, self._judged(step)))
                case AudiencesStep():
                    yield from under(step.guard, self._audiences(step))
                case LapsingStep():
                    yield from _LAPSING
                case GateStep():
                    yield from under(step.guard, self._gate(step))
                case _:
                    assert_never(step)
        if self._plan.sorts:
            yield "if len(moves) > 1: moves.sort(key=rank)"

    def _judged(self, step: JudgeStep) -> Iterator[str]:
        if step.definition.audience:
            return audience_lines(step.definition, self._profile)
        return trait_lines(step.definition, self._profile, self._trait_changed(step))

    def _audiences(self, step: AudiencesStep) -> Iterator[str]:
        """Audiences of one guard, each with what must be there; those that compare a slot's value find it once."""
        scope = self._profile
        for key, alike in step.groups:
            if len(alike) > 1:
                yield f"v = {scope.kept(alike[0].definition.slots[key])}"
                scope.known = key
            for each in alike:
                yield from under(each.there, audience_lines(each.definition, scope))
            scope.known = ""

    def _gate(self, step: GateStep) -> Iterator[str]:
        """Judge the audiences of the trait's value, and first those of the value that it had before this event."""
        index, gate = step.number, self._whole.gates[step.number]
        open_ = f"is {gate.kind} and (j := gate_{{}}.get({{}})): j(p, now, changed, moves)"
        if step.flag is not None:
            yield f"if {step.flag.source} and type(g{index}) " + open_.format(index, f"g{index}")
        yield f"if type(v := c.get({gate.trait!r})) " + open_.format(index, "v")

    def _trait_changed(self, step: JudgeStep) -> Iterator[str]:
        """What follows where a trait has a new value."""
        if step.flag is not None:
            yield f"{step.flag.source} = True"
        if step.crosses:
            yield f"crossings[{of_trait(step.definition.name)!r}].move(o, v, now, a, moves)"
        yield from (f"g{index} = o" for index in step.gates)


def describe(kept: n.Kept) -> str:
    """What is kept, in one line, for comments in the generated source."""
    return show(kept).replace("\n", " ")
