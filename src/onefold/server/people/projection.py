"""What of a profile is wanted: `include=traits.email,audiences` names parts, and where that suffices names in them."""

from collections.abc import Iterable, Mapping

from msgspec import Struct

from onefold.errors import InvalidRequest
from onefold.limits import PROJECTION_MAX
from onefold.server.route import hint

PARTS = ("identifiers", "traits", "computed", "audiences", "links", "merges", "identity")
"""What is shown where nothing is chosen."""
OPTIONAL = ("provenance", "shadow")
"""What is shown only where it is asked for."""
NAMED = frozenset(("identifiers", "traits", "computed", "audiences"))
"""Parts of which one may choose names: namespaces, traits, audiences."""

DESCRIPTION = (
    f"Comma-separated parts of: {', '.join((*PARTS, *OPTIONAL))}; or names in them, as in "
    f"`traits.email,computed.revenue,identifiers.email,audiences.buyers`. Default: {', '.join(PARTS)}."
)


class Projection(Struct, frozen=True):
    """The parts that are wanted; of those in `names`, just these names."""

    parts: frozenset[str] = frozenset(PARTS)
    names: Mapping[str, frozenset[str]] = {}

    def __contains__(self, part: str) -> bool:
        return part in self.parts

    def of(self, part: str, there: Iterable[str]) -> Iterable[str]:
        """Of the names that are there in a part, those that are wanted, in their order."""
        wanted = self.names.get(part)
        return there if wanted is None else (name for name in there if name in wanted)


EVERYTHING = Projection()


def projection(include: str) -> Projection:
    """What `include` chooses; all usual parts where it is empty. Raises `InvalidRequest`, naming what was meant."""
    chosen = [each.strip() for each in include.split(",") if each.strip()]
    if not chosen:
        return EVERYTHING
    if len(chosen) > PROJECTION_MAX:
        raise InvalidRequest(f"include: {len(chosen)} names; {PROJECTION_MAX} are allowed")
    names: dict[str, set[str]] = {}
    whole: set[str] = set()
    for each in chosen:
        part, dot, name = each.partition(".")
        _check(each, part, named=bool(dot))
        if dot:
            names.setdefault(part, set()).add(name)
        else:
            whole.add(part)
    only = {part: frozenset(found) for part, found in names.items() if part not in whole}
    return Projection(frozenset(whole | names.keys()), only)


def _check(text: str, part: str, *, named: bool) -> None:
    parts = (*PARTS, *OPTIONAL)
    if part not in parts:
        raise InvalidRequest(f"include: unknown {part!r}{hint(part, parts)}")
    if named and part not in NAMED:
        some = ", ".join(sorted(NAMED))
        raise InvalidRequest(f"include: {text!r}: {part} is shown whole; names are chosen in {some}")
