"""Sources: where events come from, with their write keys."""

from typing import Annotated

from litestar import Router
from litestar.params import JSONBody, Parameter
from msgspec import Struct

from onefold.errors import NotFoundError
from onefold.model.catalog import SourceRow
from onefold.server import instants
from onefold.server.engines import Given
from onefold.server.instants import Instant
from onefold.server.route import read, remove, segment, write


class SourceAnswer(Struct):
    """A source. Its write key is no secret: it may only write."""

    name: str
    kind: str
    enabled: bool
    write_key: str
    created_at: Instant


class SourcesAnswer(Struct):
    """All sources, by name."""

    sources: list[SourceAnswer]


class NewSource(Struct, forbid_unknown_fields=True):
    """A source to be created."""

    name: str
    kind: str = "http"


Name = Annotated[str, Parameter(description="The source's name.")]


@read("/", "keys:read", "All sources", sync_to_thread=True)
def get_sources(engines: Given) -> SourcesAnswer:
    """Answer with all sources."""
    return SourcesAnswer([_answer(source) for source in engines.catalog.sources()])


@write("/", "keys:write", "Create a source", refusals=[409], sync_to_thread=True)
def create_source(engines: Given, data: JSONBody[NewSource]) -> SourceAnswer:
    """Create a source; its write key works within a second."""
    engines.catalog.create_source(data.name, data.kind)
    return next(_answer(source) for source in engines.catalog.sources() if source.name == data.name)


@remove("/{name:str}/key", "keys:write", "Stop a source", sync_to_thread=True)
def disable_source(engines: Given, name: Name) -> None:
    """Stop a source: its write key is refused within a second. What it sent stays."""
    engines.catalog.enable_source(segment(name), enabled=False)


@write("/{name:str}/key", "keys:write", "Give a source a new write key", refusals=[404], sync_to_thread=True)
def rotate_key(engines: Given, name: Name) -> SourceAnswer:
    """Give a source a new write key and let it send; the old key is refused within a second."""
    wanted = segment(name)
    engines.catalog.rotate_write_key(wanted)
    engines.catalog.enable_source(wanted, enabled=True)
    for source in engines.catalog.sources():
        if source.name == wanted:
            return _answer(source)
    raise NotFoundError(f"there is no source named {wanted!r}")


router = Router("/v1/sources", route_handlers=[get_sources, create_source, disable_source, rotate_key], tags=["keys"])


def _answer(source: SourceRow) -> SourceAnswer:
    created_at = instants.show(source.created_at_ms)
    return SourceAnswer(source.name, source.kind, source.enabled, source.write_key, created_at)
