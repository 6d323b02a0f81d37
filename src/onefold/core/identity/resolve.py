"""Resolve: from the identifiers of an event to the one profile of its person.

Unknown identifiers make a new profile; known ones of one profile find it; known ones of several merge them, unless
that would put two user ids into one profile. Then the event goes to its own user, and the refused link is an
effect. The tie rule: an identifier stays with the person who had it first in the log.

That is what holds where a workspace says nothing of identity. Where it does, its policy resolves
(`core.identity.policies`).
"""

from collections.abc import Collection, Iterable, Sequence

from onefold.core.batch import Incoming
from onefold.core.identity import linking, parting
from onefold.core.identity.linking import Evidence, is_never
from onefold.core.identity.policies import POLICIES
from onefold.core.identity.rules import MOST_IDENTIFIERS, NEVER_LINK, ONE_USER_ID, UNIQUE_NAMESPACE
from onefold.core.run import Run
from onefold.limits import PROFILE_IDENTIFIERS_MAX
from onefold.model.profile import Profile

_UNIQUE_PREFIX = UNIQUE_NAMESPACE + ":"


def resolve(run: Run, incoming: Incoming) -> Profile:
    """The profile that the event belongs to, with every identifier that may be linked."""
    profile = run.profiles.get(incoming.who.owner)
    out: Sequence[str] = ()
    if profile is None and len(incoming.who.identifiers) > 1:
        incoming, out = parting.without(run, incoming)
    if run.rulebook is not None:
        profile = POLICIES[run.rulebook.policy](run, incoming, run.rulebook)
    else:
        profile = _link(run, incoming) if profile is None else linking.take(run, profile)
    for identifier in out:
        if identifier not in profile.identifiers:
            linking.refuse(run, profile, identifier, linking.evidence(incoming), parting.UNMERGED)
    return profile


def _link(run: Run, incoming: Incoming) -> Profile:
    """Find the profile by the identifiers one by one, and give it those that it may have."""
    who, why = incoming.who, linking.evidence(incoming)
    found = who.identifiers
    if run.owners.keys().isdisjoint(found) and len(user_ids(found)) <= 1:
        profile = linking.create(run, incoming)
        for identifier in found:
            linking.give(run, profile, identifier, why)
        who.settle(profile)
        return profile
    unique = user_ids(identifier for identifier in found if identifier not in run.owners)
    profile, via = linking.own_profile(run, incoming, found, lambda person, _: _may_join(person, unique))
    for identifier in found:
        profile = _join(run, profile, identifier, why)
        if identifier == found[0] and via != identifier:
            linking.keep_evidence(run, profile, via, why)
    who.settle(profile)
    return profile


def _join(run: Run, profile: Profile, identifier: str, why: Evidence) -> Profile:
    """Give an identifier to the profile, merging with the profile that has it."""
    owner = run.owners.get(identifier)
    if owner == profile.id:
        return profile
    other = None if owner is None else run.profiles[owner]
    if other is not None:
        run.bonds.append((profile.id, other.id))
    more = {identifier} if other is None else other.identifiers
    rule = forbids(profile, more)
    if rule is None and (is_never(profile, more) or (other is not None and is_never(other, profile.identifiers))):
        rule = NEVER_LINK
    if rule is not None:
        linking.refuse(run, profile, identifier, why, rule)
        return profile
    if other is not None:
        return linking.merge(run, profile, other, identifier, why)
    linking.give(run, profile, identifier, why)
    return profile


def user_ids(identifiers: Iterable[str]) -> set[str]:
    """Those of the namespace of which a person has one."""
    return {identifier for identifier in identifiers if identifier.startswith(_UNIQUE_PREFIX)}


def _may_join(profile: Profile, unique: set[str]) -> bool:
    return not unique or len(unique | user_ids(profile.identifiers)) <= 1


def forbids(profile: Profile, more: Collection[str]) -> str | None:
    """The rule that keeps these identifiers out of the profile."""
    if not _may_join(profile, user_ids(more)):
        return ONE_USER_ID
    return MOST_IDENTIFIERS if len(profile.identifiers) + len(more) > PROFILE_IDENTIFIERS_MAX else None
