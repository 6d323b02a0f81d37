"""Definitions that come over HTTP: all of them, or a change; checked as `onefold apply` checks, and saved."""

import re
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Annotated, Any, TypeVar

from litestar import Request
from litestar.params import HeaderParameter, JSONBody
from msgspec import Meta, Struct, structs

from onefold.errors import Forbidden, InvalidRequest, Overloaded, PreconditionFailed
from onefold.limits import AUTHOR_MAX_CHARS, DEFINITIONS_BODY_MAX_BYTES
from onefold.model.definitions import Audience, Definitions, Destination, Source, Trait
from onefold.model.identity import NOTHING, Identity
from onefold.runtime.backfill.plan import has_past, planned
from onefold.runtime.defining.difference import difference
from onefold.runtime.defining.given import accepted
from onefold.runtime.defining.versions import in_shadow
from onefold.server.auth import Keyring, allows, key_of
from onefold.server.engines import Engines, Given
from onefold.server.route import replace, write

SCOPE = "definitions:write"
_VERSION = re.compile(r'\s*(?:"([0-9]{1,9})"|([0-9]{1,9}))\s*')
_OF_ACCOUNT = "account."
_one_at_a_time = threading.Lock()

Author = Annotated[str, Meta(max_length=AUTHOR_MAX_CHARS)]
Kind = TypeVar("Kind", Source, Trait, Audience, Destination)


