"""Whether the process lives, and whether it is ready for traffic."""

from collections.abc import Callable
from typing import Any

from litestar import Request, Response, Router
from litestar.openapi.datastructures import ResponseSpec
from msgspec import Struct

from onefold.errors import OnefoldError
from onefold.server.auth import PUBLIC
from onefold.server.engines import Engines, Given
from onefold.server.operating.pressure import behind_events
from onefold.server.route import read


class Alive(Struct):
    """The process answers."""

    status: str = "ok"


class Check(Struct):
    """One condition of being ready."""

    ok: bool
    detail: str


class Ready(Struct):
    """Ready where every check is ok."""

    ready: bool
    checks: dict[str, Check]


@read("/healthz", PUBLIC, "Is the process alive?", sync_to_thread=False)
def healthz() -> Alive:
    """Answer that the process lives: restart it where this does not answer."""
    return Alive()


@read(
    "/readyz",
    PUBLIC,
    "Is it ready for traffic?",
    sync_to_thread=True,
    responses={
        503: ResponseSpec(Ready, description="Not ready: a check failed.", generate_examples=False),
    },
)
def readyz(engines: Given, request: Request[Any, Any, Any]) -> Response[Ready]:
    """Answer 200 where log and state can be read, the disk has room and the workers keep up; else 503.

    A role that only takes events in is ready without the state: what it takes may wait for that.
    """
    looks = _CHECKS if request.app.state.answers else _COLLECTING
    checks = {name: _run(look, engines) for name, look in looks.items()}
    ready = Ready(all(check.ok for check in checks.values()), checks)
    return Response(ready, status_code=200 if ready.ready else 503)


router = Router("/", route_handlers=[healthz, readyz], tags=["health"])


def _run(look: Callable[[Engines], Check], engines: Engines) -> Check:
    try:
        return look(engines)
    except OnefoldError as error:
        return Check(ok=False, detail=f"{error.code}: {error}")


def _log(engines: Engines) -> Check:
    records = sum(engines.log.ends(partition)[1] for partition in range(engines.log.partitions))
    return Check(ok=True, detail=f"{engines.log.partitions} partitions, {records} records so far")


def _state(engines: Engines) -> Check:
    return Check(ok=True, detail=f"{engines.state.counts().get('profiles', 0)} profiles")


def _disk(engines: Engines) -> Check:
    free, reserve = engines.place.free_bytes(), engines.settings.disk_reserve_bytes
    if free is None:
        return Check(ok=True, detail="nothing lies on this machine")
    return Check(ok=free >= reserve, detail=f"{free} bytes free, {reserve} in reserve")


def _workers(engines: Engines) -> Check:
    behind, limit = behind_events(engines), engines.settings.behind_max_events
    return Check(ok=behind <= limit, detail=f"about {behind} events behind, {limit} at most")


_CHECKS = {"log": _log, "state": _state, "disk": _disk, "workers": _workers}
_COLLECTING = {"log": _log, "disk": _disk}
