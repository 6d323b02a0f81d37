"""Definitions: what the workspace has defined, in versions."""

from typing import Annotated

from litestar import Router
from litestar.params import Parameter
from msgspec import Struct

from onefold.model.definitions import Audience, Definitions, Destination, Source, Trait
from onefold.server import instants
from onefold.server.engines import Given
from onefold.server.instants import Instant
from onefold.server.route import read

SCOPE = "definitions:read"


class DefinitionsAnswer(Struct):
    """One version of the definitions."""

    version: int
    sources: list[Source]
    traits: list[Trait]
    audiences: list[Audience]
    destinations: list[Destination]
    timezone: str
    allow_private_hosts: list[str]


class VersionAnswer(Struct):
    """Who applied a version, and when."""

    version: int
    author: str
    created_at: Instant


class VersionsAnswer(Struct):
    """All versions, oldest first. `in_force` is what each partition of the log is folded under now."""

    versions: list[VersionAnswer]
    in_force: list[int]


@read("/", SCOPE, "The definitions", missing=True, sync_to_thread=True)
def get_definitions(
    engines: Given,
    version: Annotated[
        int | None, Parameter(ge=0, le=1 << 31, description="That version; default: the latest.")
    ] = None,
) -> DefinitionsAnswer:
    """Answer with a version of the definitions."""
    return _answer(engines.catalog.definitions(version))


@read("/versions", SCOPE, "All versions of the definitions", sync_to_thread=True)
def get_versions(engines: Given) -> VersionsAnswer:
    """Answer with all versions."""
    versions = [
        VersionAnswer(row.version, row.author, instants.show(row.created_at_ms)) for row in engines.catalog.versions()
    ]
    in_force = [engines.state.cursor(partition).version for partition in range(engines.log.partitions)]
    return VersionsAnswer(versions, in_force)


router = Router("/v1/definitions", route_handlers=[get_definitions, get_versions], tags=["definitions"])


def _answer(found: Definitions) -> DefinitionsAnswer:
    return DefinitionsAnswer(
        found.version,
        list(found.sources),
        list(found.traits),
        list(found.audiences),
        list(found.destinations),
        found.timezone,
        list(found.allow_private_hosts),
    )
