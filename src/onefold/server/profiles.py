"""Profiles: all that is known of one person, found by any of their identifiers."""

from collections.abc import Iterable
from typing import Annotated, Any
from urllib.parse import parse_qsl

import msgspec
from litestar import Router
from litestar.params import Parameter
from msgspec import UNSET, Raw, Struct, UnsetType

from onefold.core import batch, identifiers
from onefold.errors import Damaged, InvalidRequest, NotFoundError
from onefold.language import excerpt
from onefold.limits import RECENT_EVENTS_MAX
from onefold.model import entry, position, profile
from onefold.model.changes import Cursor
from onefold.model.profile import Profile
from onefold.model.rules import Rules
from onefold.ports import State
from onefold.server import instants
from onefold.server.engines import Engines, Given
from onefold.server.instants import Instant
from onefold.server.route import check_parameters, choices, read, segment

SCOPE = "profiles:read"
PARTS = ("identifiers", "traits", "computed", "audiences", "links", "merges")


class IdentifierAnswer(Struct):
    """One value of a namespace, and when it was first seen with this person."""

    value: str
    first_seen_at: Instant


class MembershipAnswer(Struct):
    """An audience that the profile is in."""

    name: str
    entered_at: Instant


class LinkAnswer(Struct):
    """Why two identifiers are the same person: the rule, and the event that showed it."""

    a: str
    b: str
    rule: str
    event: str
    at: Instant


class MergeAnswer(Struct):
    """Another profile that became part of this one, by the link of this event."""

    absorbed: str
    event: str
    at: Instant


class ProfileAnswer(Struct):
    """One person. Parts that `include` left out are absent."""

    id: str
    created_at: Instant
    first_seen_at: Instant
    last_seen_at: Instant
    judged_at: Instant
    """The log time at which computed traits and audiences were last judged; timers judge again when a window ends."""
    definitions_version: int
    events: int
    identifiers: dict[str, list[IdentifierAnswer]] | UnsetType = UNSET
    traits: dict[str, Any] | UnsetType = UNSET
    """Declared by events."""
    computed: dict[str, Any] | UnsetType = UNSET
    """Computed by the workspace's definitions."""
    audiences: list[MembershipAnswer] | UnsetType = UNSET
    links: list[LinkAnswer] | UnsetType = UNSET
    merges: list[MergeAnswer] | UnsetType = UNSET


class EventAnswer(Struct):
    """One event: `event` is as it came, `at` is when it happened by our clock."""

    id: str
    source: str
    type: str
    at: Instant
    received_at: Instant
    event: dict[str, Any]


class EventsAnswer(Struct):
    """A profile's latest events, newest first; `expired` were removed from the log by its retention."""

    profile: str
    events: list[EventAnswer]
    expired: int


def find(state: Any, rules: Rules, text: str) -> Profile:
    """The profile that `namespace:value` or a profile id names. Raises `NotFoundError`, `InvalidRequest`."""
    number = position.parse(text)
    if number is None:
        namespace, colon, value = text.partition(":")
        if not colon:
            raise InvalidRequest("a profile is named by `namespace:value`, such as user_id:42, or by its id, prf_…")
        spelled = identifiers.normalise(namespace, value, rules)
        number = None if spelled is None else state.lookup(spelled)
    stored = None if number is None else state.profile(number)
    if stored is None:
        raise NotFoundError("there is no such profile")
    return profile.decode(stored)


def parts(include: str) -> frozenset[str]:
    """The parts that `include` chooses; all where it is empty. Raises `InvalidRequest`."""
    return choices(include, PARTS, "include") or frozenset(PARTS)


def answer(found: Profile, include: frozenset[str]) -> ProfileAnswer:
    """A profile as the API shows it."""
    show = instants.show
    shown = ProfileAnswer(
        position.show(found.id),
        show(found.created_at_ms),
        show(found.first_seen_ms),
        show(found.last_seen_ms),
        show(found.now_ms),
        found.version,
        found.events,
    )
    if "identifiers" in include:
        shown.identifiers = _by_namespace(found.identifiers)
    if "traits" in include:
        shown.traits = {name: declared.value for name, declared in found.declared.items()}
    if "computed" in include:
        shown.computed = found.computed
    if "audiences" in include:
        shown.audiences = [MembershipAnswer(name, show(at_ms)) for name, at_ms in sorted(found.audiences.items())]
    if "links" in include:
        shown.links = [
            LinkAnswer(link.a, link.b, link.rule, event_id(link.partition, link.position), show(link.at_ms))
            for link in found.links
        ]
    if "merges" in include:
        shown.merges = [
            MergeAnswer(position.show(merge.absorbed), event_id(merge.partition, merge.position), show(merge.at_ms))
            for merge in found.merges
        ]
    return shown


