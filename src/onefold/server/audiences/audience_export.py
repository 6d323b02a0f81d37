"""The members of an audience as a stream: one route for each format."""

import asyncio
import weakref
from collections.abc import AsyncIterator, Iterator
from typing import Annotated, Any

from litestar import Request, Router
from litestar.handlers import HTTPRouteHandler
from litestar.params import Parameter
from litestar.response import Stream

from onefold.errors import InvalidRequest, Overloaded, SettingsError
from onefold.limits import EXPORTS_MAX
from onefold.server.audiences.audiences import Name, find
from onefold.server.audiences.export import DESCRIPTION, INCLUDE, columns, rows
from onefold.server.audiences.export_formats import FORMATS, Format, written
from onefold.server.engines import Engines, Given
from onefold.server.people.profiles import SCOPE
from onefold.server.route import read, segment


class Exports:
    """How many are under way in this process; each has a thread while it reads."""

    def __init__(self) -> None:
        self._running = 0

    def begin(self) -> None:
        """Raises `Overloaded` where there are too many."""
        if self._running >= EXPORTS_MAX:
            raise Overloaded(f"at most {EXPORTS_MAX} exports run at once", retry_after_s=10)
        self._running += 1

    def end(self) -> None:
        """One has ended, well or not."""
        self._running -= 1


def export(engines: Engines, audience: str, include: str, form: Format) -> Iterator[bytes]:
    """The file in parts. Raises `NotFoundError`, `InvalidRequest`, `SettingsError` before the first."""
    definitions = engines.catalog.definitions()
    find(definitions, audience)
    wanted = columns(definitions, audience, include)
    return written(rows(engines.state, audience, wanted), form.writer(wanted))


def _route(form: Format) -> HTTPRouteHandler:
    @read(
        f"/{{name:str}}/export.{form.name}",
        SCOPE,
        f"An audience's members as {form.name}",
        missing=True,
        operation_id=f"ExportMembers{form.name.capitalize()}",
        media_type=form.media_type,
        description=(
            "Streamed in the order of profile ids, while people come and go: whoever is a member all the time is in "
            "it, once. A connection that breaks off before the end means that not all are in it."
        ),
    )
    async def export_members(
        engines: Given,
        request: Request[Any, Any, Any],
        name: Name,
        include: Annotated[str, Parameter(description=DESCRIPTION)] = INCLUDE,
    ) -> Stream:
        """Answer with a stream."""
        exports: Exports = request.app.state.exports
        try:
            parts = await asyncio.to_thread(export, engines, segment(name), include, form)
        except SettingsError as error:
            raise InvalidRequest(str(error)) from error
        exports.begin()
        stream = _stream(parts)
        # It ends also where nobody has begun to read it.
        weakref.finalize(stream, exports.end)
        return Stream(stream, media_type=form.media_type)

    return export_members


router = Router("/v1/audiences", route_handlers=[_route(form) for form in FORMATS.values()], tags=["audiences"])


async def _stream(parts: Iterator[bytes]) -> AsyncIterator[bytes]:
    while part := await asyncio.to_thread(next, parts, b""):
        yield part
