"""How history's events lie in columns: one row an event, JSON where the shape is the sender's own.

What a column shows only roughly (a user id that came as a number, a track event without a name) stands in `rest` as it
came, so that a row gives back the very event.
"""

from collections.abc import Sequence
from typing import Any

import msgspec

from onefold.model.event import Event
from onefold.model.past import Past, PastMerge, signed, unsigned

EVENTS = {
    "partition": "SMALLINT",
    "position": "BIGINT",
    "profile": "BIGINT",
    "at_ms": "BIGINT",
    "received_ms": "BIGINT",
    "tie": "BLOB",
    "source": "VARCHAR",
    "type": "VARCHAR",
    "name": "VARCHAR",
    "message_id": "VARCHAR",
    "user_id": "VARCHAR",
    "anonymous_id": "VARCHAR",
    "group_id": "VARCHAR",
    "properties": "VARCHAR",
    "context": "VARCHAR",
    "traits": "VARCHAR",
    "rest": "VARCHAR",
}
"""Column → SQL type of the relation `events`."""

MERGES = {
    "absorbed": "BIGINT",
    "survivor": "BIGINT",
    "partition": "SMALLINT",
    "position": "BIGINT",
    "at_ms": "BIGINT",
}
"""Column → SQL type of the relation `merges`."""

_AT = {column: n for n, column in enumerate(EVENTS)}
_IDS = {"userId": _AT["user_id"], "anonymousId": _AT["anonymous_id"], "groupId": _AT["group_id"]}
_PARTS = {part: _AT[part] for part in ("properties", "context", "traits")}
_REST = ("previousId", "name", "category", "timestamp", "originalTimestamp", "sentAt", "integrations")
_FIELDS = frozenset(Event.__struct_fields__)

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode


def row(past: Past) -> tuple[Any, ...]:
    """The event as values of `EVENTS`, in that order."""
    event = past.event
    user, anonymous, group = event.userId, event.anonymousId, event.groupId
    return (
        past.partition,
        past.position,
        signed(past.profile),
        past.at_ms,
        past.received_ms,
        past.tie,
        past.source,
        event.type,
        past.name,
        event.messageId,
        None if user is None else str(user),
        None if anonymous is None else str(anonymous),
        None if group is None else str(group),
        None if event.properties is None else _encode(event.properties).decode(),
        None if event.context is None else _encode(event.context).decode(),
        None if event.traits is None else _encode(event.traits).decode(),
        _rest(past),
    )


def past(values: Sequence[Any]) -> Past:
    """The event that `row` has made these values of."""
    partition, position, profile, at_ms, received_ms, tie, source, kind, name, message_id = values[: _AT["user_id"]]
    rest: dict[str, Any] = _decode(values[_AT["rest"]])
    fields: dict[str, Any] = {"type": kind, "messageId": message_id}
    fields |= {field: values[n] for field, n in _IDS.items()}
    fields |= {part: _decode(values[n]) for part, n in _PARTS.items() if values[n] is not None}
    if kind == "track":
        fields["event"] = name
    extra = {field: rest.pop(field) for field in list(rest) if field not in _FIELDS}
    event = msgspec.convert(fields | rest, Event)
    return Past(partition, position, unsigned(profile), at_ms, received_ms, bytes(tie), source, name, event, extra)


def merge_row(merge: PastMerge) -> tuple[int, ...]:
    """The merge as values of `MERGES`, in that order."""
    return (signed(merge.absorbed), signed(merge.survivor), merge.partition, merge.position, merge.at_ms)


def past_merge(values: Sequence[Any]) -> PastMerge:
    """The merge that `merge_row` has made these values of."""
    return PastMerge(unsigned(values[0]), unsigned(values[1]), *values[2:])


def _rest(past: Past) -> str:
    event = past.event
    rest: dict[str, Any] = dict(past.extra)
    for name in _REST:
        if (value := getattr(event, name)) is not None:
            rest[name] = value
    for name in _IDS:
        if type(value := getattr(event, name)) is int:
            rest[name] = value
    if event.event != (past.name if event.type == "track" else None):
        rest["event"] = event.event
    return _encode(rest).decode() if rest else "{}"
