"""Definitions: what the workspace has defined, in versions."""

from typing import Annotated, Any

from litestar import Request, Response, Router
from litestar.params import JSONBody, Parameter
from msgspec import Struct

from onefold.errors import InvalidRequest, NotFoundError
from onefold.model.definitions import Audience, Definitions, Destination, Source, Trait
from onefold.model.identity import Identity
from onefold.runtime.defining import versions
from onefold.runtime.defining.difference import difference
from onefold.server import instants
from onefold.server.defining.applying import ApplyOptions, SavedAnswer, change_definitions, put_definitions, save
from onefold.server.defining.shadow import ShadowsAnswer, in_force, shadows
from onefold.server.engines import Engines, Given
from onefold.server.instants import Instant
from onefold.server.route import read, remove, write

SCOPE, WRITE = "definitions:read", "definitions:write"


class ContentAnswer(Struct, kw_only=True):
    """What a version defines."""

    sources: list[Source]
    traits: list[Trait]
    audiences: list[Audience]
    account_traits: list[Trait]
    """Traits of accounts; expressions of people read them as `account.<name>`."""
    destinations: list[Destination]
    timezone: str
    allow_private_hosts: list[str]
    identity: Identity


class DefinitionsAnswer(ContentAnswer, kw_only=True):
    """One version of the definitions. `shadow` runs beside it where it differs, and is told to nobody."""

    version: int
    note: str
    shadow: ContentAnswer | None


class VersionAnswer(Struct):
    """Who applied a version, and when."""

    version: int
    author: str
    created_at: Instant


class VersionsAnswer(Struct):
    """All versions, oldest first. `in_force` is what each partition of the log is folded under now."""

    versions: list[VersionAnswer]
    in_force: list[int]


class ChangesAnswer(Struct):
    """A version, and what it changed of the one before: a line each, `+` new, `-` gone, `~` different."""

    version: int
    author: str
    created_at: Instant
    note: str
    changes: list[str]


class DifferenceAnswer(Struct):
    """What differs from one version to another: a line each, `+` new, `-` gone, `~` different."""

    before: int
    after: int
    changes: list[str]


class RollbackRequest(Struct, forbid_unknown_fields=True):
    """To which version. With `base`, 409 where the latest version is not that one (any more)."""

    version: int
    base: int | None = None


class PromoteRequest(Struct, forbid_unknown_fields=True):
    """With `base`, 409 where the latest version is not that one (any more)."""

    base: int | None = None


VERSION_MAX = 1 << 31
Version = Annotated[int, Parameter(ge=0, le=VERSION_MAX, description="A version; 0 is the empty beginning.")]


@read("/", SCOPE, "The definitions", missing=True, sync_to_thread=True)
def get_definitions(
    engines: Given,
    version: Annotated[
        int | None, Parameter(ge=0, le=VERSION_MAX, description="That version; default: the latest.")
    ] = None,
) -> Response[DefinitionsAnswer]:
    """Answer with a version of the definitions; its `ETag` is what `If-Match` takes."""
    found = engines.catalog.definitions(version)
    shadow = None if found.shadow is None else ContentAnswer(**_content(found.shadow))
    answer = DefinitionsAnswer(version=found.version, note=found.note, shadow=shadow, **_content(found))
    return Response(answer, headers={"etag": f'"{found.version}"'})


@read("/versions", SCOPE, "All versions of the definitions", sync_to_thread=True)
def get_versions(engines: Given) -> VersionsAnswer:
    """Answer with all versions."""
    rows = engines.catalog.versions()
    shown = [VersionAnswer(row.version, row.author, instants.show(row.created_at_ms)) for row in rows]
    return VersionsAnswer(shown, in_force(engines))


@read("/versions/{version:int}", SCOPE, "A version, and what it changed", missing=True, sync_to_thread=True)
def get_version(
    engines: Given, version: Annotated[int, Parameter(ge=1, le=VERSION_MAX, description="Which version.")]
) -> ChangesAnswer:
    """Answer with what a version changed."""
    for row in engines.catalog.versions():
        if row.version == version:
            (one,) = versions.history(engines.catalog, [row])
            return ChangesAnswer(one.version, one.author, instants.show(one.created_at_ms), one.note, one.changes)
    raise NotFoundError(f"there is no version {version} of the definitions")


@read("/difference", SCOPE, "What differs from one version to another", missing=True, sync_to_thread=True)
def get_difference(engines: Given, before: Version, after: Version) -> DifferenceAnswer:
    """Answer with the difference of two versions."""
    changes = difference(engines.catalog.definitions(before), engines.catalog.definitions(after))
    return DifferenceAnswer(before, after, changes)


@write(
    "/rollback",
    WRITE,
    "Roll back",
    refusals=[404, 409],
    description="Makes what an older version said the next version; `GET /v1/definitions/difference` shows it first.",
    sync_to_thread=True,
)
def roll_back(engines: Given, request: Request[Any, Any, Any], data: JSONBody[RollbackRequest]) -> SavedAnswer:
    """Answer with the new version."""
    if not 0 <= data.version <= VERSION_MAX:
        raise InvalidRequest(f"version: {data.version} is not from 0 to {VERSION_MAX}")
    wanted = versions.rolled_back(engines.catalog, data.version)
    return _save(engines, request, wanted, engines.catalog.definitions().version if data.base is None else data.base)


@read("/shadow", SCOPE, "What runs in shadow", missing=True, sync_to_thread=True)
def get_shadow(engines: Given) -> ShadowsAnswer:
    """Answer with what promoting it would do, but for who would enter and leave."""
    return shadows(engines)


@write("/shadow/promote", WRITE, "Promote what runs in shadow", refusals=[404, 409], sync_to_thread=True)
def promote(engines: Given, request: Request[Any, Any, Any], data: JSONBody[PromoteRequest]) -> SavedAnswer:
    """Make it live, and answer with the new version."""
    live = engines.catalog.definitions()
    return _save(engines, request, versions.promoted(live), live.version if data.base is None else data.base)


@remove("/shadow", WRITE, "Drop what runs in shadow", refusals=[409], sync_to_thread=True)
def drop(engines: Given, request: Request[Any, Any, Any]) -> None:
    """Go on without it."""
    live = engines.catalog.definitions()
    _save(engines, request, versions.dropped(live), live.version)


router = Router(
    "/v1/definitions",
    route_handlers=[
        get_definitions, put_definitions, change_definitions, get_versions, get_version, get_difference, roll_back,
        get_shadow, promote, drop,
    ],
    tags=["definitions"],
)  # fmt: skip


def _content(found: Definitions) -> dict[str, Any]:
    return {
        "sources": list(found.sources),
        "traits": list(found.traits),
        "audiences": list(found.audiences),
        "account_traits": list(found.account_traits),
        "destinations": list(found.destinations),
        "timezone": found.timezone,
        "allow_private_hosts": list(found.allow_private_hosts),
        "identity": found.identity,
    }


def _save(engines: Engines, request: Request[Any, Any, Any], wanted: Definitions, base: int) -> SavedAnswer:
    done = save(engines, request, wanted, ApplyOptions(version=base))
    return SavedAnswer(done.version, done.changes, done.coming)
