"""What of many definitions one look-up answers: counts of equal texts, neighbouring literals, who was seen long ago."""

from collections.abc import Collection, Mapping
from typing import NamedTuple

from onefold.language import nodes as n
from onefold.language.functions import is_instant
from onefold.language.stream.crossings import Crossings, Test
from onefold.language.stream.definition import compared
from onefold.language.stream.inputs import walk
from onefold.language.stream.program import LAST_SEEN

_TOGETHER_MIN = 3
"""So many definitions are quicker looked up than asked one by one."""

Input = str
"""What an audience compares: the key of a slot, or `of_trait` of a trait's name, which no key can be."""


def of_trait(name: str) -> Input:
    """The trait of this name, as an input."""
    return f"trait {name}"


class Branch(NamedTuple):
    """Counts over one event name, each of the events in which `field` is its own text."""

    event: str
    field: n.Field
    keys: dict[str, str]
    """Text → slot."""


def branches(kept: Mapping[str, n.Kept]) -> list[Branch]:
    """The counts that can share a look-up."""
    found: dict[tuple[str, n.Path], Branch] = {}
    for key, aggregate in kept.items():
        if not isinstance(aggregate, n.Aggregate) or aggregate.function != "count":
            continue
        if aggregate.within_ms is not None or aggregate.calendar is not None:
            continue
        match aggregate.where:
            case n.Compare(op="==", left=n.Field() as field, right=n.Literal_(value=str(text))) if field.path != _TIME:
                branch = found.setdefault((aggregate.event, field.path), Branch(aggregate.event, field, {}))
                branch.keys[text] = key
    return [branch for branch in found.values() if len(branch.keys) >= _TOGETHER_MIN]


_TIME = ("time",)
"""An event's instant, which is no text: a string that it is compared with names an instant."""


class Gate(NamedTuple):
    """Audiences that all ask one trait for a text, or to be true, and more: only those of its own value can hold."""

    trait: str
    audiences: dict[str | bool, list[str]]
    """Text or True → names."""

    @property
    def kind(self) -> str:
        """The type of what they ask for."""
        return type(next(iter(self.audiences))).__name__


def gates(audiences: Mapping[str, n.Node], types: Mapping[str, n.Type]) -> list[Gate]:
    """The audiences that a trait's text tells apart, or its truth, among traits of these types."""
    found: dict[str, Gate] = {}
    for name, node in audiences.items():
        if (key := _key(node)) is not None and types.get(key[0]) != "instant":
            found.setdefault(key[0], Gate(key[0], {})).audiences.setdefault(key[1], []).append(name)
    return [gate for gate in found.values() if _is_worth_it(gate)]


def _is_worth_it(gate: Gate) -> bool:
    if gate.kind == "bool":
        return len(gate.audiences[True]) >= _TOGETHER_MIN
    return len(gate.audiences) >= _TOGETHER_MIN


def _key(node: n.Node) -> tuple[str, str | bool] | None:
    found: tuple[str, str | bool] | None = None
    for part in node.parts if isinstance(node, n.And) else ():
        match part:
            case n.Compare(op="==", left=n.TraitRef(name=trait), right=n.Literal_(value=str(text))):
                return trait, text
            case n.TraitRef(name=trait):
                found = found or (trait, True)
    return found


def lapses(node: n.Node) -> bool:
    """Whether somebody's being seen again can only end what an audience says: they were last seen long ago, and more.

    Nobody needs to be judged for that who is not in it: time wakes them when it would have before.
    """
    parts = node.parts if isinstance(node, n.And) else (node,)
    asking = [part for part in parts if LAST_SEEN in (each.name for each in walk(part) if isinstance(each, n.Builtin))]
    return bool(asking) and all(map(_is_long_ago, asking))


def _is_long_ago(part: n.Node) -> bool:
    match part:
        case n.Compare(op="<" | "<=", left=n.Builtin(name="last_seen"), right=n.Now()):
            return True
        case n.Compare(op=">" | ">=", left=n.Now(), right=n.Builtin(name="last_seen")):
            return True
    return False


def crossings(
    audiences: Mapping[str, n.Node], looked_up: Collection[Input], types: Mapping[str, n.Type]
) -> tuple[dict[Input, Crossings], frozenset[str]]:
    """Audiences that compare one input with a literal, by that input; and the names of these audiences.

    Those of inputs in `looked_up` are taken however few they are. `types` are those of the traits.
    """
    tests: dict[Input, list[Test]] = {}
    for name, node in audiences.items():
        if (found := _test(node, types)) is not None:
            given, op, literal = found
            tests.setdefault(given, []).append((op, literal, name))
    chosen = {given: each for given, each in tests.items() if len(each) >= _TOGETHER_MIN or given in looked_up}
    indexed = frozenset(name for each in chosen.values() for _, _, name in each)
    return {given: Crossings(each) for given, each in chosen.items()}, indexed


def _test(node: n.Node, types: Mapping[str, n.Type]) -> tuple[Input, str, int | float | str] | None:
    if not isinstance(node, n.Compare):
        return None
    left, op, literal = compared(node)
    if not isinstance(left, n.TraitRef | n.Aggregate) or n.moves(left) or is_instant(left, types):
        return None
    if isinstance(literal, bool) or literal is None:
        return None
    if op not in (("==",) if isinstance(literal, str) else ("<", "<=", ">", ">=")):
        return None
    return (of_trait(left.name) if isinstance(left, n.TraitRef) else n.slot(left)), op, literal
