"""The policies by which nobody merges: mParticle's strategies. The event's best identifier says whose it is.

Identifiers are looked at in the order of priority until one profile is left. Where there are logins, whoever has one is
known, and is found only by an event that has one of theirs. What becomes of others' identifiers:

| policy | a login that nobody has | what an anonymous visitor had, once a known person's event has it |
|---|---|---|
| default, profile conversion | becomes that of the anonymous visitor | leads to the known person |
| link | makes a new profile | leads to the known person |
| profile isolation | makes a new profile | goes on leading to the anonymous visitor |
| best match | there are no logins | leads to whom the best identifier found |

(https://docs.mparticle.com/guides/idsync/profile-conversion-strategy and its neighbours.) A value leads to one profile
at a time; others that had it go on showing it.
"""

from collections.abc import Sequence

from onefold.core.batch import Incoming
from onefold.core.identity import linking
from onefold.core.identity.linking import Evidence
from onefold.core.identity.rulebook import Rulebook, namespace
from onefold.core.identity.rules import LOGIN, MOST_IDENTIFIERS, NEVER_LINK
from onefold.core.run import Run
from onefold.limits import PROFILE_IDENTIFIERS_MAX
from onefold.model.profile import Profile

_NEW_LOGINS_MAKE_PROFILES = ("mparticle-link", "mparticle-profile-isolation")


def match_the_best(run: Run, incoming: Incoming, rulebook: Rulebook) -> Profile:
    """The profile that the event's identifiers name best, with those that may lead to it."""
    found = incoming.who.identifiers
    logins = rulebook.logins(found)
    at_home = linking.home_of(run, incoming)
    if at_home is not None and (logins or not is_known(at_home, rulebook)):
        return linking.take(run, at_home)
    people = linking.owners(run, found)
    best = _best(_candidates(people, logins, rulebook), found)
    profile = linking.create(run, incoming) if best is None else linking.take(run, best)
    for person in people:
        run.bonds.append((profile.id, person.id))
    why = Evidence(found[0], incoming.position, LOGIN)
    for identifier in found:
        _attach(run, profile, identifier, why)
    incoming.who.settle(profile)
    return profile


def is_known(profile: Profile, rulebook: Rulebook) -> bool:
    """Whether the person has ever logged in."""
    return bool(rulebook.login) and any(namespace(each) in rulebook.login for each in profile.identifiers)


def _candidates(people: list[Profile], logins: list[str], rulebook: Rulebook) -> list[Profile]:
    """Those of whom the event may be."""
    if not logins:
        return [person for person in people if not is_known(person, rulebook)]
    known = [person for person in people if any(each in person.identifiers for each in logins)]
    if known or rulebook.policy in _NEW_LOGINS_MAKE_PROFILES:
        return known
    return [person for person in people if not is_known(person, rulebook)]


def _best(people: list[Profile], found: Sequence[str]) -> Profile | None:
    """Whom the identifiers name, looked at by priority until one is left; of several the oldest."""
    for identifier in found:
        if len(people) < 2:
            break
        people = [person for person in people if _shows(person, identifier)] or people
    return min(people, key=lambda each: (each.created_at_ms, each.id), default=None)


def _shows(profile: Profile, identifier: str) -> bool:
    return identifier in profile.identifiers or (profile.notes is not None and identifier in profile.notes.seen)


def _attach(run: Run, profile: Profile, identifier: str, why: Evidence) -> None:
    """Let the identifier lead to the profile, unless it is to go on leading to an anonymous visitor."""
    owner = run.owners.get(identifier)
    rulebook = run.rulebook
    assert rulebook is not None
    if owner == profile.id:
        return
    if len(profile.identifiers) >= PROFILE_IDENTIFIERS_MAX:
        linking.keep_out(run, profile, identifier, why, MOST_IDENTIFIERS)
    elif linking.is_never(profile, (identifier,)):
        linking.keep_out(run, profile, identifier, why, NEVER_LINK)
    elif owner is None:
        linking.give(run, profile, identifier, why._replace(rule=linking.SHARED_EVENT))
    elif _stays(run.profiles[owner], profile, identifier, rulebook):
        linking.see(run, profile, identifier)
    else:
        linking.move(run, identifier, run.profiles[owner], profile, why)


def _stays(owner: Profile, profile: Profile, identifier: str, rulebook: Rulebook) -> bool:
    """Whether an anonymous visitor keeps an identifier that a known person comes with."""
    if rulebook.policy != "mparticle-profile-isolation" or namespace(identifier) in rulebook.login:
        return False
    return is_known(profile, rulebook) and not is_known(owner, rulebook)
