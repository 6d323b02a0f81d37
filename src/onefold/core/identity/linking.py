"""Linking: what can be done to a profile and an identifier. Whether it is to be done, a policy says."""

from collections.abc import Callable, Collection, Iterable, Sequence
from typing import NamedTuple

from onefold.core.batch import Incoming
from onefold.core.identity import parting
from onefold.core.identity.merge import absorb
from onefold.core.identity.notes import HOT_MEMBERS
from onefold.core.identity.rulebook import namespace
from onefold.core.identity.rules import MOST_IDENTIFIERS
from onefold.core.renew import bring_to_present
from onefold.core.run import Run
from onefold.language.stream.program import IDENTITY
from onefold.limits import LINKS_MAX, SEEN_MAX
from onefold.model.effect import Created, Hot, LinkRefused, Moved
from onefold.model.position import profile_id
from onefold.model.profile import Link, Profile

SHARED_EVENT = "shared_event"
HOT_IDENTIFIER = "hot_identifier"


class Evidence(NamedTuple):
    """Why identifiers are one person: they share this event (or whatever the rule says) with `first`."""

    first: str
    position: int
    rule: str = SHARED_EVENT


def evidence(incoming: Incoming) -> Evidence:
    """What an event says by its identifiers."""
    return Evidence(incoming.who.identifiers[0], incoming.position)


def take(run: Run, profile: Profile) -> Profile:
    """A profile of the view, brought to the present."""
    if profile.id not in run.touched:
        run.touch(profile)
    if profile.due_ms <= run.now_ms:
        bring_to_present(run, profile)
    return profile


def own_profile(
    run: Run, incoming: Incoming, found: Sequence[str], may: Callable[[Profile, str], bool]
) -> tuple[Profile, str]:
    """The profile of the first identifier; if nobody has it, of the first other that may be its; or a new one.

    With it the identifier by which it was found. `may`: whether this person, found by that identifier, may have those
    that nobody has.
    """
    first = run.owners.get(found[0])
    if first is not None:
        return take(run, run.profiles[first]), found[0]
    for identifier in found[1:]:
        owner = run.owners.get(identifier)
        if owner is not None and may(run.profiles[owner], identifier):
            return take(run, run.profiles[owner]), identifier
    return create(run, incoming), found[0]


