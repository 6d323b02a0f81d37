"""Why two identifiers are one person, or why they are not: the answer of `GET /v1/identity/why`."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Annotated, NamedTuple

from litestar import Router
from litestar.params import Parameter
from msgspec import Struct

from onefold.core.identity import apart, evidence
from onefold.core.identity.identifiers import normalise
from onefold.core.identity.linking import HOT_IDENTIFIER
from onefold.errors import InvalidRequest, NotFoundError
from onefold.limits import HINDRANCES_SHOWN
from onefold.model import position
from onefold.model import profile as profiles
from onefold.model.position import profile_id
from onefold.model.profile import Profile
from onefold.model.rules import Rules
from onefold.model.sighting import Bond, Hindrance, Sighting
from onefold.runtime.identity.sightings import unblocked
from onefold.server import instants
from onefold.server.engines import Engines, Given
from onefold.server.identity import tracing as traces
from onefold.server.identity.tracing import BondAnswer, SightingAnswer, Traced
from onefold.server.identity.words import of_hindrance, of_rule
from onefold.server.instants import Instant
from onefold.server.people.profile_answer import event_id
from onefold.server.people.profiles import NAMING
from onefold.server.route import read

SCOPE = "identity:read profiles:read events:read"
_IDENTIFIERS_SHOWN = 20
"""Of each of two people who share nothing."""


class SideAnswer(Struct):
    """One of the two that were asked about."""

    asked: str
    identifier: str | None
    """In its one spelling; of a profile id, the first that this profile began with, and null where that is not kept."""
    profile: str | None
    """Null: nobody has it."""
    identifiers: dict[str, list[str]]
    """By type, at most 20; of two who are one person, nothing: the path names those that matter."""
    identifiers_in_all: int
    events_forgotten: int
    """Events of that person that are no longer kept: what they showed is not in this."""


class TogetherAnswer(Struct):
    """Events that have both."""

    events: int
    first: SightingAnswer
    latest: SightingAnswer


class HindranceAnswer(Struct):
    """Something that two people share, or that was said of them, and why it does not make them one."""

    kind: str
    text: str
    rule: str
    """Empty: rules that are no longer in force."""
    a: str | None
    b: str | None
    shared: str | None
    """What both have come with, where it is neither's alone."""
    owner: str | None
    """The profile that `shared` leads to; null: none."""
    told: bool
    """The rule is what was told then; else it is what the rules of now say of such an event."""
    rule_now: str
    would_join: bool
    """The rules of now would join the two, if such an event came again."""
    by: str
    at: Instant | None
    events: int
    latest: Instant | None
    event: SightingAnswer | None
    """The first event that shows it, where it is kept."""


class WhyOneAnswer(Struct):
    """Why two are one person, by the shortest path of links; or why they are not."""

    a: SideAnswer
    b: SideAnswer
    one: bool
    text: str
    path: list[BondAnswer]
    """From `a` to `b`, each link as it was made; empty where they are two, or where it is one profile's own ids."""
    together: TogetherAnswer | None
    """Events that have both identifiers themselves, whatever links there are."""
    merged: list["MergedAnswer"]
    """Of profile ids that have ended: by what they became part of this person."""
    hindrances: list[HindranceAnswer]
    hindrances_left_out: int


class MergedAnswer(Struct):
    """A profile that became part of another."""

    absorbed: str
    place: str
    at: Instant


class _Side(NamedTuple):
    asked: str
    identifier: str | None
    traced: Traced | None
    ended: int
    """The profile that was asked about, where it has ended in a merge; else 0."""


def why(engines: Engines, a: str, b: str) -> WhyOneAnswer:
    """Say why two are one person or not. Raises `InvalidRequest`, `NotFoundError`, `StorageError` and its kin."""
    looking = _Looking(engines)
    one, other = looking.side(a), looking.side(b)
    if one.asked == other.asked or (one.identifier is not None and one.identifier == other.identifier and not (
        one.ended or other.ended
    )):  # fmt: skip
        raise InvalidRequest(f"{a} and {b} are the same; name two")
    if one.traced is None and other.traced is None:
        raise NotFoundError(f"nobody has {one.identifier}, nor {other.identifier}")
    if one.traced and other.traced and one.traced.profile.id == other.traced.profile.id:
        return _one(one, other, one.traced)
    return looking.two(one, other)


