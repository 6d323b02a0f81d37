"""Identity: the rules in force, values that join too many, and what people say of two identifiers."""

from typing import Any

from litestar import Request, Router
from litestar.params import JSONBody
from msgspec import Struct

from onefold.core.identity.notes import HOT_MEMBERS
from onefold.errors import StorageError
from onefold.model import position, receipt
from onefold.model import profile as profiles
from onefold.model.entry import PROFILE_ID_MAX, Linked
from onefold.model.identity import Identity
from onefold.ports import State
from onefold.runtime.defining.difference import said_of
from onefold.runtime.identity.saying import say
from onefold.server import instants
from onefold.server.defining.applying import author
from onefold.server.engines import Given
from onefold.server.instants import Instant
from onefold.server.route import DEFAULT_LIMIT, After, Limit, page_after, page_next, read, write


class RuleAnswer(Struct):
    """A type of identifier, or a trait, and what is said of it."""

    name: str
    rule: str


class RulesAnswer(Struct):
    """The rules in force. Types are in the order of their priority."""

    policy: str
    types: list[RuleAnswer]
    blocked: list[str]
    patterns: list[str]
    hot: int
    """How many others make a value hot; 0: none is."""
    traits: list[RuleAnswer]


class HotAnswer(Struct):
    """A value that joins nobody any more, and whose it is."""

    identifier: str
    profile: str
    since: Instant
    met: int
    """How many others it has come with: those that it was linked to, and people who have seen it since."""


class HotPageAnswer(Struct):
    """A page, by profile; `next` is empty on the last one."""

    hot: list[HotAnswer]
    next: str


class Said(Struct, forbid_unknown_fields=True):
    """Two identifiers that are one person's, or `never` are."""

    a: str
    b: str
    by: str = ""
    """On whose behalf; the key's name is kept in any case."""
    never: bool = False


class SaidAnswer(Struct):
    """It is in the log. `receipt` lets a reader wait until it is folded: `?after=`."""

    receipt: str


@read("/", "identity:read", "The rules of identity in force", sync_to_thread=True)
def get_rules(engines: Given) -> RulesAnswer:
    """Answer with all rules."""
    return rules_answer(engines.rules().identity)


@read("/hot", "identity:read", "Values that join nobody any more", sync_to_thread=True)
def get_hot(engines: Given, limit: Limit = DEFAULT_LIMIT, after: After = "") -> HotPageAnswer:
    """Answer with the hot identifiers of a page of profiles."""
    (last,) = page_after(after, PROFILE_ID_MAX) if after else (0,)
    found, last = hot_identifiers(engines.state, last, limit)
    return HotPageAnswer(found, page_next(last) if last else "")


@write("/links", "identity:write", "Say of two identifiers", refusals=[404, 503], sync_to_thread=True)
def post_link(engines: Given, request: Request[Any, Any, Any], data: JSONBody[Said]) -> SaidAnswer:
    """Write into the log that both are one person's, or never are."""
    if engines.writer is None:
        raise StorageError("this process does not write the log")
    linked = Linked(0, data.a, data.b, author(engines, request, data.by), data.never)
    home, offset = say(engines.state, engines.writer, engines.rules(), engines.clock, linked)
    return SaidAnswer(receipt.issue([home], {home: offset}).decode())


router = Router("/v1/identity", route_handlers=[get_rules, get_hot, post_link], tags=["profiles"])


def rules_answer(identity: Identity) -> RulesAnswer:
    """The rules as they are shown."""
    return RulesAnswer(
        identity.policy,
        [RuleAnswer(each.name, said_of(each)) for each in identity.types],
        list(identity.blocked),
        list(identity.patterns),
        identity.hot,
        [RuleAnswer(each.name, said_of(each)) for each in identity.traits],
    )


def hot_identifiers(state: State, after: int, limit: int) -> tuple[list[HotAnswer], int]:
    """Those of the next profiles that have any, by id, and the last of these; 0: there are no others."""
    members = state.members(HOT_MEMBERS, after, limit)
    people = state.survivors([number for number, _ in members])
    found: list[HotAnswer] = []
    for number, _ in members:
        if number not in people:
            continue
        profile = profiles.decode(people[number])
        notes = profile.noted()
        for identifier, since_ms in sorted(notes.hot.items()):
            met = notes.met.get(identifier, 0) + sum(identifier in (link.a, link.b) for link in profile.links)
            found.append(HotAnswer(identifier, position.show(profile.id), instants.show(since_ms), met))
    return found, members[-1][0] if len(members) == limit else 0
