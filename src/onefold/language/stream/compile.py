"""Definitions → straight-line Python for the stream: the one code generator.

For each event name there is a `put` (puts the event into the slots of aggregates that mention it) and an `on` (does so
and judges what that changed), so that an event pays only for the definitions that mention it, and of these only for
those whose inputs it changed. For every other cause (a declared trait, a merge, time) each definition has a judge.
Where that would be too much source for all names together, an event's slots and definitions share functions instead.
The generated source is kept on the program; nothing of it comes from users but literals, by `repr`.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from onefold.kernel import native
from onefold.language import nodes as n
from onefold.language.keeping import windows
from onefold.language.keeping.accounts import LINKS, TELLINGS
from onefold.language.keeping.aggregates import MONOIDS, Monoid
from onefold.language.keeping.calendars import zone_name
from onefold.language.keeping.monoids import monoid_of
from onefold.language.keeping.sequences import Chain, same_key
from onefold.language.keeping.slots import keeping_of
from onefold.language.reading.check import Checked
from onefold.language.stream.definition import (
    Definition,
    add_inherited_triggers,
    audience_lines,
    kept_in,
    trait_lines,
)
from onefold.language.stream.described import Describing, Slots
from onefold.language.stream.excerpt import decoder, reader, records
from onefold.language.stream.inputs import walk
from onefold.language.stream.native import Plans, make_native
from onefold.language.stream.on_event import source_of
from onefold.language.stream.plan import Plan, Whole, plan_of
from onefold.language.stream.program import (
    FIRST_SEEN,
    IDENTITY,
    LAST_SEEN,
    NOW,
    SEEN,
    Causes,
    Handler,
    Program,
    Trigger,
)
from onefold.language.stream.putting import is_tally, putters_of
from onefold.language.stream.source import CALLED, ProfileScope, Surroundings, prefix
from onefold.language.values import identical
from onefold.limits import HANDLERS_MAX_PARTS, NEVER_MS
from onefold.model.account import GROUP
from onefold.model.definitions import is_shadow

_NAMING = {"properties": set[str](), "context": {GROUP}}
"""Fields of an event's objects by which it names an account."""


def compile_definitions(
    checked: Checked,
    version: int,
    gathered: Mapping[str, n.Kept] | None = None,
    *,
    of_accounts: Mapping[str, n.Kept] | None = None,
    parts_max: int = HANDLERS_MAX_PARTS,
) -> Program:
    """The program of checked definitions (`checked.problems` must be empty).

    `gathered`: what is to be kept, by slot, although these definitions do not mention it. `of_accounts`: what accounts
    are to keep likewise; None: nothing, nor any account that these definitions do not ask for. `parts_max`: how many
    slots and definitions the functions of all event names may write out.
    """
    assert not checked.problems
    definitions = [Definition(name, node, audience=False) for name, node in checked.traits.items()]
    definitions += [Definition(name, node, audience=True) for name, node in checked.audiences.items()]
    add_inherited_triggers(definitions)
    compiler = _Compiler(definitions, gathered or {}, Surroundings(checked.types, checked.timezone), version)
    compiler.parts_left = parts_max
    compiler.identifying = [path.split(".") for kind in checked.identity.types for path in kind.fields]
    if has_accounts(checked) or of_accounts is not None:
        compiler.join(_of_accounts(checked, version, of_accounts or {}, parts_max))
    program = compiler.program()
    if not has_accounts(checked) and of_accounts is not None:
        program.gathered |= LINKS.keys()
    program.of_account = of_account(checked)
    program.identity = checked.identity
    return program


def has_accounts(checked: Checked) -> bool:
    """Whether definitions have anything to do with accounts: else nothing is kept of them."""
    return bool(checked.accounts or of_account(checked))


def of_account(checked: Checked) -> frozenset[str]:
    """The account's values by which these definitions judge people."""
    nodes = (*checked.traits.values(), *checked.audiences.values())
    return frozenset(part.name for node in nodes for part in walk(node) if isinstance(part, n.OfAccount))


def _of_accounts(checked: Checked, version: int, gathered: Mapping[str, n.Kept], parts_max: int) -> "_Compiler":
    definitions = [Definition(name, node, audience=False) for name, node in checked.accounts.items()]
    add_inherited_triggers(definitions)
    compiler = _Compiler(definitions, gathered, Surroundings(checked.account_types, checked.timezone), version)
    compiler.parts_left = parts_max
    compiler.slots |= TELLINGS
    return compiler


