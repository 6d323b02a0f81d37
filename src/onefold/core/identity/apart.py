"""Apart: why two people are not one: what they share or what was said of them, and why it does not join them.

What an effect told is taken as it was told. Of the rest the rules are asked by the step itself: the event is resolved
again over copies of both people as they are now, and what that tells is the reason.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache
from typing import NamedTuple

from msgspec import structs

from onefold.core.batch import Incoming
from onefold.core.identity.identifiers import Who
from onefold.core.identity.linking import HOT_IDENTIFIER
from onefold.core.identity.parting import UNMERGED
from onefold.core.identity.resolve import resolve
from onefold.core.identity.rules import LOGIN, NEVER_LINK, NEWEST_LINK, UNIQUE_NAMESPACE
from onefold.core.run import Run
from onefold.language.reading.check import checked
from onefold.language.stream.compile import compile_definitions
from onefold.language.stream.program import Program
from onefold.limits import MEETINGS_MAX, NEVER_MS
from onefold.model.changes import View
from onefold.model.definitions import Definitions
from onefold.model.effect import AnyEffect, LinkRefused, Merged, Moved
from onefold.model.event import Excerpt
from onefold.model.identity import Identity
from onefold.model.profile import Notes, Profile, decode, encode
from onefold.model.rules import Rules
from onefold.model.sighting import Hindrance, Place, Sighting

Told = Callable[[Place], Iterable[AnyEffect]]
"""The effects that an entry of the log had, as far as they are kept."""

_ORDER = ("never", "undone", "refused", "hot", "moved", "alias", "third", "blocked")
_HANDED_ON = (NEWEST_LINK, LOGIN)
"""Rules of links by which an identifier may have come from somebody else."""


class Asked(NamedTuple):
    """Two people who are not one, and what is known of them."""

    a: Profile
    """Of an identifier that nobody has: a profile of number 0 with nothing else."""
    b: Profile
    sightings: Sequence[Sighting]
    """The events of both that are kept, each once."""
    rules: Rules
    now_ms: int
    told: Told


def hindrances(asked: Asked) -> list[Hindrance]:
    """All that keeps two people apart though it might have joined them; none: they share nothing."""
    found = [
        *_never(asked),
        *_undone(asked),
        *_met(asked),
        *_seen(asked),
        *_alias(asked),
        *_third(asked),
        *_blocked(asked),
    ]
    return sorted(found, key=_weight)


def _weight(one: Hindrance) -> tuple[int, int, int, str, str, str]:
    return _ORDER.index(one.kind), -one.events, one.at_ms, one.a, one.b, one.shared


# --- what was said ---------------------------------------------------------------------------------------------


def _never(asked: Asked) -> Iterator[Hindrance]:
    """Pairs that somebody has said are never one person's; of such words that are old only what they forbid is kept."""
    a, b = asked.a, asked.b
    covered: set[tuple[str, str]] = set()
    words = {word for each in (a, b) if each.notes for word in each.notes.words if word.never}
    for word in sorted(words):
        for one, other in ((word.a, word.b), (word.b, word.a)):
            if one in a.identifiers and other in b.identifiers:
                covered.add((one, other))
                yield Hindrance("never", NEVER_LINK, one, other, told=True, by=word.by, at_ms=word.at_ms)
    for other in _never_of(a):
        if other in b.identifiers and all(other != known for _, known in covered):
            yield Hindrance("never", NEVER_LINK, "", other, told=True)
    for one in _never_of(b):
        if one in a.identifiers and all(one != known for known, _ in covered):
            yield Hindrance("never", NEVER_LINK, one, "", told=True)


def _never_of(profile: Profile) -> list[str]:
    return profile.notes.never if profile.notes else []


def _undone(asked: Asked) -> Iterator[Hindrance]:
    """Links between the two that somebody has undone, by whoever has undone something of both last."""
    if asked.a.notes is None or asked.b.notes is None:
        return
    common = sorted({*asked.a.notes.undone} & {*asked.b.notes.undone})
    at_ms, by = (common[-1].at_ms, common[-1].by) if common else (0, "")
    pairs = {(one, other) for one, others in asked.a.notes.apart.items() for other in others}
    pairs |= {(one, other) for other, others in asked.b.notes.apart.items() for one in others}
    for one, other in sorted(pairs):
        if one in asked.a.identifiers and other in asked.b.identifiers:
            yield Hindrance("undone", UNMERGED, one, other, told=True, by=by, at_ms=at_ms)


