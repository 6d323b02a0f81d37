"""Preview: what a change of the definitions would do to people, before it is applied."""

import threading
from contextlib import closing
from typing import Annotated

from litestar import Router
from litestar.params import JSONBody
from msgspec import Meta, Struct, structs

from onefold.errors import Overloaded
from onefold.limits import PREVIEW_DAYS_MAX, PREVIEW_SAMPLES_MAX
from onefold.model.definitions import Audience, Definitions, Trait
from onefold.runtime.previewing.preview import AudiencePreview, Preview, Question, preview
from onefold.server import instants
from onefold.server.engines import Given
from onefold.server.instants import Instant
from onefold.server.route import write

SCOPE = "profiles:read"
_one_at_a_time = threading.Lock()


class PreviewRequest(Struct, forbid_unknown_fields=True):
    """A change of the definitions in force: what is given replaces what has the same name, or is new."""

    traits: list[Trait] = []
    audiences: list[Audience] = []
    account_traits: list[Trait] = []
    remove: list[str] = []
    """Names of traits and audiences that would be gone."""
    audience: str = ""
    """Only this audience; empty: all that would mean something else."""
    days: Annotated[int, Meta(ge=0, le=PREVIEW_DAYS_MAX)] = 30
    """How many days to look back."""
    samples: Annotated[int, Meta(ge=0, le=PREVIEW_SAMPLES_MAX)] = 10
    """How many people to show of each group."""


class PreviewAnswer(Struct):
    """What the change would do; counts are exact, but for `movement` where its `share` is below 1."""

    definitions_version: int
    """The version that the change was held against."""
    as_of: Instant
    people: int
    events: int
    audiences: list[AudiencePreview]
    left_out: dict[str, str]


@write(
    "/", SCOPE, "Preview a change of the definitions", refusals=[404], status_code=200, sync_to_thread=True,
    description="Computed over history: it changes nothing, takes seconds, and one runs at a time.",
)  # fmt: skip
def preview_definitions(engines: Given, data: JSONBody[PreviewRequest]) -> PreviewAnswer:
    """Answer with what a change would do. Raises `Overloaded` while another preview is under way."""
    if not _one_at_a_time.acquire(blocking=False):
        raise Overloaded("another preview is under way", retry_after_s=5)
    try:
        in_force = engines.catalog.definitions()
        question = Question(
            in_force, changed(in_force, data), engines.clock.now_ms(), data.audience, data.days, data.samples
        )
        with closing(engines.place.history_reader()) as history:
            return _answer(in_force.version, preview(history, question))
    finally:
        _one_at_a_time.release()


router = Router("/v1/definitions/preview", route_handlers=[preview_definitions], tags=["definitions"])


def changed(in_force: Definitions, change: PreviewRequest) -> Definitions:
    """The definitions with the change made."""
    traits = {one.name: one for one in (*in_force.traits, *change.traits) if one.name not in change.remove}
    audiences = {one.name: one for one in (*in_force.audiences, *change.audiences) if one.name not in change.remove}
    accounts = {one.name: one for one in (*in_force.account_traits, *change.account_traits)}
    return structs.replace(
        in_force,
        traits=tuple(traits.values()),
        audiences=tuple(audiences.values()),
        account_traits=tuple(accounts.values()),
    )


def _answer(version: int, found: Preview) -> PreviewAnswer:
    return PreviewAnswer(
        version, instants.show(found.as_of_ms), found.people, found.events, found.audiences, found.left_out
    )
