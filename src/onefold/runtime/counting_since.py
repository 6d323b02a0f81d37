"""Since when aggregates count: when the first version of the definitions had them that all later ones have had too."""

from collections.abc import Collection, Iterator

from onefold.errors import NotFoundError
from onefold.language import nodes as n
from onefold.language.reading.parse import parse_expression
from onefold.language.stream.probe import defined, parts
from onefold.model.definitions import Definitions
from onefold.ports import Catalog

VERSIONS_MAX = 500
"""Versions that one look goes back; what is older than these has counted since the oldest of them, or longer."""


def counting_since(catalog: Catalog, slots: Collection[str], version: int) -> dict[str, int]:
    """Slot → when the first of the versions up to this one was applied that have all had it, in ms."""
    rows = [row for row in catalog.versions() if row.version <= version]
    left = set(slots)
    since: dict[str, int] = {}
    for row in rows[: -VERSIONS_MAX - 1 : -1]:
        try:
            left &= set(_slots(catalog.definitions(row.version), left))
        except NotFoundError:
            break
        if not left:
            break
        since |= dict.fromkeys(left, row.created_at_ms)
    return since


def _slots(definitions: Definitions, wanted: Collection[str]) -> Iterator[str]:
    """Those of the wanted slots that these definitions have; stops when it has found all."""
    found: set[str] = set()
    for definition in defined(definitions).values():
        tree = parse_expression(definition.expression)
        if isinstance(tree, n.Node):
            new = {
                key for key in map(n.slot, _kept(n.in_timezone(tree, definitions.timezone))) if key in wanted
            } - found
            yield from new
            found |= new
        if len(found) == len(wanted):
            return


def _kept(node: n.Node) -> Iterator[n.Kept]:
    if isinstance(node, n.Kept):
        yield node
    for part in parts(node):
        yield from _kept(part)
