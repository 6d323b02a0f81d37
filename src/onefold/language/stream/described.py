"""Definitions and plans as the native kernel is told of them: lists, objects and literals that it reads.

What an expression means is decided here as `source` decides it for Python. What the kernel cannot know raises
`Unknown`; whatever needs that stays in Python.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from onefold.language import nodes as n
from onefold.language.functions import is_instant
from onefold.language.keeping.calendars import PERSON_ZONE
from onefold.language.stream.calls import Described, Unknown, call
from onefold.language.stream.crossings import Crossings
from onefold.language.stream.definition import Definition, kept_in
from onefold.language.stream.excerpt import attribute
from onefold.language.stream.groups import Branch, Gate, of_trait
from onefold.language.stream.inputs import walk
from onefold.language.stream.plan import (
    EVER,
    AudiencesStep,
    Condition,
    GateStep,
    Guard,
    Judgement,
    JudgeStep,
    LapsingStep,
    Plan,
    SlotStep,
    Whole,
)
from onefold.language.stream.putting import is_tally, steps_of
from onefold.language.stream.source import MIRRORED, is_dear
from onefold.model.event import Context

Source = tuple[str, str, list[str | int]]
"""Where a field of an event stands: the attribute of the event, the attribute of that, and a path from there."""


class Slots:
    """The numbers of what a profile keeps, as the kernel is told of it."""

    def __init__(self, counted: frozenset[str], timezone: str) -> None:
        self._counted = counted
        self.timezone = timezone
        self._numbers: dict[tuple[str, bool], int] = {}
        self.described: list[Described] = []

    def number(self, kept: n.Kept) -> int:
        """A sequence has one for each of the two things that are asked of it."""
        key = n.slot(kept)
        asked = (key, isinstance(kept, n.Sequence) and kept.counted)
        if (number := self._numbers.get(asked)) is None:
            number = self._numbers[asked] = len(self.described)
            self.described.append(
                [key, *_of_sequence(kept, counted=key in self._counted)]
                if isinstance(kept, n.Sequence)
                else [key, kept.function, self._of_aggregate(kept)]
            )
        return number

    def _of_aggregate(self, kept: n.Aggregate) -> Described:
        params = {name: value for name in _PARAMS if (value := getattr(kept, name)) is not None}
        return params | {"workspace_zone": self.timezone}


_PARAMS = ("within_ms", "until_ms", "calendar", "timezone", "number", "every_ms", "per")


def _of_sequence(kept: n.Sequence, *, counted: bool) -> tuple[str, Described]:
    params = {
        "steps": [[step.within_ms, step.negated] for step in kept.steps],
        "same": kept.same is not None,
        "within_ms": kept.within_ms,
        "during_ms": kept.during_ms,
        "counted": counted,
    }
    return "sequence_count" if kept.counted else "sequence", params


class Expressions:
    """Expressions of one scope; subclasses know what names mean where they stand."""

    def __init__(self, types: Mapping[str, n.Type], timezone: str) -> None:
        self.timezone = timezone
        self._types = types
        self._items = 0
        """Conditions about items under way."""

    def leaf(self, node: Any, level: float | None) -> Described:
        """What a name stands for. `level`: the number that it is only compared with."""
        raise AssertionError(node, level)

    def is_instant(self, node: n.Node) -> bool:
        """True for expressions whose values are instants as milliseconds."""
        return is_instant(node, self._types)

    def value(self, node: n.Node, level: float | None = None) -> Described:
        """Any value."""
        match node:
            case n.Literal_(value=value):
                return ["literal", _literal(value)]
            case n.And() | n.Or() | n.Not() | n.Compare() | n.In() | n.Quantified() | n.InAudience() | n.Share():
                return ["test", self.boolean(node)]
            case n.Arithmetic(op=op, left=left, right=right):
                return ["arithmetic", op, self.value(left), self.value(right)]
            case n.Negate(part=part):
                return self._negate(part)
            case n.Call():
                return self._call(node, level)
            case n.Case(conditions=conditions, values=values, otherwise=otherwise):
                cases = [[self.boolean(c), self.value(v)] for c, v in zip(conditions, values, strict=True)]
                return ["case", cases, None if otherwise is None else self.value(otherwise)]
            case n.Item(path=path):
                return ["item", list(path)]
        return self.leaf(node, level)

    def _negate(self, part: n.Node) -> Described:
        """Where the value may be the least integer of 64 bits, Python goes on with a larger one."""
        if self._items or not isinstance(part, n.Literal_ | n.Arithmetic | n.Field):
            raise Unknown(part)
        return ["negate", self.value(part)]

    def _call(self, node: n.Call, level: float | None) -> Described:
        if node.function == "exists":
            return ["test", self.boolean(node)]
        if node.function == "coalesce":
            return ["coalesce", list(map(self.value, node.args))]
        return call(node, level, self)

    def boolean(self, node: n.Node) -> Described:
        """A real boolean: anything but True is false."""
        match node:
            case n.And(parts=parts):
                return ["and", [self.boolean(part) for part in sorted(parts, key=is_dear)]]
            case n.Or(parts=parts):
                return ["or", [self.boolean(part) for part in sorted(parts, key=is_dear)]]
            case n.Not(part=part):
                return ["not", self.boolean(part)]
            case n.Compare():
                return self._compare(node)
            case n.In(item=item, options=options):
                return ["in", self.value(item), list(map(_literal, options))]
            case n.Quantified():
                return self._quantified(node)
            case n.Call(function="exists", args=(value,)):
                return ["exists", self.value(value)]
            case n.InAudience(name=name):
                return ["in_audience", name]
            case n.Share(salt=salt, percent=percent):
                return ["share", salt, percent]
        return ["is", self.value(node), True]

    def _quantified(self, node: n.Quantified) -> Described:
        items = self.value(node.items)
        self._items += 1
        condition = self.boolean(node.condition)
        self._items -= 1
        return ["quantified", node.quantifier, items, condition]

    # --- comparisons -----------------------------------------------------------------------------------------
    def _compare(self, node: n.Compare) -> Described:
        left, right, op = node.left, node.right, node.op
        if self.is_instant(left) or self.is_instant(right):
            return self._compare_instants(node)
        if op == "!=":
            return ["not", self._compare(n.Compare(node.column, "==", left, right))]
        if isinstance(left, n.Literal_) and not isinstance(right, n.Literal_):
            left, right, op = right, left, MIRRORED[op]
        if isinstance(right, n.Literal_):
            return self._compare_literal(op, left, right.value)
        if op == "==":
            return ["same", self.value(left), self.value(right)]
        return ["order", op, self.value(left), self.value(right)]

    def _compare_literal(self, op: str, left: n.Node, value: Any) -> Described:
        if value is None:
            return ["never"]
        if isinstance(value, bool):
            return ["is", self.value(left), value] if op == "==" else ["never"]
        return ["against", op, self.value(left, None if isinstance(value, str) else value), _literal(value)]

    def _compare_instants(self, node: n.Compare) -> Described:
        return ["before", node.op, self._instant(node.left), self._instant(node.right)]

    def _instant(self, node: n.Node) -> Described:
        return self.value(node) if self.is_instant(node) else ["instant", self.value(node)]


def _literal(value: Any) -> Any:
    if type(value) is int and not -(1 << 63) <= value < 1 << 63:
        raise Unknown(value)
    return value


class OfEvent(Expressions):
    """Names are fields of the event; each is read once, and has a number."""

    def __init__(self, types: Mapping[str, n.Type], timezone: str) -> None:
        super().__init__(types, timezone)
        self._numbers: dict[n.Path, int] = {}
        self.sources: list[Source] = []
        """Where the fields stand, by number."""

    def number(self, node: n.Field) -> int:
        """The number of a field."""
        if (number := self._numbers.get(node.path)) is None:
            number = self._numbers[node.path] = len(self.sources)
            self.sources.append(_source(node.path))
        return number

    def leaf(self, node: Any, level: float | None) -> Described:  # noqa: ARG002 - as in every scope
        """A field's value."""
        assert isinstance(node, n.Field), node
        return ["time"] if node.path == ("time",) else ["field", self.number(node)]


