"""Accounts: what is known of a company or a household, found by the `groupId` that events name it by; who is in it."""

from typing import Annotated, Any

from litestar import Router
from litestar.params import Parameter
from msgspec import Struct

from onefold.core.identity import identifiers
from onefold.errors import NotFoundError
from onefold.language.keeping.accounts import next_after
from onefold.limits import PARTITIONS_MAX
from onefold.model import position, profile
from onefold.model.account import group_of, members_of
from onefold.model.profile import Profile
from onefold.model.rules import Rules
from onefold.ports import State
from onefold.server import instants
from onefold.server.engines import Given
from onefold.server.instants import Instant
from onefold.server.route import DEFAULT_LIMIT, After, Limit, page_after, page_next, read, segment

SCOPE = "profiles:read"
_ID_MAX = (PARTITIONS_MAX << 56) - 1


class AccountAnswer(Struct):
    """One account, as the events that name it make it."""

    id: str
    """The `groupId`."""
    created_at: Instant
    first_seen_at: Instant
    last_seen_at: Instant
    judged_at: Instant
    """The log time at which computed traits were last judged; timers judge again when a window ends."""
    definitions_version: int
    events: int
    members: int
    """People whose latest event naming an account names this one."""
    told: bool
    """Whether all members are judged by these values; where not, they are about to be, some at a time."""
    traits: dict[str, Any]
    """Declared by `group` calls."""
    computed: dict[str, Any]
    """Computed by the workspace's definitions."""


class AccountMembersAnswer(Struct):
    """A page of members' profile ids; `next` is empty on the last one."""

    account: str
    members: list[str]
    next: str


Name = Annotated[str, Parameter(description="The `groupId`, URL-encoded.")]


def find(state: State, rules: Rules, group: str) -> Profile:
    """The account of this name. Raises `NotFoundError`."""
    identifier = identifiers.normalise("", group, rules)
    number = None if identifier is None else state.lookup(identifier)
    stored = None if number is None else state.profile(number)
    if stored is None:
        raise NotFoundError(
            "there is no such account: events name one by `groupId`, where definitions ask for accounts"
        )
    return profile.decode(stored)


def answer(state: State, found: Profile) -> AccountAnswer:
    """An account as the API shows it."""
    show = instants.show
    return AccountAnswer(
        group_of(found),
        show(found.created_at_ms),
        show(found.first_seen_ms),
        show(found.last_seen_ms),
        show(found.now_ms),
        found.version,
        found.events,
        state.size(members_of(found.id)),
        next_after(found.slots) is None,
        {name: said.value for name, said in sorted(found.declared.items())},
        dict(sorted(found.computed.items())),
    )


@read("/{name:str}", SCOPE, "An account", missing=True, sync_to_thread=True)
def get_account(engines: Given, name: Name) -> AccountAnswer:
    """Answer with one account and how many members it has."""
    return answer(engines.state, find(engines.state, engines.rules(), segment(name)))


@read("/{name:str}/members", SCOPE, "An account's members", missing=True, sync_to_thread=True)
def get_account_members(
    engines: Given, name: Name, limit: Limit = DEFAULT_LIMIT, after: After = ""
) -> AccountMembersAnswer:
    """Answer with a page of members. Who joins or leaves while pages are read may be missing or seen once."""
    account = find(engines.state, engines.rules(), segment(name))
    (last,) = page_after(after, _ID_MAX) if after else (-1,)
    found = [person for person, _ in engines.state.members(members_of(account.id), last, limit)]
    following = page_next(found[-1]) if len(found) == limit else ""
    return AccountMembersAnswer(group_of(account), list(map(position.show, found)), following)


router = Router("/v1/accounts", route_handlers=[get_account, get_account_members], tags=["accounts"])
