"""Whether one event may pass: its types, its nesting, and what the Segment spec asks of each kind of event.

Two judges give the same verdict. `Plain` is a type: nearly all events have only fields that it knows, nested no
deeper than it allows, so that one typed decode of a whole batch proves them readable. What `Plain` refuses goes to
`examine`, which takes one event at a time, and can say what is wrong with it.
"""

import re
from typing import Annotated, Any, NamedTuple

import msgspec
from msgspec import Meta, field

from onefold.limits import EVENT_NAME_MAX_CHARS, JSON_MAX_DEPTH, MESSAGE_ID_MAX_CHARS
from onefold.model.event import Event

FREE = frozenset({"identify", "page", "screen"})
"""Kinds that ask for nothing but an identifier."""

_Scalar = str | int | float | bool | None
_Nested1 = _Scalar | list[_Scalar] | dict[str, _Scalar]
_Nested2 = _Scalar | list[_Nested1] | dict[str, _Nested1]
_Nested3 = _Scalar | list[_Nested2] | dict[str, _Nested2]
_Nested4 = _Scalar | list[_Nested3] | dict[str, _Nested3]

MessageId = Annotated[str, Meta(max_length=MESSAGE_ID_MAX_CHARS)]
EventName = Annotated[str, Meta(max_length=EVENT_NAME_MAX_CHARS)]


class Sound(Event, gc=False, omit_defaults=True):
    """An event whose names are not too long. Unknown fields pass unseen."""

    messageId: MessageId | None = None
    event: EventName | None = None


class Plain(Sound, gc=False, omit_defaults=True, forbid_unknown_fields=True):
    """An event as nearly all are: every field is known here, so nothing in it is left unread."""

    properties: dict[str, _Nested4] | None = None
    traits: dict[str, _Nested4] | None = None
    context: dict[str, _Nested4] | None = None
    integrations: dict[str, _Nested4] | bool | None = None
    channel: _Scalar = None
    version: _Scalar = None
    receivedAt: _Scalar = None
    rudderId: _Scalar = None
    metadata: _Nested2 = field(default=None, name="_metadata")


class Sent(Plain, gc=False, omit_defaults=True, forbid_unknown_fields=True):
    """A plain event sent on its own: the path may give its type, and the write key may lie inside."""

    type: str | None = None  # type: ignore[assignment]  # the path of the request says the type where the event does not
    writeKey: str | None = None


class Passed(NamedTuple):
    """An event that may be stored, under its primary identifier."""

    primary: str
    body: bytes


_decode_sound = msgspec.json.Decoder(Sound).decode
_decode_any = msgspec.json.Decoder(Any).decode
_decode_members = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode

_SURROGATE = re.compile(rb"\\(?:u([dD][89a-fA-F][0-9a-fA-F]{2})|.)", re.DOTALL)
_BRACKET = re.compile(rb'"(?:[^"\\]++|\\.)*+"?|([\[{])|[\]}]', re.DOTALL)


def examine(body: bytes, max_bytes: int) -> Passed | str:
    """The event, without the write key that may lie in it, or why it cannot pass: what, where, and what to do."""
    if len(body) > max_bytes:
        return f"the event has {len(body)} bytes; {max_bytes} are allowed: send less in it"
    if (depth := _depth(body)) > JSON_MAX_DEPTH:
        return f"the event is nested {depth} deep; {JSON_MAX_DEPTH} are allowed: send it flatter"
    try:
        value = _decode_any(body)
        if isinstance(value, dict) and "writeKey" in value:
            body = without_key(body)
        event = _decode_sound(body)
    except UnicodeDecodeError:
        return _not_utf8(body)
    except msgspec.ValidationError as error:
        return f"{error}"
    except msgspec.DecodeError as error:
        return _lone_surrogate(body) or f"invalid json: {error}"
    return fault(event) or Passed(primary(event), body)


def fault(event: Event) -> str | None:
    """What the Segment spec asks of this kind of event and what this one does not have."""
    if not (_usable(event.userId) or _usable(event.anonymousId)):
        return "request neither has anonymousId nor userId: give one of them, not empty"
    if event.type == "track" and not event.event:
        return "track without a name: say at $.event what happened"
    if event.type == "group" and not _usable(event.groupId):
        return "group without groupId: say at $.groupId which group"
    if event.type == "alias" and not (_usable(event.previousId) and _usable(event.userId)):
        return "alias without both ids: give the old one at $.previousId and the new one at $.userId"
    return None


def primary(event: Event) -> str:
    """What the event's partition is found by."""
    return str(event.userId if _usable(event.userId) else event.anonymousId)


def without_key(body: bytes) -> bytes:
    """The event without its write key, which is a credential; all else byte for byte."""
    members = _decode_members(body)
    members.pop("writeKey", None)
    return msgspec.json.encode(members)


def with_type(body: bytes, type_: str) -> bytes:
    """The event as one of this type, without its write key; all else byte for byte."""
    members = _decode_members(body)
    members.pop("writeKey", None)
    return msgspec.json.encode({"type": type_} | {name: each for name, each in members.items() if name != "type"})


def _usable(identifier: str | int | None) -> bool:
    return identifier is not None and identifier != ""


def _depth(body: bytes) -> int:
    if body.count(b"{") + body.count(b"[") <= JSON_MAX_DEPTH:
        return 0
    depth = deepest = 0
    for match in _BRACKET.finditer(body):
        if match[1]:
            depth += 1
            deepest = max(deepest, depth)
        elif match[0] in b"]}":
            depth -= 1
    return deepest


def _not_utf8(body: bytes) -> str:
    try:
        body.decode()
    except UnicodeDecodeError as error:
        return f"not UTF-8 at byte {error.start} of the event: {error.reason}; encode text as UTF-8"
    return "not UTF-8"


def _lone_surrogate(body: bytes) -> str | None:
    expected = -1
    """Where the second half of a pair must begin; -1: none is awaited."""
    for match in _SURROGATE.finditer(body):
        half = int(match[1], 16) if match[1] else 0
        if expected >= 0 and not (match.start() == expected and half >= 0xDC00):
            return _lone(expected - 6)
        if expected < 0 and half >= 0xDC00:
            return _lone(match.start())
        expected = match.end() if 0 < half < 0xDC00 else -1
    return _lone(expected - 6) if expected >= 0 else None


def _lone(at: int) -> str:
    return f"invalid json: half of a surrogate pair at byte {at} of the event; such text has no UTF-8 form"