def _source(path: n.Path) -> Source:
    root, *rest = path
    if root in ("type", "name", "traits"):
        return str(root), "", rest
    field, *deeper = rest
    known = root == "context" and field in Context.__struct_fields__
    return str(root), str(field) if known else attribute(str(field)), deeper


class OfPerson(Expressions):
    """Names are what a profile keeps and has."""

    def __init__(self, types: Mapping[str, n.Type], slots: Slots) -> None:
        super().__init__(types, slots.timezone)
        self._slots = slots

    def leaf(self, node: Any, level: float | None) -> Described:
        """What a profile's name stands for."""
        match node:
            case n.Aggregate(timezone=n.PERSON):
                return ["personal_slot", self._slots.number(node), self._slots.number(PERSON_ZONE), None]
            case n.Aggregate(function=function):
                return ["slot", self._slots.number(node), level if function == "time_since" else None]
            case n.Sequence():
                return ["slot", self._slots.number(node), None]
            case n.TraitRef(name=name):
                return ["instant_trait" if self.is_instant(node) else "trait", name]
            case n.Builtin(name=name):
                return [name]
            case n.Declared(path=(root, *rest)):
                return ["declared", root, rest]
            case n.Now(ago_ms=ago):
                return ["now", ago]
        raise Unknown(node)

    def _compare_instants(self, node: n.Compare) -> Described:
        left, right, op = node.left, node.right, node.op
        if isinstance(left, n.Now) and not isinstance(right, n.Now):
            left, right, op = right, left, MIRRORED[op]
        if isinstance(right, n.Now) and not isinstance(left, n.Now):
            return ["moving", op, self._instant(left), right.ago_ms]
        return super()._compare_instants(node)


