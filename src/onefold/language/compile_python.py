"""Definitions → straight-line Python for the stream: the one code generator.

For each event name there is a `put` (puts the event into the slots of aggregates that mention it) and an `on` (does so
and judges what that changed), so that an event pays only for the definitions that mention it, and of these only for
those whose inputs it changed. For every other cause (a declared trait, a merge, time) each definition has a judge.
The generated source is kept on the program; nothing of it comes from users but literals, by `repr`.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from onefold.language import nodes as n
from onefold.language import values, windows
from onefold.language.aggregates import MONOIDS
from onefold.language.check import Checked
from onefold.language.excerpt import decoder, reader
from onefold.language.groups import Branch, branches, crossings, gates, of_trait
from onefold.language.program import FIRST_SEEN, LAST_SEEN, NOW, SEEN, Handler, Program, Slot, Trigger
from onefold.language.source import EventScope, ProfileScope, before, moving, slot_value
from onefold.limits import WINDOW_PANES_MAX
from onefold.model.definitions import is_shadow

ALWAYS = "True"
"""The guard of what every event of a name changes."""
_SEEN_FLAGS = {FIRST_SEEN: "seen & 1", LAST_SEEN: "seen & 2", "events": ALWAYS}


class _Definition:
    """One trait or audience on its way into code."""

    def __init__(self, name: str, node: n.Node, *, audience: bool) -> None:
        self.name = name
        self.node = node
        self.audience = audience
        self.slots = {n.slot(a): a for a in _aggregates(node)}
        self.traits = {part.name for part in walk(node) if isinstance(part, n.TraitRef)}
        self.direct = frozenset(_direct_triggers(node))
        self.triggers: set[Trigger] = set(self.direct)
        """Also what the traits that it names depend on."""


def compile_definitions(
    checked: Checked, version: int, gathered: Mapping[str, n.Aggregate] | None = None, quiet: Iterable[str] = ()
) -> Program:
    """The program of checked definitions (`checked.problems` must be empty).

    `gathered`: aggregates, by slot, that are to be kept although these definitions do not mention them. `quiet`: as
    `Definitions.quiet`.
    """
    assert not checked.problems
    definitions = [_Definition(name, node, audience=False) for name, node in checked.traits.items()]
    definitions += [_Definition(name, node, audience=True) for name, node in checked.audiences.items()]
    _add_inherited_triggers(definitions)
    program = _Compiler(definitions, version, gathered or {}).program()
    program.quiet = frozenset(quiet)
    return program


def _add_inherited_triggers(definitions: list[_Definition]) -> None:
    """A definition depends on whatever the traits that it names depend on; traits come in dependency order."""
    by_name = {d.name: d for d in definitions if not d.audience}
    for definition in definitions:
        for name in definition.traits:
            definition.triggers |= by_name[name].triggers


def _direct_triggers(node: n.Node) -> Iterator[Trigger]:
    for part in walk(node):
        if isinstance(part, n.Aggregate):
            yield n.slot(part)
        elif isinstance(part, n.Declared):
            yield f"traits.{part.path[0]}"
        elif isinstance(part, n.Builtin):
            yield part.name
        elif isinstance(part, n.Now):
            yield NOW


def walk(node: n.Node) -> Iterator[n.Node]:
    """The nodes of profile scope: an aggregate is a leaf."""
    yield node
    if isinstance(node, n.Aggregate):
        return
    for name in node.__struct_fields__:
        child = getattr(node, name)
        for item in child if isinstance(child, tuple) else (child,):
            if isinstance(item, n.Node):
                yield from walk(item)


def _aggregates(node: n.Node) -> Iterator[n.Aggregate]:
    return (part for part in walk(node) if isinstance(part, n.Aggregate))


def aggregates(checked: Checked) -> dict[str, n.Aggregate]:
    """Every aggregate of these definitions, by its slot."""
    nodes = (*checked.traits.values(), *checked.audiences.values())
    return {n.slot(aggregate): aggregate for node in nodes for aggregate in _aggregates(node)}


def event_fields(node: n.Node) -> Iterator[n.Field]:
    """Every event field in a tree, those inside aggregates included."""
    if isinstance(node, n.Field):
        yield node
    for name in node.__struct_fields__:
        child = getattr(node, name)
        for item in child if isinstance(child, tuple) else (child,):
            if isinstance(item, n.Node):
                yield from event_fields(item)


class _Compiler:
    """Collects the source of every function, then runs it once."""

    def __init__(self, definitions: list[_Definition], version: int, gathered: Mapping[str, n.Aggregate]) -> None:
        self.definitions = definitions
        self.version = version
        self.aggregates: dict[str, n.Aggregate] = {}
        for definition in definitions:
            self.aggregates |= definition.slots
        self.gathered = frozenset(gathered.keys() - self.aggregates.keys())
        self.aggregates |= gathered
        self.slots = {
            key: Slot(monoid=MONOIDS[a.function], within_ms=a.within_ms) for key, a in self.aggregates.items()
        }
        self.lines: list[str] = []
        self.dependents: dict[Trigger, list[int]] = {}
        for number, definition in enumerate(definitions):
            for trigger in definition.triggers:
                self.dependents.setdefault(trigger, []).append(number)
        self.branches = branches(self.aggregates)
        audiences = {d.name: d.node for d in definitions if d.audience}
        self.gates = gates(audiences)
        self.gate_of = {
            name: i for i, gate in enumerate(self.gates) for each in gate.audiences.values() for name in each
        }
        self.crossings, self.indexed = crossings(audiences, {k for each in self.branches for k in each.keys.values()})

    def program(self) -> Program:
        names = sorted({a.event for a in self.aggregates.values()} - {"*"})
        functions: dict[str, tuple[str | None, str | None, tuple[Trigger, ...]]] = {}
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
        mentioned = self._mentioned("properties"), self._mentioned("context")
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
            names=[d.name for d in self.definitions],
            trait_names=frozenset(d.name for d in self.definitions if not d.audience),
            audience_names=frozenset(d.name for d in self.definitions if d.audience),
            decode=decoder(*mentioned),
            read=reader(*mentioned),
            source=source,
            gathered=self.gathered,
            has_shadow=any(is_shadow(d.name) for d in self.definitions),
        )
        _fill_blank(program)
        return program

    def _scope(self) -> dict[str, Any]:
        scope: dict[str, Any] = {
            name: getattr(values, name)
            for name in ("NUMBERS", "dig", "same", "compare", "arithmetic", "negate", "lower", "upper", "length",
                         "contains", "starts_with", "ends_with", "instant")
        }  # fmt: skip
        scope |= {"add": windows.add, "pack": windows.NARROW.pack, "moving": moving, "before": before}
        for name, monoid in MONOIDS.items():
            scope |= {
                f"{name}_monoid": monoid, f"{name}_lift": monoid.lift, f"{name}_combine": monoid.combine,
                f"{name}_result": monoid.result, f"{name}_total": monoid.total,
            }  # fmt: skip
        ranks = {definition.name: rank for rank, definition in enumerate(self.definitions) if definition.audience}
        scope["rank"] = lambda move: ranks[move[0]]
        scope["crossings"] = self.crossings
        scope |= {f"branch_{number}": branch.keys for number, branch in enumerate(self.branches)}
        return scope

    def _mentioned(self, root: str) -> set[str]:
        """The fields of an event's object that any aggregate reads."""
        paths = (part.path for a in self.aggregates.values() for part in event_fields(a))
        return {path[1] for path in paths if path[0] == root}

    # --- events --------------------------------------------------------------------------------------------
    def _event_functions(self, event: str, index: int) -> tuple[str | None, str | None, tuple[Trigger, ...]]:
        touched = [key for key, a in self.aggregates.items() if a.event in (event, "*")]
        triggers: tuple[Trigger, ...] = (*touched, *SEEN)
        numbers = sorted({i for trigger in triggers for i in self.dependents.get(trigger, ())})
        put, on = f"put_{index}" if touched else None, f"on_{index}" if touched or numbers else None
        if put:
            self.lines += _OnEvent(self, event, touched, None).function(put)
        if on:
            self.lines += _OnEvent(self, event, touched, numbers).function(on)
        return put, on, triggers

    # --- judging ---------------------------------------------------------------------------------------------
    def _judge(self, name: str, numbers: Iterable[int]) -> None:
        self.lines.append(f"def {name}(p, now, changed, moves):")
        self.lines.append("    s = p.slots; c = p.computed; a = p.audiences; d = p.declared")
        scope = ProfileScope()
        for definition in map(self.definitions.__getitem__, numbers):
            lines = _audience_lines(definition, scope) if definition.audience else _trait_lines(definition, scope)
            self.lines += ["    " + line for line in lines]
        self.lines.append("")