# --- events that both have a part in -----------------------------------------------------------------------------


def _met(asked: Asked) -> Iterator[Hindrance]:
    """Events that have identifiers of both, by the first identifier that each has in them, MEETINGS_MAX of these."""
    meetings: dict[tuple[str, str], list[Sighting]] = {}
    for seen in sorted(asked.sightings, key=lambda each: (each.received_ms, each.place)):
        ones = [each for each in seen.identifiers if each in asked.a.identifiers]
        others = [each for each in seen.identifiers if each in asked.b.identifiers]
        if ones and others:
            meetings.setdefault((ones[0], others[0]), []).append(seen)
    oftenest = sorted(meetings.items(), key=lambda each: -sum(seen.times for seen in each[1]))
    for (one, other), events in oftenest[:MEETINGS_MAX]:
        yield _meeting(asked, one, other, events)


def _meeting(asked: Asked, one: str, other: str, events: list[Sighting]) -> Hindrance:
    first = events[0]
    found = Hindrance(
        "refused", "", one, other, at_ms=first.received_ms, events=sum(each.times for each in events),
        latest_ms=max(each.latest_ms for each in events), sighting=first,
    )  # fmt: skip
    if (hot := _hot(asked, (one, other), first.received_ms)) is not None:
        return structs.replace(found, kind="hot", rule=HOT_IDENTIFIER, shared=hot, told=True)
    if (moved := _moved(asked, one, other)) is not None:
        return structs.replace(found, kind="moved", rule=moved[1], shared=moved[0], at_ms=moved[2], told=True)
    again = asked_again(asked, first.identifiers)
    if (hot := _hot(asked, (one, other), NEVER_MS)) is not None:
        found, again = structs.replace(found, shared=hot), Again(HOT_IDENTIFIER, joins=False)
    told = _as_told(asked, events)
    return structs.replace(found, rule=told or again.rule, told=bool(told), now=again.rule, would_join=again.joins)


def _as_told(asked: Asked, events: Sequence[Sighting]) -> str:
    """The rule of the effect that told of one of these events; the first and the latest are looked at."""
    both = asked.a.identifiers.keys() | asked.b.identifiers.keys()
    for seen in (events[0], events[-1]):
        for effect in asked.told(seen.place):
            if isinstance(effect, LinkRefused) and effect.a in both and effect.b in both:
                return effect.rule
    return ""


def _hot(asked: Asked, shared: Iterable[str], by_ms: int) -> str | None:
    """Which of these had become hot by then."""
    for profile in (asked.a, asked.b):
        if profile.notes is not None:
            for each in shared:
                if profile.notes.hot.get(each, NEVER_MS + 1) <= by_ms:
                    return each
    return None


def _moved(asked: Asked, one: str, other: str) -> tuple[str, str, int] | None:
    """An identifier that has gone from one of the two to the other since: which, by what rule, and when."""
    for mine, here, there in ((one, asked.a, asked.b), (other, asked.b, asked.a)):
        if there.notes is None or mine not in there.notes.seen:
            continue
        for link in reversed(here.links):
            if link.rule in _HANDED_ON and mine in (link.a, link.b):
                return mine, link.rule, link.at_ms
    return None


def _seen(asked: Asked) -> Iterator[Hindrance]:
    """What one has been seen with and the other has, of which no event is kept."""
    known = {each for seen in asked.sightings for each in seen.identifiers}
    for mine, its, swapped in ((asked.a, asked.b, False), (asked.b, asked.a, True)):
        for shared, at_ms in sorted((mine.notes.seen if mine.notes else {}).items()):
            if shared not in its.identifiers or shared in known or not mine.identifiers:
                continue
            first = next(iter(mine.identifiers))
            again = asked_again(asked, (first, shared))
            one, other = (shared, first) if swapped else (first, shared)
            if its.notes is not None and shared in its.notes.hot:
                yield Hindrance("hot", HOT_IDENTIFIER, one, other, shared, told=True, latest_ms=at_ms)
            else:
                yield Hindrance(
                    "refused", again.rule, one, other, shared, now=again.rule, would_join=again.joins, latest_ms=at_ms
                )


