"""Explicit: what is said of two identifiers by itself, and not shown by an event they share.

What people say counts for more than the rules. What matching says does not: it joins nobody whom the rules keep apart,
or of whom somebody has said so (as whoever undoes a link does).
"""

from onefold.core.identity import linking, parting
from onefold.core.identity.differing import tells_apart
from onefold.core.identity.linking import Evidence
from onefold.core.identity.policy_newest import clashes
from onefold.core.identity.resolve import forbids
from onefold.core.identity.rules import EXPLICIT, MOST_IDENTIFIERS, NEVER_LINK, NEWEST_LINK
from onefold.core.run import Run
from onefold.limits import NEVER_MAX, PROFILE_IDENTIFIERS_MAX, WORDS_MAX
from onefold.model.entry import MATCHED
from onefold.model.profile import Profile, Word

_PARTS_AGAIN = "adobe-graph-linking"


def join(run: Run, a: str, b: str, by: str = "") -> None:
    """Both are one person's, though each may have a user id; but not against an earlier word, nor beyond all bounds.

    Nor where the newest link wins, for that would take them apart again.
    """
    people = _people(run, a, b)
    if people is None:
        return
    _remember(people, Word(run.now_ms, run.partition, run.position, a, b, by, never=False))
    one, other = people
    why = Evidence(a, run.position, EXPLICIT)
    both = {**one.identifiers, **other.identifiers}
    if linking.is_never(one, other.identifiers) or linking.is_never(other, one.identifiers):
        linking.refuse(run, one, b, why, NEVER_LINK)
    elif len(both) > PROFILE_IDENTIFIERS_MAX:
        linking.refuse(run, one, b, why, MOST_IDENTIFIERS)
    elif run.rulebook is not None and run.rulebook.policy == _PARTS_AGAIN and clashes(both, run.rulebook):
        linking.refuse(run, one, b, why, NEWEST_LINK)
    else:
        parting.forget((one, other), a, b)
        linking.merge(run, one, other, b, why)
        run.count("links_said")


def match(run: Run, a: str, b: str, rule: str) -> None:
    """Both are one person's, since they are alike, and nothing speaks against it: no rule, and nobody's word.

    Nor that somebody has undone a link between the two before. `rule`: as `Matched` has it.
    """
    people = _people(run, a, b)
    if people is None:
        return
    if _are_undone(people):
        linking.refuse(run, people[0], b, Evidence(a, run.position, rule), parting.UNMERGED)
        return
    _match(run, people, (a, b), rule)
    run.count("links_matched")


def hear(run: Run, said: Word) -> None:
    """What was said once, where people are folded again; a link by matching is one whose `by` is its rule."""
    if said.never:
        forbid(run, said.a, said.b, said.by)
    elif is_matched(said.by):
        if (people := _people(run, said.a, said.b)) is not None:
            _match(run, people, (said.a, said.b), said.by)
    else:
        join(run, said.a, said.b, said.by)


def is_matched(rule: str) -> bool:
    """Whether a link of this rule was made by matching."""
    return rule.startswith(f"{MATCHED}:")


def _match(run: Run, people: tuple[Profile, Profile], both: tuple[str, str], rule: str) -> None:
    one, other = people
    why = Evidence(both[0], run.position, rule)
    against = _keeps_apart(run, one, other)
    if against is None:
        linking.merge(run, one, other, both[1], why)
    else:
        linking.refuse(run, one, both[1], why, against)


def _are_undone(people: tuple[Profile, Profile]) -> bool:
    """Whether somebody has undone a link between the two, or said of an identifier that it joins nobody."""
    mine, its = (each.identifiers for each in people)
    undone = parting.parted_in(people)
    return any(a in mine and b in its for a, b in undone.pairs) or bool(undone.loose)


def _keeps_apart(run: Run, one: Profile, other: Profile) -> str | None:
    """The rule by which two people stay two."""
    mine, its, rulebook = one.identifiers, other.identifiers, run.rulebook
    if linking.is_never(one, its) or linking.is_never(other, mine):
        return NEVER_LINK
    if rulebook is None:
        return forbids(one, its)
    if len(mine) + len(its) > PROFILE_IDENTIFIERS_MAX:
        return MOST_IDENTIFIERS
    if rulebook.policy == _PARTS_AGAIN and clashes({**mine, **its}, rulebook):
        return NEWEST_LINK
    return rulebook.excess({**mine, **its}, (mine, its), run.now_ms) or tells_apart(rulebook, one, other)


def forbid(run: Run, a: str, b: str, by: str = "") -> None:
    """Nothing that events show will make these one person. What is one person already stays so."""
    people = _people(run, a, b)
    if people is None:
        return
    said = [{*profile.noted().never, identifier} for profile, identifier in zip(people, (b, a), strict=True)]
    why = Evidence(a, run.position)
    if max(map(len, said)) > NEVER_MAX:
        linking.refuse(run, people[0], b, why, MOST_IDENTIFIERS)
        return
    for profile, never in zip(people, said, strict=True):
        profile.noted().never = sorted(never)
    _remember(people, Word(run.now_ms, run.partition, run.position, a, b, by, never=True))
    linking.refuse(run, people[0], b, why, NEVER_LINK)


def _remember(people: tuple[Profile, Profile], word: Word) -> None:
    """Keep who has said it, also where it is refused."""
    for profile in people:
        notes = profile.noted()
        notes.words = sorted([*notes.words, word])[-WORDS_MAX:]


def _people(run: Run, a: str, b: str) -> tuple[Profile, Profile] | None:
    """Whose they are; None where that is one person, or of one nobody."""
    found = linking.owners(run, (a, b))
    if len(found) < 2:
        run.count("links_idle")
        return None
    return linking.take(run, found[0]), linking.take(run, found[1])
