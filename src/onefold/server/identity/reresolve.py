"""Re-resolve: the past is brought under the rules of identity in force, while the platform goes on."""

import threading
from contextlib import closing
from typing import Any

from litestar import Request, Router

from onefold.errors import Cancelled, Overloaded
from onefold.limits import WHAT_IF_API_S
from onefold.runtime.identity.past import Sources
from onefold.runtime.identity.reresolve import Reresolved, Shows, reresolve
from onefold.runtime.identity.reresolving import Engines as Joined
from onefold.server.defining.applying import author
from onefold.server.engines import Engines, Given
from onefold.server.route import write

SCOPE = "identity:write"
_one_at_a_time = threading.Lock()


@write(
    "/", SCOPE, "Bring the past under the rules in force", refusals=[404, 503], status_code=200, sync_to_thread=True,
    description="Answers once nobody differs from what the rules make of the past. What is done stays done: where it "
    "takes longer than the API allows, ask again, and it goes on.",
)  # fmt: skip
def post_reresolve(engines: Given, request: Request[Any, Any, Any]) -> Reresolved:
    """Answer with what has come of it. Raises `Overloaded` while another is under way, `Cancelled` past its time."""
    if not _one_at_a_time.acquire(blocking=False):
        raise Overloaded("the past is being brought under the rules just now", retry_after_s=5)
    try:
        return _bring(engines, author(engines, request, ""))
    finally:
        _one_at_a_time.release()


def _bring(engines: Engines, by: str) -> Reresolved:
    clock = engines.clock
    until_s = clock.monotonic_s() + WHAT_IF_API_S

    def bounded(*_: object) -> None:
        if clock.monotonic_s() > until_s:
            raise Cancelled(f"it takes longer than {WHAT_IF_API_S:g} s: what is done stays done, ask again to go on")

    with (
        closing(engines.place.history_reader()) as history,
        closing(engines.place.log_writer(clock)) as writer,
    ):
        joined = Joined(Sources(history, engines.log, engines.state), writer, engines.catalog)
        return reresolve(joined, clock, by, Shows(bounded, bounded))


router = Router("/v1/identity/reresolve", route_handlers=[post_reresolve], tags=["profiles"])
