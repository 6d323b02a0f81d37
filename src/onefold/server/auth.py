"""Who may call what: secret keys with scopes, checked by one guard that refuses every route that declares no scope."""

import base64
import binascii
from collections.abc import Mapping
from typing import Any

from litestar.connection import ASGIConnection
from litestar.handlers.base import BaseRouteHandler

from onefold.errors import Forbidden, Unauthorized
from onefold.model.catalog import digest
from onefold.ports import Catalog

PUBLIC = "public"
"""The scope of routes that need no key."""

_UNAUTHORIZED = "a secret key is needed: `Authorization: Bearer sk_…`, or Basic with the key as the user name"


class Keyring:
    """The secret keys in force, kept in memory; `refresh` looks whether the catalog has changed."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._generation = -1
        self._digests: Mapping[bytes, frozenset[str]] = {}
        self._write_keys: Mapping[str, str] = {}
        self.refresh()

    def refresh(self) -> None:
        """Read the keys again if the catalog has changed. Blocks for a read of the disk."""
        generation = self._catalog.generation()
        if generation == self._generation:
            return
        self._digests = self._catalog.digests()
        self._write_keys = self._catalog.write_keys()
        self._generation = generation

    def write_keys(self) -> Mapping[str, str]:
        """Write key → source, of those that may send; costs nothing."""
        return self._write_keys

    def scopes(self, authorization: str | None) -> frozenset[str]:
        """The scopes of the key in an Authorization header. Raises `Unauthorized` without a known key."""
        key = key_of(authorization)
        scopes = self._digests.get(digest(key)) if key else None
        if scopes is None:
            raise Unauthorized(_UNAUTHORIZED)
        return scopes

    def require(self, authorization: str | None, scope: str) -> None:
        """Raises `Unauthorized` without a known key, `Forbidden` where it lacks the scope."""
        if not allows(self.scopes(authorization), scope):
            raise Forbidden(f"this key does not have the scope {scope!r}")


def allows(scopes: frozenset[str], scope: str) -> bool:
    """Whether these scopes hold that one: itself, `*`, or `x:write` for `x:read`."""
    return scope in scopes or "*" in scopes or (scope.endswith(":read") and f"{scope[:-5]}:write" in scopes)


async def guard(connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler) -> None:
    """Litestar's guard of every route: its `scope` option must be held, where it names several all of them.

    A route without one is closed to all.
    """
    keyring: Keyring = connection.app.state.keyring
    scope = handler.opt.get("scope")
    if scope == PUBLIC:
        return
    authorization = connection.headers.get("authorization")
    if scope is None:
        keyring.scopes(authorization)
        raise Forbidden("this route declares no scope")
    for each in scope.split():
        keyring.require(authorization, each)


def key_of(authorization: str | None) -> str | None:
    """The secret key in an Authorization header."""
    if not authorization:
        return None
    scheme, _, rest = authorization.partition(" ")
    rest = rest.strip()
    if scheme.lower() == "bearer":
        return rest
    if scheme.lower() != "basic":
        return None
    try:
        user = base64.b64decode(rest, validate=True).decode().partition(":")[0]
    except (binascii.Error, ValueError):
        return None
    return user
