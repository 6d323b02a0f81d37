"""Segment's wire protocol: its routes, its pixel, and the settings document that analytics.js fetches."""

import base64
import binascii
from collections.abc import Mapping

import msgspec

from onefold.collect.answer import Answer, refusal
from onefold.collect.query import first
from onefold.model.event import EventType

TYPES: dict[str, EventType] = {
    "track": "track", "identify": "identify", "page": "page", "screen": "screen", "group": "group", "alias": "alias",
    "t": "track", "i": "identify", "p": "page", "s": "screen", "g": "group", "a": "alias",
}  # fmt: skip
BATCHES = ("batch", "b", "import")
PIXEL = "/v1/pixel/"
_PROJECTS = ("/v1/projects/", "/projects/", "/v1/projects/projects/")
_SETTINGS = "/settings"
_FRESH_S = 60


def pixel_body(query: bytes) -> bytes | Answer:
    """The event in `?data=`, base64 in either alphabet, with or without padding."""
    data = first(query, "data")
    if not data:
        return refusal(400, "invalid_event", "the pixel needs ?data= with the event as base64 of its JSON")
    text = data[0].replace(" ", "+").replace("-", "+").replace("_", "/").rstrip("=")
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError) as error:
        return refusal(400, "invalid_json", f"?data= is not base64: {error}")


def settings_key(path: str) -> str | None:
    """The write key in the path of a settings document, or None where it is another path."""
    if not path.endswith(_SETTINGS):
        return None
    for prefix in sorted(_PROJECTS, key=len, reverse=True):
        if path.startswith(prefix):
            key = path[len(prefix) : -len(_SETTINGS)]
            return key if key and "/" not in key else None
    return None


def settings_document(key: str, scheme: str, host: str) -> Answer:
    """What analytics.js needs to know: send everything here, load no other integration.

    No shared cache may keep it: whoever asks says under which host, and could name one of their own for all others.
    """
    everything = {"__default": {"enabled": True, "integrations": {}}}
    document = {
        "integrations": {
            "Segment.io": {
                "apiKey": key,
                "apiHost": f"{host}/v1",
                "protocol": scheme,
                "unbundledIntegrations": [],
                "addBundledMetadata": True,
                "maybeBundledConfigIds": {},
                "versionSettings": {"version": "4.4.7", "componentTypes": ["browser"]},
            }
        },
        "plan": {"track": everything, "identify": everything, "group": everything},
        "edgeFunction": {},
        "analyticsNextEnabled": True,
        "middlewareSettings": {},
        "enabledMiddleware": {},
        "metrics": {"sampleRate": 0},
        "legacyVideoPluginsEnabled": False,
        "remotePlugins": [],
    }
    fresh = (b"cache-control", b"private, max-age=%d" % _FRESH_S)
    return Answer(200, msgspec.json.encode(document), (fresh,))


def reached_at(headers: Mapping[bytes, bytes], scheme: str) -> tuple[str, str]:
    """Scheme and host by which the page reached us, as a proxy in front tells them."""
    host = headers.get(b"x-forwarded-host") or headers.get(b"host") or b"localhost"
    return headers.get(b"x-forwarded-proto", scheme.encode()).decode("latin-1"), host.decode("latin-1")
