"""The policy by which the newest link wins: Adobe's identity graph linking rules.

Identifiers that share an event are linked to the one of highest priority, and each link knows when it was last seen. As
long as nobody would have two values of a unique type, whoever shares an identifier is one person. Else the links of
all who are concerned are laid down again: first those of the latest event, then the others by the sum of their types'
priorities, and where that is equal the newest first. A link that would give somebody two such values is dropped.
Whoever has the identifier of highest priority keeps the profile.
(https://experienceleague.adobe.com/en/docs/experience-platform/identity/features/identity-graph-linking-rules/identity-optimization-algorithm)

An identifier that has lost all of its links goes on leading to whom it led to, as a former one, until somebody else's
event has it. Events stay with whom they were when they came: only what comes after goes elsewhere.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from onefold.core.batch import Incoming
from onefold.core.identity import linking
from onefold.core.identity.linking import Evidence
from onefold.core.identity.rulebook import Rulebook, namespace
from onefold.core.identity.rules import MOST_IDENTIFIERS, NEWEST_LINK
from onefold.core.run import Run
from onefold.limits import LINKS_MAX, PROFILE_IDENTIFIERS_MAX
from onefold.model.profile import Profile


class Tie(NamedTuple):
    """Two identifiers shared an event last at this time; `a` is of higher priority."""

    at_ms: int
    a: str
    b: str
    new: bool = False
    """By the event at hand: of events of the same time it is the latest."""


def let_the_newest_win(run: Run, incoming: Incoming, rulebook: Rulebook) -> Profile:
    """The person of the event's first identifier, once the newest links are laid down."""
    found = incoming.who.identifiers
    at_home = linking.home_of(run, incoming)
    if at_home is not None and (len(found) == 1 or not any(_is_former(at_home, each) for each in found)):
        profile = linking.take(run, at_home)
        _tie(profile, found, incoming.at_ms)
        return profile
    people = _people(run, found)
    whole = {each for person in people for each in active(person)} | set(found)
    why = Evidence(found[0], incoming.position, linking.SHARED_EVENT)
    for person in people:
        run.bonds.append((people[0].id, person.id))
    if len(whole) > PROFILE_IDENTIFIERS_MAX:
        profile = _as_far_as_there_is_room(run, incoming, people, why)
    elif not clashes(whole, rulebook) and not any(linking.is_never(person, whole) for person in people):
        profile = linking.take(run, people[0]) if people else linking.create(run, incoming)
        for identifier in found:
            profile = _claim(run, profile, identifier, why)
        _tie(profile, found, incoming.at_ms)
    else:
        profile = _lay_down_again(run, incoming, rulebook, people)
    incoming.who.settle(profile)
    return profile


def active(profile: Profile) -> list[str]:
    """The identifiers that count as the person's."""
    former = () if profile.notes is None else profile.notes.former
    return [each for each in profile.identifiers if each not in former]


def clashes(identifiers: Iterable[str], rulebook: Rulebook) -> bool:
    """Whether they hold two values of a unique type."""
    kinds = [kind for each in identifiers if (kind := namespace(each)) in rulebook.unique]
    return len(kinds) != len(set(kinds))


def _is_former(profile: Profile, identifier: str) -> bool:
    return profile.notes is not None and identifier in profile.notes.former


def _people(run: Run, found: Sequence[str]) -> list[Profile]:
    """Those whose the event's identifiers are, but for those that only were."""
    return [
        person
        for person in linking.owners(run, found)
        if any(each in person.identifiers and not _is_former(person, each) for each in found)
    ]


def _claim(run: Run, profile: Profile, identifier: str, why: Evidence) -> Profile:
    """The identifier is this person's, with whoever has it; returns who survives."""
    owner = run.owners.get(identifier)
    if owner is not None and _is_former(run.profiles[owner], identifier):
        if owner == profile.id:
            del profile.noted().former[identifier]
        else:
            linking.move(run, identifier, run.profiles[owner], profile, why._replace(rule=NEWEST_LINK))
        return profile
    return linking.put_together(run, profile, identifier, why)


def _as_far_as_there_is_room(run: Run, incoming: Incoming, people: list[Profile], why: Evidence) -> Profile:
    """Nobody takes more identifiers than a profile holds: the event goes to the first it is of."""
    profile = linking.take(run, people[0]) if people else linking.create(run, incoming)
    for identifier in incoming.who.identifiers:
        if run.owners.get(identifier) != profile.id:
            linking.keep_out(run, profile, identifier, why, MOST_IDENTIFIERS)
    return profile


def _tie(profile: Profile, found: Sequence[str], at_ms: int) -> None:
    """Note that these shared an event."""
    if len(found) == 1:
        return
    ties = profile.noted().ties
    ends = ties.setdefault(found[0], {})
    for each in found[1:]:
        if each in ends or sum(map(len, ties.values())) < LINKS_MAX:
            ends[each] = max(ends.get(each, 0), at_ms)


