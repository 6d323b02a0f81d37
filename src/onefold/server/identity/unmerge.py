"""Undo over the API: who there would be, and doing it."""

from typing import Any

from litestar import Request, Router
from litestar.params import JSONBody
from msgspec import Struct

from onefold.errors import InvalidRequest, StorageError
from onefold.language.instants import parse_instant
from onefold.model import receipt
from onefold.model.profile import Profile
from onefold.runtime.identity import unmerge
from onefold.runtime.identity.recasting import Prepared, Sources
from onefold.runtime.identity.unmerge import Wish
from onefold.server.defining.applying import author
from onefold.server.engines import Engines, Given
from onefold.server.people.as_of import past_definitions
from onefold.server.people.profile_answer import ProfileAnswer, answer
from onefold.server.people.projection import projection
from onefold.server.route import write

_SHOWN = projection("identifiers,traits,computed,audiences")


class Asked(Struct, forbid_unknown_fields=True):
    """What is to be undone: exactly one of `link`, `event`, `identifier`, and `profile` with `after`."""

    link: list[str] | None = None
    """Two identifiers that are not one person's."""
    event: str | None = None
    """A message id, or a place in the log such as `00-3f0000`: what this event has joined."""
    identifier: str | None = None
    """One that joins nobody."""
    profile: str | None = None
    """An identifier of a person, or prf_…, of whom is undone what was joined `after` an instant (RFC 3339)."""
    after: str | None = None
    why: str = ""
    by: str = ""
    """On whose behalf; the key's name is kept in any case."""
    dry_run: bool = False
    """Only answer who there would be."""


class PersonAnswer(Struct):
    """Somebody as they are afterwards, and what is another than before of whoever has this id."""

    is_new: bool
    """Nobody has this id now."""
    events: int
    person: ProfileAnswer
    entered: list[str]
    left: list[str]


class UnmergeAnswer(Struct):
    """Who there is, or would be."""

    said: str
    """What was undone, in one line, as the log has it."""
    dry_run: bool
    folded: bool
    """False where it is a dry run, or where no worker has come so far yet: ask with the receipt."""
    receipt: str
    """Empty: a dry run."""
    events: int
    """How many events were folded again."""
    people: list[PersonAnswer]


@write(
    "/unmerge",
    "identity:write",
    "Undo a link, an event, an identifier, or all after an instant",
    description="People are taken apart as if the link had never been: traits, audiences, consent, accounts. What that "
    "changes for destinations is sent to them as any change is. `dry_run` shows who there would be.",
    refusals=[404, 503],
    sync_to_thread=True,
)
def post_unmerge(engines: Given, request: Request[Any, Any, Any], data: JSONBody[Asked]) -> UnmergeAnswer:
    """Undo, or show what it would do."""
    sources, wished = sources_of(engines), wish(data)
    if data.dry_run:
        undoing, found = unmerge.planned(sources, wished)
        return UnmergeAnswer(undoing.said, True, False, "", found.events, people(found))
    if engines.writer is None:
        raise StorageError("this process does not write the log")
    by = author(engines, request, data.by)
    return done(unmerge.unmerge(sources, engines.writer, engines.clock, wished, (by, data.why)))


router = Router("/v1/identity", route_handlers=[post_unmerge], tags=["profiles"])


def sources_of(engines: Engines) -> Sources:
    """What a recast reads."""
    return Sources(engines.history(), engines.log, engines.state, engines.catalog, past_definitions(engines))


def wish(asked: Asked) -> Wish:
    """What is asked for. Raises `InvalidRequest` where that is nothing, or more than one thing."""
    given = [name for name in ("link", "event", "identifier", "profile") if getattr(asked, name) is not None]
    if len(given) != 1 or (asked.profile is None) != (asked.after is None):
        raise InvalidRequest("say one of: `link` (two identifiers), `event`, `identifier`, or `profile` with `after`")
    if asked.link is not None:
        if len(asked.link) != 2:
            raise InvalidRequest("link: two identifiers, such as user_id:42 and email:ann@example.com")
        return unmerge.Link(*asked.link)
    if asked.event is not None:
        return unmerge.Event(asked.event)
    if asked.identifier is not None:
        return unmerge.Identifier(asked.identifier)
    assert asked.profile is not None
    assert asked.after is not None
    at_ms = parse_instant(asked.after)
    if at_ms is None:
        raise InvalidRequest(f"after: {asked.after!r} is no time, such as 2025-11-23T21:05:00Z, or a date alone")
    return unmerge.After(asked.profile, at_ms)


def done(found: unmerge.Done) -> UnmergeAnswer:
    """What came of it, as it is shown."""
    text = receipt.issue([found.partition], {found.partition: found.offset}).decode()
    return UnmergeAnswer(found.said, False, found.folded, text, found.prepared.events, people(found.prepared))


def people(found: Prepared) -> list[PersonAnswer]:
    """Who there would be; those whom it does not change are left out."""
    shown: list[PersonAnswer] = []
    for one, profile in sorted(found.after.items()):
        before = found.before.get(one)
        if before is None or _looks(before) != _looks(profile):
            were, are = (set() if before is None else set(before.audiences)), set(profile.audiences)
            shown.append(
                PersonAnswer(
                    before is None, profile.events, answer(profile, _SHOWN), sorted(are - were), sorted(were - are)
                )
            )
    return shown


def _looks(profile: Profile) -> tuple[Any, ...]:
    return profile.identifiers, profile.events, profile.declared, profile.computed, profile.audiences
