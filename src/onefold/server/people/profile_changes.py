"""One profile's changes, live: the profile as it is, then every effect that changes it, through its merges too."""

import asyncio
from collections.abc import AsyncIterator
from typing import Annotated

import msgspec
from litestar import Router
from litestar.di import NamedDependency
from litestar.params import Parameter, SkipValidation
from litestar.response import ServerSentEvent, ServerSentEventMessage

from onefold.model.profile import Profile
from onefold.server.engines import Engines, Given
from onefold.server.operating.events import messages
from onefold.server.operating.tail import Filter, Subscriber, Tail
from onefold.server.people.profile_answer import answer
from onefold.server.people.profiles import SCOPE, Name, find
from onefold.server.people.projection import DESCRIPTION, Projection, projection
from onefold.server.route import read, segment

KINDS = ("merged", "split", "changed", "entered", "left", "link_refused", "moved", "hot")
"""Effects that change a profile, or tell why it did not change."""

_encode = msgspec.json.Encoder().encode


@read(
    "/{name:str}/changes",
    SCOPE,
    "Follow a profile, live",
    missing=True,
    description=(
        f"Server-sent events: first `profile`, as it is now; then one for each effect of: {', '.join(KINDS)}. "
        "Where it is absorbed by another, that one is followed on. An effect that the profile shows already may come "
        "once more; none is left out, but where an event `dropped` says so: then read the profile again."
    ),
    media_type="text/event-stream",
)
async def follow_profile(
    engines: Given,
    tail: NamedDependency[SkipValidation[Tail]],
    name: Name,
    include: Annotated[str, Parameter(description=DESCRIPTION)] = "",
) -> ServerSentEvent:
    """Answer with an endless stream."""
    wanted = projection(include)
    found = await asyncio.to_thread(_find, engines, name)
    # Effects first, then the profile: what happens in between is told twice rather than never.
    subscriber = tail.subscribe(Filter(frozenset(KINDS)), {found.id})
    try:
        found = await asyncio.to_thread(_find, engines, name)
        subscriber.follow(found.id)
    except BaseException:
        tail.unsubscribe(subscriber)
        raise
    return ServerSentEvent(_told(tail, subscriber, found, wanted))


router = Router("/v1/profiles", route_handlers=[follow_profile], tags=["profiles"])


async def _told(
    tail: Tail, subscriber: Subscriber, found: Profile, wanted: Projection
) -> AsyncIterator[ServerSentEventMessage]:
    try:
        yield ServerSentEventMessage(event="profile", data=_encode(answer(found, wanted)))
    except BaseException:
        tail.unsubscribe(subscriber)
        raise
    async for message in messages(tail, subscriber):
        yield message


def _find(engines: Engines, name: str) -> Profile:
    return find(engines.state, engines.rules(), segment(name))
