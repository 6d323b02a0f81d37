"""Very many definitions as one workspace: mostly what people write, and some of every kind that there is."""

from msgspec import structs

from onefold.language.reading.check import checked
from onefold.model.definitions import Audience, Definitions, Trait
from onefold.testing.seeded import Seeded

_RANDOM = 10
"""One group in so many is random expressions over every construct; the others are what people write."""
_EVENTS = 200
_SHAPES = (
    'count("{event}", where=properties.price > {low}) >= {few}',
    'count("{event}", within="{days}d") >= {few}',
    'sum("{event}", properties.price, within="{days}d") > {low} and traits.plan == "a"',
    'count("A") > {few} and did_not("{event}", within="{days}d")',
    'sequence("{event}", then="A", within="{days}d")',
)


def many(audiences: int, timezone: str = "Europe/Berlin") -> Definitions:
    """So many audiences, in small groups with names of their own that begin with the group's; always the same."""
    traits: list[Trait] = []
    found: list[Audience] = []
    group = 0
    while len(found) < audiences:
        some = _random(group, timezone) if group % _RANDOM == 0 else _plain(group)
        traits += some.traits
        found += some.audiences
        group += 1
    return Definitions(version=1, traits=tuple(traits), audiences=tuple(found[:audiences]), timezone=timezone)


def _random(group: int, timezone: str) -> Definitions:
    some = structs.replace(Seeded(group).definitions(most=2, prefix=f"g{group}_"), timezone=timezone)
    return Definitions() if checked(some).problems else some


def _plain(group: int) -> Definitions:
    said = {"event": f"E{group % _EVENTS}", "low": group % 7, "few": group % 5 + 1, "days": group % 30 + 1}
    texts = [_SHAPES[(group + n) % len(_SHAPES)].format_map(said) for n in range(2)]
    return Definitions(audiences=tuple(Audience(f"g{group}_a{n}", text) for n, text in enumerate(texts)))
