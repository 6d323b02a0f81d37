"""Parting: what events say of identifiers whose link somebody has undone.

Of two identifiers that are `apart`, an event that has both says nothing: the one of lower priority is left out of it.
Other evidence may join them. An identifier that is `loose` joins nobody: it is left out of every event that has
others, and stays with whom the first event names that has it. Whoever has an identifier keeps this in their notes;
where people are folded anew, the run knows it before they have any (`Run.parted`).
"""

from collections.abc import Collection, Iterable, Mapping, Sequence

from onefold.core.batch import Incoming, as_of
from onefold.core.identity.identifiers import Who
from onefold.core.run import Parted, Run
from onefold.limits import WORDS_MAX
from onefold.model.profile import Known, Notes, Profile, Word

UNMERGED = "unmerged"
"""The rule by which an event's identifier is left out."""


def without(run: Run, incoming: Incoming) -> tuple[Incoming, Sequence[str]]:
    """The event with those of its identifiers that count, and the others; mostly just as it came."""
    found = incoming.who.identifiers
    if len(found) < 2 or (run.parted is None and not _is_noted(run, found)):
        return incoming, ()
    notes = _notes_of(run, found)
    left: list[str] = []
    out: list[str] = []
    for each in found:
        gone = _is_loose(run, notes, each) or any(_are_apart(run, notes, each, other) for other in left)
        (out if gone else left).append(each)
    if not left:
        left.append(out.pop(0))
    if not out:
        return incoming, ()
    people = [owner for each in found if (owner := run.owners.get(each)) is not None]
    run.bonds += [(people[0], other) for other in people[1:]]
    return as_of(incoming, Who(tuple(left))), out


def _is_noted(run: Run, found: Iterable[str]) -> bool:
    """Whether any of their owners has something undone: what every event is asked whose people are to be looked up."""
    owners, profiles = run.owners, run.profiles
    for each in found:
        owner = owners.get(each)
        if owner is not None and (notes := profiles[owner].notes) is not None and (notes.apart or notes.loose):
            return True
    return False


def _notes_of(run: Run, found: Iterable[str]) -> dict[str, Notes]:
    """Of these identifiers those whose owners have notes."""
    notes: dict[str, Notes] = {}
    for each in found:
        owner = run.owners.get(each)
        if owner is not None and (mine := run.profiles[owner].notes) is not None:
            notes[each] = mine
    return notes


def _is_loose(run: Run, notes: Mapping[str, Notes], each: str) -> bool:
    if each in notes and each in notes[each].loose:
        return True
    return run.parted is not None and each in run.parted.loose and each in run.owners


def _are_apart(run: Run, notes: Mapping[str, Notes], one: str, other: str) -> bool:
    if run.parted is not None and (one, other) in run.parted.pairs:
        return True
    return any(a in notes and b in notes[a].apart.get(a, ()) for a, b in ((one, other), (other, one)))


def parted_in(people: Iterable[Profile | Known]) -> Parted:
    """What these people's notes say was undone."""
    pairs: set[tuple[str, str]] = set()
    loose: set[str] = set()
    for profile in people:
        if profile.notes is not None:
            loose.update(profile.notes.loose)
            pairs.update(both for a, others in profile.notes.apart.items() for b in others for both in ((a, b), (b, a)))
    return Parted(frozenset(pairs), frozenset(loose))


def still_holds(word: Word, parted: Parted) -> bool:
    """Whether what somebody has said holds, though this was undone: a link may be undone, a `never` is not."""
    undone = (word.a, word.b) in parted.pairs or word.a in parted.loose or word.b in parted.loose
    return word.never or not undone


def note(people: Collection[Profile], parted: Parted) -> None:
    """Write into the notes of these people what was undone of their identifiers."""
    for a, b in sorted(parted.pairs):
        for profile in people:
            if a in profile.identifiers:
                others = profile.noted().apart.setdefault(a, [])
                if b not in others:
                    others.append(b)
    for each in sorted(parted.loose):
        for profile in people:
            if each in profile.identifiers and each not in profile.noted().loose:
                profile.noted().loose.append(each)


def forget(people: Iterable[Profile], a: str, b: str) -> None:
    """These two are no longer apart: somebody has said that they are one person's."""
    for profile in people:
        notes = profile.notes
        for one, other in ((a, b), (b, a)):
            if notes is not None and other in notes.apart.get(one, ()):
                notes.apart[one] = [each for each in notes.apart[one] if each != other]
                if not notes.apart[one]:
                    del notes.apart[one]


def hand_over(former: Profile, profile: Profile, identifier: str) -> None:
    """What was undone of an identifier goes with it."""
    if former.notes is None:
        return
    if (others := former.notes.apart.pop(identifier, None)) is not None:
        profile.noted().apart[identifier] = others
    if identifier in former.notes.loose:
        former.notes.loose.remove(identifier)
        profile.noted().loose.append(identifier)


def merge(mine: Notes, other: Notes) -> None:
    """Add what was undone of one person's identifiers to what was of another's."""
    for name, others in other.apart.items():
        mine.apart[name] = sorted({*mine.apart.get(name, ()), *others})
    mine.loose = sorted({*mine.loose, *other.loose})
    mine.undone = sorted({*mine.undone, *other.undone})[-WORDS_MAX:]
