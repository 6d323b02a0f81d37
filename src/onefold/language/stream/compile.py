"""Definitions → straight-line Python for the stream: the one code generator.

For each event name there is a `put` (puts the event into the slots of aggregates that mention it) and an `on` (does so
and judges what that changed), so that an event pays only for the definitions that mention it, and of these only for
those whose inputs it changed. For every other cause (a declared trait, a merge, time) each definition has a judge.
Where that would be too much source for all names together, an event's slots and definitions share functions instead.
The generated source is kept on the program; nothing of it comes from users but literals, by `repr`.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from onefold.language import nodes as n
from onefold.language.keeping import windows
from onefold.language.keeping.accounts import LINKS, TELLINGS
from onefold.language.keeping.aggregates import MONOIDS, Monoid
from onefold.language.keeping.calendars import zone_name
from onefold.language.keeping.monoids import monoid_of
from onefold.language.keeping.sequences import Chain, same_key
from onefold.language.keeping.slots import keeping_of
from onefold.language.reading.check import Checked
from onefold.language.reading.show import show
from onefold.language.stream.definition import (
    ALWAYS,
    ZONE_SLOT,
    Definition,
    add_inherited_triggers,
    any_of,
    audience_lines,
    compared_slot,
    kept_in,
    trait_lines,
    under,
)
from onefold.language.stream.excerpt import decoder, reader
from onefold.language.stream.groups import Branch, branches, crossings, gates, lapses, of_trait
from onefold.language.stream.inputs import walk
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
from onefold.language.stream.putting import Around, is_sure, is_tally, put, putters_of
from onefold.language.stream.source import CALLED, EventScope, ProfileScope, Surroundings, prefix, slot_value
from onefold.language.values import identical
from onefold.limits import HANDLERS_MAX_PARTS, NEVER_MS
from onefold.model.account import GROUP
from onefold.model.definitions import is_shadow

_NAMING = {"properties": set[str](), "context": {GROUP}}
"""Fields of an event's objects by which it names an account."""
_LAPSING = (
    "if seen == 2 and not a.keys().isdisjoint(lapsing.keys()):",
    "    for name in a.keys() & lapsing.keys(): lapsing[name](p, now, changed, moves)",
    "elif seen == 3:",
    "    for j in waiting: j(p, now, changed, moves)",
)
"""Audiences of those who were last seen long ago, where that is all that an event changes: only who is in one can move.

Whoever comes for the first time is in none of them, but may have to wait for some.
"""
_SEEN_FLAGS = {FIRST_SEEN: "seen & 1", LAST_SEEN: "seen & 2", "events": ALWAYS}


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
        counted = {
            n.slot(part)
            for definition in definitions
            for part in walk(definition.node)
            if isinstance(part, n.Sequence) and part.counted
        }
        self.slots = {key: keeping_of(kept, among.timezone, counted=key in counted) for key, kept in self.kept.items()}
        self.accounts: _Compiler | None = None
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
        self.branches = branches(self.kept)
        audiences = {d.name: d.node for d in definitions if d.audience and not d.audiences}
        self.gates = gates(audiences, among.types)
        self.gate_of = {
            name: i for i, gate in enumerate(self.gates) for each in gate.audiences.values() for name in each
        }
        looked_up = {k for each in self.branches for k in each.keys.values()}
        self.lapsing = frozenset(name for name, node in audiences.items() if lapses(node))
        self.crossings, self.indexed = crossings(audiences, looked_up, among.types)
        self.edges: dict[str, list[frozenset[int]]] = {}
        """Counts → those at which definitions that only compare them with numbers may have another value."""
        for definition in definitions:
            for key, edges in definition.edges.items() if not self.is_looked_up(definition) else ():
                self.edges.setdefault(key, []).append(edges)

    def is_looked_up(self, definition: Definition) -> bool:
        """Whether crossings say what becomes of it."""
        return definition.audience and definition.name in self.indexed

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
        for index, gate in enumerate(self.gates):
            for n_th, names_behind in enumerate(gate.audiences.values()):
                self._judge(f"gate_{index}_{n_th}", map(numbers.__getitem__, names_behind))
        self._judge("judge_all", range(len(self.definitions)))
        source = "\n".join(self.lines) + "\n"
        scope = self._scope()
        exec(compile(source, f"<definitions {self.version}>", "exec"), scope)  # noqa: S102 (our own generated source)
        scope |= {
            f"gate_{index}": {text: scope[f"gate_{index}_{n_th}"] for n_th, text in enumerate(gate.audiences)}
            for index, gate in enumerate(self.gates)
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
            read=reader(*mentioned),
            source=source,
            gathered=self.gathered,
            accounts=None if self.accounts is None else self.accounts.program(),
            has_shadow=any(is_shadow(d.name) for d in self.definitions),
        )
        scope["judge_some"] = program.judge_some
        lapsing = [i for i, each in enumerate(self.definitions) if each.audience and each.name in self.lapsing]
        scope["lapsing"] = {self.definitions[i].name: program.judges[i] for i in lapsing}
        scope["waiting"] = [program.judges[i] for i in lapsing if self._waits(i, program)]
        _fill_blank(program, {each.name for each in self.definitions if each.undecided})
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
        scope["crossings"] = self.crossings
        scope |= self.causes
        scope |= {f"edges_{key}": frozenset[int]().union(*each) for key, each in self.edges.items()}
        turns = {key: each.turns() for key, each in self.crossings.items()}
        scope |= {f"turns_{key}": turns[key] for key, kept in self.kept.items() if key in turns and is_tally(kept)}
        for number, branch in enumerate(self.branches):
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
        if put:
            self.lines += _OnEvent(self, event, touched, None).function(put)
        if on:
            self.lines += _OnEvent(self, event, touched, numbers).function(on)
        return put, on, (*touched, *SEEN)

    def _shared_functions(self, event: str, index: int, own: list[str]) -> tuple[str, str, Iterable[Trigger]]:
        """As `_event_functions`: what every event changes has one function, and each definition its judge."""
        if not self.causes:
            self.lines += _OnEvent(self, "*", self.of_all, None).function("put_all")
        self.lines += _OnEvent(self, event, own, None, shared=True).function(f"own_{index}")
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


