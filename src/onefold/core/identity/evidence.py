"""Evidence: what ties a person's identifiers together, and the shortest chain from one to another.

The links that a profile keeps are a forest: each joined what was apart until then. Where they do not reach (beyond
`LINKS_MAX`, or where the first identifier of an event was kept out), the events that are kept are asked, in the order
of the log.
"""

from collections import Counter, defaultdict, deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import combinations

from onefold.core.identity.linking import SHARED_EVENT
from onefold.core.identity.rules import NEWEST_LINK
from onefold.model.position import profile_id
from onefold.model.profile import Link, Profile
from onefold.model.sighting import Bond, Place, Sighting


class Groups:
    """Identifiers in groups that grow together."""

    def __init__(self) -> None:
        self._leaders: dict[str, str] = {}

    def find(self, one: str) -> str:
        """The identifier that stands for the group of this one."""
        leaders = self._leaders
        leader = leaders.setdefault(one, one)
        while leaders[leader] != leader:
            leaders[leader] = leader = leaders[leaders[leader]]
        return leader

    def join(self, a: str, b: str) -> bool:
        """Make the groups of both one; False: they were already."""
        one, other = self.find(a), self.find(b)
        self._leaders[other] = one
        return one != other


def bonds(profile: Profile, sightings: Sequence[Sighting]) -> list[Bond]:
    """What ties the identifiers of a profile together, in the order of log time. `sightings`: its events, in any."""
    mine = profile.identifiers.keys()
    links = [link for link in profile.links if link.a in mine and link.b in mine and link.rule != NEWEST_LINK]
    links += _ties(profile, links)
    found = [*links, *_beyond(profile, links, sightings)]
    seen = _seen_together(found, sightings)
    absorbed = absorbed_by(profile, found, sightings)
    by = {(word.partition, word.position): word.by for word in profile.notes.words} if profile.notes else {}
    return [
        Bond(
            link.a, link.b, link.rule, link.partition, link.position, link.at_ms,
            absorbed.get(number, 0), by.get(link[2:4], ""), *seen.get(frozenset(link[:2]), (0, 0)),
        )
        for number, link in sorted(enumerate(found), key=lambda each: (each[1].at_ms, each[1][2:4], each[0]))
    ]  # fmt: skip


def _ties(profile: Profile, links: Iterable[Link]) -> Iterator[Link]:
    """Where the newest link wins, what has tied identifiers together last, as far as no link says it."""
    known = {frozenset(link[:2]) for link in links}
    ties = profile.notes.ties if profile.notes else {}
    for a, ends in ties.items():
        for b, at_ms in ends.items():
            if frozenset((a, b)) not in known and a in profile.identifiers and b in profile.identifiers:
                yield Link(a, b, NOWHERE, NOWHERE, SHARED_EVENT, at_ms)


NOWHERE = -1
"""Partition and position of a tie of which only the time is kept."""


def _beyond(profile: Profile, links: Iterable[Link], sightings: Iterable[Sighting]) -> Iterator[Link]:
    """What no kept link joins: by events; and by the newest link, which takes along what it is not itself between."""
    groups = Groups()
    for link in links:
        groups.join(link.a, link.b)
    for seen in sorted(sightings, key=lambda each: (each.received_ms, each.place)):
        mine = [each for each in seen.identifiers if each in profile.identifiers]
        for other in mine[1:]:
            if groups.join(mine[0], other):
                yield Link(mine[0], other, seen.partition, seen.position, SHARED_EVENT, seen.received_ms)
    for link in profile.links:
        here = link.a in profile.identifiers and link.b in profile.identifiers
        if link.rule == NEWEST_LINK and here and groups.join(link.a, link.b):
            yield link


