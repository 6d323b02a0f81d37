"""Accounts over history: the events of accounts as a relation of their own, and what people's statements take of it.

What an account has is computed by the same statement as what a person has, over the events that name it: its name, as
JSON text, stands where a person's id would. A person's account is the last that their events have named.
"""

from collections.abc import Collection

from onefold.language import nodes as n
from onefold.language.reading.check import Checked
from onefold.language.sql.columns import dig
from onefold.language.stream.inputs import walk
from onefold.limits import IDENTIFIER_MAX_BYTES
from onefold.model.account import ID, TRAITS

LINK = "account"
"""The key of the slot with a person's account; the column of an event with the account that it names, as JSON text."""
_MAY_NAME = "(type = 'group' OR contains(context, '\"groupId\"'))"
"""Whether an event may name an account: a look that parses nothing."""
_NAMED = (
    "CASE WHEN type = 'group' THEN group_id WHEN json_type(context, '$.groupId') IN ('VARCHAR', 'UBIGINT', 'BIGINT') "
    "THEN json_extract_string(context, '$.groupId') END"
)
_TRIMMED = f"regexp_replace({_NAMED}, '^\\s+|\\s+$', '', 'g')"
NAMED = (
    f"CASE WHEN {_MAY_NAME} AND strlen({_TRIMMED}) BETWEEN 1 AND {IDENTIFIER_MAX_BYTES - 1} "
    f"THEN to_json({_TRIMMED})::VARCHAR END AS {LINK}"
)
"""The column, of the columns of `events`."""
EVENTS = (
    f"(SELECT * REPLACE ({LINK} AS profile) FROM (SELECT *, {NAMED} FROM events WHERE {_MAY_NAME}) "
    f"WHERE {LINK} IS NOT NULL)"
)
"""The events of accounts, with whose they are."""
MERGES = "(SELECT '' AS absorbed, '' AS survivor, 0::BIGINT AS at_ms WHERE false)"
"""Accounts are never merged."""

DECLARES = "type = 'group'"
"""Whether an event declares traits of its account."""


def declaration(root: str) -> str:
    """What an event says of a trait that accounts declare."""
    return f"CASE WHEN {DECLARES} THEN {dig('traits', [root])} END"


def reads(nodes: Collection[n.Node]) -> list[str]:
    """What these expressions read of accounts, but their names."""
    found = {part.name for node in nodes for part in walk(node) if isinstance(part, n.OfAccount)}
    return sorted(found - {ID})


def mentions(node: n.Node) -> bool:
    """Whether an expression reads anything of accounts."""
    return any(isinstance(part, n.OfAccount) for part in walk(node))


def definitions(checked: Checked, names: Collection[str]) -> Checked:
    """The traits of accounts as definitions like those of people; declared ones that are read are among them."""
    declared: dict[str, n.Node] = {
        name: n.Declared(0, (name.removeprefix(f"{TRAITS}."),)) for name in names if name.startswith(f"{TRAITS}.")
    }
    types = checked.account_types | dict.fromkeys(declared, "any")
    return Checked(checked.accounts | declared, {}, types, [], checked.timezone)