class _OnEvent:
    """The source of one function for events of one name: puts them into slots; judges, if it has what to judge."""

    def __init__(self, compiler: _Compiler, event: str, touched: list[str], numbers: list[int] | None) -> None:
        self._compiler = compiler
        self._event = event
        self._touched = touched
        self._judging = numbers is not None
        self._judged = [compiler.definitions[number] for number in numbers or ()]
        self._scope = EventScope()
        self._flags: dict[Trigger, str] = {}
        """What the event may change → the source that says whether it did; traits as `of_trait`."""
        self._named: list[str] = []
        """Flags that are variables."""

    def function(self, name: str) -> list[str]:
        body = [*self._slots(), *self._judgements()]
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
            if branch.event in (self._event, "*"):
                yield from self._branch(number, branch)
                grouped.update(branch.keys.values())
        for key in self._touched:
            if key not in grouped:
                yield from self._slot(key, self._compiler.aggregates[key])

    def _branch(self, number: int, branch: Branch) -> Iterator[str]:
        """Of many counts that ask one field for equality, the one that the event counts in."""
        field, hit = self._scope.value(branch.field), f"h{number}"
        for key in branch.keys.values():
            self._flags[key] = f"{hit} == {key!r}"
        yield f"{hit} = branch_{number}.get({field}) if type({field}) is str else None  # {'.'.join(branch.field.path)}"
        yield f"if {hit} is not None:"
        yield f"    n = s.get({hit}, 0) + 1; s[{hit}] = n"
        if self._judging:
            yield f"    if {hit} in crossings: crossings[{hit}].move(n - 1, n, now, a, moves)"

    def _slot(self, key: str, aggregate: n.Aggregate) -> Iterator[str]:
        yield f"# {describe(aggregate)}"
        conditions = []
        if aggregate.within_ms is not None:
            conditions.append(f"t > now - {aggregate.within_ms}")
        if aggregate.where is not None:
            conditions.append(self._scope.boolean(aggregate.where))
        if _AT_AN_END.get(aggregate.function) and aggregate.within_ms is None:
            conditions.append(f"((o := s.get({key!r})) is None or t {_AT_AN_END[aggregate.function]} o[0])")
        indent = ""
        if conditions:
            yield f"if {' and '.join(conditions)}:"
            indent = "    "
        sure = not conditions and aggregate.function == "count"
        done = [] if not self._judging else self._done(key, ALWAYS if sure else self._flag(key))
        for line in self._put(key, aggregate, done):
            yield indent + line

    def _done(self, key: str, flag: str) -> list[str]:
        """What follows where the slot has changed."""
        if flag == ALWAYS:
            self._flags[key] = ALWAYS
        done = [] if flag == ALWAYS else [f"{flag} = True"]
        if key in self._compiler.crossings:
            value = slot_value(self._compiler.aggregates[key])
            done.append(f"crossings[{key!r}].move(b, {value}, now, a, moves)")
        return done

    def _put(self, key: str, aggregate: n.Aggregate, done: list[str]) -> Iterator[str]:
        """Put one event into a slot; `done` is run where that changed it."""
        function, within = aggregate.function, aggregate.within_ms
        if done and key in self._compiler.crossings:
            yield f"b = {slot_value(aggregate)}"
        if function == "count":
            state, indent = "1", ""
        else:
            state, indent = "v", "    "
            source = self._scope.value(aggregate.field) if aggregate.field else "None"
            yield f"v = {function}_lift({source}, t, tie)"
            yield "if v is not None:"
        if within is not None:
            lines = self._pane(key, function, state, within)
        elif function == "count":
            lines = [f"s[{key!r}] = s.get({key!r}, 0) + 1"]
        elif function in _BY_CHOICE:
            lines = [
                f"o = s.get({key!r}); v = v if o is None else {function}_combine(o, v)",
                f"if v is not o: s[{key!r}] = v{''.join('; ' + each for each in done)}",
            ]
            done = []
        else:
            lines = [f"o = s.get({key!r}); s[{key!r}] = v if o is None else {function}_combine(o, v)"]
        for line in (*lines, *done):
            yield indent + line

    def _pane(self, key: str, function: str, state: str, within_ms: int) -> list[str]:
        lines = [f"w = s.get({key!r})"]
        if function == "count":
            easy = f"w[0] == 1 and t > w[2] and w[4] is None and w[6] == {windows.WIDTH} and len(w[3]) < {_PANES_BYTES}"
            lines += [
                f"if w is not None and {easy} and t - w[1] < {windows.REACH_MS}:",
                "    w[2] = t; w[3] += pack(t - w[1]); w[5] += 1",
                f"else: s[{key!r}] = add(w, t, 1, count_monoid, {within_ms})",
            ]
        else:
            lines.append(f"s[{key!r}] = add(w, t, {state}, {function}_monoid, {within_ms})")
        return [*lines, f"if t + {within_ms} < p.due_ms: p.due_ms = t + {within_ms}"]

    # --- judging ---------------------------------------------------------------------------------------------
    def _judgements(self) -> Iterator[str]:
        """Traits in their order, then audiences, those of one guard together."""
        scope = ProfileScope()
        guarded: dict[str, list[str]] = {}
        gates: dict[int, set[str]] = {}
        for definition in self._judged:
            if definition.name in self._compiler.indexed and definition.audience:
                continue
            guard = self._guard(definition)
            if not definition.audience:
                yield from _under(guard, _trait_lines(definition, scope, self._trait_changed(definition)))
            elif (index := self._compiler.gate_of.get(definition.name)) is not None:
                gates.setdefault(index, set()).add(guard)
            else:
                guarded.setdefault(guard, []).extend(_audience_lines(definition, scope))
        for guard, lines in guarded.items():
            yield from _under(guard, lines)
        for index, guards in gates.items():
            yield from _under(_any(guards), self._gate(index))
        if self._judged:
            yield "if len(moves) > 1: moves.sort(key=rank)"

    def _guard(self, definition: _Definition) -> str:
        """The source that says whether any input of a definition has changed."""
        inputs = [self._flags.get(key) for key in definition.slots]
        inputs += [self._flags.get(of_trait(name)) for name in definition.traits]
        inputs += [_SEEN_FLAGS.get(trigger) for trigger in definition.direct]
        return _any({each for each in inputs if each is not None})

    def _gate(self, index: int) -> Iterator[str]:
        """Judge the audiences of the trait's text, and first those of the text that it had before this event."""
        trait, open_ = self._compiler.gates[index].trait, "is str and (j := gate_{}.get({})): j(p, now, changed, moves)"
        if (flag := self._flags.get(of_trait(trait))) is not None:
            yield f"if {flag} and type(g{index}) " + open_.format(index, f"g{index}")
        yield f"if type(v := c.get({trait!r})) " + open_.format(index, "v")

    def _trait_changed(self, definition: _Definition) -> list[str]:
        """What follows where a trait has a new value."""
        lines = []
        if any(definition.name in other.traits for other in self._judged):
            lines.append(f"{self._flag(of_trait(definition.name))} = True")
        if (given := of_trait(definition.name)) in self._compiler.crossings:
            lines.append(f"crossings[{given!r}].move(o, v, now, a, moves)")
        lines += [f"g{i} = o" for i, gate in enumerate(self._compiler.gates) if gate.trait == definition.name]
        return lines


