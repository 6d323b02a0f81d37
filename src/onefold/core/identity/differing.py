"""Differing: what people share who are known to be two joins nobody.

A household has one landline, a couple one address of mail, a family one tablet. Where a type of identifier says
`unless`, it does not join an event to somebody who is called otherwise, or born on another day, than the event says, or
than the person whom its other identifiers lead to. What is not known tells nobody apart. But a value that was kept from
somebody once is known to be several people's, as is an address of mail that says another's name. Where the type says
`shared`, too, such a value joins only who is shown to be the one who has it: by name, birthday, or another identifier.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from onefold.core.batch import Incoming
from onefold.core.identity.rulebook import Rulebook, namespace
from onefold.core.identity.rules import OTHER_PERSON, SHARED
from onefold.core.run import NOTHING, Run
from onefold.matching.comparing import agree, differ, is_anothers
from onefold.matching.record import NOTHING_KNOWN, Known, known_by
from onefold.model.event import Excerpt
from onefold.model.identity import Difference
from onefold.model.profile import Profile


class Parted(NamedTuple):
    """An event's identifiers, by whether they may join it to whom they lead to."""

    left: list[str]
    """At least one of them."""
    out: list[tuple[str, str]]
    """The others, each with the rule that keeps it out."""


def part(run: Run, incoming: Incoming, found: list[str], rulebook: Rulebook) -> Parted:
    """Part the event's identifiers; everybody whom they lead to is bound to the others (`Run.bonds`)."""
    people = {each: run.profiles[run.owners[each]] for each in found if each in run.owners}
    nobodys = [each for each in found if each in run.shared and each not in people] if run.shared else []
    if len(found) == 1 or not (nobodys or any(namespace(each) in rulebook.unless for each in people)):
        return Parted([*found], [])
    told = told_by(incoming.event)
    known = {person.id: known_of(person) for person in people.values()}
    run.bonds += [(one, other) for one in known for other in known if one != other]
    its = _whose(found, people, known, told)
    out = []
    for identifier, person in people.items():
        by = rulebook.unless.get(namespace(identifier), ())
        rule = _rule(by, told, known[person.id])
        if rule is None and its is not None and person.id != its:
            rule = _rule(by, known[its], known[person.id])
        if rule is not None:
            out.append((identifier, rule))
    names = {identifier for identifier, _ in out}
    several = [
        each for each, person in people.items() if each not in names and _is_shared(run, person, each, known[person.id])
    ]
    if several:
        by_others = {person.id for each, person in people.items() if each not in names and each not in several}
        shown = _shown(by_others, known, told)
        out += [(each, SHARED) for each in several if people[each].id not in shown]
    if nobodys and not (told.given or told.born or any(namespace(each) in rulebook.unique for each in found)):
        out += [(each, SHARED) for each in nobodys]
    names = {identifier for identifier, _ in out}
    left = [each for each in found if each not in names]
    return Parted(left, out) if left else Parted(found[:1], out[1:])


def tells_apart(rulebook: Rulebook, one: Profile, other: Profile) -> str | None:
    """The rule by which two are told apart, by whatever any type asks; None: by nothing, or no type asks."""
    asked = {each for by in rulebook.unless.values() for each in by}
    return _rule([*asked], known_of(one), known_of(other)) if asked else None


def _is_shared(run: Run, person: Profile, identifier: str, known: Known) -> bool:
    """Whether it was kept from somebody who came with it, or says another's name; where its type asks for that."""
    assert run.rulebook is not None
    if SHARED not in run.rulebook.unless.get(namespace(identifier), ()):
        return False
    if identifier in run.shared or (person.notes is not None and identifier in person.notes.met):
        return True
    return identifier.startswith(_EMAIL) and is_anothers(identifier.removeprefix(_EMAIL), known)


_EMAIL = "email:"


def shared_by(people: Iterable[Profile], rulebook: Rulebook | None) -> frozenset[str]:
    """Identifiers of these people that are several's, of types that ask for that."""
    kinds = set() if rulebook is None else {kind for kind, by in rulebook.unless.items() if SHARED in by}
    if not kinds:
        return NOTHING
    found = [name for person in people if person.notes is not None for name in person.notes.met]
    if "email" in kinds:
        found += [name for person in people for name in _of_others(person)]
    return frozenset(name for name in found if namespace(name) in kinds)


def _of_others(person: Profile) -> Iterator[str]:
    """The person's addresses of mail that say another's name."""
    emails = [name for name in person.identifiers if name.startswith(_EMAIL)]
    if emails and person.declared:
        known = known_of(person)
        yield from (name for name in emails if is_anothers(name.removeprefix(_EMAIL), known))


def _shown(by_others: set[int], known: Mapping[int, Known], told: Known) -> set[int]:
    """Who is shown to be the event's person: by its other identifiers, by its words, or by what is known of those."""
    speak = [told, *(known[one] for one in by_others)]
    return by_others | {one for one in known if any(agree(each, known[one]) for each in speak)}


def told_by(event: Excerpt) -> Known:
    """Who somebody is by the event's own words."""
    traits = said_by(event)
    return known_by(traits) if traits else NOTHING_KNOWN


def said_by(event: Excerpt) -> dict[str, Any] | None:
    """What an identify says of the person; None: it is none, or says nothing."""
    if event.type != "identify":
        return None
    context = event.context
    if context is not None and type(context.traits) is dict:
        return {**context.traits, **(event.traits or {})}
    return event.traits


def known_of(profile: Profile) -> Known:
    """Who somebody is by what their events have said."""
    return known_by({name: declared.value for name, declared in profile.declared.items()})


def _whose(found: Sequence[str], people: Mapping[str, Profile], known: Mapping[int, Known], told: Known) -> int | None:
    """Whose event it seems to be: who shows most of its identifiers, of those who are not told apart from it.

    Of several whoever has the first. None: all are.
    """
    best: tuple[int, int] | None = None
    for person in dict.fromkeys(each.id for each in people.values()):
        if any(differ(told, known[person])):
            continue
        profile = next(each for each in people.values() if each.id == person)
        shown = sum(_shows(profile, each) for each in found)
        if best is None or shown > best[0]:
            best = shown, person
    return None if best is None else best[1]


def _shows(profile: Profile, identifier: str) -> bool:
    return identifier in profile.identifiers or (profile.notes is not None and identifier in profile.notes.seen)


def _rule(by: Sequence[Difference], one: Known, other: Known) -> str | None:
    """The rule that tells them apart, by what this type asks."""
    if not by:
        return None
    name, birthday = differ(one, other)
    if name and "name" in by:
        return OTHER_PERSON["name"]
    return OTHER_PERSON["birthday"] if birthday and "birthday" in by else None
