"""Accounts: companies, teams, households, whatever a `group` call names; what is known of one is kept as a profile.

An account's profile has an id of its own kind (`position.is_account`) and one identifier, which no person can have.
Its members are a relation in the state, like the members of an audience.
"""

from typing import Any

from msgspec import Struct

from onefold.limits import NEVER_MS
from onefold.model.profile import Declared, Profile

LINK = "account"
"""The slot in which a person keeps which account is theirs; no aggregate's slot is called so."""
TELLING = "telling"
"""The slot in which an account keeps how many of its members know its latest values."""
RELATION = "@"
"""What the names of relations between accounts and members begin with, and those of audiences never do."""
ACCOUNTS = "accounts"
"""The count of all accounts."""
GROUP = "groupId"
"""The field of an event, or of its context, that names an account."""
ID = "id"
"""The name under which expressions read what an account is called."""
TRAITS = "traits"


class AccountPast(Struct, array_like=True):
    """What some events of the past add to the account that they name."""

    events: int = 0
    first_seen_ms: int = NEVER_MS
    last_seen_ms: int = 0
    declared: dict[str, Declared] = {}
    slots: dict[str, Any] = {}


def group_of(account: Profile) -> str:
    """What the account is called: its identifier has no namespace before the colon, as those of people have."""
    return group_in(next(iter(account.identifiers)))


def group_in(identifier: str) -> str:
    """What the account of this identifier is called."""
    return identifier[1:]


def members_of(account: int) -> str:
    """The relation of an account's members."""
    return f"{RELATION}{account:016x}"


def published(account: Profile, names: frozenset[str]) -> dict[str, Any]:
    """The account's values of these names (`nodes.OfAccount.name`), of those that have one."""
    found: dict[str, Any] = {}
    for name in names:
        of, _, trait = name.partition(".")
        if trait:
            assert of == TRAITS
            if (declared := account.declared.get(trait)) is not None:
                found[name] = declared.value
        elif (value := account.computed.get(name)) is not None:
            found[name] = value
    return dict(sorted(found.items()))
