"""Resolve: from the identifiers of an event to the one profile of its person.

Unknown identifiers make a new profile; known ones of one profile find it; known ones of several merge them, unless
that would put two user ids into one profile. Then the event goes to its own user, and the refused link is an
effect. The tie rule: an identifier stays with the person who had it first in the log.
"""

from collections.abc import Collection, Iterable

from onefold.core.batch import Incoming
from onefold.core.merge import absorb
from onefold.core.renew import bring_to_present
from onefold.core.rules import MOST_IDENTIFIERS, ONE_USER_ID, UNIQUE_NAMESPACE
from onefold.core.run import Run
from onefold.language.stream.program import IDENTITY
from onefold.limits import LINKS_MAX, PROFILE_IDENTIFIERS_MAX
from onefold.model.effect import Created, LinkRefused
from onefold.model.position import profile_id
from onefold.model.profile import Link, Profile

_UNIQUE_PREFIX = UNIQUE_NAMESPACE + ":"


def resolve(run: Run, incoming: Incoming) -> Profile:
    """The profile that the event belongs to, with every identifier that may be linked."""
    profile = run.profiles.get(incoming.who.owner)
    return _link(run, incoming) if profile is None else _take(run, profile)


def _link(run: Run, incoming: Incoming) -> Profile:
    """Find the profile by the identifiers one by one, and give it those that it may have."""
    who = incoming.who
    found = who.identifiers
    if run.owners.keys().isdisjoint(found) and len(user_ids(found)) <= 1:
        profile = _create(run, incoming)
        for identifier in found:
            _give(run, profile, identifier, incoming)
        who.settle(profile)
        return profile
    profile, via = _own_profile(run, incoming)
    for identifier in found:
        profile = _join(run, profile, identifier, incoming)
        if identifier == found[0] and via != identifier:
            _keep_evidence(run, profile, via, incoming)
    who.settle(profile)
    return profile


def _own_profile(run: Run, incoming: Incoming) -> tuple[Profile, str]:
    """The profile of the first identifier; if nobody has it, of the first other that may be its; or a new one.

    With it the identifier by which it was found.
    """
    found = incoming.who.identifiers
    first = run.owners.get(found[0])
    if first is not None:
        return _take(run, run.profiles[first]), found[0]
    unique = user_ids(identifier for identifier in found if identifier not in run.owners)
    for identifier in found[1:]:
        owner = run.owners.get(identifier)
        if owner is not None and _may_join(run.profiles[owner], unique):
            return _take(run, run.profiles[owner]), identifier
    return _create(run, incoming), found[0]


def _take(run: Run, profile: Profile) -> Profile:
    """A profile of the view, brought to the present."""
    if profile.id not in run.touched:
        run.touch(profile)
    if profile.due_ms <= run.now_ms:
        bring_to_present(run, profile)
    return profile


def _create(run: Run, incoming: Incoming) -> Profile:
    now_ms, program = run.now_ms, run.program
    profile = Profile(
        id=profile_id(run.partition, incoming.position),
        created_at_ms=now_ms,
        first_seen_ms=incoming.at_ms,
        last_seen_ms=incoming.at_ms,
        now_ms=now_ms,
        version=program.version,
        computed=dict(program.blank_traits),
    )
    run.profiles[profile.id] = profile
    run.touch(profile)
    run.effects.append(Created(profile.id, incoming.position, run.number(), now_ms))
    if program.blank_audiences:
        profile.audiences = dict.fromkeys(program.blank_audiences, now_ms)
        run.moves = [(audience, True) for audience in program.blank_audiences]
        run.tell(profile, "event")
    return profile


def _join(run: Run, profile: Profile, identifier: str, incoming: Incoming) -> Profile:
    """Give an identifier to the profile, merging with the profile that has it."""
    owner = run.owners.get(identifier)
    if owner == profile.id:
        return profile
    if owner is None:
        if (rule := _forbids(profile, {identifier})) is not None:
            _refuse(run, profile, identifier, incoming, rule)
            return profile
        _give(run, profile, identifier, incoming)
        return profile
    run.bonds.append((profile.id, owner))
    other = run.profiles[owner]
    if (rule := _forbids(profile, other.identifiers)) is not None:
        _refuse(run, profile, identifier, incoming, rule)
        return profile
    merged = absorb(run, profile, _take(run, other), incoming.who.identifiers[0], identifier)
    _keep_evidence(run, merged, identifier, incoming)
    return merged


def _give(run: Run, profile: Profile, identifier: str, incoming: Incoming) -> None:
    """An identifier that nobody has."""
    profile.identifiers[identifier] = run.now_ms
    run.owners[identifier] = run.moved[identifier] = profile.id
    _keep_evidence(run, profile, identifier, incoming)
    if profile.events and IDENTITY in run.program.dependents:
        run.judge(profile, (IDENTITY,), "event")


def user_ids(identifiers: Iterable[str]) -> set[str]:
    """Those of the namespace of which a person has one."""
    return {identifier for identifier in identifiers if identifier.startswith(_UNIQUE_PREFIX)}


def _may_join(profile: Profile, unique: set[str]) -> bool:
    return not unique or len(unique | user_ids(profile.identifiers)) <= 1


def _forbids(profile: Profile, more: Collection[str]) -> str | None:
    """The rule that keeps these identifiers out of the profile."""
    if not _may_join(profile, user_ids(more)):
        return ONE_USER_ID
    return MOST_IDENTIFIERS if len(profile.identifiers) + len(more) > PROFILE_IDENTIFIERS_MAX else None


def _refuse(run: Run, profile: Profile, identifier: str, incoming: Incoming, rule: str) -> None:
    first = incoming.who.identifiers[0]
    run.effects.append(LinkRefused(profile.id, run.position, run.number(), run.now_ms, first, identifier, rule))


def _keep_evidence(run: Run, profile: Profile, identifier: str, incoming: Incoming) -> None:
    first = incoming.who.identifiers[0]
    if identifier != first and first in profile.identifiers and len(profile.links) < LINKS_MAX:
        profile.links.append(Link(first, identifier, run.partition, incoming.position, "shared_event", run.now_ms))
