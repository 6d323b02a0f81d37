"""Lets pages of any origin send events: a write key may only add, so there is nothing to guard by origin.

The origin is echoed rather than answered with `*`, since `sendBeacon` and some SDKs send with credentials, for which
browsers do not take `*`.
"""

import re
from collections.abc import Mapping

from onefold.collect.answer import Answer, Headers

METHODS = b"GET, POST, OPTIONS"
HEADERS = b"authorization, content-type, content-encoding, anonymousid, x-write-key, x-retry-count"
_MAX_AGE_S = b"86400"
_NAMES = re.compile(rb"[A-Za-z0-9-]+(?:\s*,\s*[A-Za-z0-9-]+){0,99}")


def allow(headers: Mapping[bytes, bytes]) -> Headers:
    """What every answer to a page carries; nothing for those who are no browser."""
    if (origin := headers.get(b"origin")) is None:
        return ()
    return (
        (b"access-control-allow-origin", origin),
        (b"access-control-allow-credentials", b"true"),
        (b"access-control-expose-headers", b"retry-after, onefold-receipt"),
        (b"vary", b"origin"),
    )


def preflight(headers: Mapping[bytes, bytes]) -> Answer:
    """Yes to whatever headers the page asks for; they are read or ignored, but never trusted."""
    asked = headers.get(b"access-control-request-headers", b"")
    allowed = asked if _NAMES.fullmatch(asked) else HEADERS
    return Answer(
        204,
        b"",
        (
            (b"access-control-allow-methods", METHODS),
            (b"access-control-allow-headers", allowed),
            (b"access-control-max-age", _MAX_AGE_S),
        ),
    )
