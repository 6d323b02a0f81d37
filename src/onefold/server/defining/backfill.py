"""Definitions that are to come: how far they have been computed over history; pause, go on, call off."""

from typing import Any

from litestar import Request, Router
from msgspec import Struct

from onefold.errors import NotFoundError
from onefold.runtime.backfill.plan import called_off, standing
from onefold.server.defining.applying import author
from onefold.server.engines import Engines, Given
from onefold.server.route import read, remove, write

READ, WRITE = "definitions:read", "definitions:write"


class BackfillAnswer(Struct):
    """How far it is: `state` is `waiting` (for workers to gather), `computing`, `paused` or `ready`."""

    version: int
    """Since this version of the definitions they are coming; they will be the next one."""
    state: str
    done: float
    """The share of people who have been looked at: 0 to 1."""


@read("/", READ, "What is being computed over history", missing=True, sync_to_thread=True)
def get_backfill(engines: Given) -> BackfillAnswer:
    """Answer with how far definitions that are to come are; 404 where the latest are in force."""
    return _standing(engines)


@write("/pause", WRITE, "Pause what is being computed", refusals=[404], status_code=200, sync_to_thread=True)
def pause(engines: Given) -> BackfillAnswer:
    """Let it rest where it is."""
    _standing(engines)
    engines.catalog.pause_backfill(paused=True)
    return _standing(engines)


@write("/resume", WRITE, "Go on with what was paused", refusals=[404], status_code=200, sync_to_thread=True)
def resume(engines: Given) -> BackfillAnswer:
    """Let it go on where it was."""
    _standing(engines)
    engines.catalog.pause_backfill(paused=False)
    return _standing(engines)


@remove("/", WRITE, "Call off what is being computed", refusals=[409], sync_to_thread=True)
def cancel(engines: Given, request: Request[Any, Any, Any]) -> None:
    """Stay with the definitions that are in force."""
    latest = engines.catalog.definitions()
    engines.catalog.save_definitions(called_off(latest), author(engines, request), base=latest.version)


router = Router(
    "/v1/definitions/backfill", route_handlers=[get_backfill, pause, resume, cancel], tags=["definitions"]
)  # fmt: skip


def _standing(engines: Engines) -> BackfillAnswer:
    found = standing(engines.catalog, engines.state, engines.log.partitions)
    if found is None:
        raise NotFoundError("nothing is being computed over history: the latest definitions are in force")
    return BackfillAnswer(found.version, found.state, found.done)