class _Looking:
    def __init__(self, engines: Engines) -> None:
        self._engines = engines
        self._rules: Rules = engines.rules()
        self._reader = traces.reader(engines)
        self._traced: dict[int, Traced] = {}

    def side(self, text: str) -> _Side:
        """Who is asked about."""
        number = position.parse(text)
        if number is not None:
            return self._profile(text, number)
        identifier = self._spelled(text)
        owner = self._engines.state.lookup(identifier)
        return _Side(identifier, identifier, None if owner is None else self._trace(owner), 0)

    def _profile(self, text: str, number: int) -> _Side:
        traced = self._trace(number)
        if traced is None:
            raise NotFoundError(f"there is no profile {text}")
        found = [seen for seen in traced.sightings if profile_id(*seen.place) == number]
        names = [each for seen in found for each in seen.identifiers if each in traced.profile.identifiers]
        if not names and traced.profile.id == number and not traced.profile.merges:
            names = list(traced.profile.identifiers)
        return _Side(text, names[0] if names else None, traced, 0 if traced.profile.id == number else number)

    def _trace(self, number: int) -> Traced | None:
        data = self._engines.state.profile(number)
        if data is None:
            return None
        profile = profiles.decode(data)
        if profile.id not in self._traced:
            self._traced[profile.id] = traces.traced(self._reader, profile)
        return self._traced[profile.id]

    def _spelled(self, text: str) -> str:
        namespace, colon, value = text.partition(":")
        if not colon or not namespace:
            raise InvalidRequest(f"{text!r}: {NAMING}")
        spelled = normalise(namespace, value, self._rules)
        if spelled is None:
            is_blocked = normalise(namespace, value, unblocked(self._rules)) is not None
            why = "the rules block this value" if is_blocked else f"it is no {namespace}"
            raise InvalidRequest(f"{text!r} identifies nobody: {why}")
        return spelled

    def two(self, one: _Side, other: _Side) -> WhyOneAnswer:
        """Why these are two people."""
        a, b = _person(one), _person(other)
        events = {seen.place: seen for side in (one, other) if side.traced for seen in side.traced.sightings}
        now_ms = self._engines.clock.now_ms()
        asked = apart.Asked(a, b, list(events.values()), self._rules, now_ms, self._reader.told)
        found = apart.hindrances(asked)
        if not found and (one.traced is None or other.traced is None):
            raise NotFoundError(f"nobody has {one.identifier if one.traced is None else other.identifier}")
        owners = self._engines.state.owners([each.shared for each in found if each.shared])
        hot = self._hot(owners)
        return WhyOneAnswer(
            _side(one, shown=True), _side(other, shown=True), one=False, text=_why_two(one, other, found), path=[],
            together=None, merged=[],
            hindrances=[_hindrance(each, owners, hot) for each in found[:HINDRANCES_SHOWN]],
            hindrances_left_out=max(0, len(found) - HINDRANCES_SHOWN),
        )  # fmt: skip

    def _hot(self, owners: Mapping[str, int]) -> frozenset[str]:
        """Which of these values are hot, of whomever they are."""
        stored = self._engines.state.survivors(set(owners.values()))
        notes = [profiles.decode(data).notes for data in stored.values()]
        return frozenset(value for each in notes if each is not None for value in each.hot if value in owners)


def _person(side: _Side) -> Profile:
    """The person, or who would be one of an identifier that nobody has."""
    if side.traced is not None:
        return side.traced.profile
    assert side.identifier is not None
    return Profile(0, 0, 0, 0, 0, identifiers={side.identifier: 0})