def event_id(partition: int, place: int) -> str:
    """An event's place in the log, as users see it."""
    return f"{partition:02x}-{place:x}"


_encode = msgspec.json.Encoder().encode


def read_quickly(state: State, rules: Rules, raw_name: str, query: bytes) -> bytes:
    """The whole of `GET /v1/profiles/{name}` as JSON, without the web framework: it is the one hot route."""
    include = ""
    if query:
        given = dict(parse_qsl(query.decode("latin-1"), keep_blank_values=True))
        check_parameters(given, ["include"])
        include = given.get("include", "")
    return _encode(answer(find(state, rules, segment(raw_name)), parts(include)))


Name = Annotated[
    str,
    Parameter(
        description="`namespace:value`, URL-encoded (`email:ann%40example.com`), normalised as on entry; or `prf_…`.",
    ),
]


@read(
    "/{name:str}",
    SCOPE,
    "A profile",
    missing=True,
    sync_to_thread=False,
    description="Any identifier of the person finds them; an absorbed profile's id finds the survivor of its merges.",
)
def get_profile(
    engines: Given,
    name: Name,
    include: Annotated[str, Parameter(description=f"Comma-separated parts of: {', '.join(PARTS)}. Default: all.")] = "",
) -> ProfileAnswer:
    """Answer with one profile."""
    return answer(find(engines.state, engines.rules(), segment(name)), parts(include))


@read("/{name:str}/events", "events:read", "A profile's recent events", missing=True, sync_to_thread=True)
def get_events(
    engines: Given,
    name: Name,
    limit: Annotated[int, Parameter(ge=1, le=RECENT_EVENTS_MAX)] = RECENT_EVENTS_MAX,
) -> EventsAnswer:
    """Answer with the latest events of a profile, read back from the log."""
    found = find(engines.state, engines.rules(), segment(name))
    wanted = found.recent[-limit:][::-1]
    events = [event for event in _read_events(engines, wanted) if event is not None]
    return EventsAnswer(position.show(found.id), events, len(wanted) - len(events))


router = Router("/v1/profiles", route_handlers=[get_profile, get_events], tags=["profiles"])


def _by_namespace(found: dict[str, int]) -> dict[str, list[IdentifierAnswer]]:
    grouped: dict[str, list[IdentifierAnswer]] = {}
    for identifier, first_seen_ms in found.items():
        namespace, _, value = identifier.partition(":")
        grouped.setdefault(namespace, []).append(IdentifierAnswer(value, instants.show(first_seen_ms)))
    return grouped


def _read_events(engines: Engines, places: Iterable[int]) -> list[EventAnswer | None]:
    return [read_event(engines, place >> 56, place & (1 << 56) - 1) for place in places]


_decode_outgoing = msgspec.json.Decoder(entry.Outgoing).decode
_decode_received = excerpt.decoder((), ())


def read_event(engines: Engines, partition: int, place: int) -> EventAnswer | None:
    """The event at a place in the log; None where the log does not keep it any more. Raises `Damaged`."""
    offset, index = position.split(place)
    try:
        records = engines.log.read(partition, offset, 1)
    except NotFoundError:
        return None
    if not records or records[0].offset != offset:
        return None
    try:
        received = _decode_received(records[0].data)
        bodies: list[Raw] = _decode_outgoing(records[0].data).events
        body: dict[str, Any] = msgspec.json.decode(bodies[index])
        assert isinstance(received, entry.Received)
    except (msgspec.MsgspecError, IndexError) as error:
        raise Damaged(f"the event {event_id(partition, place)} cannot be read: {error}") from error
    finder = identifiers.Finder(engines.rules(partition))
    incoming = batch.read(partition, Cursor(), [(offset, received)], finder).incoming[index]
    return EventAnswer(
        event_id(partition, place),
        received.source,
        received.events[index].type,
        instants.show(incoming.at_ms),
        instants.show(received.at_ms),
        body,
    )