def create(run: Run, incoming: Incoming) -> Profile:
    """A new profile, which the event at hand is the first of."""
    now_ms, program = run.now_ms, run.program
    profile = run.new_profile(
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


def home_of(run: Run, incoming: Incoming) -> Profile | None:
    """The profile that has every identifier of the event; None: there is none."""
    who = incoming.who
    profile = run.profiles.get(who.owner)
    if profile is None or not who.settle(profile):  # Nobody has looked, or what was seen then has moved since.
        profile = run.profiles.get(run.owners.get(who.identifiers[0], 0))
        if profile is None or not who.settle(profile):
            return None
    for each in who.identifiers:  # Found by a hint, they have not been looked up.
        run.owners[each] = profile.id
    return profile


def owners(run: Run, identifiers: Iterable[str]) -> list[Profile]:
    """Those who have these identifiers, each once, in that order."""
    numbers = dict.fromkeys(run.owners[each] for each in identifiers if each in run.owners)
    return [run.profiles[number] for number in numbers]


def without_hot(run: Run, incoming: Incoming) -> list[str]:
    """The event's identifiers but for those that join nobody any more; the first, where there are no others."""
    found = incoming.who.identifiers
    return [each for each in found if not is_hot(run, each)] or [found[0]]


def settle(run: Run, profile: Profile, incoming: Incoming, used: Collection[str]) -> None:
    """The event is this profile's; what was not used of its identifiers has been seen with it."""
    for identifier in incoming.who.identifiers:
        if identifier not in used and identifier not in profile.identifiers:
            see(run, profile, identifier)
    incoming.who.settle(profile)


def is_never(profile: Profile, identifiers: Collection[str]) -> bool:
    """Whether somebody has said that one of these is not this person's."""
    return profile.notes is not None and any(each in identifiers for each in profile.notes.never)


def give(run: Run, profile: Profile, identifier: str, why: Evidence) -> None:
    """An identifier that nobody has."""
    profile.give(identifier, run.now_ms)
    if profile.notes is not None:
        profile.notes.seen.pop(identifier, None)
    run.owners[identifier] = run.moved[identifier] = profile.id
    keep_evidence(run, profile, identifier, why)
    _judge_identity(run, profile)


def _judge_identity(run: Run, profile: Profile) -> None:
    if profile.events and IDENTITY in run.program.dependents:
        run.judge(profile, (IDENTITY,), "event")


def merge(run: Run, profile: Profile, other: Profile, identifier: str, why: Evidence) -> Profile:
    """Both are one person, for the first identifier and this one are; returns who survives."""
    merged = absorb(run, profile, take(run, other), (why.first, identifier, why.rule))
    keep_evidence(run, merged, identifier, why)
    return merged


def keep_evidence(run: Run, profile: Profile, identifier: str, why: Evidence) -> None:
    """Keep what shows that the first identifier and this one are one person."""
    first = why.first
    if identifier != first and first in profile.identifiers and len(profile.links) < LINKS_MAX:
        profile.links.append(Link(first, identifier, run.partition, why.position, why.rule, run.now_ms))


def refuse(run: Run, profile: Profile, identifier: str, why: Evidence, rule: str) -> None:
    """A rule keeps this identifier from the event's person, `profile`."""
    run.refused.append((profile.id, rule))
    if rule == MOST_IDENTIFIERS:
        profile.noted().full[rule] = run.now_ms
    run.effects.append(LinkRefused(profile.id, run.position, run.number(), run.now_ms, why.first, identifier, rule))


def put_together(run: Run, profile: Profile, identifier: str, why: Evidence) -> Profile:
    """Give the profile an identifier, with all that whoever has it has; returns who survives. Nothing forbids it."""
    owner = run.owners.get(identifier)
    if owner == profile.id:
        return profile
    if owner is None:
        give(run, profile, identifier, why)
    else:
        run.bonds.append((profile.id, owner))
        profile = merge(run, profile, run.profiles[owner], identifier, why)
    heat(run, profile, identifier)
    heat(run, profile, why.first)
    return profile


def keep_out(run: Run, profile: Profile, identifier: str, why: Evidence, rule: str) -> None:
    """The same where rules are the workspace's own: told once of each identifier, and remembered.

    Whoever has it, and the profile, are bound already (`Run.bonds`).
    """
    if identifier in profile.identifiers:
        return
    notes = profile.noted()
    notes.full[rule] = run.now_ms
    new = identifier not in notes.seen
    see(run, profile, identifier)
    if not new:
        return
    refuse(run, profile, identifier, why, rule)
    owner = run.owners.get(identifier)
    if owner is not None and owner != profile.id:
        other = take(run, run.profiles[owner])
        met = other.noted().met
        met[identifier] = met.get(identifier, 0) + 1
        heat(run, other, identifier)


def see(run: Run, profile: Profile, identifier: str) -> None:
    """The identifier comes with this person's events, and leads elsewhere; the latest `SEEN_MAX` are remembered."""
    seen = profile.noted().seen
    seen[identifier] = run.now_ms
    if len(seen) > SEEN_MAX:
        del seen[min(seen, key=lambda each: (seen[each], each))]


def move(run: Run, identifier: str, former: Profile, profile: Profile, why: Evidence) -> None:
    """From now on the identifier leads to `profile` and no longer to `former`, which keeps its past."""
    take(run, former)
    run.bonds.append((profile.id, former.id))
    for each in former.identifiers:  # Whoever was found by a hint alone is now to be found by each of these.
        run.owners[each] = former.id
    del former.identifiers[identifier]
    see(run, former, identifier)
    former.noted().former.pop(identifier, None)
    parting.hand_over(former, profile, identifier)
    profile.give(identifier, run.now_ms)
    if profile.notes is not None:
        profile.notes.seen.pop(identifier, None)
    run.owners[identifier] = run.moved[identifier] = profile.id
    run.effects.append(Moved(profile.id, run.position, run.number(), run.now_ms, former.id, identifier, why.rule))
    keep_evidence(run, profile, identifier, why)
    _judge_identity(run, former)
    _judge_identity(run, profile)


def heat(run: Run, owner: Profile, identifier: str) -> None:
    """Where the identifier, which leads to `owner`, has met too many others, it joins nobody any more.

    It has met those that links tie it to, and the people who have seen it without having it. An identifier of which a
    person has just one says who somebody is, and is never hot.
    """
    assert run.rulebook is not None
    most, notes = run.rulebook.identity.hot, owner.notes
    met = 0 if notes is None else notes.met.get(identifier, 0)
    if not most or met + len(owner.links) < most:
        return
    limit = run.rulebook.limit_of(namespace(identifier))
    if limit is not None and limit.is_unique:
        return
    met += sum(identifier in (link.a, link.b) for link in owner.links)
    if met < most or (notes is not None and identifier in notes.hot):
        return
    owner.noted().hot[identifier] = run.now_ms
    run.members[HOT_MEMBERS][owner.id] = run.now_ms
    run.effects.append(Hot(owner.id, run.position, run.number(), run.now_ms, identifier, met))


def is_hot(run: Run, identifier: str) -> bool:
    """Whether this identifier joins nobody any more."""
    owner = run.profiles.get(run.owners.get(identifier, 0))
    return owner is not None and owner.notes is not None and identifier in owner.notes.hot
