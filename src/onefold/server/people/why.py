"""Why a person has a trait's value, or is in an audience or not: the explanation as the API shows it."""

from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Annotated, Any

from litestar import Router
from litestar.params import Parameter
from msgspec import Struct, structs

from onefold.core.explaining.explain import explain, unsettled
from onefold.errors import InvalidRequest, NotFoundError
from onefold.language.stream.probe import Probed, defined, probed
from onefold.limits import GROUNDS_SHOWN
from onefold.model import position
from onefold.model.explanation import Answer, Evidence, Explanation, Ground, Note, Part, Turn
from onefold.model.profile import Profile
from onefold.runtime.past.counting_since import counting_since
from onefold.runtime.past.person_events import PersonEvents
from onefold.server import instants
from onefold.server.engines import Engines, Given
from onefold.server.instants import Instant
from onefold.server.people import as_of as as_ofs
from onefold.server.people.as_of import AsOf
from onefold.server.people.profile_answer import event_id
from onefold.server.people.profiles import Name, find
from onefold.server.route import DEFAULT_LIMIT, After, Limit, page_after, page_next, read, segment

SCOPE = "profiles:read events:read"


class GroundAnswer(Struct):
    """An event that decided something. `value` is that of the field which is looked at."""

    id: str
    name: str
    source: str
    at: Instant
    received_at: Instant
    value: Any


class TurnAnswer(Struct):
    """What time alone will make of a value, if nothing else happens until then."""

    at: Instant
    value: Any


class NoteAnswer(Struct):
    """A bound of a value's exactness, or why the state and the events differ."""

    reason: str
    text: str
    at: Instant | None


class EvidenceAnswer(Struct):
    """The events behind a part: of the name, of these in the window, of these counted. The latest that decided it."""

    named: int
    within: int
    counted: int
    latest: Instant | None
    """When the latest event of the name was, in the window or not."""
    window_from: Instant | None
    """The window is what happened after this instant."""
    window_until: Instant | None
    """And up to this one."""
    deciding: int
    events: list[GroundAnswer]


class PartAnswer(Struct):
    """One part of an expression, at these columns of it, and what it came to. Instants are written as times."""

    number: int
    kind: str
    text: str
    operator: str
    """Of a comparison or of arithmetic, else empty."""
    names: str
    """The trait or audience of `rests_on` that the part names, else empty."""
    column: int
    end: int
    value: Any
    changes: TurnAnswer | None
    evidence: EvidenceAnswer | None
    differs: bool
    """The person's events make another value of it than the state has; `notes` say why."""
    from_events: Any
    notes: list[NoteAnswer]
    parts: list["PartAnswer"]


class DefinitionAnswer(Struct):
    """A trait or an audience, and what it came to."""

    name: str
    kind: str
    expression: str
    description: str
    value: Any
    changes: TurnAnswer | None
    whole: PartAnswer


class WhyAnswer(Struct):
    """Why the answer is what it is, and the events that decided it."""

    profile: str
    at: Instant
    """The instant that all of this is said of."""
    since: Instant | None
    """When the profile entered the audience."""
    definitions_version: int
    applied_by: str
    applied_at: Instant | None
    answer: DefinitionAnswer
    rests_on: list[DefinitionAnswer]
    """The traits and audiences that it names, directly or not, each once."""
    deciding: int
    events: list[GroundAnswer]
    """The latest of the deciding events; the others come in pages."""
    confirmed: bool
    """The deciding events, all of them and no others, were folded once more and gave the same answer."""
    profile_events: int
    events_seen: int
    """Fewer than `profile_events` where neither history nor log keeps all events of the person."""
    late_since: Instant | None
    """A timer is due since then and no worker has come: values are those of `at`."""
    changes_known_until: Instant | None
    """Changes by time alone after this instant were not looked for."""
    kept_out: list[str]
    """Limits of identity that have kept something out of the profile: what that did is not in this."""
    hot: list[str]
    """Identifiers of the profile that have met too many, and join nobody any more."""


class GroundsAnswer(Struct):
    """A page of deciding events, latest first; `next` is empty on the last one."""

    profile: str
    name: str
    deciding: int
    events: list[GroundAnswer]
    next: str


def why(engines: Engines, who: str, name: str, as_of: str = "") -> Explanation:
    """Explain a trait or an audience of the profile that `who` names; with `as_of`, as it was at that instant.

    Raises `NotFoundError`, `InvalidRequest`.
    """
    profile = find(engines.state, engines.rules(), who)
    if as_of:
        return _why_then(engines, profile, who, (name, as_ofs.instant(as_of, engines.clock.now_ms())))
    asked = _asked(engines, profile, name)
    pasts = PersonEvents(engines.history(), engines.log, engines.state, engines.rules).of(profile)
    now_ms = engines.clock.now_ms()
    explanation = explain(asked, profile, pasts, now_ms)
    slots = unsettled(explanation)
    if slots and (since := counting_since(engines.catalog, slots, profile.version)):
        explanation = explain(asked, profile, pasts, now_ms, since)
    return explanation


def _why_then(engines: Engines, now: Profile, who: str, asked: tuple[str, int]) -> Explanation:
    """The values are computed from the events; whether somebody was in an audience is what was told, where that is."""
    name, at_ms = asked
    then = as_ofs.person(engines, now, who, at_ms)
    probe = probed(engines.catalog.definitions(then.profile.version), name)
    found = explain(probe, then.profile, then.pasts, at_ms, then.in_force.counting)
    return structs.replace(found, events=len(then.pasts) + then.forgotten)


