"""From pairs to people: which proposals are taken, so that nobody becomes one with two accounts on the way.

Pairs are taken the surest first. One is not taken where the people whom it would join have an account each: A may be
like B and B like C, though A and C are known to be two. Where rules of identity ask for names and birthdays (`unless`),
nor where anybody of the one is called otherwise, or was born on another day, than anybody of the other: the step
refuses such links (`core.identity.explicit`).
"""

from collections.abc import Collection, Iterable, Mapping
from typing import NamedTuple

from onefold.matching.comparing import differ
from onefold.matching.record import Record
from onefold.model.proposal import Proposal


class Linked(NamedTuple):
    """What became of proposals."""

    people: dict[int, int]
    """Everyone in a proposal → the smallest id of those who are one person with them."""
    taken: int
    refused: int
    """Proposals that would have joined two accounts, or two who are told apart."""


def parts(a: Collection[str], b: Collection[str]) -> bool:
    """Whether these are accounts of two, by the rule that a person has one."""
    return bool(a and b) and set(a).isdisjoint(b)


def link(proposals: Iterable[Proposal], records: Mapping[int, Record], *, by_name: bool = False) -> Linked:
    """Take the proposals that need no asking. The result does not depend on the order in which they are given.

    `by_name`: names and birthdays tell people apart.
    """
    parents: dict[int, int] = {}
    accounts: dict[int, tuple[str, ...]] = {}
    members: dict[int, list[int]] = {}

    def root(one: int) -> int:
        while (above := parents.setdefault(one, one)) != one:
            parents[one] = parents[above]
            one = parents[one]
        return one

    taken = refused = 0
    for pair in sorted(proposals, key=lambda each: (-each.score, each.a, each.b)):
        if pair.ask:
            continue
        a, b = sorted((root(pair.a), root(pair.b)))
        if a == b:
            continue
        mine, its = (accounts.get(one, records[one].accounts) for one in (a, b))
        here, there = (members.get(one, [one]) for one in (a, b))
        if parts(mine, its) or (by_name and _tells_apart(records, here, there)):
            refused += 1
            continue
        parents[b] = a
        accounts[a] = mine or its
        members[a] = [*here, *there]
        taken += 1
    return Linked({one: root(one) for one in list(parents)}, taken, refused)


def _tells_apart(records: Mapping[int, Record], here: Collection[int], there: Collection[int]) -> bool:
    """Whether anybody here is surely somebody else than anybody there."""
    return any(any(differ(records[one], records[other])) for one in here for other in there)
