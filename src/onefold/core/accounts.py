"""Accounts: events that name one are folded into it, whoever sent them, and its members are told what it has become.

An account is a profile of its own, with the definitions of accounts. Nothing here depends on the order of events: an
account is a fold of the events that name it, and a person's account is the one that their latest naming event says.
"""

from collections.abc import Collection, Mapping, Sequence

from onefold.core import account_links
from onefold.core.batch import Incoming
from onefold.core.fold import declare_all
from onefold.core.identity.merge import add_state, declare
from onefold.core.renew import bring_to_present, renew
from onefold.core.run import NOTHING, Run
from onefold.core.timers import arm, wake
from onefold.language.keeping import accounts as keeping
from onefold.language.keeping.accounts import ACCOUNT, AT, BEHIND, GROUP, TIE, VALUES, State
from onefold.language.stream.program import Trigger
from onefold.language.values import identical
from onefold.model.account import LINK, AccountPast, group_of, published
from onefold.model.position import account_id, home, is_account
from onefold.model.profile import Profile

Round = tuple[Sequence[int], bool]
"""Members of an account who are told next, in the order of their ids, and whether there may be more behind them."""


def join(run: Run, person: Profile, incoming: Incoming) -> Collection[Trigger]:
    """Fold an event into the account that it names, and link its person; returns what that changes for the person."""
    account = _take(run, incoming)
    _fold(run, account, incoming)
    run.bonds.append((person.id, account.id))
    link: State | None = person.slots.get(LINK)
    before = account_links.accounts_in(person.slots)
    if link is None or (incoming.at_ms, incoming.fingerprint) > (link[AT], link[TIE]):
        values = published(account, run.program.of_account)
        person.slots[LINK] = [incoming.at_ms, incoming.fingerprint, account.id, group_of(account), 0, values]
        if before == {account.id}:
            assert link is not None
            return () if identical(values, link[VALUES]) else (LINK,)
        account_links.move(run, person, before)
        return (LINK,)
    return (LINK,) if link[ACCOUNT] == account.id and account_links.copy_from(run, account, link) else ()


def _take(run: Run, incoming: Incoming) -> Profile:
    """The account that the event names, brought to the present; a new one where it was not known."""
    who = incoming.account
    assert who is not None
    account = run.profiles.get(who.owner)
    if account is None:
        owner = run.owners.get(who.identifiers[0])
        if owner is None:
            account = _found(run, who.identifiers[0], account_id(run.partition, incoming.position), incoming.at_ms)
        else:
            account = run.profiles[owner]
        who.settle(account)
    run.touch(account)
    if account.due_ms <= run.now_ms and account.now_ms < run.now_ms:
        bring_to_present(run, account)
    return account


def _found(run: Run, identifier: str, one: int, at_ms: int) -> Profile:
    """A new account, by an event of this time."""
    now_ms = run.now_ms
    account = run.new_profile(
        id=one,
        created_at_ms=now_ms,
        first_seen_ms=at_ms,
        last_seen_ms=at_ms,
        now_ms=now_ms,
        version=run.program.version,
        identifiers={identifier: now_ms},
    )
    run.profiles[account.id] = account
    run.owners[identifier] = run.moved[identifier] = account.id
    run.founded.add(account.id)
    return account


def _fold(run: Run, account: Profile, incoming: Incoming) -> None:
    """Put the event into the account, and judge what it may have changed."""
    event, at_ms, now_ms, tie = incoming.event, incoming.at_ms, run.now_ms, incoming.fingerprint
    program = run.program_of(account)
    seen = account.saw(at_ms, now_ms, run.partition << 56 | incoming.position)
    if seen == 3:
        account.first_seen_ms = account.last_seen_ms = at_ms
    name = event.event if event.type == "track" and event.event is not None else event.type
    handler = program.handlers[name] if name in program.handlers else program.handlers["*"]
    declared = declare_all(run, account, incoming, event.traits or {}) if event.type == "group" else {}
    first = account.events == 1
    if not declared and not first:
        if handler.on is not None:
            handler.on(account, event, at_ms, tie, now_ms, seen, run.changed, run.moves)
    else:
        run.changed.update(declared)
        if handler.put is not None:
            handler.put(account, event, at_ms, tie, now_ms)
        if first:
            program.judge_all(account, now_ms, run.changed, run.moves)
        else:
            program.judge_some((*handler.triggers, *declared), account, now_ms, run.changed, run.moves)
    run.tell(account, "event")


def add_pasts(run: Run, pasts: Mapping[str, AccountPast]) -> None:
    """Add to accounts what came of events before they were kept; those that are not known are made."""
    for n, (identifier, past) in enumerate(pasts.items()):
        owner = run.owners.get(identifier)
        if owner is None:
            one = account_id(run.partition, run.position + n)
            account = _found(run, identifier, one, past.first_seen_ms)
        else:
            account = run.profiles[owner]
        run.touch(account)
        if past.events:
            began = not account.events
            account.events += past.events
            account.first_seen_ms = past.first_seen_ms if began else min(account.first_seen_ms, past.first_seen_ms)
            account.last_seen_ms = past.last_seen_ms if began else max(account.last_seen_ms, past.last_seen_ms)
        for name, declared in past.declared.items():
            declare(account.declared, name, declared)
        program = run.program_of(account)
        for key, state in past.slots.items():
            if key in program.slots:
                add_state(account.slots, key, state, program, account.id)
        arm(account, program)


def named(run: Run, link: State) -> State:
    """A link of the past, which knows its account by name alone, with the id of it."""
    link[ACCOUNT] = run.owners[f":{link[GROUP]}"]
    return link


def renew_accounts(run: Run) -> None:
    """Judge the accounts that are at home here under the definitions in force; then people may be judged by them.

    The view has all accounts that are needed. Those of other homes are renewed there, like everybody, and tell then.
    """
    run.with_accounts = True
    for _, profile in sorted(run.profiles.items()):
        if is_account(profile.id) and home(profile.id) == run.partition and profile.version < run.program.version:
            run.touch(profile)
            renew(run, profile)


def tell_members(run: Run, one: int, members: Round) -> None:
    """Give the next members of an account, who are in the view, its values, and judge them by these.

    Who is still to be judged under the definitions in force gets the values with that.
    """
    account = run.profiles[one]
    if keeping.next_after(account.slots) is None:
        return
    ids, more = members
    run.quiet = run.program.quiet if keeping.is_hushed(account.slots) else NOTHING
    for person in filter(None, map(run.profiles.get, ids)):
        link: State | None = person.slots.get(LINK)
        if link is None or link[ACCOUNT] != one or person.version < run.program.version:
            continue
        was_behind = link[BEHIND]
        if (changed := account_links.copy_from(run, account, link)) or was_behind:
            run.touch(person)
            wake(run, person, (LINK,) if changed else ())
    run.quiet = NOTHING
    keeping.told(account.slots, ids, run.now_ms, more=more)
    wake(run, account)
