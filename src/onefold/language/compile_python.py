"""Definitions → straight-line Python for the stream: the one code generator.

For each event name there is a `fold` (puts the event into the slots of aggregates that mention it) and a `judge`
(recomputes the traits and audiences that those slots can change), so that an event pays only for the definitions
that mention it. For every other cause (a declared trait, a merge, time) there is a judge for each definition.
The generated source is kept on the program; nothing of it comes from users but literals, by `repr`.
"""

from collections.abc import Iterable, Iterator
from typing import Any

from onefold.language import nodes as n
from onefold.language import values, windows
from onefold.language.aggregates import MONOIDS
from onefold.language.check import Checked
from onefold.language.excerpt import attribute, decoder
from onefold.language.program import NOW, SEEN, Handler, Program, Slot, Trigger
from onefold.limits import WINDOW_PANES_MAX
from onefold.model.event import Context

_BUILTIN_SOURCE = {"first_seen": "p.first_seen_ms", "last_seen": "p.last_seen_ms", "events": "p.events"}


class _Definition:
    """One trait or audience on its way into code."""

    def __init__(self, name: str, node: n.Node, *, audience: bool) -> None:
        self.name = name
        self.node = node
        self.audience = audience
        self.slots = {n.slot(a): a for a in _aggregates(node)}
        self.triggers: set[Trigger] = set(_direct_triggers(node))


def compile_definitions(checked: Checked, version: int) -> Program:
    """The program of checked definitions (`checked.problems` must be empty)."""
    assert not checked.problems
    definitions = [_Definition(name, node, audience=False) for name, node in checked.traits.items()]
    definitions += [_Definition(name, node, audience=True) for name, node in checked.audiences.items()]
    _add_inherited_triggers(definitions)
    return _Compiler(definitions, version).program()


def _add_inherited_triggers(definitions: list[_Definition]) -> None:
    """A definition depends on whatever the traits that it names depend on; traits come in dependency order."""
    by_name = {d.name: d for d in definitions if not d.audience}
    for definition in definitions:
        for node in _walk(definition.node):
            if isinstance(node, n.TraitRef):
                definition.triggers |= by_name[node.name].triggers


def _direct_triggers(node: n.Node) -> Iterator[Trigger]:
    for part in _walk(node):
        if isinstance(part, n.Aggregate):
            yield n.slot(part)
        elif isinstance(part, n.Declared):
            yield f"traits.{part.path[0]}"
        elif isinstance(part, n.Builtin):
            yield SEEN
        elif isinstance(part, n.Now):
            yield NOW


def _walk(node: n.Node) -> Iterator[n.Node]:
    """The nodes of profile scope: an aggregate is a leaf."""
    yield node
    if isinstance(node, n.Aggregate):
        return
    for name in node.__struct_fields__:
        child = getattr(node, name)
        for item in child if isinstance(child, tuple) else (child,):
            if isinstance(item, n.Node):
                yield from _walk(item)


def _aggregates(node: n.Node) -> Iterator[n.Aggregate]:
    return (part for part in _walk(node) if isinstance(part, n.Aggregate))


def _event_fields(node: n.Node) -> Iterator[n.Field]:
    """Every event field in a tree, those inside aggregates included."""
    if isinstance(node, n.Field):
        yield node
    for name in node.__struct_fields__:
        child = getattr(node, name)
        for item in child if isinstance(child, tuple) else (child,):
            if isinstance(item, n.Node):
                yield from _event_fields(item)


