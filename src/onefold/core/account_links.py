"""Links: which account is a person's, who an account's members are, and the copy of its values that people have."""

from collections.abc import Mapping
from typing import Any

from onefold.core.run import Run
from onefold.language.keeping.accounts import ACCOUNT, AT, BEHIND, LINKS, VALUES, State
from onefold.language.values import identical
from onefold.model.account import LINK, members_of, published
from onefold.model.profile import Profile


def copy(run: Run, person: Profile) -> bool:
    """Give a person the present values of their account; True where they are others than before.

    Where the view is without accounts, the person is marked, to be woken together with it.
    """
    link: State | None = person.slots.get(LINK)
    if link is None:
        return False
    account = run.profiles.get(link[ACCOUNT]) if run.with_accounts else None
    if account is None:
        link[BEHIND] = 1
        return False
    return copy_from(run, account, link)


def copy_from(run: Run, account: Profile, link: State) -> bool:
    """Put the present values of an account into a link to it; True where they are others than before."""
    link[BEHIND] = 0
    values = published(account, run.program.of_account)
    if identical(values, link[VALUES]):
        return False
    link[VALUES] = values
    return True


def accounts_in(slots: Mapping[str, Any]) -> frozenset[int]:
    """The accounts of all links in these slots: of the one, and of those that a merge has set aside."""
    if LINK not in slots:
        return frozenset()
    return frozenset(state[ACCOUNT] for key, state in slots.items() if key.partition("+")[0] == LINK)


def accounts_of(person: Profile) -> frozenset[int]:
    """The same of a person's slots."""
    return accounts_in(person.slots) if person.keeps(LINK) else frozenset()


def move(run: Run, person: Profile, before: frozenset[int]) -> None:
    """Say whose member a person is now, who was a member of these accounts."""
    link: State | None = person.slots.get(LINK)
    for account in before:
        run.members[members_of(account)][person.id] = 0
    if link is not None:
        run.members[members_of(link[ACCOUNT])][person.id] = max(1, link[AT])


def merged(run: Run, keep: Profile, before: frozenset[int], gone: tuple[int, frozenset[int]]) -> None:
    """After a merge: whose member is who. `before`: the survivor's accounts; `gone`: who is no more, and theirs.

    A copy that came from somebody else may be old, as the account may be on its way round its members: the survivor is
    marked, to be woken together with it.
    """
    absorbed, theirs = gone
    for account in theirs:
        run.members[members_of(account)][absorbed] = 0
    if not theirs:
        return
    move(run, keep, before)
    link: State = keep.slots[LINK]
    if link[ACCOUNT] not in before:
        link[BEHIND] = 1
    if link[BEHIND]:
        keep.due_ms = min(keep.due_ms, LINKS[LINK].due_ms(link))
