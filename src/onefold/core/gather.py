"""Gather: what events of the past come to, in the slots of aggregates, just as the step would have put them there."""

from collections.abc import Iterable
from typing import Any, NamedTuple

from onefold.core.identity.identifiers import Finder
from onefold.core.identity.merge import add_state, declare
from onefold.language.keeping.accounts import LINKS
from onefold.language.stream.excerpt import Reader
from onefold.language.stream.program import Handler, Program
from onefold.language.values import storable
from onefold.limits import BACKFILL_MAX_ACCOUNTS, PROFILE_TRAITS_MAX
from onefold.model.account import LINK, AccountPast, group_in
from onefold.model.entry import AccountPasts
from onefold.model.event import Excerpt
from onefold.model.profile import Declared, Profile


class PastEvent(NamedTuple):
    """What an aggregate may ask of an event that history keeps; objects are JSON text."""

    at_ms: int
    tie: bytes
    type: str
    name: str
    properties: str | None
    context: str | None
    traits: str | None
    group: str | None = None
    """Its `groupId`."""
    place: int = -1
    """As `profile.Declared.place`."""


class Gathered(NamedTuple):
    """What events of one person come to."""

    slots: dict[str, Any]
    """The states of the program's aggregates; `{}` for none. A link names its account, and has no id of it."""
    accounts: AccountPasts
    """What they add to accounts."""
    passed_over: int
    """Events that name more accounts than BACKFILL_MAX_ACCOUNTS."""


def gather(events: Iterable[PastEvent], program: Program, now_ms: int, finder: Finder | None = None) -> Gathered:
    """What these events of one person, in any order, come to. `finder` is asked for the accounts that they name.

    Windows hold what had not left them by `now_ms`.
    """
    person = Profile(0, 0, 0, 0, 0)
    accounts = None if program.accounts is None or finder is None else _Accounts(program, finder, now_ms)
    handlers, read = program.handlers, program.read
    for event in events:
        put = _handler(handlers, event).put
        if put is None and accounts is None:
            continue
        excerpt = _excerpt(read, event)
        if put is not None:
            put(person, excerpt, event.at_ms, event.tie, now_ms)
        if accounts is not None:
            accounts.take(event, excerpt, person.slots)
    if accounts is None:
        return Gathered(person.slots, {}, 0)
    return Gathered(person.slots, accounts.found(), accounts.passed_over)


class _Accounts:
    """The accounts that one person's events name."""

    def __init__(self, program: Program, finder: Finder, now_ms: int) -> None:
        assert program.accounts is not None
        self._handlers = program.accounts.handlers
        self._whole = LINK in program.gathered
        self._finder = finder
        self._now_ms = now_ms
        self._accounts: dict[str, Profile] = {}
        self.passed_over = 0

    def take(self, event: PastEvent, excerpt: Excerpt, slots: dict[str, Any]) -> None:
        """Add one event to the account that it names, and to the person's link in these slots."""
        excerpt.groupId = event.group
        named = self._finder.find_account(excerpt)
        if named is None:
            return
        identifier = named.identifiers[0]
        account = self._accounts.get(identifier)
        if account is None:
            if len(self._accounts) >= BACKFILL_MAX_ACCOUNTS:
                self.passed_over += 1
                return
            account = self._accounts[identifier] = Profile(0, 0, event.at_ms, event.at_ms, 0)
        put = _handler(self._handlers, event).put
        if put is not None:
            put(account, excerpt, event.at_ms, event.tie, self._now_ms)
        if self._whole:
            self._add_whole(account, event, excerpt)
            said = [event.at_ms, event.tie, 0, group_in(identifier), 0, {}]
            slots[LINK] = said if LINK not in slots else LINKS[LINK].merge(slots[LINK], said)

    def _add_whole(self, account: Profile, event: PastEvent, excerpt: Excerpt) -> None:
        """What every account has, whatever the definitions."""
        account.events += 1
        account.first_seen_ms = min(account.first_seen_ms, event.at_ms)
        account.last_seen_ms = max(account.last_seen_ms, event.at_ms)
        for name, raw in (excerpt.traits or {}).items() if event.type == "group" else ():
            value = storable(raw)
            if value is not None and (name in account.declared or len(account.declared) < PROFILE_TRAITS_MAX):
                declare(account.declared, name, Declared(value, event.at_ms, event.tie, event.place))

    def found(self) -> AccountPasts:
        """What is to be added to each."""
        if not self._whole:
            return {name: AccountPast(slots=one.slots) for name, one in self._accounts.items() if one.slots}
        return {
            name: AccountPast(one.events, one.first_seen_ms, one.last_seen_ms, one.declared, one.slots)
            for name, one in self._accounts.items()
        }


def add_past(mine: AccountPast, more: AccountPast, program: Program) -> None:
    """Add what other events add to the same account; `program` is that of accounts."""
    mine.events += more.events
    mine.first_seen_ms = min(mine.first_seen_ms, more.first_seen_ms)
    mine.last_seen_ms = max(mine.last_seen_ms, more.last_seen_ms)
    for name, declared in more.declared.items():
        declare(mine.declared, name, declared)
    for key, state in more.slots.items():
        add_state(mine.slots, key, state, program, 0)


def _handler(handlers: dict[str, Handler], event: PastEvent) -> Handler:
    return handlers[event.name] if event.name in handlers else handlers["*"]


def _excerpt(read: Reader, event: PastEvent) -> Any:
    return read(event.type, event.name, event.properties, event.context, event.traits)