class _Compiler:
    """Collects the source of every function, then runs it once."""

    def __init__(self, definitions: list[_Definition], version: int) -> None:
        self.definitions = definitions
        self.version = version
        self.aggregates: dict[int, n.Aggregate] = {}
        for definition in definitions:
            self.aggregates |= definition.slots
        self.slots = {
            key: Slot(monoid=MONOIDS[a.function], within_ms=a.within_ms) for key, a in self.aggregates.items()
        }
        self.lines: list[str] = []
        self.dependents: dict[Trigger, list[int]] = {}
        for number, definition in enumerate(definitions):
            for trigger in definition.triggers:
                self.dependents.setdefault(trigger, []).append(number)

    def program(self) -> Program:
        names = sorted({a.event for a in self.aggregates.values()} - {"*"})
        functions: dict[str, tuple[str | None, str | None, tuple[Trigger, ...]]] = {}
        for index, event in enumerate([*names, "*"]):
            functions[event] = self._event_functions(event, index)
        for number in range(len(self.definitions)):
            self._judge(f"judge_{number}", [number])
        self._judge("judge_all", range(len(self.definitions)))
        source = "\n".join(self.lines) + "\n"
        scope = self._scope()
        exec(compile(source, f"<definitions {self.version}>", "exec"), scope)  # noqa: S102 (our own generated source)
        program = Program(
            version=self.version,
            slots=self.slots,
            handlers={
                event: Handler(scope[fold] if fold else None, scope[judge] if judge else None, triggers)
                for event, (fold, judge, triggers) in functions.items()
            },
            dependents=self.dependents,
            judges=[scope[f"judge_{number}"] for number in range(len(self.definitions))],
            judge_all=scope["judge_all"],
            blank_traits={},
            blank_audiences=(),
            names=[d.name for d in self.definitions],
            trait_names=frozenset(d.name for d in self.definitions if not d.audience),
            audience_names=frozenset(d.name for d in self.definitions if d.audience),
            decode=decoder(self._mentioned("properties"), self._mentioned("context")),
            source=source,
        )
        _fill_blank(program)
        return program

    def _scope(self) -> dict[str, Any]:
        scope: dict[str, Any] = {
            name: getattr(values, name)
            for name in ("NUMBERS", "dig", "same", "compare", "arithmetic", "negate", "lower", "upper", "length",
                         "contains", "starts_with", "ends_with", "instant")
        }  # fmt: skip
        scope |= {"add": windows.add, "moving": moving, "before": before}
        for name, monoid in MONOIDS.items():
            scope |= {
                f"{name}_monoid": monoid, f"{name}_lift": monoid.lift, f"{name}_combine": monoid.combine,
                f"{name}_result": monoid.result, f"{name}_total": monoid.total,
            }  # fmt: skip
        return scope

    def _mentioned(self, root: str) -> set[str]:
        """The fields of an event's object that any aggregate reads."""
        paths = (part.path for a in self.aggregates.values() for part in _event_fields(a))
        return {path[1] for path in paths if path[0] == root}

    # --- events --------------------------------------------------------------------------------------------
    def _event_functions(self, event: str, index: int) -> tuple[str | None, str | None, tuple[Trigger, ...]]:
        touched = [key for key, a in self.aggregates.items() if a.event in (event, "*")]
        fold = judge = None
        if touched:
            fold = f"fold_{index}"
            self._fold(fold, event, touched)
        triggers: tuple[Trigger, ...] = (*touched, SEEN)
        numbers = sorted({i for trigger in triggers for i in self.dependents.get(trigger, ())})
        if numbers:
            judge = f"judge_event_{index}"
            self._judge(judge, numbers, comment=event)
        return fold, judge, triggers

    def _fold(self, name: str, event: str, touched: list[int]) -> None:
        emit = self.lines.append
        emit(f"def {name}(p, e, t, tie, now):  # {event!r}")
        emit("    s = p.slots; q = e.properties; k = e.context")
        for key in touched:
            for line in self._fold_slot(key, self.aggregates[key]):
                emit("    " + line)
        emit("")

    def _fold_slot(self, key: int, aggregate: n.Aggregate) -> Iterator[str]:
        function, within = aggregate.function, aggregate.within_ms
        yield f"# {describe(aggregate)}"
        indent = ""
        conditions = []
        if within is not None:
            conditions.append(f"t > now - {within}")
        if aggregate.where is not None:
            conditions.append(_EventScope().boolean(aggregate.where))
        if conditions:
            yield f"if {' and '.join(conditions)}:"
            indent = "    "
        if function == "count":
            state = "1"
        else:
            source = _EventScope().value(aggregate.field) if aggregate.field else "None"
            yield f"{indent}v = {function}_lift({source}, t, tie)"
            yield f"{indent}if v is not None:"
            indent += "    "
            state = "v"
        if within is not None and function == "count":
            yield f"{indent}w = s.get({key})"
            yield f"{indent}if w is not None and w[0] == 1 and t > w[1][-1] and len(w[1]) < {WINDOW_PANES_MAX}:"
            yield f"{indent}    w[1].append(t); w[2].append(1); w[3] += 1"
            yield f"{indent}else: s[{key}] = add(w, t, 1, count_monoid)"
            yield f"{indent}if t + {within} < p.due_ms: p.due_ms = t + {within}"
        elif within is not None:
            yield f"{indent}s[{key}] = add(s.get({key}), t, {state}, {function}_monoid)"
            yield f"{indent}if t + {within} < p.due_ms: p.due_ms = t + {within}"
        elif function == "count":
            yield f"{indent}s[{key}] = s.get({key}, 0) + 1"
        else:
            yield f"{indent}o = s.get({key})"
            yield f"{indent}s[{key}] = v if o is None else {function}_combine(o, v)"

    # --- judging ---------------------------------------------------------------------------------------------
    def _judge(self, name: str, numbers: Iterable[int], comment: str = "") -> None:
        emit = self.lines.append
        chosen = [self.definitions[number] for number in numbers]
        emit(f"def {name}(p, now, changed, moves):" + (f"  # {comment!r}" if comment else ""))
        emit("    s = p.slots; c = p.computed; a = p.audiences; d = p.declared")
        scope = _ProfileScope()
        used: dict[int, n.Aggregate] = {}
        for definition in chosen:
            used |= definition.slots
        for index, (key, aggregate) in enumerate(used.items()):
            scope.slots[key] = f"x{index}"
            emit(f"    x{index} = {_slot_value(key, aggregate)}  # {describe(aggregate)}")
        for definition in chosen:
            lines = _audience_lines(definition, scope) if definition.audience else _trait_lines(definition, scope)
            for line in lines:
                emit("    " + line)
        emit("")


