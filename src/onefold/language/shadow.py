"""Definitions in shadow: a candidate's traits and audiences, beside the live ones that they differ from.

They have names of their own, so that one program judges both, and they share whatever they have in common. A shadow's
aggregates have the same slots as they will have when it is live: what they have counted by then stays.
"""

from collections.abc import Mapping

from msgspec import structs

from onefold.language import nodes as n
from onefold.language.reading.check import Checked
from onefold.language.stream.inputs import named
from onefold.model.definitions import shadow_name


def with_shadow(live: Checked, candidate: Checked) -> Checked:
    """The live definitions, and those of the candidate that differ, named by `shadow_name`; both free of problems.

    A definition differs that is new, is written otherwise (layout aside), or names one that differs.
    """
    names = {name: shadow_name(name) for name in _different(live, candidate)}
    return structs.replace(
        live,
        traits=live.traits | _twins(candidate.traits, names),
        audiences=live.audiences | _twins(candidate.audiences, names),
        types=live.types | {names[name]: type_ for name, type_ in candidate.types.items() if name in names},
    )


def _different(live: Checked, candidate: Checked) -> set[str]:
    different: set[str] = set()
    found = _written_otherwise(live.traits, candidate.traits) | _written_otherwise(live.audiences, candidate.audiences)
    trees = candidate.traits | candidate.audiences
    while found:
        different |= found
        found = {
            name
            for name, node in trees.items()
            if name not in different and not different.isdisjoint(part.name for part in named(node))
        }
    return different


def _written_otherwise(before: Mapping[str, n.Node], after: Mapping[str, n.Node]) -> set[str]:
    return {
        name for name, node in after.items() if name not in before or n.canonical(node) != n.canonical(before[name])
    }


def _twins(trees: Mapping[str, n.Node], names: Mapping[str, str]) -> dict[str, n.Node]:
    return {names[name]: _renamed(node, names) for name, node in trees.items() if name in names}


def _renamed(node: n.Node, names: Mapping[str, str]) -> n.Node:
    """The tree, with references to twins where it names what has one."""
    changes: dict[str, object] = {}
    for field in node.__struct_fields__:
        value = getattr(node, field)
        if isinstance(value, n.Node):
            changes[field] = _renamed(value, names)
        elif isinstance(value, tuple):
            changes[field] = tuple(_renamed(item, names) if isinstance(item, n.Node) else item for item in value)
    if isinstance(node, n.TraitRef | n.InAudience):
        changes["name"] = names.get(node.name, node.name)
    return structs.replace(node, **changes)
