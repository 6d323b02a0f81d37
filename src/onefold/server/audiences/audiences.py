"""Audiences: what they are, how many are in them, and who."""

from typing import Annotated

from litestar import Router
from litestar.params import Parameter
from msgspec import UNSET, Struct, UnsetType

from onefold.errors import NotFoundError
from onefold.limits import PARTITIONS_MAX
from onefold.model import position
from onefold.model.definitions import Audience, Definitions, is_shadow, shadow_name
from onefold.runtime.defining.comparison import moves
from onefold.runtime.defining.versions import shadowed
from onefold.server import instants
from onefold.server.engines import Given
from onefold.server.instants import Instant
from onefold.server.people import as_of as as_ofs
from onefold.server.people.as_of import AsOf
from onefold.server.route import DEFAULT_LIMIT, After, Limit, page_after, page_next, read, segment

SCOPE = "audiences:read"
PROFILE_ID_MAX = (PARTITIONS_MAX << 56) - 1


class AudienceAnswer(Struct):
    """An audience of the latest definitions, and how many profiles are in it now."""

    name: str
    expression: str
    description: str
    size: int
    as_of: Instant | UnsetType = UNSET
    """The instant of which all this is said; absent: now."""


class AudiencesAnswer(Struct):
    """All audiences of the latest definitions, and those that run in shadow, by their names there: `…@shadow`."""

    definitions_version: int
    audiences: list[AudienceAnswer]
    shadow: list[AudienceAnswer]


class MemberAnswer(Struct):
    """A profile in an audience."""

    id: str
    entered_at: Instant


class MovesAnswer(Struct):
    """What promoting its shadow would do to an audience, with the ids of some whom that would move."""

    audience: str
    entering: int
    leaving: int
    staying: int
    enter: list[str]
    leave: list[str]


class MembersAnswer(Struct):
    """A page of members, by profile id; `next` is empty on the last one."""

    audience: str
    members: list[MemberAnswer]
    next: str
    as_of: Instant | UnsetType = UNSET


Name = Annotated[str, Parameter(description="The audience's name; `name@shadow`: what runs in shadow of it.")]


@read("/", SCOPE, "All audiences", sync_to_thread=True)
def get_audiences(engines: Given) -> AudiencesAnswer:
    """Answer with all audiences and their sizes."""
    definitions = engines.catalog.definitions()
    sizes = engines.state.sizes()
    shown = [_answer(audience.name, audience, sizes) for audience in definitions.audiences]
    shadow = [_answer(name, audience, sizes) for name, audience in shadowed(definitions).items()]
    return AudiencesAnswer(definitions.version, shown, shadow)


@read("/{name:str}", SCOPE, "An audience", missing=True, sync_to_thread=True)
def get_audience(engines: Given, name: Name, as_of: AsOf = "") -> AudienceAnswer:
    """Answer with one audience and its size."""
    wanted = segment(name)
    if as_of:
        at_ms = as_ofs.instant(as_of, engines.clock.now_ms())
        defined = as_ofs.audience(engines, wanted, at_ms)
        with as_ofs.audiences(engines, at_ms) as then:
            shown = _answer(wanted, defined, {wanted: then.size(wanted)})
        shown.as_of = instants.show(at_ms)
        return shown
    return _answer(wanted, find(engines.catalog.definitions(), wanted), engines.state.sizes())


@read(
    "/{name:str}/members",
    SCOPE,
    "An audience's members",
    missing=True,
    description="With `as_of`: those whom the platform had told to be in it by then, under the ids that they had then.",
    sync_to_thread=True,
)
def get_members(
    engines: Given, name: Name, limit: Limit = DEFAULT_LIMIT, after: After = "", as_of: AsOf = ""
) -> MembersAnswer:
    """Answer with a page of members. Who enters or leaves while pages are read may be missing or seen once."""
    audience = segment(name)
    (last,) = page_after(after, PROFILE_ID_MAX) if after else (-1,)
    if as_of:
        at_ms = as_ofs.instant(as_of, engines.clock.now_ms())
        as_ofs.audience(engines, audience, at_ms)
        with as_ofs.audiences(engines, at_ms) as then:
            shown = _members(audience, then.members(audience, last, limit), limit)
        shown.as_of = instants.show(at_ms)
        return shown
    find(engines.catalog.definitions(), audience)
    return _members(audience, engines.state.members(audience, last, limit), limit)


def _members(audience: str, found: list[tuple[int, int]], limit: int) -> MembersAnswer:
    members = [MemberAnswer(position.show(profile), instants.show(entered_ms)) for profile, entered_ms in found]
    return MembersAnswer(audience, members, page_next(found[-1][0]) if len(found) == limit else "")


@read(
    "/{name:str}/moves",
    SCOPE,
    "Who would enter and leave an audience",
    missing=True,
    description="If what runs in shadow were promoted now. Reads all members of both.",
    sync_to_thread=True,
)
def get_moves(engines: Given, name: Name) -> MovesAnswer:
    """Answer with exact counts, and some ids."""
    audience = segment(name)
    find(engines.catalog.definitions(), shadow_name(audience))
    found = moves(engines.state, audience)
    enter, leave = list(map(position.show, found.enter)), list(map(position.show, found.leave))
    return MovesAnswer(audience, found.entering, found.leaving, found.staying, enter, leave)


router = Router(
    "/v1/audiences", route_handlers=[get_audiences, get_audience, get_members, get_moves], tags=["audiences"]
)


def find(definitions: Definitions, name: str) -> Audience:
    """The audience of this name, live or in shadow. Raises `NotFoundError`."""
    if is_shadow(name):
        found = shadowed(definitions).get(name)
    else:
        found = next((audience for audience in definitions.audiences if audience.name == name), None)
    if found is None:
        raise NotFoundError("there is no such audience")
    return found


def _answer(name: str, audience: Audience, sizes: dict[str, int]) -> AudienceAnswer:
    return AudienceAnswer(name, audience.expression, audience.description, sizes.get(name, 0))
