"""Where SDKs put the write key: each puts it elsewhere, and some in several places at once."""

import base64
import binascii
from collections.abc import Iterable, Mapping

from onefold.collect.query import first


def source(write_keys: Mapping[str, str], given: Iterable[str]) -> str | None:
    """The source of the first key that is known; a token of another system may stand before it."""
    for key in given:
        if (name := write_keys.get(key)) is not None:
            return name
    return None


def given_outside(headers: Mapping[bytes, bytes], query: bytes) -> tuple[str, ...]:
    """Keys in `Authorization` (Basic: the user; Bearer), `X-Write-Key` and `?writeKey=`, in this order."""
    keys: list[str] = []
    if authorization := headers.get(b"authorization"):
        keys += _authorized(authorization)
    if header := headers.get(b"x-write-key"):
        keys.append(header.decode("latin-1").strip())
    if b"riteKey" in query or b"ritekey" in query:
        keys += first(query, "writeKey", "writekey")
    return tuple(keys)


def _authorized(header: bytes) -> list[str]:
    scheme, _, value = header.strip().partition(b" ")
    if scheme.lower() == b"bearer":
        return [value.strip().decode("latin-1")]
    if scheme.lower() != b"basic":
        return []
    try:
        user, _, _ = base64.b64decode(value.strip()).partition(b":")
    except binascii.Error:
        return []
    return [user.decode("latin-1")]
