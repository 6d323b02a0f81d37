"""Profiles: all that is known of one person, found by any of their identifiers."""

import asyncio
from collections.abc import Iterable
from typing import Annotated, Any
from urllib.parse import parse_qsl

import msgspec
import xxhash
from litestar import Response, Router
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import HeaderParameter, Parameter
from msgspec import Raw, Struct

from onefold.core import batch
from onefold.core.identity import identifiers
from onefold.errors import Damaged, InvalidRequest, NotFoundError
from onefold.language.stream import excerpt
from onefold.limits import RECEIPT_WAIT_S, RECENT_EVENTS_MAX
from onefold.model import entry, position, profile
from onefold.model.changes import Cursor
from onefold.model.profile import Profile
from onefold.model.rules import Rules
from onefold.server import instants
from onefold.server.engines import Engines, Given
from onefold.server.instants import Instant
from onefold.server.people import as_of as as_ofs
from onefold.server.people.arrivals import Waiting
from onefold.server.people.as_of import AsOf, WithLate
from onefold.server.people.profile_answer import ProfileAnswer, answer, event_id
from onefold.server.people.projection import DESCRIPTION, EVERYTHING, Projection, projection
from onefold.server.people.provenance import provenance
from onefold.server.route import check_parameters, read, refusal, segment

SCOPE = "profiles:read"
NAMING = "a profile is named by `namespace:value`, such as user_id:42, or by its id, prf_…"


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
            raise InvalidRequest(NAMING)
        spelled = identifiers.normalise(namespace, value, rules) if namespace else None
        number = None if spelled is None else state.lookup(spelled)
    stored = None if number is None else state.profile(number)
    if stored is None:
        raise NotFoundError("there is no such profile")
    return profile.decode(stored)


class Asked(Struct):
    """What a reader of one profile wants to have of it, and when."""

    include: Projection
    after: str
    """Receipts of what is to be folded before; empty: as it is."""
    as_of: str = ""
    """The instant of which it is asked; empty: now."""
    late: bool = False


def asked(query: bytes) -> Asked:
    """The query of `GET /v1/profiles/{name}`, without the web framework: it is the one hot route."""
    if not query:
        return _PLAINLY
    given = dict(parse_qsl(query.decode("latin-1"), keep_blank_values=True))
    check_parameters(given, ["include", "after", "as_of", "late"])
    late = _BOOLEANS.get(given.get("late", ""))
    if late is None:
        raise InvalidRequest("late: true or false")
    return Asked(projection(given.get("include", "")), given.get("after", ""), given.get("as_of", ""), late)


_BOOLEANS = {"": False, "0": False, "false": False, "1": True, "true": True}
_PLAINLY = Asked(EVERYTHING, "")
_encode = msgspec.json.Encoder().encode


def read_profile(engines: Engines, rules: Rules, raw_name: str, wanted: Asked) -> bytes:
    """A profile as JSON. Provenance reads the log, and a profile of the past history; nothing else does."""
    include, name = wanted.include, segment(raw_name)
    found = find(engines.state, rules, name)
    if wanted.as_of:
        at_ms = as_ofs.instant(wanted.as_of, engines.clock.now_ms())
        then = as_ofs.person(engines, found, name, at_ms, late=wanted.late)
        return _encode(as_ofs.shown(then, include, late=wanted.late))
    if wanted.late:
        raise InvalidRequest("late: is asked for with `as_of`")
    shown = answer(found, include)
    if "provenance" in include:
        shown.provenance = provenance(engines, found, include)
    return _encode(shown)


def etag(body: bytes) -> str:
    """What tells this answer from any other; the same where nothing that is shown has changed."""
    return f'"{xxhash.xxh3_128_hexdigest(body)}"'


def is_known(if_none_match: str, tag: str) -> bool:
    """Whether an `If-None-Match` names this answer."""
    return any(each.strip().removeprefix("W/") in (tag, "*") for each in if_none_match.split(","))


Name = Annotated[
    str,
    Parameter(
        description="`namespace:value`, URL-encoded (`email:ann%40example.com`), normalised as on entry; or `prf_…`.",
    ),
]


AfterReceipt = Annotated[
    str,
    Parameter(
        description=(
            "Receipts (`onefold-receipt` of collect's answers, joined by commas): answer once all that they name is "
            f"folded, within {RECEIPT_WAIT_S:g} seconds."
        ),
    ),
]
CACHING = "private, no-cache"
"""Keep an answer, and ask before using it again."""


@read(
    "/{name:str}",
    SCOPE,
    "A profile",
    missing=True,
    responses={
        304: ResponseSpec(None, description="As `If-None-Match` says that it is known."),
        504: refusal(504),
    },
    description=(
        "Any identifier of the person finds them; an absorbed profile's id finds the survivor of its merges. "
        "The answer's `ETag` changes with anything that is shown."
    ),
)
async def get_profile(  # noqa: PLR0913, PLR0917 - the parameters of the route
    engines: Given,
    arrivals: Waiting,
    name: Name,
    include: Annotated[str, Parameter(description=DESCRIPTION)] = "",
    after: AfterReceipt = "",
    as_of: AsOf = "",
    late: WithLate = False,  # noqa: FBT002 - a parameter of the route
    if_none_match: Annotated[str, HeaderParameter(name="if-none-match", description="ETags of answers known.")] = "",
) -> Response[ProfileAnswer]:
    """Answer with one profile."""
    wanted = Asked(projection(include), after, as_of, late)
    if after:
        await arrivals.reached(after)
    body = await asyncio.to_thread(lambda: read_profile(engines, engines.rules(), name, wanted))
    tag = etag(body)
    headers = {"etag": tag, "cache-control": CACHING}
    content, status = (None, 304) if is_known(if_none_match, tag) else (body, 200)
    return Response(content, status_code=status, headers=headers, media_type="application/json")  # type: ignore[arg-type]


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


def _read_events(engines: Engines, places: Iterable[int]) -> list[EventAnswer | None]:
    return [read_event(engines, *position.place(place)) for place in places]


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
    finder = identifiers.finder_of(engines.rules(partition))
    incoming = batch.read(partition, Cursor(), [(offset, received)], finder).incoming[index]
    return EventAnswer(
        event_id(partition, place),
        received.source,
        received.events[index].type,
        instants.show(incoming.at_ms),
        instants.show(received.at_ms),
        body,
    )