_AT_AN_END = {"first": 0, "last": -1}
"""Aggregates whose value over a window is that of one of its ends, since panes are in time order."""


def _slot_value(key: int, aggregate: n.Aggregate) -> str:
    function = aggregate.function
    if aggregate.within_ms is None:
        return f"s.get({key}, 0)" if function == "count" else f"{function}_result(s.get({key}))"
    if function == "count":
        return f"w[3] if (w := s.get({key})) else 0"
    if MONOIDS[function].remove is not None:
        return f"{function}_result(w[3] if (w := s.get({key})) else None)"
    if function in _AT_AN_END:
        return f"{function}_result(w[2][{_AT_AN_END[function]}] if (w := s.get({key})) else None)"
    return f"{function}_result({function}_total(w[2]) if (w := s.get({key})) else None)"


def _trait_lines(definition: _Definition, scope: "_ProfileScope") -> Iterator[str]:
    name = definition.name
    yield f"v = {scope.value(definition.node)}"
    yield f"o = c.get({name!r})"
    yield "if v != o or type(v) is not type(o):"
    yield f"    if v is None: del c[{name!r}]"
    yield f"    else: c[{name!r}] = v"
    yield f"    changed[{name!r}] = v"


def _audience_lines(definition: _Definition, scope: "_ProfileScope") -> Iterator[str]:
    name = definition.name
    yield f"if {scope.boolean(definition.node)}:"
    yield f"    if {name!r} not in a: a[{name!r}] = now; moves.append(({name!r}, True))"
    yield f"elif {name!r} in a: del a[{name!r}]; moves.append(({name!r}, False))"


