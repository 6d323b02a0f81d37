"""Secret keys: listed, created (shown once), revoked."""

from typing import Annotated, Any

from litestar import Request, Router
from litestar.params import JSONBody, Parameter
from msgspec import Struct

from onefold.errors import Forbidden
from onefold.model.catalog import SecretKeyRow
from onefold.server import instants
from onefold.server.auth import Keyring, allows
from onefold.server.engines import Given
from onefold.server.instants import Instant
from onefold.server.route import read, remove, segment, write


class KeyAnswer(Struct):
    """A secret key without the secret; `hint` is its last four characters."""

    name: str
    scopes: list[str]
    hint: str
    created_at: Instant
    revoked_at: Instant | None


class KeysAnswer(Struct):
    """All secret keys, revoked ones too, in the order they were made."""

    keys: list[KeyAnswer]


class NewKey(Struct, forbid_unknown_fields=True):
    """A secret key to be created; its scopes must be held by the key that creates it."""

    name: str
    scopes: list[str]


class CreatedKey(Struct):
    """A new secret key: the only time that it is ever shown."""

    name: str
    scopes: list[str]
    key: str


@read("/", "keys:read", "All secret keys", sync_to_thread=True)
def get_keys(engines: Given) -> KeysAnswer:
    """Answer with all secret keys."""
    return KeysAnswer([_answer(key) for key in engines.catalog.secret_keys()])


@write("/", "keys:write", "Create a secret key", refusals=[409], sync_to_thread=True)
def create_key(engines: Given, request: Request[Any, Any, Any], data: JSONBody[NewKey]) -> CreatedKey:
    """Create a secret key that may do no more than the caller's own."""
    keyring: Keyring = request.app.state.keyring
    own = keyring.scopes(request.headers.get("authorization"))
    for scope in data.scopes:
        if not allows(own, scope):
            raise Forbidden(f"this key does not have the scope {scope!r}, so it cannot give it to another")
    key = engines.catalog.create_secret_key(data.name, data.scopes)
    keyring.refresh()
    return CreatedKey(data.name, sorted(set(data.scopes)), key)


@remove("/{name:str}", "keys:write", "Revoke a secret key", sync_to_thread=True)
def revoke_key(
    engines: Given, request: Request[Any, Any, Any], name: Annotated[str, Parameter(description="The key's name.")]
) -> None:
    """Revoke a secret key: refused at once by this process, within a second by the others."""
    engines.catalog.revoke(segment(name))
    keyring: Keyring = request.app.state.keyring
    keyring.refresh()


router = Router("/v1/keys", route_handlers=[get_keys, create_key, revoke_key], tags=["keys"])


def _answer(key: SecretKeyRow) -> KeyAnswer:
    revoked_at = None if key.revoked_at_ms is None else instants.show(key.revoked_at_ms)
    return KeyAnswer(key.name, list(key.scopes), key.hint, instants.show(key.created_at_ms), revoked_at)
