"""Audiences: what they are, how many are in them, and who."""

from typing import Annotated

from litestar import Router
from litestar.params import Parameter
from msgspec import Struct

from onefold.errors import NotFoundError
from onefold.limits import PARTITIONS_MAX
from onefold.model import position
from onefold.model.definitions import Audience
from onefold.server import instants
from onefold.server.engines import Engines, Given
from onefold.server.instants import Instant
from onefold.server.route import DEFAULT_LIMIT, After, Limit, page_after, page_next, read, segment

SCOPE = "audiences:read"
PROFILE_ID_MAX = (PARTITIONS_MAX << 56) - 1


class AudienceAnswer(Struct):
    """An audience of the latest definitions, and how many profiles are in it now."""

    name: str
    expression: str
    description: str
    size: int


class AudiencesAnswer(Struct):
    """All audiences of the latest definitions."""

    definitions_version: int
    audiences: list[AudienceAnswer]


class MemberAnswer(Struct):
    """A profile in an audience."""

    id: str
    entered_at: Instant


class MembersAnswer(Struct):
    """A page of members, by profile id; `next` is empty on the last one."""

    audience: str
    members: list[MemberAnswer]
    next: str


Name = Annotated[str, Parameter(description="The audience's name.")]


@read("/", SCOPE, "All audiences", sync_to_thread=True)
def get_audiences(engines: Given) -> AudiencesAnswer:
    """Answer with all audiences and their sizes."""
    definitions = engines.catalog.definitions()
    sizes = engines.state.sizes()
    shown = [_answer(audience, sizes) for audience in definitions.audiences]
    return AudiencesAnswer(definitions.version, shown)


@read("/{name:str}", SCOPE, "An audience", missing=True, sync_to_thread=True)
def get_audience(engines: Given, name: Name) -> AudienceAnswer:
    """Answer with one audience and its size."""
    return _answer(_find(engines, name), engines.state.sizes())


@read("/{name:str}/members", SCOPE, "An audience's members", missing=True, sync_to_thread=True)
def get_members(engines: Given, name: Name, limit: Limit = DEFAULT_LIMIT, after: After = "") -> MembersAnswer:
    """Answer with a page of members. Who enters or leaves while pages are read may be missing or seen once."""
    audience = _find(engines, name)
    (last,) = page_after(after, PROFILE_ID_MAX) if after else (-1,)
    found = engines.state.members(audience.name, last, limit)
    members = [MemberAnswer(position.show(profile), instants.show(entered_ms)) for profile, entered_ms in found]
    return MembersAnswer(audience.name, members, page_next(found[-1][0]) if len(found) == limit else "")


router = Router("/v1/audiences", route_handlers=[get_audiences, get_audience, get_members], tags=["audiences"])


def _find(engines: Engines, raw_name: str) -> Audience:
    name = segment(raw_name)
    for audience in engines.catalog.definitions().audiences:
        if audience.name == name:
            return audience
    raise NotFoundError("there is no such audience")


def _answer(audience: Audience, sizes: dict[str, int]) -> AudienceAnswer:
    return AudienceAnswer(audience.name, audience.expression, audience.description, sizes.get(audience.name, 0))
