"""An event, as the Segment spec writes it; field names are the wire's camelCase."""

from datetime import datetime
from typing import Any, Literal

from msgspec import Struct

EventType = Literal["track", "identify", "page", "screen", "group", "alias"]


class Event(Struct, gc=False, omit_defaults=True):
    """One thing that happened. Fields that the spec does not name are kept in the log, but not read."""

    type: EventType
    messageId: str | None = None
    userId: str | int | None = None
    anonymousId: str | int | None = None
    previousId: str | int | None = None
    groupId: str | int | None = None
    event: str | None = None
    name: str | None = None
    category: str | None = None
    timestamp: datetime | None = None
    originalTimestamp: datetime | None = None
    sentAt: datetime | None = None
    properties: dict[str, Any] | None = None
    traits: dict[str, Any] | None = None
    context: dict[str, Any] | None = None
    integrations: dict[str, Any] | bool | None = None


class Context(Struct, gc=False):
    """What of an event's context the step always reads; definitions add the parts that they mention."""

    traits: Any = None
    device: Any = None
    externalIds: Any = None


class Properties(Struct, gc=False):
    """Definitions add the properties that they mention."""


class Excerpt(Struct, gc=False):
    """What the step reads of an event: nothing else is decoded (`language.stream.excerpt`)."""

    type: EventType
    messageId: str | None = None
    userId: str | int | None = None
    anonymousId: str | int | None = None
    previousId: str | int | None = None
    groupId: str | int | None = None
    event: str | None = None
    timestamp: datetime | None = None
    originalTimestamp: datetime | None = None
    sentAt: datetime | None = None
    traits: dict[str, Any] | None = None
    properties: Properties | None = None
    context: Context | None = None
