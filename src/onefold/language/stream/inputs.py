"""What the value of a definition depends on: the triggers of the program, read off its tree."""

from collections.abc import Iterator

from onefold.language import nodes as n
from onefold.language.functions import moves
from onefold.language.keeping.calendars import PERSON_ZONE, ZONE_FIELD
from onefold.language.stream.program import IDENTITY, NOW, Trigger
from onefold.model.account import LINK


def triggers(node: n.Node) -> Iterator[Trigger]:
    """All that may change the expression's own value; not what the traits and audiences that it names depend on."""
    for part in walk(node):
        if n.moves(part):
            yield NOW
        if isinstance(part, n.Kept):
            yield n.slot(part)
            if isinstance(part, n.Aggregate) and part.timezone == n.PERSON:
                yield f"traits.{ZONE_FIELD}"
                yield n.slot(PERSON_ZONE)
        elif isinstance(part, n.Declared):
            yield f"traits.{part.path[0]}"
        elif isinstance(part, n.Builtin):
            yield part.name
        elif isinstance(part, n.OfAccount):
            yield LINK
        elif tells_time(part):
            yield NOW
        elif isinstance(part, n.Share):
            yield IDENTITY


def tells_time(part: n.Node) -> bool:
    """Whether a node's value depends on the clock even where nothing is kept."""
    return isinstance(part, n.Now) or (isinstance(part, n.Call) and moves(part))


def walk(node: n.Node) -> Iterator[n.Node]:
    """The nodes of profile scope: what a state is kept for is a leaf."""
    yield node
    if not isinstance(node, n.Kept):
        for part in n.children(node):
            yield from walk(part)


def named(node: n.Node) -> Iterator[n.TraitRef | n.InAudience]:
    """The traits and audiences that an expression names."""
    return (part for part in walk(node) if isinstance(part, n.TraitRef | n.InAudience))
