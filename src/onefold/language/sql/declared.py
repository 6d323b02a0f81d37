"""Declared traits in SQL: what events say of them, each object of an event read once for all that are asked about."""

from collections.abc import Collection, Iterable

import msgspec

from onefold.language.sql.columns import dig, path, quoted

DECLARES = {"identify": "type = 'identify'", "group": "type IN ('identify', 'group')"}
"""Kind of event → whether an event declares a trait that such events declare: only `group` is declared by others."""
_GROUP_ID = "coalesce(json_extract(rest, '$.groupId')::VARCHAR, to_json(group_id)::VARCHAR, 'null')"
_GROUP = (
    "CASE WHEN coalesce(json_exists(traits, '$.id'), false) THEN traits "
    f"WHEN coalesce(traits, '{{}}') = '{{}}' THEN '{{\"id\":' || {_GROUP_ID} || '}}' "
    f"ELSE '{{\"id\":' || {_GROUP_ID} || ',' || substr(traits, 2) END"
)


def there(root: str, keys: Iterable[str]) -> str:
    """Whether an object may have any of these keys: a look that parses nothing."""
    return " OR ".join(f"contains({root}, {quoted(msgspec.json.encode(key).decode())})" for key in keys)


def saying(roots: Collection[str]) -> list[str]:
    """What an event that declares traits says of these, as lists: its own traits, and those of its context."""
    if not roots:
        return []
    own, around = (", ".join(quoted(path([*before, root])[0]) for root in roots) for before in ((), ("traits",)))
    about = f"type = 'identify' AND {there('context', ['traits'])}"
    return [
        f"CASE WHEN type = 'identify' THEN json_extract(traits, [{own}]) END AS said_own",
        f"CASE WHEN {about} THEN json_extract(context, [{around}]) END AS said_around",
    ]


def said(at: int) -> str:
    """What an event says of the trait at this place of the lists: its own traits win over its context's."""
    return f"nullif(coalesce(said_own[{at}], said_around[{at}])::VARCHAR, 'null')"


def declaration(root: str, listed: str | None) -> str:
    """What an event says of a declared trait, where no list has it (None), of its objects; a group is a trait."""
    found = listed
    if found is None:
        own = path([root])[0]
        found = f"CASE WHEN coalesce(json_exists(traits, {quoted(own)}), false) THEN {dig('traits', [root])}"
        found = f"CASE WHEN type = 'identify' THEN {found} ELSE {dig('context', ['traits', root])} END END"
    return f"CASE WHEN type = 'group' THEN {_GROUP} ELSE {found} END" if root == "group" else found
