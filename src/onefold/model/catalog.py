"""What the catalog keeps besides definitions: sources, secret keys, and who applied which version."""

import hashlib

from msgspec import Struct

SCOPES = (
    "profiles:read",
    "events:read",
    "audiences:read",
    "definitions:read",
    "definitions:write",
    "identity:read",
    "identity:write",
    "keys:read",
    "keys:write",
    "deliveries:read",
    "deliveries:write",
    "metrics:read",
)
"""What a secret key may be allowed to do; `*` is all of it."""


class SourceRow(Struct, frozen=True):
    """A source with its write key."""

    name: str
    kind: str
    enabled: bool
    write_key: str
    created_at_ms: int


class SecretKeyRow(Struct, frozen=True):
    """A secret key without the secret; `hint` is its last four characters."""

    name: str
    scopes: tuple[str, ...]
    hint: str
    created_at_ms: int
    revoked_at_ms: int | None = None


class VersionRow(Struct, frozen=True):
    """One version of the definitions: who applied it, when."""

    version: int
    author: str
    created_at_ms: int


def digest(plain: str) -> bytes:
    """What is kept of a secret key: a plain SHA-256, which suffices because keys are 160 random bits."""
    return hashlib.sha256(plain.encode("utf-8", "surrogatepass")).digest()
