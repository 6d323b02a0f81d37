"""Quarantine: events that were not admitted, with the reason."""

import re

import msgspec
from litestar import Router
from msgspec import Struct

from onefold.errors import Damaged, InvalidRequest
from onefold.limits import PARTITIONS_MAX
from onefold.model.quarantined import Quarantined
from onefold.server import instants
from onefold.server.engines import Engines, Given
from onefold.server.instants import Instant
from onefold.server.people.profile_answer import event_id
from onefold.server.people.profiles import read_event
from onefold.server.route import DEFAULT_LIMIT, After, Limit, page_after, page_next, read

_ID = re.compile(r"([0-9a-f]{2})-([0-9a-f]{1,14})")


class QuarantinedAnswer(Struct):
    """One event; `body` is as it came, empty where the log does not keep it any more."""

    id: str
    source: str
    at: Instant
    reason: str
    body: str


class QuarantineAnswer(Struct):
    """A page, by place in the log; `next` is empty on the last one."""

    events: list[QuarantinedAnswer]
    next: str


@read("/", "events:read", "Events in quarantine", sync_to_thread=True)
def get_quarantine(engines: Given, limit: Limit = DEFAULT_LIMIT, after: After = "") -> QuarantineAnswer:
    """Answer with a page of quarantined events."""
    partition, place = page_after(after, PARTITIONS_MAX, 1 << 56) if after else (0, -1)
    found = engines.state.quarantined((partition, place), limit)
    rest = page_next(found[-1].partition, found[-1].position) if len(found) == limit else ""
    return QuarantineAnswer([answer(engines, event) for event in found], rest)


router = Router("/v1/quarantine", route_handlers=[get_quarantine], tags=["events"])


def place_of(text: str) -> tuple[int, int]:
    """Partition and position of an event's id. Raises `InvalidRequest` where it is none."""
    match = _ID.fullmatch(text)
    if match is None or int(match[1], 16) >= PARTITIONS_MAX:
        raise InvalidRequest(f"{text!r} is not the id of an event, such as 00-2a0001")
    return int(match[1], 16), int(match[2], 16)


def answer(engines: Engines, event: Quarantined) -> QuarantinedAnswer:
    """An event as it is shown, with its body from where that lies."""
    return QuarantinedAnswer(
        event_id(event.partition, event.position),
        event.source,
        instants.show(event.at_ms),
        event.reason,
        event.body or _body(engines, event),
    )


def _body(engines: Engines, event: Quarantined) -> str:
    try:
        found = read_event(engines, event.partition, event.position)
    except Damaged:
        return ""
    return "" if found is None else msgspec.json.encode(found.event).decode()
