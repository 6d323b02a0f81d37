"""Households: a second graph, over people, of who lives with whom.

The same score that keeps two of a household from becoming one person says that they are a household. It is a grouping
of profiles beside the people, never a merge: whatever is done to it, nobody's profile changes.
"""

from onefold.matching.index import Index
from onefold.matching.weights import Scorer

LEAST = 0.9
"""From this probability on, two profiles are of one household, or even one person."""
HOUSEHOLD_MAX = 20
"""Profiles; more of one address are a hall of residence, a company or a mistake, and stay apart."""


def households(index: Index, scorer: Scorer, least: float = LEAST) -> dict[int, int]:
    """Everyone in the index → the smallest id of their household.

    The surest pairs are taken first, so the result does not depend on the order in which profiles came. Compares as
    many pairs as share a key: as long as scoring everybody once.
    """
    pairs = []
    for profile in index:
        for other in index.candidates(profile):
            if other > profile:
                scored = scorer.score(index[profile], index[other])
                together = scored.same + scored.household
                if together >= least:
                    pairs.append((-together, profile, other))
    members = {profile: [profile] for profile in index}
    homes = {profile: profile for profile in index}
    for _, a, b in sorted(pairs):
        one, other = sorted((homes[a], homes[b]))
        if one != other and len(members[one]) + len(members[other]) <= HOUSEHOLD_MAX:
            moving = members.pop(other)
            members[one] += moving
            homes.update(dict.fromkeys(moving, one))
    return homes
