"""Policies that merge whoever shares an identifier, as far as limits allow.

`merge_on_any`: what may not be joined stays with whom it was first in the log. `demote_the_lowest` is Segment's: where
a limit would be passed, the event's identifier of lowest priority is left out, and the rest is looked up again
(https://segment.com/docs/unify/identity-resolution/identity-resolution-settings/). By both, an identifier leads to
one person for ever, unless that person is merged.
"""

from collections.abc import Mapping, Sequence

from onefold.core.batch import Incoming
from onefold.core.identity import linking
from onefold.core.identity.differing import part
from onefold.core.identity.linking import Evidence
from onefold.core.identity.rulebook import Rulebook, namespace
from onefold.core.identity.rules import MOST_IDENTIFIERS, NEVER_LINK, SOFT_IDENTIFIER
from onefold.core.run import Run
from onefold.limits import PROFILE_IDENTIFIERS_MAX
from onefold.model.profile import Profile


def merge_on_any(run: Run, incoming: Incoming, rulebook: Rulebook) -> Profile:
    """Join the event's identifiers to the person of the first, one by one, as far as they may be."""
    if (at_home := linking.home_of(run, incoming)) is not None:
        return linking.take(run, at_home)
    usable = linking.without_hot(run, incoming)
    found, apart = part(run, incoming, usable, rulebook) if rulebook.unless else (usable, [])
    why = Evidence(found[0], incoming.position)
    fresh = [each for each in found if each not in run.owners]
    telling = {each: run.now_ms for each in fresh if each == found[0] or namespace(each) in rulebook.unique}

    def may(person: Profile, via: str) -> bool:
        return forbids(run, person, telling, via=via) is None

    profile, via = linking.own_profile(run, incoming, found, may)
    for identifier in found:
        profile = _join(run, profile, identifier, why)
        if identifier == found[0] and via != identifier:
            linking.keep_evidence(run, profile, via, why)
    _keep_apart(run, profile, apart, why)
    linking.settle(run, profile, incoming, usable)
    return profile


def _keep_apart(run: Run, profile: Profile, apart: Sequence[tuple[str, str]], why: Evidence) -> None:
    for identifier, rule in apart:
        if (owner := run.owners.get(identifier)) is not None:
            run.bonds.append((profile.id, owner))
        linking.keep_out(run, profile, identifier, why, rule)


def _join(run: Run, profile: Profile, identifier: str, why: Evidence) -> Profile:
    """Give an identifier to the profile, merging with the profile that has it."""
    owner = run.owners.get(identifier)
    if owner == profile.id:
        return profile
    other = None if owner is None else run.profiles[owner]
    more = {identifier: run.now_ms} if other is None else other.identifiers
    if other is not None:
        run.bonds.append((profile.id, other.id))
    if (rule := forbids(run, profile, more, via=identifier, other=other)) is not None:
        linking.keep_out(run, profile, identifier, why, rule)
        return profile
    if other is not None:
        profile = linking.merge(run, profile, other, identifier, why)
    else:
        linking.give(run, profile, identifier, why)
    linking.heat(run, profile, identifier)
    linking.heat(run, profile, why.first)
    return profile


def forbids(
    run: Run, profile: Profile, more: Mapping[str, int], *, via: str, other: Profile | None = None
) -> str | None:
    """The rule that keeps these identifiers (→ first seen) out of the profile, which `via` would bring."""
    rulebook = run.rulebook
    assert rulebook is not None
    mine = profile.identifiers
    if linking.is_never(profile, more) or (other is not None and linking.is_never(other, mine)):
        return NEVER_LINK
    if namespace(via) in rulebook.soft and rulebook.is_hard(mine) and rulebook.is_hard(more):
        return SOFT_IDENTIFIER
    if len(mine) + len(more) > PROFILE_IDENTIFIERS_MAX:
        return MOST_IDENTIFIERS
    if not mine or not more:
        return None  # A part that is the whole breaks no rule anew.
    return rulebook.excess({**more, **mine}, (mine, more), run.now_ms)


def demote_the_lowest(run: Run, incoming: Incoming, rulebook: Rulebook) -> Profile:
    """Leave out the event's lowest identifiers until what is left may be one person; then it is."""
    if (at_home := linking.home_of(run, incoming)) is not None:
        return linking.take(run, at_home)
    usable = linking.without_hot(run, incoming)
    left, apart = part(run, incoming, usable, rulebook) if rulebook.unless else ([*usable], [])
    demoted: list[tuple[str, str]] = []
    while len(left) > 1 and (rule := _breaks(run, rulebook, left)) is not None:
        demoted.append((left.pop(), rule))
    why = Evidence(left[0], incoming.position)
    people = linking.owners(run, left)
    profile = linking.take(run, people[0]) if people else linking.create(run, incoming)
    for identifier in left:
        profile = linking.put_together(run, profile, identifier, why)
    for identifier, rule in reversed(demoted):
        if (owner := run.owners.get(identifier)) is not None:
            run.bonds.append((profile.id, owner))
        linking.keep_out(run, profile, identifier, why, rule)
    _keep_apart(run, profile, apart, why)
    linking.settle(run, profile, incoming, usable)
    return profile


def _breaks(run: Run, rulebook: Rulebook, left: Sequence[str]) -> str | None:
    """The rule that stands against all who have these identifiers being one person, with all of these."""
    people = linking.owners(run, left)
    whole: dict[str, int] = dict.fromkeys(left, run.now_ms)
    for person in people:
        whole |= person.identifiers
    if any(linking.is_never(person, whole) for person in people):
        return NEVER_LINK
    if len(whole) > PROFILE_IDENTIFIERS_MAX:
        return MOST_IDENTIFIERS
    hard = [each for each in left if namespace(each) not in rulebook.soft]
    reached = {person.id for person in linking.owners(run, hard)}
    by_soft_alone = sum(person.id not in reached and rulebook.is_hard(person.identifiers) for person in people)
    if by_soft_alone + bool(hard) > 1:
        return SOFT_IDENTIFIER
    return rulebook.excess(whole, [person.identifiers for person in people], run.now_ms)
