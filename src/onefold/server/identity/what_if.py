"""What if: who would be one person under other rules of identity, before they are applied."""

import threading
from contextlib import closing
from typing import Annotated

from litestar import Router
from litestar.params import JSONBody
from msgspec import Meta, Struct

from onefold.errors import Cancelled, Overloaded
from onefold.limits import WHAT_IF_API_S, WHAT_IF_SAMPLES_MAX
from onefold.model.definitions import Definitions
from onefold.model.identity import Identity
from onefold.runtime.defining.given import accepted
from onefold.runtime.identity.past import Sources
from onefold.runtime.identity.whatif import Forecast, Question, what_if
from onefold.server.engines import Engines, Given
from onefold.server.route import write

SCOPE = "identity:read"
_one_at_a_time = threading.Lock()


class WhatIfRequest(Struct, forbid_unknown_fields=True):
    """Rules as `GET /v1/definitions` shows them under `identity`."""

    identity: Identity
    samples: Annotated[int, Meta(ge=0, le=WHAT_IF_SAMPLES_MAX)] = 10
    """How many people to show of each kind of change."""


@write(
    "/", SCOPE, "Try other rules of identity", refusals=[404], status_code=200, sync_to_thread=True,
    description="Goes through all of history and changes nothing; one runs at a time.",
)  # fmt: skip
def ask_what_if(engines: Given, data: JSONBody[WhatIfRequest]) -> Forecast:
    """Answer with who would be one person. Raises `Overloaded` while another is tried, `Cancelled` past its time."""
    if not _one_at_a_time.acquire(blocking=False):
        raise Overloaded("other rules are being tried just now", retry_after_s=5)
    try:
        wanted = accepted(Definitions(identity=data.identity)).identity
        return _answer(engines, wanted, data.samples)
    finally:
        _one_at_a_time.release()


def _answer(engines: Engines, wanted: Identity, samples: int) -> Forecast:
    clock, in_force = engines.clock, engines.rules()
    until_s = clock.monotonic_s() + WHAT_IF_API_S

    def bounded(_done: int, _of: int) -> None:
        if clock.monotonic_s() > until_s:
            raise Cancelled(f"it took longer than {WHAT_IF_API_S:g} s: `onefold identity what-if` has no such bound")

    question = Question(in_force.with_identity(wanted), in_force.identity, clock.now_ms(), samples)
    with closing(engines.place.history_reader()) as history:
        return what_if(Sources(history, engines.log, engines.state), question, bounded)


router = Router("/v1/identity/what-if", route_handlers=[ask_what_if], tags=["profiles"])