def _asked(engines: Engines, profile: Profile, name: str) -> Probed:
    """The definition as it was when the profile was last judged."""
    try:
        return probed(engines.catalog.definitions(profile.version), name)
    except NotFoundError:
        latest = engines.catalog.definitions()
        if name in defined(latest):
            raise NotFoundError(
                f"`{name}` is of version {latest.version} of the definitions, and this profile was last judged under "
                f"version {profile.version}: ask again in a moment"
            ) from None
        raise


def answer(engines: Engines, explanation: Explanation) -> WhyAnswer:
    """An explanation as the API shows it."""
    rows = [row for row in engines.catalog.versions() if row.version == explanation.version]
    return WhyAnswer(
        position.show(explanation.profile),
        instants.show(explanation.at_ms),
        _instant(explanation.since_ms),
        explanation.version,
        rows[0].author if rows else "",
        _instant(rows[0].created_at_ms if rows else None),
        _definition(explanation.answer),
        list(map(_definition, explanation.rests_on)),
        len(explanation.grounds),
        _grounds(explanation.grounds),
        explanation.confirmed,
        explanation.events,
        explanation.seen,
        _instant(explanation.late_ms),
        _instant(explanation.beyond_ms),
        list(explanation.kept_out),
        list(explanation.hot),
    )


def _definition(one: Answer) -> DefinitionAnswer:
    turn = _turn(one.turn, instant=one.whole.instant)
    return DefinitionAnswer(one.name, one.kind, one.expression, one.description, one.value, turn, _part(one.whole))


def _part(one: Part) -> PartAnswer:
    return PartAnswer(
        one.number,
        one.kind,
        one.text,
        one.operator,
        one.names,
        one.column,
        one.end,
        _instant(one.value) if one.instant else one.value,
        _turn(one.turn, instant=one.instant),
        None if one.evidence is None else _evidence(one.evidence, instant=one.instant),
        one.differs,
        _instant(one.derived) if one.instant else one.derived,
        list(map(_note, one.notes)),
        list(map(_part, one.parts)),
    )


def _evidence(one: Evidence, *, instant: bool) -> EvidenceAnswer:
    shown = _grounds(one.grounds, instant=instant)
    latest, after, until = map(_instant, (one.latest_ms, one.from_ms, one.until_ms))
    return EvidenceAnswer(one.named, one.within, one.counted, latest, after, until, len(one.grounds), shown)


def _grounds(grounds: Iterable[Ground], *, instant: bool = False) -> list[GroundAnswer]:
    return [_ground(ground, instant=instant) for ground in islice(grounds, GROUNDS_SHOWN)]


def _ground(one: Ground, *, instant: bool = False) -> GroundAnswer:
    value = _instant(one.value) if instant else one.value
    name = event_id(one.partition, one.position)
    return GroundAnswer(name, one.name, one.source, instants.show(one.at_ms), instants.show(one.received_ms), value)


def _turn(turn: Turn | None, *, instant: bool) -> TurnAnswer | None:
    if turn is None:
        return None
    return TurnAnswer(instants.show(turn.at_ms), _instant(turn.value) if instant else turn.value)


def _note(note: Note) -> NoteAnswer:
    return NoteAnswer(note.reason, note.text, _instant(note.at_ms))


def _instant(at_ms: int | None) -> str | None:
    return None if at_ms is None else instants.show(at_ms)


DefinitionName = Annotated[str, Parameter(description="The name of a trait or an audience.")]


@read(
    "/{name:str}/why/{definition:str}",
    SCOPE,
    "Why a profile has a trait's value, or is in an audience or not",
    missing=True,
    sync_to_thread=True,
    description="Every part of the expression with its value, the events that decided it, and when it will change by "
    "time alone.",
)
def get_why(engines: Given, name: Name, definition: DefinitionName, as_of: AsOf = "") -> WhyAnswer:
    """Answer with an explanation."""
    return answer(engines, why(engines, segment(name), segment(definition), as_of))


@read(
    "/{name:str}/why/{definition:str}/events",
    SCOPE,
    "The events that decided an answer",
    missing=True,
    sync_to_thread=True,
    description="Of the whole answer; with `of` and `part`, of that part of that definition.",
)
def get_why_events(  # noqa: PLR0913, PLR0917 (the parameters of the route)
    engines: Given,
    name: Name,
    definition: DefinitionName,
    of: Annotated[str, Parameter(description="A definition of the answer; default: the one that was asked for.")] = "",
    part: Annotated[int | None, Parameter(ge=0, le=1_000, description="The `number` of a part; default: all.")] = None,
    limit: Limit = DEFAULT_LIMIT,
    after: After = "",
    as_of: AsOf = "",
) -> GroundsAnswer:
    """Answer with a page of the deciding events."""
    explanation = why(engines, segment(name), segment(definition), as_of)
    grounds = grounds_of(explanation, of, part)
    (first,) = page_after(after, 1 << 56) if after else (0,)
    page = grounds[first : first + limit]
    following = page_next(first + limit) if first + limit < len(grounds) else ""
    shown = position.show(explanation.profile)
    return GroundsAnswer(shown, explanation.answer.name, len(grounds), list(map(_ground, page)), following)


def grounds_of(explanation: Explanation, of: str, part: int | None) -> Sequence[Ground]:
    """The deciding events of the whole answer, or of one part. Raises `InvalidRequest` where there is no such part."""
    if part is None:
        if of and of != explanation.answer.name:
            raise InvalidRequest("of: say which `part` of it")
        return explanation.grounds
    for one in (explanation.answer, *explanation.rests_on):
        if one.name == (of or explanation.answer.name):
            for each in one.whole.walk():
                if each.number == part:
                    return each.evidence.grounds if each.evidence else ()
    raise InvalidRequest(f"the answer has no part {part} of `{of or explanation.answer.name}`")


router = Router("/v1/profiles", route_handlers=[get_why, get_why_events], tags=["profiles"])