_PANES_BYTES = WINDOW_PANES_MAX * windows.WIDTH
_AT_AN_END = {"first": "<=", "last": ">="}
"""Aggregates that only an event at one end can change."""
_BY_CHOICE = ("min", "max", "first", "last")
"""Aggregates whose state is that of one event."""


def _any(guards: set[str]) -> str:
    assert guards
    return ALWAYS if ALWAYS in guards else " or ".join(sorted(guards))


def _under(guard: str, lines: Iterable[str]) -> Iterator[str]:
    if guard == ALWAYS:
        yield from lines
    else:
        yield f"if {guard}:"
        yield from ("    " + line for line in lines)


def _trait_lines(definition: _Definition, scope: ProfileScope, then: Iterable[str] = ()) -> Iterator[str]:
    name = definition.name
    yield f"v = {scope.value(definition.node)}"
    yield f"o = c.get({name!r})"
    yield "if v != o or type(v) is not type(o):"
    yield f"    if v is None: del c[{name!r}]"
    yield f"    else: c[{name!r}] = v"
    yield f"    changed[{name!r}] = v"
    yield from ("    " + line for line in then)


def _audience_lines(definition: _Definition, scope: ProfileScope) -> Iterator[str]:
    name = definition.name
    yield f"if {scope.boolean(definition.node)}:"
    yield f"    if {name!r} not in a: a[{name!r}] = now; moves.append(({name!r}, True))"
    yield f"elif {name!r} in a: del a[{name!r}]; moves.append(({name!r}, False))"