def kept_by(checked: Checked) -> dict[str, n.Kept]:
    """All that these definitions need kept, by its slot."""
    nodes = (*checked.traits.values(), *checked.audiences.values())
    return {n.slot(kept): kept for node in nodes for kept in kept_in(node)}


def kept_by_accounts(checked: Checked) -> dict[str, n.Kept] | None:
    """All that accounts need kept, by its slot; None where these definitions have nothing to do with accounts."""
    if not has_accounts(checked):
        return None
    return {n.slot(kept): kept for node in checked.accounts.values() for kept in kept_in(node)}


def event_fields(node: n.Node) -> Iterator[n.Field]:
    """Every event field in a tree, those inside aggregates included."""
    return (part for part in n.everything(node) if isinstance(part, n.Field))


class _Compiler:
    """Collects the source of every function, then runs it once."""

    def __init__(
        self, definitions: list[Definition], gathered: Mapping[str, n.Kept], among: Surroundings, version: int
    ) -> None:
        self.definitions = definitions
        self.among = among
        self.version = version
        self.kept: dict[str, n.Kept] = {}
        for definition in definitions:
            self.kept |= definition.slots
        self.gathered = frozenset(gathered.keys() - self.kept.keys())
        self.kept |= gathered
        self.counted = frozenset(
            n.slot(part)
            for definition in definitions
            for part in walk(definition.node)
            if isinstance(part, n.Sequence) and part.counted
        )
        """Sequences of which somebody asks how often."""
        self.slots = {
            key: keeping_of(kept, among.timezone, counted=key in self.counted) for key, kept in self.kept.items()
        }
        self.accounts: _Compiler | None = None
        self.plans: dict[str, Plans] = {}
        """Event name → what is done with its events, where that has functions of its own."""
        self.lines: list[str] = []
        self.parts_left = HANDLERS_MAX_PARTS
        """Slots and definitions that the functions of events may still write out."""
        self.identifying: list[list[str]] = []
        """Paths of the fields that carry identifiers."""
        self.causes: dict[str, tuple[Causes, ...]] = {}
        """Of events that share functions: what they change, by what they change of the built-ins (see `On`)."""
        self.dependents: dict[Trigger, list[int]] = {}
        for number, definition in enumerate(definitions):
            for trigger in definition.triggers:
                self.dependents.setdefault(trigger, []).append(number)
        self.place = {key: place for place, key in enumerate(self.kept)}
        self.of_all = [key for key, kept in self.kept.items() if n.events_of(kept) == {"*"}]
        """Slots that every event may change, whatever its name; and those of which it is one name among others."""
        self.of_any = [key for key, kept in self.kept.items() if {"*"} < n.events_of(kept)]
        self.of_name: dict[str, list[str]] = {}
        for key, kept in self.kept.items():
            for event in n.events_of(kept) - {"*"}:
                self.of_name.setdefault(event, []).append(key)
        self.parts_of_all = sum(2 + len(self.dependents.get(cause, ())) for cause in (*self.of_all, *SEEN))
        self.whole = Whole(definitions, self.kept, among.types)

    def join(self, accounts: "_Compiler") -> None:
        """Definitions of accounts, which read the same events."""
        self.accounts = accounts
        self.slots |= LINKS

    def program(self) -> Program:
        names = sorted(self.of_name)
        functions: dict[str, tuple[str | None, str | None, Iterable[Trigger]]] = {}
        for index, event in enumerate([*names, "*"]):
            functions[event] = self._event_functions(event, index)
        for number in range(len(self.definitions)):
            self._judge(f"judge_{number}", [number])
        numbers = {definition.name: number for number, definition in enumerate(self.definitions) if definition.audience}
        for index, gate in enumerate(self.whole.gates):
            for n_th, names_behind in enumerate(gate.audiences.values()):
                self._judge(f"gate_{index}_{n_th}", map(numbers.__getitem__, names_behind))
        self._judge("judge_all", range(len(self.definitions)))
        source = "\n".join(self.lines) + "\n"
        scope = self._scope()
        exec(compile(source, f"<definitions {self.version}>", "exec"), scope)  # noqa: S102 (our own generated source)
        scope |= {
            f"gate_{index}": {text: scope[f"gate_{index}_{n_th}"] for n_th, text in enumerate(gate.audiences)}
            for index, gate in enumerate(self.whole.gates)
        }
        mentioned = self.mentioned("properties"), self.mentioned("context")
        program = Program(
            version=self.version,
            slots=self.slots,
            handlers={
                event: Handler(scope[put] if put else None, scope[on] if on else None, triggers)
                for event, (put, on, triggers) in functions.items()
            },
            dependents=self.dependents,
            judges=[scope[f"judge_{number}"] for number in range(len(self.definitions))],
            judge_all=scope["judge_all"],
            blank_traits={},
            blank_audiences=(),
            at_first=self._at_first(),
            names=[d.name for d in self.definitions],
            trait_names=frozenset(d.name for d in self.definitions if not d.audience),
            audience_names=frozenset(d.name for d in self.definitions if d.audience),
            decode=decoder(*mentioned),
            records=records(*mentioned),
            read=reader(*mentioned),
            source=source,
            gathered=self.gathered,
            accounts=None if self.accounts is None else self.accounts.program(),
            has_shadow=any(is_shadow(d.name) for d in self.definitions),
        )
        scope["judge_some"] = program.judge_some
        lapsing = [i for i, each in enumerate(self.definitions) if each.audience and each.name in self.whole.lapsing]
        scope["lapsing"] = {self.definitions[i].name: program.judges[i] for i in lapsing}
        waiting = [i for i in lapsing if self._waits(i, program)]
        scope["waiting"] = [program.judges[i] for i in waiting]
        _fill_blank(program, {each.name for each in self.definitions if each.undecided})
        if native is not None:
            slots = Slots(self.counted, self.among.timezone)
            describing = Describing(self.whole, self.among.types, slots, waiting)
            make_native(native, describing, self.plans, program)
        return program

    def _waits(self, number: int, program: Program) -> bool:
        """Whether somebody who has nothing but a first event may be in an audience of `lapsing`, or come to be."""
        if not self.definitions[number].triggers <= {LAST_SEEN, NOW, *self.kept}:
            return True
        blank = _Blank()
        program.judge_all(blank, 0, {}, [])
        blank.due_ms, blank.audiences = NEVER_MS, {}
        program.judges[number](blank, 0, {}, [])
        return blank.due_ms < NEVER_MS or bool(blank.audiences)

    def _scope(self) -> dict[str, Any]:
        scope: dict[str, Any] = {**CALLED, **self.among.constants}
        scope |= {"add": windows.add, "pack": windows.NARROW.pack, "ONE": windows.ONE}
        scope |= {"zone_name": zone_name, "same_key": same_key, "identical": identical}
        for name, monoid in MONOIDS.items():
            scope |= _named(name, monoid)
        for key, kept in self.kept.items():
            scope |= self._kept_scope(key, kept)
        ranks = {definition.name: rank for rank, definition in enumerate(self.definitions) if definition.audience}
        scope["rank"] = {(name, entered): rank for name, rank in ranks.items() for entered in (True, False)}.__getitem__
        scope["crossings"] = self.whole.crossings
        scope |= self.causes
        scope |= {f"edges_{key}": self.whole.edges_of(key) for key in self.whole.edges}
        turns = {key: each.turns() for key, each in self.whole.crossings.items()}
        scope |= {f"turns_{key}": turns[key] for key, kept in self.kept.items() if key in turns and is_tally(kept)}
        for number, branch in enumerate(self.whole.branches):
            scope[f"branch_{number}"] = branch.keys
            scope[f"turns_{number}"] = {key: turns.get(key, frozenset()) for key in branch.keys.values()}
        return scope

    def _kept_scope(self, key: str, kept: n.Kept) -> dict[str, Any]:
        """What the source of one slot names, and no other's does."""
        if isinstance(kept, n.Sequence):
            chain = self.slots[key]
            assert isinstance(chain, Chain)
            return putters_of(key, kept, chain)
        scope = {} if kept.function in MONOIDS else _named(prefix(kept), monoid_of(kept))
        if kept.calendar is not None or kept.until_ms is not None:
            scope[f"kept_{key}"] = self.slots[key]
        return scope

    def mentioned(self, root: str) -> set[str]:
        """The fields of an event's object that any definition reads, or that identify people."""
        paths = (part.path for kept in self.kept.values() for part in event_fields(kept))
        found = {str(path[1]) for path in paths if path[0] == root}
        found |= {path[1] for path in self.identifying if path[0] == root}
        return found if self.accounts is None else found | self.accounts.mentioned(root) | _NAMING[root]

    def _at_first(self) -> tuple[Trigger, ...]:
        """What to judge with the first event, if any definition is undecided that its handler need not reach.

        Time and identifiers do not change with it; nor does a trait that has no value from the beginning, so that those
        which name it would not be judged.
        """
        seen = frozenset(SEEN)
        if all(each.direct & seen for each in self.definitions if each.undecided):
            return ()
        return tuple(trigger for trigger in (NOW, IDENTITY, "events") if trigger in self.dependents)

    # --- events --------------------------------------------------------------------------------------------
    def _event_functions(self, event: str, index: int) -> tuple[str | None, str | None, Iterable[Trigger]]:
        own = [*dict.fromkeys((*self.of_name.get(event, ()), *self.of_any))]
        parts = self.parts_of_all + sum(2 + len(self.dependents.get(key, ())) for key in own)
        if event != "*" and parts > self.parts_left:
            return self._shared_functions(event, index, own)
        self.parts_left -= parts
        touched = sorted((*own, *self.of_all), key=self.place.__getitem__)
        numbers = sorted({i for trigger in (*touched, *SEEN) for i in self.dependents.get(trigger, ())})
        put, on = f"put_{index}" if touched else None, f"on_{index}" if touched or numbers else None
        putting = plan_of(self.whole, event, touched, None) if put else None
        judging = plan_of(self.whole, event, touched, numbers) if on else None
        self.plans[event] = putting, judging
        for function, plan in ((put, putting), (on, judging)):
            if function is not None and plan is not None:
                self._write(function, plan)
        return put, on, (*touched, *SEEN)

    def _write(self, function: str, plan: Plan) -> None:
        self.lines += source_of(plan, function, self.whole, self.among)

    def _shared_functions(self, event: str, index: int, own: list[str]) -> tuple[str, str, Iterable[Trigger]]:
        """As `_event_functions`: what every event changes has one function, and each definition its judge."""
        if not self.causes:
            self._write("put_all", plan_of(self.whole, "*", self.of_all, None))
        self._write(f"own_{index}", plan_of(self.whole, event, own, None, shared=True))
        all_, seen = tuple(self.of_all), ((), (FIRST_SEEN,), (LAST_SEEN,), (FIRST_SEEN, LAST_SEEN))
        causes = tuple(Causes(all_, (*own, "events", *each)) for each in seen)
        self.causes[f"causes_{index}"] = causes
        self.lines += [
            f"def put_{index}(p, e, t, tie, now):  # {event!r}",
            f"    own_{index}(p, e, t, tie, now); put_all(p, e, t, tie, now)",
            "",
            f"def on_{index}(p, e, t, tie, now, seen, changed, moves):  # {event!r}",
            f"    put_{index}(p, e, t, tie, now); judge_some(causes_{index}[seen], p, now, changed, moves)",
            "",
        ]
        return f"put_{index}", f"on_{index}", causes[3]

    # --- judging ---------------------------------------------------------------------------------------------
    def _judge(self, name: str, numbers: Iterable[int]) -> None:
        self.lines.append(f"def {name}(p, now, changed, moves):")
        self.lines.append("    s = p.slots; c = p.computed; a = p.audiences; d = p.declared")
        scope, lines = ProfileScope(self.among), list[str]()
        for definition in map(self.definitions.__getitem__, numbers):
            lines += audience_lines(definition, scope) if definition.audience else trait_lines(definition, scope)
        self.lines += ["    " + line for line in (*scope.lines(), *lines)]
        self.lines.append("")


def _named(name: str, monoid: Monoid) -> dict[str, Any]:
    """The functions of a monoid as generated code calls them."""
    return {
        f"{name}_monoid": monoid, f"{name}_lift": monoid.lift, f"{name}_combine": monoid.combine,
        f"{name}_result": monoid.result, f"{name}_total": monoid.total, f"{name}_at": monoid.at,
        f"{name}_put": monoid.put,
    }  # fmt: skip


class _Blank:
    """A profile that has nothing, to learn what the definitions say of it."""

    def __init__(self) -> None:
        self.slots: dict[str, Any] = {}
        self.computed: dict[str, Any] = {}
        self.audiences: dict[str, int] = {}
        self.declared: dict[str, Any] = {}
        self.first_seen_ms = self.last_seen_ms = self.events = 0
        self.due_ms = NEVER_MS
        self.identifiers: dict[str, int] = {}


def _fill_blank(program: Program, undecided: set[str]) -> None:
    """Traits and audiences of a new profile; the undecided ones are judged with its first event."""
    blank = _Blank()
    program.judge_all(blank, 0, {}, [])
    program.blank_traits = {k: v for k, v in blank.computed.items() if k not in undecided}
    program.blank_audiences = tuple(k for k in blank.audiences if k not in undecided)