class Describing:
    """The definitions of one program, described."""

    def __init__(self, whole: Whole, types: Mapping[str, n.Type], slots: Slots, waiting: Iterable[int]) -> None:
        self._whole = whole
        self._types = types
        self._slots = slots
        self._numbers = {definition.name: number for number, definition in enumerate(whole.definitions)}
        self._crossings = {given: number for number, given in enumerate(whole.crossings)}
        self._waiting = list(waiting)

    @property
    def names(self) -> list[str]:
        """Definition number → its name."""
        return list(self._numbers)

    def definitions(self) -> Described:
        """All of them, without the events."""
        definitions = self._whole.definitions
        all_ = [self._definition(each) for each in definitions]
        for kept in self._whole.kept.values():
            self._slots.number(kept)
        lapsing = self._whole.lapsing
        return {
            "slots": self._slots.described,
            "definitions": all_,
            "looks": list(map(self._looks, definitions)),
            "gates": list(map(self._gate, self._whole.gates)),
            "crossings": [self._crossing(each) for each in self._whole.crossings.values()],
            "lapsing": [i for i, each in enumerate(definitions) if each.audience and each.name in lapsing],
            "waiting": self._waiting,
        }

    def _definition(self, definition: Definition) -> Described:
        person = OfPerson(self._types, self._slots)
        try:
            if definition.audience:
                return ["audience", definition.name, person.boolean(definition.node)]
            return ["trait", definition.name, person.value(definition.node), person.is_instant(definition.node)]
        except Unknown:
            return None

    def _looks(self, definition: Definition) -> Described:
        """The slots that a definition looks into, and whether it asks for identifiers."""
        slots = sorted({self._slots.number(kept) for kept in kept_in(definition.node)})
        return [slots, any(isinstance(part, n.Share) for part in walk(definition.node))]

    def _gate(self, gate: Gate) -> Described:
        behind = {asked: list(map(self._numbers.__getitem__, names)) for asked, names in gate.audiences.items()}
        texts = {asked: numbers for asked, numbers in behind.items() if isinstance(asked, str)}
        return [gate.trait, texts, behind.get(True, [])]

    def _crossing(self, crossing: Crossings) -> Described:
        sides, equal = crossing.described(self._numbers)
        return [sides, equal, sorted(crossing.turns())]

    # --- events ----------------------------------------------------------------------------------------------
    def plan(self, plan: Plan) -> tuple[Described, list[Source]]:
        """What is done with an event, and where the fields stand that it reads of it. Raises `Unknown`."""
        event = OfEvent(self._types, self._slots.timezone)
        judged = self._judged(plan)
        described = {
            "branches": [self._branch(branch, event) for _, branch in plan.branches],
            "puts": [self._put(step, plan.event, event) for step in plan.slots],
            "judgements": [self._judgement(step, plan) for step in plan.judgements],
            "flags": plan.flags,
            "asks_identifiers": any(isinstance(part, n.Share) for each in judged for part in walk(each.node)),
            "slots": sorted(self._looks_into(plan, judged)),
        }
        return described, event.sources

    # --- time ------------------------------------------------------------------------------------------------
    def waking(self, slots: Iterable[str], dependents: Mapping[str, list[int]]) -> Described:
        """What to do where time has come for a profile. `slots`: all that the program keeps."""
        nodes = [definition.node for definition in self._whole.definitions]
        return {
            "slots": list(slots),
            "dependents": dict(dependents),
            "looks": [sorted(set(map(self._slots.number, kept_in(node)))) for node in nodes],
            "asks_identifiers": any(isinstance(part, n.Share) for node in nodes for part in walk(node)),
        }

    def _looks_into(self, plan: Plan, judged: Iterable[Definition]) -> set[int]:
        """All slots that it may put the event into, or ask for their values."""
        kept = [step.kept for step in plan.slots]
        kept += [self._whole.kept[key] for _, branch in plan.branches for key in branch.keys.values()]
        kept += [each for definition in judged for each in kept_in(definition.node)]
        return set(map(self._slots.number, kept))

    def _judged(self, plan: Plan) -> list[Definition]:
        """All that may be judged."""
        names: set[str] = set()
        for step in plan.judgements:
            names |= self._names(step)
        return [self._whole.definitions[number] for number in sorted(map(self._numbers.__getitem__, names))]

    def _names(self, step: Judgement) -> set[str]:
        match step:
            case JudgeStep(definition=definition):
                return {definition.name}
            case AudiencesStep(groups=groups):
                return {each.definition.name for _, group in groups for each in group}
            case LapsingStep():
                return set(self._whole.lapsing)
            case GateStep(number=number):
                return {name for names in self._whole.gates[number].audiences.values() for name in names}

    def _branch(self, branch: Branch, event: OfEvent) -> Described:
        slots = {text: self._slots.number(self._whole.kept[key]) for text, key in branch.keys.items()}
        crossings = [[slots[text], self._crossings[key]] for text, key in branch.keys.items() if key in self._crossings]
        return [event.number(branch.field), slots, crossings]

    def _put(self, step: SlotStep, name: str, event: OfEvent) -> Described:
        kept = step.kept
        always, wheres = steps_of(kept, name) if isinstance(kept, n.Sequence) else (0, [])
        within_ms, where, field = _asked(kept)
        return {
            "slot": self._slots.number(kept),
            "within_ms": within_ms,
            "condition": None if where is None else event.boolean(where),
            "given": None if field is None else event.value(field),
            "bits": always,
            "steps": [[bit, event.boolean(condition)] for bit, condition in wheres],
            "is_sequence": isinstance(kept, n.Sequence),
            "is_tally": is_tally(kept),
            "flag": None if step.flag is None else step.flag.number,
            "edge": None if step.edge is None else [step.edge.number, sorted(self._whole.edges_of(step.key))],
            "crossing": self._crossings[step.key] if step.crosses else None,
        }

    def _judgement(self, step: Judgement, plan: Plan) -> Described:
        match step:
            case JudgeStep():
                return self._definition_step(step, plan)
            case AudiencesStep(guard=guard, groups=groups):
                found = [each for _, group in groups for each in group]
                behind = [[self._guard(each.there, plan), self._numbers[each.definition.name]] for each in found]
                return ["audiences", self._guard(guard, plan), behind]
            case LapsingStep():
                return ["lapsing"]
            case GateStep(guard=guard, number=number, flag=flag):
                return ["gate", self._guard(guard, plan), number, None if flag is None else flag.number]

    def _definition_step(self, step: JudgeStep, plan: Plan) -> Described:
        name = step.definition.name
        crossing = self._crossings[of_trait(name)] if step.crosses else None
        flag = None if step.flag is None else step.flag.number
        guards = self._guard(step.guard, plan), self._guard(step.there, plan)
        return ["definition", *guards, self._numbers[name], flag, crossing, list(step.gates)]

    def _guard(self, guard: Guard, plan: Plan) -> Described:
        return None if guard == EVER else [self._condition(each, plan) for each in sorted(guard)]

    def _condition(self, condition: Condition, plan: Plan) -> Described:
        match condition.kind:
            case "hit":
                branch = [number for number, _ in plan.branches].index(condition.number)
                return ["hit", branch, self._slots.number(self._whole.kept[condition.key])]
            case "kept":
                return ["kept", self._slots.number(self._whole.kept[condition.key])]
            case "moved":
                return ["moved"]
        return [condition.kind, condition.number]


def _asked(kept: n.Kept) -> tuple[int | None, n.Node | None, n.Node | None]:
    """Of an event that is put into a slot: how long ago it may be, its condition, and what it gives."""
    if isinstance(kept, n.Sequence):
        return kept.during_ms, None, kept.same
    return kept.within_ms, kept.where, kept.field