def describe(aggregate: n.Aggregate) -> str:
    """An aggregate in one line, for comments in the generated source."""
    parts = [repr(aggregate.event)]
    if aggregate.field is not None:
        parts.append(".".join(aggregate.field.path))
    if aggregate.where is not None:
        parts.append("where=…")
    if aggregate.within_ms is not None:
        parts.append(f"within={aggregate.within_ms}ms")
    return f"{aggregate.function}({', '.join(parts)})".replace("\n", " ")


class _Blank:
    """A profile that has nothing, to learn what the definitions say of it."""

    def __init__(self) -> None:
        self.slots: dict[str, Any] = {}
        self.computed: dict[str, Any] = {}
        self.audiences: dict[str, int] = {}
        self.declared: dict[str, Any] = {}
        self.first_seen_ms = self.last_seen_ms = self.events = 0
        self.due_ms = 0


def _fill_blank(program: Program) -> None:
    """Traits and audiences of a new profile; those that built-ins decide are judged with its first event."""
    blank = _Blank()
    program.judge_all(blank, 0, {}, [])
    undecided = {program.names[i] for trigger in SEEN for i in program.dependents.get(trigger, ())}
    program.blank_traits = {k: v for k, v in blank.computed.items() if k not in undecided}
    program.blank_audiences = tuple(k for k in blank.audiences if k not in undecided)