def _alias(asked: Asked) -> Iterator[Hindrance]:
    """Aliases of one whose previous id is the user id of the other: they say nothing of it."""
    for seen in asked.sightings:
        if seen.type != "alias":
            continue
        for mine, its, swapped in ((asked.a, asked.b, False), (asked.b, asked.a, True)):
            said = [each for each in seen.identifiers if each in mine.identifiers]
            meant = [_as_user(each) for each in seen.identifiers]
            found = next((each for each in meant if each in its.identifiers), "")
            if said and found:
                one, other = (found, said[0]) if swapped else (said[0], found)
                yield Hindrance(
                    "alias", "alias", one, other, told=True, at_ms=seen.received_ms, events=1, latest_ms=seen.at_ms,
                    sighting=seen,
                )  # fmt: skip


def _as_user(identifier: str) -> str:
    """The user id of the same value as an anonymous id."""
    kind, _, value = identifier.partition(":")
    return f"{UNIQUE_NAMESPACE}:{value}" if kind == "anonymous_id" else ""


def _third(asked: Asked) -> Iterator[Hindrance]:
    """What both have been seen with, and neither has."""
    if asked.a.notes is None or asked.b.notes is None:
        return
    mine, its = asked.a.notes.seen, asked.b.notes.seen
    for shared in sorted(mine.keys() & its.keys()):
        yield Hindrance("third", "", "", "", shared, latest_ms=min(mine[shared], its[shared]))


def _blocked(asked: Asked) -> Iterator[Hindrance]:
    """Values that identify nobody, which both have come with."""
    mine: dict[str, list[Sighting]] = {}
    its: dict[str, list[Sighting]] = {}
    for seen in asked.sightings:
        for value in seen.blocked:
            if any(each in asked.a.identifiers for each in seen.identifiers):
                mine.setdefault(value, []).append(seen)
            if any(each in asked.b.identifiers for each in seen.identifiers):
                its.setdefault(value, []).append(seen)
    for value in sorted(mine.keys() & its.keys()):
        events = [*mine[value], *its[value]]
        first = min(events, key=lambda each: (each.received_ms, each.place))
        yield Hindrance(
            "blocked", "blocked", "", "", value, told=True, at_ms=first.received_ms,
            events=sum(each.times for each in events), latest_ms=max(each.latest_ms for each in events), sighting=first,
        )  # fmt: skip


# --- the rules, asked by the step itself -----------------------------------------------------------------------------


class Again(NamedTuple):
    """What would come of such an event today."""

    rule: str
    """That keeps the two apart; empty: none does, or they share nothing in it that could join them."""
    joins: bool


def asked_again(asked: Asked, identifiers: Iterable[str]) -> Again:
    """Resolve an event of these identifiers, as far as they are the two people's, over copies of both."""
    people = [_copy(each) for each in (asked.a, asked.b) if each.id]
    mine = asked.a.identifiers.keys() | asked.b.identifiers.keys()
    found = tuple(each for each in identifiers if each in mine)
    if not found or not people:
        return Again("", joins=False)
    run = Run(0, _program(asked.rules.identity), asked.rules)
    owners = {each: person.id for person in people for each in person.identifiers}
    run.see(View(owners, {person.id: person for person in people}, {}))
    run.at(_AFTER_ALL, asked.now_ms)
    event = Excerpt(type="track", event="")
    who = Who(found)
    resolve(run, Incoming(event, "", _AFTER_ALL, asked.now_ms, asked.now_ms, b"", who))
    rules = [effect.rule for effect in run.effects if isinstance(effect, LinkRefused | Moved)]
    given = bool(not all((asked.a.id, asked.b.id)) and run.moved)
    return Again(rules[0] if rules else "", joins=given or any(isinstance(each, Merged) for each in run.effects))


_AFTER_ALL = (1 << 55) - 2
"""Later than any place that a log has."""


def _copy(profile: Profile) -> Profile:
    """The person with nothing that depends on definitions, and as if nothing had been told of them."""
    one = decode(encode(profile))
    one.slots, one.computed, one.audiences = {}, {}, {}
    one.due_ms, one.version = NEVER_MS, 0
    one.notes = structs.replace(one.notes or Notes(), seen={})
    return one


@lru_cache(8)
def _program(identity: Identity) -> Program:
    return compile_definitions(checked(Definitions(identity=identity)), 0)