def _seen_together(links: Iterable[Link], sightings: Iterable[Sighting]) -> dict[frozenset[str], tuple[int, int]]:
    """Pair → how many events have both, and when the latest of them happened."""
    pairs = {frozenset(link[:2]) for link in links}
    counts: Counter[frozenset[str]] = Counter()
    latest: dict[frozenset[str], int] = {}
    for seen in sightings:
        for pair in map(frozenset, combinations(seen.identifiers, 2)):
            if pair in pairs:
                counts[pair] += seen.times
                latest[pair] = max(latest.get(pair, 0), seen.latest_ms)
    return {pair: (count, latest[pair]) for pair, count in counts.items()}


# --- which link ended which profile ----------------------------------------------------------------------------


def absorbed_by(profile: Profile, links: Sequence[Link], sightings: Sequence[Sighting]) -> dict[int, int]:
    """Index of a link → the profile that was absorbed by it.

    One event may have made several links and ended fewer profiles. Which is which, is found by growing the groups
    again, in the order of the log: a profile begins with an event, whose first identifier it has, and ends where its
    group is joined to another's. Where these events are no longer kept, that stays open.
    """
    gone: defaultdict[Place, list[int]] = defaultdict(list)
    for merge in profile.merges:
        gone[merge.partition, merge.position].append(merge.absorbed)
    at: defaultdict[Place, list[int]] = defaultdict(list)
    for number, link in enumerate(links):
        at[link.partition, link.position].append(number)
    found: dict[int, int] = {}
    for place, ended in gone.items():
        if len(at[place]) == len(ended):
            found.update(zip(at[place], ended, strict=True))
    if len(found) < len(profile.merges):
        found |= _grown(profile, links, sightings, gone)
    return found


def _grown(
    profile: Profile, links: Sequence[Link], sightings: Iterable[Sighting], gone: Mapping[Place, Sequence[int]]
) -> Iterator[tuple[int, int]]:
    numbers = {profile.id, *(merge.absorbed for merge in profile.merges)}
    began = [
        (seen.received_ms, *seen.place, -1, number, seen.identifiers[0])
        for seen in sightings
        if seen.identifiers and (number := profile_id(*seen.place)) in numbers
    ]
    made = [(link.at_ms, *link[2:4], index, 0, "") for index, link in enumerate(links)]
    groups, alive = Groups(), defaultdict[str, set[int]](set)
    for _, partition, position, index, number, first in sorted([*began, *made]):
        if index < 0:
            alive[groups.find(first)].add(number)
            continue
        one, other = (alive.pop(groups.find(end), set()) for end in links[index][:2])
        groups.join(*links[index][:2])
        both = one | other
        ended = [each for each in gone.get((partition, position), ()) if each in both] if one and other else []
        if ended:
            both.discard(ended[0])
            yield index, ended[0]
        alive[groups.find(links[index].a)] |= both


# --- the chain between two ---------------------------------------------------------------------------------------


def chain(found: Iterable[Bond], a: str, b: str) -> list[Bond] | None:
    """The shortest chain of bonds from one identifier to another, of equally short ones the oldest; None: none is."""
    ends: defaultdict[str, list[Bond]] = defaultdict(list)
    for bond in found:
        ends[bond.a].append(bond)
        ends[bond.b].append(bond)
    came: dict[str, Bond | None] = {a: None}
    waiting = deque([a])
    while waiting and b not in came:
        here = waiting.popleft()
        for bond in ends[here]:
            there = bond.b if bond.a == here else bond.a
            if there not in came:
                came[there] = bond
                waiting.append(there)
    return list(_back(came, b))[::-1] if b in came else None


def _back(came: dict[str, Bond | None], end: str) -> Iterator[Bond]:
    while (bond := came[end]) is not None:
        yield bond
        end = bond.a if bond.b == end else bond.b


def together(sightings: Iterable[Sighting], a: str, b: str) -> list[Sighting]:
    """Events that have both, in the order of the log."""
    found = [seen for seen in sightings if a in seen.identifiers and b in seen.identifiers]
    return sorted(found, key=lambda each: (each.received_ms, each.place))
