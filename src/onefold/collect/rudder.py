"""What RudderStack's SDKs do differently: a pixel with plain parameters, and a source configuration to begin with."""

from typing import Any

import msgspec

from onefold.collect.answer import Answer
from onefold.collect.query import pairs

PIXEL = "/pixel/v1/"
BEACON = "/beacon/v1/batch"
SOURCE_CONFIG = ("/sourceConfig", "/sourceConfig/")

_FIELDS = frozenset(
    {"userId", "anonymousId", "previousId", "groupId", "messageId", "event", "name", "category", "timestamp",
     "originalTimestamp", "sentAt", "channel"}
)  # fmt: skip
_NESTED = frozenset({"context", "properties", "traits"})


def pixel_body(query: bytes) -> bytes:
    """An event from plain parameters: fields by name, `context.campaign.name=` nested, all others properties."""
    event: dict[str, Any] = {}
    for name, value in pairs(query):
        head, *path = name.split(".")
        if name in _FIELDS:
            event.setdefault(name, value)
        elif head in _NESTED and path:
            _put(event, [head, *path], value)
        elif name not in {"writeKey", "writekey"}:
            _put(event, ["properties", name], value)
    return msgspec.json.encode(event)


def source_config(key: str, source: str) -> Answer:
    """The source as the SDK asks for it: enabled, without device-mode destinations, without telemetry to others."""
    document = {
        "source": {
            "id": source,
            "name": source,
            "writeKey": key,
            "enabled": True,
            "workspaceId": "onefold",
            "config": {"statsCollection": {"errors": {"enabled": False}, "metrics": {"enabled": False}}},
            "sourceDefinition": {"id": "onefold", "name": "Onefold", "category": None},
            "destinations": [],
            "connections": [],
        },
        "consentManagementMetadata": {"providers": []},
    }
    return Answer(200, msgspec.json.encode(document), ((b"cache-control", b"no-store"),))


def _put(into: dict[str, Any], path: list[str], value: str) -> None:
    *heads, last = path
    for head in heads:
        inner = into.setdefault(head, {})
        if not isinstance(inner, dict):
            return
        into = inner
    into.setdefault(last, value)