# --- laying the links down again -----------------------------------------------------------------------------


def settled(ties: Iterable[Tie], identifiers: Iterable[str], rulebook: Rulebook) -> tuple[dict[str, str], list[Tie]]:
    """Identifier → the one that stands for its person, and the links that are kept.

    Cost: near linear in the links, once they are sorted.
    """
    leader = {each: each for each in identifiers}
    unique = {each: {namespace(each)} & rulebook.unique for each in leader}
    kept: list[Tie] = []

    def find(one: str) -> str:
        while leader[one] != one:
            leader[one] = one = leader[leader[one]]
        return one

    for tie in _in_order(list(ties), rulebook):
        a, b = find(tie.a), find(tie.b)
        if a != b:
            if unique[a] & unique[b]:
                continue
            leader[b] = a
            unique[a] |= unique[b]
        kept.append(tie)
    return {each: find(each) for each in leader}, kept


def _in_order(ties: list[Tie], rulebook: Rulebook) -> list[Tie]:
    latest = max((tie.at_ms, tie.new) for tie in ties)

    def place(tie: Tie) -> tuple[bool, int, int, str, str]:
        layer = rulebook.rank_of(tie.a) + rulebook.rank_of(tie.b)
        return (tie.at_ms, tie.new) != latest, layer, -tie.at_ms, tie.a, tie.b

    return sorted(ties, key=place)


def _lay_down_again(run: Run, incoming: Incoming, rulebook: Rulebook, people: list[Profile]) -> Profile:
    found = incoming.who.identifiers
    for person in people:
        linking.take(run, person)
        for each in person.identifiers:  # The view knows of those alone that events have.
            run.owners[each] = person.id
    ties = [tie for person in people for tie in _ties_of(person)]
    ties += [Tie(incoming.at_ms, found[0], each, new=True) for each in found[1:]]
    identifiers = dict.fromkeys([*found, *(each for person in people for each in active(person))])
    ties = [tie for tie in ties if tie.a in identifiers and tie.b in identifiers]  # Others' ends have gone elsewhere.
    of, kept = settled(_newest(ties), identifiers, rulebook)
    owners = _owners_of(people, of, rulebook)
    mine = owners.get(of[found[0]])
    if mine is None:
        mine = owners[of[found[0]]] = linking.create(run, incoming)
    why = Evidence(found[0], incoming.position, NEWEST_LINK)
    for identifier in identifiers:
        owner = owners.get(of[identifier])
        if owner is None and identifier not in run.owners:
            linking.keep_out(run, mine, identifier, why, NEWEST_LINK)  # The event has two values of a unique type.
        else:
            _settle(run, identifier, owner, why)
    for person in (*people, mine):
        person.noted().ties = {}
    for tie in kept:
        owner = run.profiles[run.owners[tie.a]]
        owner.noted().ties.setdefault(tie.a, {})[tie.b] = tie.at_ms
    return mine


def _ties_of(person: Profile) -> Iterator[Tie]:
    """What ties a person's identifiers together: also what has done so under other rules, or by somebody's word."""
    here = set(active(person))
    for link in person.links:
        if link.a in here and link.b in here:
            yield Tie(link.at_ms, link.a, link.b)
    for a, ends in person.noted().ties.items():
        yield from (Tie(at_ms, a, b) for b, at_ms in ends.items())


def _newest(ties: Iterable[Tie]) -> list[Tie]:
    """Each pair once, as it was seen last."""
    return list({(tie.a, tie.b): tie for tie in sorted(ties, key=lambda t: (t.at_ms, t.new))}.values())


def _owners_of(people: Iterable[Profile], of: dict[str, str], rulebook: Rulebook) -> dict[str, Profile]:
    """Group → whose profile it is: whoever had its identifier of highest priority, and has it still, is this group's.

    Of several the oldest.
    """
    owners: dict[str, Profile] = {}
    for person in sorted(people, key=lambda each: (each.created_at_ms, each.id)):
        since = person.identifiers
        first = min(active(person), key=lambda each: (rulebook.rank_of(each), since[each], each))
        owners.setdefault(of[first], person)
    return owners


def _settle(run: Run, identifier: str, owner: Profile | None, why: Evidence) -> None:
    """Let the identifier lead to its person; one that is nobody's any more stays where it is, as a former one."""
    holder = run.owners.get(identifier)
    if owner is None:
        assert holder is not None, "what nobody has, and nothing ties to anybody, was kept out"
        run.profiles[holder].noted().former.setdefault(identifier, run.now_ms)
    elif holder is None:
        linking.give(run, owner, identifier, why._replace(rule=linking.SHARED_EVENT))
    elif holder != owner.id:
        linking.move(run, identifier, run.profiles[holder], owner, why)
    else:
        owner.noted().former.pop(identifier, None)