class _OnEvent:
    """The source of one function for events of one name: puts them into slots; judges, if it has what to judge."""

    def __init__(
        self,
        compiler: _Compiler,
        event: str,
        touched: list[str],
        numbers: list[int] | None,
        *,
        shared: bool = False,
    ) -> None:
        self._compiler = compiler
        self._event = event
        self._touched = touched
        self._events = (event,) if shared else (event, "*")
        """Of these names it puts what counts by look-up."""
        self._judging = numbers is not None
        self._judged = [compiler.definitions[number] for number in numbers or ()]
        self._asking = [each for each in self._judged if not compiler.is_looked_up(each)]
        """Those that no look-up judges."""
        self._traits_named = {name for definition in self._judged for name in definition.traits}
        self._scope = EventScope(compiler.among)
        self._profile = ProfileScope(compiler.among)
        self._zoned: set[str] = set()
        """Guards of the definitions that ask for a person's own zone."""
        self._flags: dict[Trigger, str] = {}
        """What the event may change → the source that says whether it did; traits as `of_trait`."""
        self._named: list[str] = []
        """Flags that are variables."""

    def function(self, name: str) -> list[str]:
        slots, judgements = list(self._slots()), list(self._judgements())
        spans = under(any_of(self._zoned), self._profile.lines()) if self._zoned else ()
        body = [*slots, *spans, *judgements]
        parameters = "now, seen, changed, moves" if self._judging else "now"
        lines = [f"def {name}(p, e, t, tie, {parameters}):  # {self._event!r}"]
        start = ["s = p.slots; c = p.computed; a = p.audiences; d = p.declared; q = e.properties; k = e.context"]
        if self._named:
            start.append(" = ".join(self._named) + " = False")
        return lines + ["    " + line for line in (*start, *self._scope.lines(), *body)] + [""]

    def _flag(self, what: Trigger) -> str:
        self._named.append(f"f{len(self._named)}")
        self._flags[what] = self._named[-1]
        return self._named[-1]

    # --- slots -----------------------------------------------------------------------------------------------
    def _slots(self) -> Iterator[str]:
        grouped: set[str] = set()
        for number, branch in enumerate(self._compiler.branches):
            if branch.event in self._events:
                yield from self._branch(number, branch)
                grouped.update(branch.keys.values())
        for key in self._touched:
            if key not in grouped:
                yield from self._slot(key, self._compiler.kept[key])

    def _branch(self, number: int, branch: Branch) -> Iterator[str]:
        """Of many counts that ask one field for equality, the one that the event counts in."""
        field, hit = self._scope.value(branch.field), f"h{number}"
        for key in branch.keys.values():
            self._flags[key] = self._flags[at_edge(key)] = f"{hit} == {key!r}"
        path = ".".join(map(str, branch.field.path))
        yield f"{hit} = branch_{number}.get({field}) if type({field}) is str else None  # {path}"
        yield f"if {hit} is not None:"
        yield f"    n = s.get({hit}, 0) + 1; s[{hit}] = n"
        if self._judging:
            yield f"    if n in turns_{number}[{hit}]: crossings[{hit}].move(n - 1, n, now, a, moves)"

    def _slot(self, key: str, kept: n.Kept) -> Iterator[str]:
        yield f"# {describe(kept)}"
        then = self._done(key) if self._judging else []
        before = [f"b = {slot_value(kept)}"] if then and key in self._compiler.crossings and not is_tally(kept) else []
        yield from put(key, kept, self._event, self._scope, Around(before, then))

    def _done(self, key: str) -> list[str]:
        """What follows where the slot has changed."""
        kept, asking = self._compiler.kept[key], [each for each in self._asking if key in each.slots]
        done = []
        if is_sure(kept):
            self._flags[key] = ALWAYS
        elif any(key not in each.edges for each in asking):
            done.append(f"{self._flag(key)} = True")
        if any(key in each.edges for each in asking):
            done.append(f"{self._flag(at_edge(key))} = n in edges_{key}")
        if key in self._compiler.crossings:
            move = f"crossings[{key!r}].move({{}}, now, a, moves)"
            if is_tally(kept):
                done.append(f"if n in turns_{key}: {move.format('n - 1, n')}")
            else:
                done.append(move.format(f"b, {slot_value(kept)}"))
        return done

    # --- judging ---------------------------------------------------------------------------------------------
    def _judgements(self) -> Iterator[str]:
        """Traits in their order; then audiences, those of one guard together; then those that name audiences."""
        scope = self._profile
        guarded: dict[str, list[tuple[Definition, str]]] = {}
        gates: dict[int, set[str]] = {}
        last: list[str] = []
        lapsing = False
        for definition in self._asking:
            flags = self._flags_of(definition)
            guard = any_of(flags)
            if guard == _SEEN_FLAGS[LAST_SEEN] and definition.audience and definition.name in self._compiler.lapsing:
                lapsing = True
                continue
            if definition.in_own_zone:
                self._zoned |= {ALWAYS} if definition.traits or definition.audiences else flags
            there = any_of(self._there(definition, flags))
            if definition.audiences:
                last += under(guard, under(there, audience_lines(definition, scope)))
            elif not definition.audience:
                then = self._trait_changed(definition)
                yield from under(guard, under(there, trait_lines(definition, scope, then)))
            elif (index := self._compiler.gate_of.get(definition.name)) is not None:
                gates.setdefault(index, set()).add(guard)
            else:
                guarded.setdefault(guard, []).append((definition, there))
        if lapsing:
            yield from _LAPSING
        for guard, found in guarded.items():
            yield from under(guard, self._audiences(found))
        for index, guards in gates.items():
            yield from under(any_of(guards), self._gate(index))
        yield from last
        if self._judged:
            yield "if len(moves) > 1: moves.sort(key=rank)"

    def _audiences(self, found: list[tuple[Definition, str]]) -> Iterator[str]:
        """Audiences of one guard, each with what must be there; those that compare a slot's value find it once."""
        scope = self._profile
        asking: dict[str, list[tuple[Definition, str]]] = {}
        for definition, there in found:
            key = compared_slot(definition.node) if there == ALWAYS else None
            asking.setdefault(key or f"audience {definition.name}", []).append((definition, there))
        for key, alike in asking.items():
            if len(alike) > 1:
                yield f"v = {scope.kept(alike[0][0].slots[key])}"
                scope.known = key
            for definition, there in alike:
                yield from under(there, audience_lines(definition, scope))
            scope.known = ""

    def _flags_of(self, definition: Definition) -> set[str]:
        """The sources that say whether an input of a definition has changed; of one that names audiences: any move."""
        inputs = [self._flags.get(at_edge(key) if key in definition.edges else key) for key in definition.slots]
        inputs += [self._flags.get(of_trait(name)) for name in definition.traits]
        inputs += [_SEEN_FLAGS.get(trigger) for trigger in definition.direct]
        return {each for each in inputs if each is not None} | ({"moves"} if definition.audiences else set())

    def _there(self, definition: Definition, flags: set[str]) -> set[str]:
        """Where nothing but the person's zone has moved: what must be there for that to make a difference."""
        if definition.asks_zone or not definition.in_own_zone or flags != {self._flags.get(ZONE_SLOT)}:
            return {ALWAYS}
        return {f"{key!r} in s" for key in definition.in_own_zone}

    def _gate(self, index: int) -> Iterator[str]:
        """Judge the audiences of the trait's value, and first those of the value that it had before this event."""
        gate = self._compiler.gates[index]
        trait, open_ = gate.trait, f"is {gate.kind} and (j := gate_{{}}.get({{}})): j(p, now, changed, moves)"
        if (flag := self._flags.get(of_trait(trait))) is not None:
            yield f"if {flag} and type(g{index}) " + open_.format(index, f"g{index}")
        yield f"if type(v := c.get({trait!r})) " + open_.format(index, "v")

    def _trait_changed(self, definition: Definition) -> list[str]:
        """What follows where a trait has a new value."""
        lines = []
        if definition.name in self._traits_named:
            lines.append(f"{self._flag(of_trait(definition.name))} = True")
        if (given := of_trait(definition.name)) in self._compiler.crossings:
            lines.append(f"crossings[{given!r}].move(o, v, now, a, moves)")
        lines += [f"g{i} = o" for i, gate in enumerate(self._compiler.gates) if gate.trait == definition.name]
        return lines


def at_edge(key: str) -> Trigger:
    """A count's coming to where comparisons with it have other answers."""
    return f"edge {key}"


def _named(name: str, monoid: Monoid) -> dict[str, Any]:
    """The functions of a monoid as generated code calls them."""
    return {
        f"{name}_monoid": monoid, f"{name}_lift": monoid.lift, f"{name}_combine": monoid.combine,
        f"{name}_result": monoid.result, f"{name}_total": monoid.total, f"{name}_at": monoid.at,
        f"{name}_put": monoid.put,
    }  # fmt: skip


def describe(kept: n.Kept) -> str:
    """What is kept, in one line, for comments in the generated source."""
    return show(kept).replace("\n", " ")


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