def _one(one: _Side, other: _Side, traced: Traced) -> WhyOneAnswer:
    path: list[BondAnswer] = []
    both: list[Sighting] = []
    a, b = one.identifier, other.identifier
    found = None if a is None or b is None else evidence.chain(traced.bonds, a, b)
    if found is not None and a is not None:
        path = list(_oriented(traced, found, a))
    if a is not None and b is not None and a != b:
        both = evidence.together(traced.sightings, a, b)
    return WhyOneAnswer(
        _side(one), _side(other), one=True, text=_why_one(found, traced, (a, b)), path=path,
        together=None if not both else TogetherAnswer(
            sum(seen.times for seen in both), traces.sighting(both[0]), traces.sighting(both[-1])
        ),
        merged=list(_merged(traced, (one.ended, other.ended))),
        hindrances=[], hindrances_left_out=0,
    )  # fmt: skip


def _oriented(traced: Traced, found: Iterable[Bond], start: str) -> Iterator[BondAnswer]:
    """Each link in the direction in which the path takes it."""
    for each in found:
        shown = traces.bond(traced, each)
        if shown.a != start:
            shown.a, shown.b = shown.b, shown.a
        start = shown.b
        yield shown


def _merged(traced: Traced, ended: Sequence[int]) -> Iterable[MergedAnswer]:
    for merge in traced.profile.merges:
        if merge.absorbed in ended:
            place = event_id(merge.partition, merge.position)
            yield MergedAnswer(position.show(merge.absorbed), place, instants.show(merge.at_ms))


def _why_one(found: Sequence[object] | None, traced: Traced, ends: tuple[str | None, str | None]) -> str:
    if ends[0] is not None and ends[0] == ends[1]:
        return "one person: both began with the same identifier"
    if found is None:
        former = [each for each in ends if traced.profile.notes and each in traced.profile.notes.former]
        if former:
            return f"one profile, but {former[0]} has lost what tied it to this person: it leads here as a former one"
        kept = f"; {traced.forgotten:,} events are no longer kept" if traced.forgotten else ""
        return f"one person, but what joined them is not kept{kept}"
    if len(found) == 1:
        return "one person: one link joins them"
    return f"one person: a chain of {len(found)} links joins them"


def _why_two(one: _Side, other: _Side, found: Sequence[Hindrance]) -> str:
    if found:
        return f"two people: {of_hindrance(found[0])}"
    forgotten = any(side.traced is not None and side.traced.forgotten for side in (one, other))
    more = " that is kept" if forgotten else ""
    return f"two people: no event{more} has identifiers of both, and no chain of events joins them"


def _side(side: _Side, *, shown: bool = False) -> SideAnswer:
    traced = side.traced
    mine = () if traced is None else traced.profile.identifiers
    kinds: defaultdict[str, list[str]] = defaultdict(list)
    for each in list(mine)[:_IDENTIFIERS_SHOWN] if shown else ():
        kind, _, value = each.partition(":")
        kinds[kind].append(value)
    return SideAnswer(
        side.asked, side.identifier, None if traced is None else position.show(traced.profile.id), dict(kinds),
        len(mine), 0 if traced is None else traced.forgotten,
    )  # fmt: skip


def _hindrance(found: Hindrance, owners: Mapping[str, int], hot: frozenset[str]) -> HindranceAnswer:
    owner = owners.get(found.shared)
    more = f"; it is hot: {of_rule(HOT_IDENTIFIER)}" if found.kind == "third" and found.shared in hot else ""
    return HindranceAnswer(
        found.kind, of_hindrance(found) + more, found.rule, found.a or None, found.b or None, found.shared or None,
        None if owner is None else position.show(owner),
        found.told, found.now, found.would_join, found.by,
        instants.show(found.at_ms) if found.at_ms else None,
        found.events,
        instants.show(found.latest_ms) if found.latest_ms else None,
        None if found.sighting is None else traces.sighting(found.sighting),
    )  # fmt: skip


Who = Annotated[str, Parameter(description="`namespace:value`, URL-encoded, or a profile's id, `prf_…`.")]


@read(
    "/why",
    SCOPE,
    "Why two identifiers are one person, or why they are not",
    missing=True,
    sync_to_thread=True,
    description="The shortest path of links from `a` to `b`, each with its event and rule; or what they share, and the "
    "rule that keeps them apart.",
)
def get_why(engines: Given, a: Who, b: Who) -> WhyOneAnswer:
    """Answer with an explanation."""
    return why(engines, a, b)


router = Router("/v1/identity", route_handlers=[get_why], tags=["profiles"])