class _Scope:
    """Source of an expression; subclasses know what names mean where they stand."""

    def __init__(self) -> None:
        self._temporaries = 0

    def _temporary(self) -> str:
        self._temporaries += 1
        return f"v{self._temporaries}"

    def leaf(self, node: Any) -> str:
        raise AssertionError(node)

    def value(self, node: n.Node) -> str:
        """Source of any value, None for missing."""
        match node:
            case n.Literal_(value=value):
                return repr(value)
            case n.And() | n.Or() | n.Not() | n.Compare() | n.In():
                return f"({self.boolean(node)})"
            case n.Arithmetic(op=op, left=left, right=right):
                return f"arithmetic({op!r}, {self.value(left)}, {self.value(right)})"
            case n.Negate(part=part):
                return f"negate({self.value(part)})"
            case n.Call(function="exists", args=(arg,)):
                return f"({self.value(arg)} is not None)"
            case n.Call(function=function, args=args):
                return f"{function}({', '.join(map(self.value, args))})"
        return self.leaf(node)

    def boolean(self, node: n.Node) -> str:
        """Source of a real boolean: anything but True is false."""
        match node:
            case n.And(parts=parts):
                return "(" + " and ".join(map(self.boolean, parts)) + ")"
            case n.Or(parts=parts):
                return "(" + " or ".join(map(self.boolean, parts)) + ")"
            case n.Not(part=part):
                return f"(not {self.boolean(part)})"
            case n.Compare():
                return self._compare(node)
            case n.In(item=item, options=options):
                return self._in(item, options)
            case n.Call(function="exists" | "contains" | "starts_with" | "ends_with"):
                return self.value(node)
        return f"({self.value(node)} is True)"

    def _compare(self, node: n.Compare) -> str:
        left, right, op = node.left, node.right, node.op
        if isinstance(left, n.Now) or isinstance(right, n.Now) or is_instant(left) or is_instant(right):
            return self._compare_instants(node)
        if op == "!=":
            return f"(not {self._compare(n.Compare(node.column, '==', left, right))})"
        if isinstance(left, n.Literal_) and not isinstance(right, n.Literal_):
            left, right, op = right, left, _MIRRORED[op]
        if isinstance(right, n.Literal_):
            return self._compare_literal(op, left, right.value)
        if op == "==":
            return f"same({self.value(left)}, {self.value(right)})"
        return f"compare({op!r}, {self.value(left)}, {self.value(right)})"

    def _compare_literal(self, op: str, left: n.Node, value: Any) -> str:
        """The common case, without a call: a value against a literal."""
        if value is None:
            return "False"
        if isinstance(value, bool):
            return f"({self.value(left)} is {value})" if op == "==" else "False"
        source = self.value(left)
        if isinstance(value, str) and op == "==":
            return f"({source} == {value!r})"
        if isinstance(left, n.Aggregate) and left.function in _ALWAYS_NUMBERS and not isinstance(value, str):
            return f"({source} {op} {value!r})"
        temporary = self._temporary()
        guard = f"type({temporary} := {source}) " + ("is str" if isinstance(value, str) else "in NUMBERS")
        return f"({guard} and {temporary} {op} {value!r})"

    def _compare_instants(self, node: n.Compare) -> str:
        raise AssertionError(node)

    def _in(self, item: n.Node, options: tuple[Any, ...]) -> str:
        source = self.value(item)
        temporary = self._temporary()
        if all(isinstance(option, str) for option in options):
            return f"(type({temporary} := {source}) is str and {temporary} in {options!r})"
        tests = " or ".join(f"same({temporary}, {option!r})" for option in options)
        return f"(({temporary} := {source}) is not None and ({tests}))"


_ALWAYS_NUMBERS = ("count", "sum", "unique_count")
_MIRRORED = {"==": "==", "!=": "!=", "<": ">", "<=": ">=", ">": "<", ">=": "<="}


_HOLDERS = {"properties": "q", "context": "k"}
"""Local names of an event's objects in generated code; each is None or a Struct, which is always true."""


