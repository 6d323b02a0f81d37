"""Very many definitions of every kind that the language has, as one workspace: what big customers have, or worse."""

from msgspec import structs

from onefold.language.reading.check import checked
from onefold.model.definitions import Audience, Definitions, Trait
from onefold.testing.seeded import Seeded


def many(audiences: int, timezone: str = "Europe/Berlin") -> Definitions:
    """So many audiences over about as many traits, each group of a few with names of its own; always the same."""
    traits: list[Trait] = []
    found: list[Audience] = []
    seed = 0
    while len(found) < audiences:
        some = structs.replace(Seeded(seed).definitions(most=2, prefix=f"g{seed}_"), timezone=timezone)
        if not checked(some).problems:
            traits += some.traits
            found += some.audiences
        seed += 1
    return Definitions(version=1, traits=tuple(traits), audiences=tuple(found[:audiences]), timezone=timezone)