class GivenDestination(Destination, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """A destination as callers write it."""


class ApplyOptions(Struct, kw_only=True):
    """How new definitions come into force, and in whose name."""

    version: int | None = None
    """As the header `If-Match`: the version that this was made from; 412 where it is not the latest (any more)."""
    backfill: bool = True
    """Compute over history what is new, before it comes into force; else it begins to count from now on."""
    quiet: bool = False
    """No effect tells who is moved by the new definitions alone."""
    in_shadow: bool = False
    """Judge and count what differs, and tell it to nobody."""
    dry_run: bool = False
    """Check, answer with what would change, and save nothing."""
    author: Author = ""
    """In whose name, beside the key's; nobody has proved it."""


class DefinitionsRequest(ApplyOptions, kw_only=True, forbid_unknown_fields=True):
    """All definitions, as `GET /v1/definitions` answers with them: what is not among them is defined no more."""

    sources: list[Source]
    traits: list[Trait]
    audiences: list[Audience]
    account_traits: list[Trait] = []
    destinations: list[GivenDestination]
    timezone: str = Definitions().timezone
    allow_private_hosts: list[str] = []
    identity: Identity = NOTHING
    note: str = ""
    """Taken as it was answered, and not kept: a version has a note that was not just applied."""
    shadow: None = None
    """What runs in shadow ends with the next version."""


class ChangeRequest(ApplyOptions, kw_only=True, forbid_unknown_fields=True):
    """A change: what is given replaces what has the same name, or is new; all else stays."""

    sources: list[Source] = []
    traits: list[Trait] = []
    audiences: list[Audience] = []
    account_traits: list[Trait] = []
    destinations: list[GivenDestination] = []
    remove: list[str] = []
    """Names of traits, audiences and destinations that are to be gone; a trait of accounts is `account.<name>`."""
    timezone: str | None = None
    identity: Identity | None = None


class SavedAnswer(Struct):
    """The version that is the latest now, and what it changes; where nothing does, it is the one that was.

    `coming`: what is new is computed over history first, and comes into force as the version after this one.
    """

    version: int
    changes: list[str]
    coming: bool


class AppliedAnswer(SavedAnswer):
    """As `SavedAnswer`; after a dry run `saved` is false, and the rest is what would come of it."""

    saved: bool


IfMatch = Annotated[
    str, HeaderParameter(name="if-match", description='A version, as `ETag` gives it: it must be the latest; `"7"`.')
]
_CHECKED = (
    "Checked as `onefold apply` checks; a refusal says in `problems` what is wrong, and where. What changes "
    "destinations or private hosts needs the scope `deliveries:write`, too; what changes sources `keys:write`."
)


@replace(
    "/", SCOPE, "Apply definitions", refusals=[409, 412], sync_to_thread=True,
    request_max_body_size=DEFINITIONS_BODY_MAX_BYTES,
    description=f"These are all the definitions there are from now on, as `onefold apply` does it. {_CHECKED}",
)  # fmt: skip
def put_definitions(
    engines: Given, request: Request[Any, Any, Any], data: JSONBody[DefinitionsRequest], if_match: IfMatch = ""
) -> AppliedAnswer:
    """Answer with the version that they are, and what they change."""
    with _alone():
        old = _base(engines, if_match, data)
        given = Definitions(
            sources=tuple(data.sources),
            traits=tuple(data.traits),
            audiences=tuple(data.audiences),
            account_traits=tuple(data.account_traits),
            destinations=tuple(_plain(data.destinations)),
            timezone=data.timezone,
            allow_private_hosts=tuple(data.allow_private_hosts),
            identity=data.identity,
        )
        return _apply(engines, request, old, accepted(given), data)


@write(
    "/", SCOPE, "Change definitions", refusals=[404, 409, 412], sync_to_thread=True, status_code=200,
    request_max_body_size=DEFINITIONS_BODY_MAX_BYTES,
    description=f"Applies the latest definitions with a change, such as one audience. {_CHECKED}",
)  # fmt: skip
def change_definitions(
    engines: Given, request: Request[Any, Any, Any], data: JSONBody[ChangeRequest], if_match: IfMatch = ""
) -> AppliedAnswer:
    """Answer with the version that they are, and what they change."""
    with _alone():
        old = _base(engines, if_match, data)
        return _apply(engines, request, old, accepted(_changed(old, data), old=old), data)


def save(engines: Engines, request: Request[Any, Any, Any], wanted: Definitions, how: ApplyOptions) -> AppliedAnswer:
    """Save what was made from the version `how.version`, in the name of the key that asks. Raises `Conflict`."""
    catalog = engines.catalog
    old = catalog.definitions()
    changes = difference(old, wanted)
    if not changes and how.version == old.version:
        return AppliedAnswer(old.version, [], coming=False, saved=not how.dry_run)
    plan = planned(old, wanted, backfill=how.backfill and has_past(engines.place), quiet=how.quiet)
    if how.dry_run:
        return AppliedAnswer(old.version, changes, plan.coming is not None, saved=False)
    saved = catalog.save_definitions(plan, author(engines, request, how.author), base=how.version)
    return AppliedAnswer(saved.version, changes, saved.coming is not None, saved=True)


def _apply(
    engines: Engines, request: Request[Any, Any, Any], old: Definitions, wanted: Definitions, how: ApplyOptions
) -> AppliedAnswer:
    _may(request, old, wanted)
    made = in_shadow(old, wanted) if how.in_shadow else wanted
    return save(engines, request, made, structs.replace(how, version=old.version))


@contextmanager
def _alone() -> Iterator[None]:
    """To check definitions takes seconds where there are many: it is done for one caller of this process at a time."""
    if not _one_at_a_time.acquire(blocking=False):
        raise Overloaded("other definitions are being applied")
    try:
        yield
    finally:
        _one_at_a_time.release()


def _base(engines: Engines, if_match: str, how: ApplyOptions) -> Definitions:
    """The latest definitions. Raises `PreconditionFailed` where the caller has made this from others."""
    if not how.author.isprintable():
        raise InvalidRequest("author: a name is one line of text")
    latest = engines.catalog.definitions()
    wanted = [] if how.version is None else [how.version]
    if if_match.strip() not in ("", "*"):
        match = _VERSION.fullmatch(if_match)
        if match is None:
            raise InvalidRequest('if-match: here stands one version, as `ETag` gives it: "7"')
        wanted.append(int(match[1] or match[2]))
    for version in wanted:
        if version != latest.version:
            raise PreconditionFailed(f"the definitions are at version {latest.version}, not {version}")
    return latest


def _changed(old: Definitions, change: ChangeRequest) -> Definitions:
    defined: list[Trait | Audience | Destination] = [*old.traits, *old.audiences, *old.destinations]
    known = {one.name for one in defined} | {_OF_ACCOUNT + one.name for one in old.account_traits}
    for name in change.remove:
        if name not in known:
            raise InvalidRequest(f"remove: there is no trait, audience or destination {name!r}")
    gone = frozenset(change.remove)
    gone_of_accounts = frozenset(name.removeprefix(_OF_ACCOUNT) for name in gone if name.startswith(_OF_ACCOUNT))
    return structs.replace(
        old,
        sources=_with(old.sources, change.sources, frozenset()),
        traits=_with(old.traits, change.traits, gone),
        audiences=_with(old.audiences, change.audiences, gone),
        account_traits=_with(old.account_traits, change.account_traits, gone_of_accounts),
        destinations=_with(old.destinations, _plain(change.destinations), gone),
        timezone=old.timezone if change.timezone is None else change.timezone,
        identity=old.identity if change.identity is None else change.identity,
    )


def _with(old: tuple[Kind, ...], given: list[Kind], gone: frozenset[str]) -> tuple[Kind, ...]:
    """Those given in the place of those of the same name; who is given twice stays so, to be told."""
    replaced = {one.name: one for one in given}
    kept: list[Kind] = [replaced.get(one.name, one) for one in old if one.name not in gone]
    names = {one.name for one in kept}
    more: list[Kind] = [one for one in given if one.name not in names or one is not replaced[one.name]]
    return tuple(kept + more)


def _plain(given: Iterable[Destination]) -> list[Destination]:
    return [Destination(**structs.asdict(one)) for one in given]


def _may(request: Request[Any, Any, Any], old: Definitions, wanted: Definitions) -> None:
    """Raises `Forbidden` where the key may define, but not this: where data goes, and who may send it."""
    keyring: Keyring = request.app.state.keyring
    own = keyring.scopes(request.headers.get("authorization"))
    moved = set(old.destinations) != set(wanted.destinations) or (
        set(old.allow_private_hosts) != set(wanted.allow_private_hosts)
    )
    if moved and not allows(own, "deliveries:write"):
        raise Forbidden("this changes where data is sent to: the key needs the scope 'deliveries:write', too")
    if set(old.sources) != set(wanted.sources) and not allows(own, "keys:write"):
        raise Forbidden("this changes who may send events: the key needs the scope 'keys:write', too")


def author(engines: Engines, request: Request[Any, Any, Any], named: str = "") -> str:
    """In whose name a version is saved: that of the key, and of the one who is named beside it."""
    key = key_of(request.headers.get("authorization"))
    holder = f"key {engines.catalog.holder(key or '')}"
    return f"{named} ({holder})" if named else holder
