"""Every part of a definition as a function of a profile: what `core.explaining` asks, in the very code of the stream.

A definition is compiled together with the traits that it names, and without the rest of the workspace. For each part
of each expression there is a `Probe`, whose source is what the stream's own function has at that place: so a new
construct of the language can be explained as soon as it runs.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Literal

from msgspec import Struct

from onefold.errors import DefinitionError, NotFoundError
from onefold.language import nodes as n
from onefold.language.reading.check import Checked, checked
from onefold.language.reading.parse import parse_expression
from onefold.language.reading.show import show
from onefold.language.reading.spans import Spans
from onefold.language.stream.compile import compile_definitions
from onefold.language.stream.program import Program
from onefold.language.stream.source import EventScope, ProfileScope, Surroundings
from onefold.language.suggest import nearest
from onefold.model.definitions import Audience, Definitions, Trait

Kind = Literal["trait", "audience"]


class Probe(Struct, frozen=True):
    """One part of an expression in profile scope."""

    number: int
    """Counts the parts of its definition, each before its own parts."""
    node: n.Node
    text: str
    """As it was written, in one line; where what was written stands for several parts, as they would be written."""
    column: int
    end: int
    """The part stands at these columns of the expression."""
    value: Callable[[Any, int], Any]
    """(profile, now) → its value; arms the profile's `due_ms` where the value moves with time."""
    field: Callable[[Any, int], Any] | None
    """Of an aggregate: (excerpt of an event, its time) → the field's value there."""
    instant: bool
    """Its values are instants; one that moves, such as `now()`, is another in every millisecond."""
    parts: tuple["Probe", ...]

    def walk(self) -> Iterator["Probe"]:
        """This part and all within it, in the order of their numbers."""
        yield self
        for part in self.parts:
            yield from part.walk()


class Probed(Struct, frozen=True):
    """A definition and those that it rests on, ready to be asked."""

    name: str
    kind: Kind
    expressions: dict[str, str]
    descriptions: dict[str, str]
    probes: dict[str, Probe]
    """Definition → its whole expression, in dependency order; the one that was asked for comes last."""
    program: Program
    timezone: str
    """The workspace's."""


def probed(definitions: Definitions, name: str) -> Probed:
    """The probes of the trait or audience of this name. Cost: that of the definitions it rests on.

    Raises `NotFoundError` with the nearest name where there is none, `DefinitionError` where checks have become
    stricter since it was defined.
    """
    known = defined(definitions)
    if name not in known:
        near = nearest(name, known)
        hint = f"; did you mean `{near}`?" if near else ""
        raise NotFoundError(f"there is no trait or audience `{name}`{hint}")
    needed = _needed(known, name)
    some = Definitions(
        version=definitions.version,
        traits=tuple(d for d in needed.values() if isinstance(d, Trait)),
        audiences=tuple(d for d in needed.values() if isinstance(d, Audience)),
        account_traits=definitions.account_traits,
        timezone=definitions.timezone,
        identity=definitions.identity,
    )
    whole = checked(some, stored=True)
    if whole.problems:
        raise DefinitionError([problem.show() for problem in whole.problems])
    program = compile_definitions(whole, definitions.version)
    trees = _in_order(whole, name)
    among = Surroundings(whole.types, whole.timezone)
    names = {**program.judge_all.__globals__}
    return Probed(
        name,
        "audience" if name in program.audience_names else "trait",
        {each: needed[each].expression for each in trees},
        {each: needed[each].description for each in trees},
        {each: _Prober(needed[each].expression, among, names).probe(tree) for each, tree in trees.items()},
        program,
        whole.timezone,
    )


def defined(definitions: Definitions) -> dict[str, Trait | Audience]:
    """What has an expression, by name."""
    found: dict[str, Trait | Audience] = {trait.name: trait for trait in definitions.traits}
    return found | {audience.name: audience for audience in definitions.audiences}


def _needed(known: Mapping[str, Trait | Audience], name: str) -> dict[str, Trait | Audience]:
    """The definition and all that it rests on."""
    found: dict[str, Trait | Audience] = {}
    waiting = [name]
    while waiting:
        one = waiting.pop()
        if one in found or one not in known:
            continue
        found[one] = known[one]
        tree = parse_expression(known[one].expression)
        if isinstance(tree, n.Node):
            waiting += named(tree)
    return found


def named(node: n.Node) -> Iterator[str]:
    """The definitions that an expression names."""
    if isinstance(node, n.TraitRef | n.InAudience):
        yield node.name
    for part in parts(node):
        yield from named(part)


def parts(node: n.Node) -> Iterator[n.Node]:
    """The parts of a part that stand in profile scope: what a state is kept for has none."""
    if isinstance(node, n.Kept):
        return iter(())
    return iter((node.items,)) if isinstance(node, n.Quantified) else n.children(node)


def _in_order(whole: Checked, name: str) -> dict[str, n.Node]:
    trees = {**whole.traits, **whole.audiences}
    return {each: trees[each] for each in (*(other for other in trees if other != name), name)}


class _Prober:
    """Makes the probes of one expression. Their functions see what the program's own code sees, `names`."""

    def __init__(self, text: str, among: Surroundings, names: dict[str, Any]) -> None:
        self._text = text
        self._spans = Spans(text)
        self._among = among
        self._names = names
        self._count = 0

    def probe(self, node: n.Node, around: tuple[int, int] | None = None) -> Probe:
        """The probe of a part; `around` is where the part stands that it belongs to."""
        number = self._count
        self._count += 1
        place = (node.column, self._spans.end(node))
        inside = tuple(self.probe(part, place) for part in parts(node))
        profile_scope = ProfileScope(self._among)
        asked = profile_scope.value(node)
        value = self._function("p, now", [*_PROFILE, *profile_scope.lines()], asked)
        field = None
        if isinstance(node, n.Aggregate) and node.field is not None:
            scope = EventScope(self._among)
            source = scope.value(node.field)
            field = self._function("e, t", [_EVENT, *scope.lines()], source)
        text = show(node) if place == around else _LINES.sub(" ", self._text[slice(*place)])
        return Probe(number, node, text, *place, value, field, profile_scope.is_instant(node), inside)

    def _function(self, parameters: str, lines: list[str], source: str) -> Any:
        body = "".join(f"    {line}\n" for line in lines)
        code = f"def probe({parameters}):\n{body}    return {source}\n"
        self._names.update(self._among.constants)
        scope: dict[str, Any] = {}
        exec(compile(code, "<probe>", "exec"), self._names, scope)  # noqa: S102 (our own generated source)
        return scope["probe"]


_LINES = re.compile(r"\s*[\r\n]\s*")
_PROFILE = ["s = p.slots; c = p.computed; a = p.audiences; d = p.declared"]
_EVENT = "q = e.properties; k = e.context"