class _EventScope(_Scope):
    """Names are fields of the event `e`."""

    def leaf(self, node: Any) -> str:
        assert isinstance(node, n.Field), node
        root, *rest = node.path
        if root == "type":
            return "e.type"
        if root == "name":
            return "(e.event if e.type == 'track' else e.type)"
        keys = ", ".join(map(repr, rest))
        if root == "traits":
            return f"dig(e.traits, {keys})"
        holder, (field, *deeper) = _HOLDERS[root], rest
        name = field if root == "context" and field in Context.__struct_fields__ else attribute(field)
        value = f"({holder} and {holder}.{name})"
        return f"dig({value}, {', '.join(map(repr, deeper))})" if deeper else value

    def _compare_instants(self, node: n.Compare) -> str:
        raise AssertionError(f"the checker lets no instant into event scope: {node}")


class _ProfileScope(_Scope):
    """Names are slots, traits and built-ins of the profile `p`."""

    def __init__(self) -> None:
        super().__init__()
        self.slots: dict[int, str] = {}

    def leaf(self, node: Any) -> str:
        match node:
            case n.Aggregate():
                return self.slots[n.slot(node)]
            case n.TraitRef(name=name):
                return f"c.get({name!r})"
            case n.Builtin(name=name):
                return _BUILTIN_SOURCE[name]
            case n.Declared(path=(root, *rest)):
                value = f"(w.value if (w := d.get({root!r})) is not None else None)"
                return f"dig({value}, {', '.join(map(repr, rest))})" if rest else value
            case n.Now(ago_ms=ago):
                return f"(now - {ago})"
        raise AssertionError(node)

    def _compare_instants(self, node: n.Compare) -> str:
        left, right, op = node.left, node.right, node.op
        if isinstance(left, n.Now) and not isinstance(right, n.Now):
            left, right, op = right, left, _MIRRORED[op]
        if isinstance(right, n.Now) and not isinstance(left, n.Now):
            return f"moving({op!r}, {self._instant(left)}, {right.ago_ms}, now, p)"
        return f"before({op!r}, {self._instant(left)}, {self._instant(right)})"

    def _instant(self, node: n.Node) -> str:
        return self.value(node) if is_instant(node) else f"instant({self.value(node)})"


def is_instant(node: n.Node) -> bool:
    """True for expressions whose values are instants as milliseconds."""
    return isinstance(node, n.Now) or (isinstance(node, n.Builtin) and n.BUILTINS[node.name] == "instant")


def before(op: str, a: int | None, b: int | None) -> bool:
    """Compare two instants; with a missing one only `!=` is true."""
    if a is None or b is None:
        return op == "!="
    match op:
        case "<":
            return a < b
        case "<=":
            return a <= b
        case ">":
            return a > b
        case ">=":
            return a >= b
        case "==":
            return a == b
    return a != b


def moving(op: str, instant: int | None, ago_ms: int, now: int, profile: Any) -> bool:
    """Compare an instant with `now - ago_ms`, and wake the profile when the answer can next change."""
    if instant is not None:
        turn = instant + ago_ms
        due = turn if turn > now else turn + 1
        if now < due < profile.due_ms:
            profile.due_ms = due
    return before(op, instant, now - ago_ms)


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
        self.slots: dict[int, Any] = {}
        self.computed: dict[str, Any] = {}
        self.audiences: dict[str, int] = {}
        self.declared: dict[str, Any] = {}
        self.first_seen_ms = self.last_seen_ms = self.events = 0
        self.due_ms = 0


def _fill_blank(program: Program) -> None:
    """Traits and audiences of a new profile; those that built-ins decide are judged with its first event."""
    blank = _Blank()
    program.judge_all(blank, 0, {}, [])
    undecided = {program.names[i] for i in program.dependents.get(SEEN, ())}
    program.blank_traits = {k: v for k, v in blank.computed.items() if k not in undecided}
    program.blank_audiences = tuple(k for k in blank.audiences if k not in undecided)
