"""Since when aggregates count: when the first version of the definitions had them that all later ones have had too."""

from collections.abc import Collection, Iterator
from functools import lru_cache
from typing import Protocol

from onefold.errors import NotFoundError
from onefold.language import nodes as n
from onefold.language.reading.parse import parse_expression
from onefold.language.stream.probe import defined, parts
from onefold.model.catalog import VersionRow
from onefold.model.definitions import Definitions

VERSIONS_MAX = 500
"""Versions that one look goes back; what is older than these has counted since the oldest of them, or longer."""
_EXPRESSIONS = 20_000
"""Expressions of which is remembered what they need kept."""


class Versions(Protocol):
    """What is asked of the catalog (`ports.Catalog`)."""

    def definitions(self, version: int | None = None) -> Definitions:
        """The definitions of a version; None: the latest."""
        ...

    def versions(self) -> list[VersionRow]:
        """Who saved which version, and when."""
        ...


def counting_since(catalog: Versions, slots: Collection[str], version: int) -> dict[str, int]:
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


def counting_from_now(catalog: Versions, version: int) -> dict[str, int]:
    """Slot → when it began to count what came then, in ms; without those that were computed over history first.

    Of the slots that this version's definitions have. Cost: of each version that goes before, reading what it says.
    """
    rows = [row for row in catalog.versions() if row.version <= version]
    since: dict[str, int] = {}
    left: set[str] | None = None
    for row in rows[: -VERSIONS_MAX - 1 : -1]:
        definitions = catalog.definitions(row.version)
        own = _all_slots(definitions) | (_all_slots(definitions.shadow) if definitions.shadow else frozenset())
        left = set(own) if left is None else left
        if definitions.coming is not None:
            for key in left & (_all_slots(definitions.coming) - own):
                since.pop(key, None)
        left &= own
        if not left:
            break
        since |= dict.fromkeys(left, row.created_at_ms)
    return since


def _all_slots(definitions: Definitions) -> frozenset[str]:
    each = defined(definitions).values()
    return frozenset().union(*(_slots_of(one.expression, definitions.timezone) for one in each))


@lru_cache(_EXPRESSIONS)
def _slots_of(expression: str, timezone: str) -> frozenset[str]:
    """Versions have most of their expressions in common."""
    tree = parse_expression(expression)
    return frozenset(map(n.slot, _kept(n.in_timezone(tree, timezone)))) if isinstance(tree, n.Node) else frozenset()


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
