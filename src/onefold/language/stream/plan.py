"""What is done with an event of one name: the slots that it is put into, then what is judged, and on what condition.

Both the Python of the stream (`on_event`) and what the native kernel is told (`described`) are made of such plans.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Literal, NamedTuple

from onefold.language import nodes as n
from onefold.language.stream.crossings import Crossings
from onefold.language.stream.definition import ZONE_SLOT, Definition, compared_slot
from onefold.language.stream.groups import Branch, Gate, branches, crossings, gates, lapses, of_trait
from onefold.language.stream.program import FIRST_SEEN, LAST_SEEN, Trigger
from onefold.language.stream.putting import is_sure


class Condition(NamedTuple):
    """What an event may turn out to have done."""

    kind: Literal["always", "flag", "hit", "seen", "moved", "kept"]
    number: int = 0
    """Of the flag; of the branch that was hit; the bits of `seen`."""
    key: str = ""
    """The slot that the event counts in by its branch; that there must be something in (`kept`)."""

    @property
    def source(self) -> str:
        """Source that says whether it has."""
        match self.kind:
            case "flag":
                return f"f{self.number}"
            case "hit":
                return f"h{self.number} == {self.key!r}"
            case "seen":
                return f"seen & {self.number}"
            case "moved":
                return "moves"
            case "kept":
                return f"{self.key!r} in s"
        return "True"


ALWAYS = Condition("always")
MOVED = Condition("moved")
Guard = frozenset[Condition]
"""Holds where one of its conditions does."""
_SEEN = {FIRST_SEEN: Condition("seen", 1), LAST_SEEN: Condition("seen", 2), "events": ALWAYS}
_LATEST: Guard = frozenset((_SEEN[LAST_SEEN],))
EVER: Guard = frozenset((ALWAYS,))
"""What every event of a name does."""


def guard_of(conditions: Iterable[Condition]) -> Guard:
    """The guard that holds where one of these does."""
    found = frozenset(conditions)
    assert found
    return EVER if ALWAYS in found else found


class SlotStep(NamedTuple):
    """Putting the event into a slot."""

    key: str
    kept: n.Kept
    flag: Condition | None
    """Set where its value may be another; None: nobody asks, or it always is."""
    edge: Condition | None
    """Set where its count has come to an edge."""
    crosses: bool
    """Audiences that compare its value with literals move at once."""


class JudgeStep(NamedTuple):
    """Judging one definition."""

    definition: Definition
    guard: Guard
    there: Guard
    """What must be there for it to make a difference."""
    flag: Condition | None = None
    """Set where a trait has another value."""
    crosses: bool = False
    gates: tuple[int, ...] = ()
    """Gates of the trait: they also ask for the value that it had."""


class AudiencesStep(NamedTuple):
    """Judging audiences of one guard; those of a group compare one slot's value, if it has a key."""

    guard: Guard
    groups: list[tuple[str, list[JudgeStep]]]


class LapsingStep(NamedTuple):
    """Judging those of the audiences of who was last seen long ago that can move."""


class GateStep(NamedTuple):
    """Judging the audiences of a trait's value, and first those of the value that it had before this event."""

    guard: Guard
    number: int
    """Of the gate."""
    flag: Condition | None
    """Set where the trait has another value."""


Judgement = JudgeStep | AudiencesStep | LapsingStep | GateStep


class Plan(NamedTuple):
    """All that is done with an event, in order."""

    event: str
    judges: bool
    """Whether anything is judged, or the event only put into slots."""
    branches: list[tuple[int, Branch]]
    """Counts by look-up, with their numbers."""
    slots: list[SlotStep]
    judgements: list[Judgement]
    flags: int
    """How many flags there are."""
    zoned: Guard
    """Where people's own time zones are asked for; empty: nowhere."""
    sorts: bool
    """Whether moves have to be put into the order of definitions."""


class Whole:
    """The definitions of one program, and what of many of them one look-up answers."""

    def __init__(self, definitions: list[Definition], kept: Mapping[str, n.Kept], types: Mapping[str, n.Type]) -> None:
        self.definitions = definitions
        self.kept = kept
        self.branches = branches(kept)
        audiences = {d.name: d.node for d in definitions if d.audience and not d.audiences}
        self.gates: list[Gate] = gates(audiences, types)
        self.gate_of = {
            name: i for i, gate in enumerate(self.gates) for each in gate.audiences.values() for name in each
        }
        looked_up = {k for each in self.branches for k in each.keys.values()}
        self.lapsing = frozenset(name for name, node in audiences.items() if lapses(node))
        self.crossings: Mapping[str, Crossings]
        self.crossings, self.indexed = crossings(audiences, looked_up, types)
        self.edges: dict[str, list[frozenset[int]]] = {}
        """Counts → those at which definitions that only compare them with numbers may have another value."""
        for definition in definitions:
            for key, edges in definition.edges.items() if not self.is_looked_up(definition) else ():
                self.edges.setdefault(key, []).append(edges)

    def is_looked_up(self, definition: Definition) -> bool:
        """Whether crossings say what becomes of it."""
        return definition.audience and definition.name in self.indexed

    def edges_of(self, key: str) -> frozenset[int]:
        """The counts at which something may change that only compares this one."""
        return frozenset[int]().union(*self.edges.get(key, ()))


def plan_of(whole: Whole, event: str, touched: list[str], numbers: list[int] | None, *, shared: bool = False) -> Plan:
    """The plan for events of a name, which touch these slots and may change the definitions of these numbers.

    `numbers`: None where nothing is to be judged. `shared`: what every event changes has a plan of its own.
    """
    return _Planner(whole, numbers).plan(event, touched, (event,) if shared else (event, "*"))


