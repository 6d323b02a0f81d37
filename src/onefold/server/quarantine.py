"""Quarantine: events that were not admitted, with the reason."""

import msgspec
from litestar import Router
from msgspec import Struct

from onefold.errors import Damaged
from onefold.limits import PARTITIONS_MAX
from onefold.model.quarantined import Quarantined
from onefold.server import instants
from onefold.server.engines import Engines, Given
from onefold.server.instants import Instant
from onefold.server.profiles import event_id, read_event
from onefold.server.route import DEFAULT_LIMIT, After, Limit, page_after, page_next, read


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
    return QuarantineAnswer([_answer(engines, event) for event in found], rest)


router = Router("/v1/quarantine", route_handlers=[get_quarantine], tags=["events"])


def _answer(engines: Engines, event: Quarantined) -> QuarantinedAnswer:
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
