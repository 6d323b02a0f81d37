"""The live tail of effects, as server-sent events."""

from collections.abc import AsyncIterator
from typing import Annotated

import msgspec
from litestar import Router
from litestar.di import NamedDependency
from litestar.params import Parameter, SkipValidation
from litestar.response import ServerSentEvent, ServerSentEventMessage

from onefold.server.operating.tail import KINDS, Filter, Subscriber, Tail
from onefold.server.route import choices, read

HEARTBEAT_S = 15.0
"""A comment is sent this often, so that proxies keep the connection and a lost reader is noticed."""

_encode = msgspec.json.Encoder().encode


@read(
    "/tail",
    "events:read",
    "Follow what happens, live",
    description=(
        "Server-sent events, one for each effect from now on: `event:` is its kind, `data:` a JSON object. "
        "An event `dropped` says how many a slow reader has missed."
    ),
    media_type="text/event-stream",
)
async def tail_events(
    tail: NamedDependency[SkipValidation[Tail]],
    kind: Annotated[str, Parameter(description=f"Comma-separated kinds of: {', '.join(KINDS)}. Default: all.")] = "",
    name: Annotated[
        str, Parameter(description="Comma-separated names of events (`Order Completed`, `identify`).")
    ] = "",
    audience: Annotated[str, Parameter(description="Comma-separated audiences that are entered or left.")] = "",
) -> ServerSentEvent:
    """Answer with an endless stream."""
    wanted = Filter(choices(kind, KINDS, "kind"), _names(name), _names(audience))
    return ServerSentEvent(messages(tail, tail.subscribe(wanted)))


router = Router("/v1/events", route_handlers=[tail_events], tags=["events"])


async def messages(tail: Tail, subscriber: Subscriber) -> AsyncIterator[ServerSentEventMessage]:
    """What a subscriber is sent, until it goes or the tail is closed."""
    try:
        yield ServerSentEventMessage(data=None, comment="following")
        while not subscriber.closed:
            dropped, taken = await subscriber.take(HEARTBEAT_S)
            if dropped:
                yield ServerSentEventMessage(event="dropped", data=_encode({"dropped": dropped}))
            for shown in taken:
                yield ServerSentEventMessage(event=shown.kind, id=shown.id, data=_encode(shown))
            if not taken and not dropped:
                yield ServerSentEventMessage(data=None, comment="still here")
    finally:
        tail.unsubscribe(subscriber)


def _names(text: str) -> frozenset[str]:
    return frozenset(name.strip() for name in text.split(",") if name.strip())
