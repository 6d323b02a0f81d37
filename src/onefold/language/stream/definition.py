"""One trait or audience on its way into code: what it depends on, and the source that judges it."""

from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Any

from onefold.language import nodes as n
from onefold.language.keeping.calendars import PERSON_ZONE
from onefold.language.stream.crossings import turns
from onefold.language.stream.inputs import named, tells_time, triggers, walk
from onefold.language.stream.program import IDENTITY, SEEN
from onefold.language.stream.putting import is_tally
from onefold.language.stream.source import MIRRORED, ProfileScope
from onefold.language.values import NUMBERS

ZONE_SLOT = n.slot(PERSON_ZONE)
"""Where the zone that a person's events name is kept."""


class Definition:
    """One trait or audience on its way into code."""

    def __init__(self, name: str, node: n.Node, *, audience: bool) -> None:
        self.name = name
        self.node = node
        self.audience = audience
        self.slots = {n.slot(kept): kept for kept in kept_in(node)}
        self.traits = {part.name for part in named(node) if isinstance(part, n.TraitRef)}
        self.audiences = {part.name for part in named(node) if isinstance(part, n.InAudience)}
        """Audiences that it names."""
        self.in_own_zone = [
            key for key, kept in self.slots.items() if isinstance(kept, n.Aggregate) and kept.timezone == n.PERSON
        ]
        """Slots of calendar windows in the person's own zone: the zone is of no matter to a person without them."""
        self.asks_zone = any(isinstance(part, n.Kept) and n.slot(part) == ZONE_SLOT for part in walk(node))
        """It names the zone itself."""
        self.edges = edges_in(node)
        """Slots of counts that it only compares with numbers → the counts that make an answer another."""
        self.direct = frozenset(triggers(node))
        self.undecided = not self.direct.isdisjoint((*SEEN, IDENTITY)) or any(map(tells_time, walk(node)))
        """A profile without events does not tell its value: built-ins, identifiers, or the clock do."""
        self.triggers = self.direct
        """Also what the traits and audiences that it names depend on."""


def add_inherited_triggers(definitions: list[Definition]) -> None:
    """A definition depends on whatever those that it names depend on; they come before it."""
    by_name = {definition.name: definition for definition in definitions}
    for definition in definitions:
        for name in definition.traits | definition.audiences:
            more = by_name[name].triggers
            definition.triggers = definition.triggers | more if definition.triggers else more
            definition.undecided = definition.undecided or by_name[name].undecided


def kept_in(node: n.Node) -> Iterator[n.Kept]:
    """All that the expression needs kept."""
    for part in walk(node):
        if isinstance(part, n.Kept):
            yield part
            if isinstance(part, n.Aggregate) and part.timezone == n.PERSON:
                yield PERSON_ZONE


def edges_in(node: n.Node) -> dict[str, frozenset[int]]:
    """Each count of which it matters only how it compares with numbers → the counts that change that, one by one."""
    asked = Counter(n.slot(part) for part in walk(node) if isinstance(part, n.Kept))
    found: dict[str, list[Iterable[int]]] = {}
    for part in walk(node):
        if isinstance(part, n.Compare):
            kept, op, literal = compared(part)
            if isinstance(kept, n.Aggregate) and is_tally(kept) and type(literal) in NUMBERS:
                found.setdefault(n.slot(kept), []).append(turns(op, literal))
    return {key: frozenset(chain(*each)) for key, each in found.items() if len(each) == asked[key]}


def compared(node: n.Compare) -> tuple[n.Node, str, Any]:
    """(what is compared, operator, literal), however it is written; a literal of None: with something else."""
    left, right, op = node.left, node.right, node.op
    if isinstance(left, n.Literal_):
        left, right, op = right, left, MIRRORED[op]
    return left, op, right.value if isinstance(right, n.Literal_) else None


def compared_slot(node: n.Node) -> str | None:
    """The slot whose value an audience compares with a number or a text, if that is all it does.

    What wakes a profile where the value passes the literal has a value of each literal's own.
    """
    if not isinstance(node, n.Compare):
        return None
    kept, _, literal = compared(node)
    if not isinstance(kept, n.Aggregate) or kept.function == "time_since":
        return None
    return n.slot(kept) if type(literal) is str or type(literal) in NUMBERS else None


def trait_lines(definition: Definition, scope: ProfileScope, then: Iterable[str] = ()) -> Iterator[str]:
    """Judge a trait; `then` follows where it has a new value."""
    name, value = definition.name, scope.value(definition.node)
    yield f"v = dated({value})" if scope.is_instant(definition.node) else f"v = {value}"
    yield f"o = c.get({name!r})"
    yield "if v != o or type(v) is not type(o) or (type(v) in (list, dict) and not identical(v, o)):"
    yield f"    if v is None: del c[{name!r}]"
    yield f"    else: c[{name!r}] = v"
    yield f"    changed[{name!r}] = v"
    yield from ("    " + line for line in then)


def audience_lines(definition: Definition, scope: ProfileScope) -> Iterator[str]:
    """Judge an audience."""
    name = definition.name
    yield f"if {scope.boolean(definition.node)}:"
    yield f"    if {name!r} not in a: a[{name!r}] = now; moves.append(({name!r}, True))"
    yield f"elif {name!r} in a: del a[{name!r}]; moves.append(({name!r}, False))"