class _Planner:
    def __init__(self, whole: Whole, numbers: list[int] | None) -> None:
        self._whole = whole
        self._judges = numbers is not None
        self._judged = [whole.definitions[number] for number in numbers or ()]
        self._asking = [each for each in self._judged if not whole.is_looked_up(each)]
        """Those that no look-up judges."""
        self._traits_named = {name for definition in self._judged for name in definition.traits}
        self._zoned: set[Condition] = set()
        """Conditions of the definitions that ask for a person's own zone."""
        self._known: dict[Trigger, Condition] = {}
        """What the event may change → what says whether it did; traits as `of_trait`."""
        self._flags = 0

    def plan(self, event: str, touched: list[str], events: tuple[str, ...]) -> Plan:
        """`events`: of these names it puts what counts by look-up."""
        found = [(i, branch) for i, branch in enumerate(self._whole.branches) if branch.event in events]
        grouped: set[str] = set()
        for number, branch in found:
            grouped.update(branch.keys.values())
            for key in branch.keys.values():
                self._known[key] = self._known[at_edge(key)] = Condition("hit", number, key)
        slots = [self._slot(key, self._whole.kept[key]) for key in touched if key not in grouped]
        judgements = list(self._judgements())
        zoned = guard_of(self._zoned) if self._zoned else frozenset[Condition]()
        return Plan(event, self._judges, found, slots, judgements, self._flags, zoned, bool(self._judged))

    def _flag(self, what: Trigger) -> Condition:
        self._known[what] = Condition("flag", self._flags)
        self._flags += 1
        return self._known[what]

    # --- slots -----------------------------------------------------------------------------------------------
    def _slot(self, key: str, kept: n.Kept) -> SlotStep:
        asking = [each for each in self._asking if key in each.slots]
        flag = edge = None
        if not self._judges:
            return SlotStep(key, kept, None, None, crosses=False)
        if is_sure(kept):
            self._known[key] = ALWAYS
        elif any(key not in each.edges for each in asking):
            flag = self._flag(key)
        if any(key in each.edges for each in asking):
            edge = self._flag(at_edge(key))
        return SlotStep(key, kept, flag, edge, key in self._whole.crossings)

    # --- judging ---------------------------------------------------------------------------------------------
    def _judgements(self) -> Iterator[Judgement]:
        """Traits in their order; then audiences, those of one guard together; then those that name audiences."""
        guarded: dict[Guard, list[JudgeStep]] = {}
        gates: dict[int, set[Condition]] = {}
        last: list[JudgeStep] = []
        lapsing = False
        for definition in self._asking:
            conditions = self._conditions_of(definition)
            guard = guard_of(conditions)
            if guard == _LATEST and definition.audience and definition.name in self._whole.lapsing:
                lapsing = True
                continue
            if definition.in_own_zone:
                self._zoned |= {ALWAYS} if definition.traits or definition.audiences else conditions
            step = JudgeStep(definition, guard, guard_of(self._there(definition, conditions)))
            if definition.audiences:
                last.append(step)
            elif not definition.audience:
                yield self._trait(step)
            elif (index := self._whole.gate_of.get(definition.name)) is not None:
                gates.setdefault(index, set()).update(guard)
            else:
                guarded.setdefault(guard, []).append(step)
        if lapsing:
            yield LapsingStep()
        for guard, found in guarded.items():
            yield AudiencesStep(guard, _alike(found))
        for index, guards in gates.items():
            yield GateStep(guard_of(guards), index, self._known.get(of_trait(self._whole.gates[index].trait)))
        yield from last

    def _trait(self, step: JudgeStep) -> JudgeStep:
        name = step.definition.name
        flag = self._flag(of_trait(name)) if name in self._traits_named else None
        gates = tuple(i for i, gate in enumerate(self._whole.gates) if gate.trait == name)
        return step._replace(flag=flag, crosses=of_trait(name) in self._whole.crossings, gates=gates)

    def _conditions_of(self, definition: Definition) -> set[Condition]:
        """What says whether an input of a definition has changed; of one that names audiences: any move."""
        inputs = [self._known.get(at_edge(key) if key in definition.edges else key) for key in definition.slots]
        inputs += [self._known.get(of_trait(name)) for name in definition.traits]
        inputs += [_SEEN.get(trigger) for trigger in definition.direct]
        return {each for each in inputs if each is not None} | ({MOVED} if definition.audiences else set())

    def _there(self, definition: Definition, conditions: set[Condition]) -> set[Condition]:
        """Where nothing but the person's zone has moved: what must be there for that to make a difference."""
        if definition.asks_zone or not definition.in_own_zone or conditions != {self._known.get(ZONE_SLOT)}:
            return {ALWAYS}
        return {Condition("kept", key=key) for key in definition.in_own_zone}


def _alike(steps: list[JudgeStep]) -> list[tuple[str, list[JudgeStep]]]:
    """Audiences that compare one slot's value together, by its key; each other by itself."""
    asking: dict[str, list[JudgeStep]] = {}
    for step in steps:
        key = compared_slot(step.definition.node) if step.there == EVER else None
        asking.setdefault(key or f"audience {step.definition.name}", []).append(step)
    return list(asking.items())


def at_edge(key: str) -> Trigger:
    """A count's coming to where comparisons with it have other answers."""
    return f"edge {key}"
