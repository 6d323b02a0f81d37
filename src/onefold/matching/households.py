"""Households: a second graph, over people, of who lives with whom.

The same score that keeps two of a household from becoming one person says that they are a household: a *tie*. Whoever
is tied to each other, directly or over others, is one household. It is a grouping of profiles beside the people, never
a merge: whatever is done to it, nobody's profile changes.
"""

from collections import Counter, deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from onefold.matching.index import Index
from onefold.matching.weights import Scored, Scorer
from onefold.model.proposal import Tie

LEAST = 0.9
"""From this probability on, two profiles are of one household, or even one person."""
HOUSEHOLD_MAX = 20
"""Profiles; more that hang together are a hall of residence, a company or a mistake, and are no household."""


class Member(NamedTuple):
    """Somebody of a household."""

    profile: int
    tied_to: int
    """By whom they belong to it; themselves: the household was asked for from here."""
    together: float


def ties(profile: int, found: Iterable[tuple[int, Scored]], least: float = LEAST) -> Iterator[Tie]:
    """The ties of what was scored."""
    for other, scored in found:
        together = min(1.0, scored.same + scored.household)
        if together >= least:
            yield Tie(min(profile, other), max(profile, other), together)


def household_of(profile: int, ties_of: Callable[[Collection[int]], Sequence[Tie]]) -> list[Member]:
    """Everybody who is tied to this profile, each by the surest tie that leads there first; itself alone: nobody is.

    `ties_of`: the ties of some profiles. Looks at no more than `HOUSEHOLD_MAX`; of more there is nobody but itself.
    """
    alone = [Member(profile, profile, 1.0)]
    members, waiting = {profile: alone[0]}, deque([profile])
    while waiting:
        here = list(waiting)
        waiting.clear()
        for tie in ties_of(here):
            for one, other in ((tie.a, tie.b), (tie.b, tie.a)):
                if one in here and other not in members:
                    members[other] = Member(other, one, tie.together)
                    waiting.append(other)
        if len(members) > HOUSEHOLD_MAX:
            return alone
    return list(members.values())


def grouped(pairs: Iterable[Tie]) -> dict[int, int]:
    """Everybody in these ties → the smallest id of their household, or their own where that is none."""
    above: dict[int, int] = {}

    def root(one: int) -> int:
        while (next_ := above.setdefault(one, one)) != one:
            above[one] = above[next_]
            one = above[one]
        return one

    for tie in pairs:
        one, other = sorted((root(tie.a), root(tie.b)))
        above[other] = one
    homes = {one: root(one) for one in list(above)}
    sizes: dict[int, int] = {}
    for home in homes.values():
        sizes[home] = sizes.get(home, 0) + 1
    return {one: home if sizes[home] <= HOUSEHOLD_MAX else one for one, home in homes.items()}


def sizes_of(homes: Mapping[int, int]) -> dict[int, int]:
    """How many households there are of each size from two on, ascending; of what `grouped` or `households` found."""
    counts = Counter(Counter(homes.values()).values())
    return {size: counts[size] for size in sorted(counts) if size > 1}


def households(index: Index, scorer: Scorer, least: float = LEAST) -> dict[int, int]:
    """Everyone in the index → the smallest id of their household.

    Compares as many pairs as share a key: as long as scoring everybody once.
    """
    found = (tie for profile in index for tie in ties(profile, index.score(profile, scorer), least))
    return {profile: profile for profile in index} | grouped(found)
