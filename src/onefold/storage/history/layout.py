"""How history's events lie in columns: one row an event, JSON where the shape is the sender's own.

What a column shows only roughly (a user id that came as a number, a track event without a name) stands in `rest` as it
came, so that a row gives back the very event.
"""

from collections.abc import Sequence
from typing import Any

import msgspec

from onefold.model.event import Event
from onefold.model.past import Past, PastMerge, PastMove, PastRecast, signed, unsigned

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

MOVES = {
    "profile": "BIGINT",
    "audience": "VARCHAR",
    "entered": "BOOLEAN",
    "at_ms": "BIGINT",
    "seq": "BIGINT",
    "partition": "SMALLINT",
    "position": "BIGINT",
    "reason": "VARCHAR",
    "told": "BOOLEAN",
    "version": "INTEGER",
}
"""Column → SQL type of the relation `moves`, in the order of `PastMove`."""

NAMES = {
    "hash": "BIGINT",
    "profile": "BIGINT",
    "day": "INTEGER",
}
"""Column → SQL type of the relation `names` (`storage.history.name_pairs`)."""

RECASTS = {
    "profile": "BIGINT",
    "former": "BIGINT",
    "event_partition": "SMALLINT",
    "event_position": "BIGINT",
    "at_ms": "BIGINT",
    "seq": "BIGINT",
    "partition": "SMALLINT",
    "position": "BIGINT",
}
"""Column → SQL type of the relation `recasts`, in the order of `PastRecast`."""

_AT = {column: n for n, column in enumerate(EVENTS)}
_IDS = {"userId": _AT["user_id"], "anonymousId": _AT["anonymous_id"], "groupId": _AT["group_id"]}
_PARTS = {part: _AT[part] for part in ("properties", "context", "traits")}
_REST = ("previousId", "name", "category", "timestamp", "originalTimestamp", "sentAt", "integrations")
_FIELDS = frozenset(Event.__struct_fields__)

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode


def columns(pasts: Sequence[Past]) -> list[list[Any]]:
    """The events as columns of `EVENTS`, in that order: made a column at a time, a third of the cost of rows."""
    events = [past.event for past in pasts]
    return [
        [past.partition for past in pasts],
        [past.position for past in pasts],
        [signed(past.profile) for past in pasts],
        [past.at_ms for past in pasts],
        [past.received_ms for past in pasts],
        [past.tie for past in pasts],
        [past.source for past in pasts],
        [event.type for event in events],
        [past.name for past in pasts],
        [event.messageId for event in events],
        [_text(event.userId) for event in events],
        [_text(event.anonymousId) for event in events],
        [_text(event.groupId) for event in events],
        [None if event.properties is None else _encode(event.properties).decode() for event in events],
        [None if event.context is None else _encode(event.context).decode() for event in events],
        [None if event.traits is None else _encode(event.traits).decode() for event in events],
        [_rest(past, event) for past, event in zip(pasts, events, strict=True)],
    ]


def past(values: Sequence[Any]) -> Past:
    """The event that is one row of `columns`."""
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


def merge_columns(merges: Sequence[PastMerge]) -> list[list[Any]]:
    """The merges as columns of `MERGES`, in that order."""
    return [
        [signed(merge.absorbed) for merge in merges],
        [signed(merge.survivor) for merge in merges],
        [merge.partition for merge in merges],
        [merge.position for merge in merges],
        [merge.at_ms for merge in merges],
    ]


def past_merge(values: Sequence[Any]) -> PastMerge:
    """The merge that is one row of `merge_columns`."""
    return PastMerge(unsigned(values[0]), unsigned(values[1]), *values[2:])


def move_columns(moves: Sequence[PastMove]) -> list[list[Any]]:
    """The moves as columns of `MOVES`, in that order."""
    profiles, *others = map(list, zip(*moves, strict=True)) if moves else [[] for _ in MOVES]
    return [[signed(profile) for profile in profiles], *others]


def past_move(values: Sequence[Any]) -> PastMove:
    """The move that is one row of `move_columns`."""
    return PastMove(unsigned(values[0]), *values[1:])


def recast_columns(recasts: Sequence[PastRecast]) -> list[list[Any]]:
    """The recasts as columns of `RECASTS`, in that order."""
    rows = [(signed(each.profile), signed(each.former), *each[2:]) for each in recasts]
    return [list(column) for column in zip(*rows, strict=True)] if rows else [[] for _ in RECASTS]


def past_recast(values: Sequence[Any]) -> PastRecast:
    """The recast that is one row of `recast_columns`."""
    return PastRecast(unsigned(values[0]), unsigned(values[1]), *values[2:])


def _text(value: str | int | None) -> str | None:
    return value if value is None or type(value) is str else str(value)


def _rest(past: Past, event: Event) -> str:
    values = (
        event.previousId,
        event.name,
        event.category,
        event.timestamp,
        event.originalTimestamp,
        event.sentAt,
        event.integrations,
    )
    rest: dict[str, Any] = {name: value for name, value in zip(_REST, values, strict=True) if value is not None}
    if past.extra:
        rest |= past.extra
    if type(event.userId) is int or type(event.anonymousId) is int or type(event.groupId) is int:
        rest |= {name: value for name in _IDS if type(value := getattr(event, name)) is int}
    if event.event != (past.name if event.type == "track" else None):
        rest["event"] = event.event
    return _encode(rest).decode() if rest else "{}"
