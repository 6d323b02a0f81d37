"""Many profiles in one request: a fixed number of questions to the state, whatever is asked."""

import asyncio
from collections.abc import Sequence
from typing import cast

import msgspec
from litestar import Router
from litestar.params import JSONBody
from msgspec import Raw, Struct

from onefold.core.identity import identifiers
from onefold.errors import InvalidRequest
from onefold.limits import BATCH_READ_MAX, BATCH_READ_MAX_BYTES
from onefold.model import position, profile
from onefold.model.rules import Rules
from onefold.ports import State
from onefold.server.engines import Given
from onefold.server.people.arrivals import Waiting
from onefold.server.people.profile_answer import ProfileAnswer, answer
from onefold.server.people.profiles import NAMING, SCOPE
from onefold.server.people.projection import Projection, projection
from onefold.server.route import write


class BatchRequest(Struct, forbid_unknown_fields=True):
    """Who is asked for: each by `namespace:value` or `prf_…`; `include` and `after` as for one profile."""

    profiles: list[str]
    include: str = ""
    after: str = ""


class FoundAnswer(Struct):
    """One of those who were asked for; null: there is no such profile."""

    asked: str
    profile: ProfileAnswer | None


class BatchAnswer(Struct):
    """All who were asked for, in that order. Two names of one person give the same profile twice."""

    profiles: list[FoundAnswer]


@write(
    "/batch",
    SCOPE,
    "Many profiles",
    refusals=[504],
    status_code=200,
    request_max_body_size=BATCH_READ_MAX_BYTES,
    description=f"Up to {BATCH_READ_MAX:,} profiles. Each is of one instant; two may be of different ones, close by.",
)
async def get_profiles(engines: Given, arrivals: Waiting, data: JSONBody[BatchRequest]) -> BatchAnswer:
    """Answer with many profiles."""
    wanted = projection(data.include)
    if "provenance" in wanted:
        raise InvalidRequest("include: provenance is shown of one profile at a time: GET /v1/profiles/{name}")
    if len(data.profiles) > BATCH_READ_MAX:
        raise InvalidRequest(f"profiles: {len(data.profiles)} of them; {BATCH_READ_MAX} are allowed")
    if data.after:
        await arrivals.reached(data.after)
    return await asyncio.to_thread(lambda: read_many(engines.state, engines.rules(), data.profiles, wanted))


router = Router("/v1/profiles", route_handlers=[get_profiles], tags=["profiles"])


_encode = msgspec.json.Encoder().encode


def read_many(state: State, rules: Rules, asked: Sequence[str], wanted: Projection) -> BatchAnswer:
    """The answer to a batch. Raises `InvalidRequest` where something is no name of a profile."""
    numbers = _numbers(state, rules, asked)
    stored = state.survivors({number for number in numbers if number is not None})
    # As bytes at once: people kept as objects would have the collector of cycles go through them again and again.
    shown = {number: Raw(_encode(answer(profile.decode(data), wanted))) for number, data in stored.items()}
    found = [None if number is None else cast("ProfileAnswer | None", shown.get(number)) for number in numbers]
    return BatchAnswer([FoundAnswer(name, each) for name, each in zip(asked, found, strict=True)])


def _numbers(state: State, rules: Rules, asked: Sequence[str]) -> list[int | None]:
    """The id of each, as far as there is one. Raises `InvalidRequest` where something is no name of a profile."""
    spelled: list[str | None] = []
    for n, text in enumerate(asked):
        namespace, colon, value = text.partition(":")
        if not colon and position.parse(text) is None:
            raise InvalidRequest(f"profiles[{n}]: {NAMING}")
        spelled.append(identifiers.normalise(namespace, value, rules) if colon and namespace else None)
    owners = state.owners({name for name in spelled if name is not None})
    return [
        position.parse(text) if name is None else owners.get(name) for text, name in zip(asked, spelled, strict=True)
    ]
