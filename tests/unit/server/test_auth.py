"""Every route against every kind of key: the matrix is made from the routes, so a new route is in it by being there."""

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from litestar.routes import HTTPRoute

from onefold.model.catalog import SCOPES
from onefold.server.app import ROUTERS
from onefold.server.auth import PUBLIC, Keyring, allows
from tests.unit.server import fakes

BODIES = {
    "/v1/sources": {"name": "app"},
    "/v1/keys": {"name": "reader", "scopes": ["profiles:read"]},
    "/v1/deliveries/x/replay": {"keys": None},
    "/v1/definitions/rollback": {"version": 1},
    "/v1/definitions/shadow/promote": {},
    "/v1/profiles/batch": {"profiles": ["user_id:ann"]},
}


READS_BY_POST = {"/v1/profiles/batch", "/v1/definitions/preview", "/v1/identity/what-if"}
"""What is asked there does not fit a query."""


def _routes() -> Iterator[tuple[str, str, str | None]]:
    """Method, path and scope of every route; OPTIONS, which the framework adds, says nothing of the data."""
    for route in (route for router in ROUTERS for route in router.routes):
        assert isinstance(route, HTTPRoute)
        path = route.path_format.replace("{name}", "x").replace("{version}", "1")
        for handler in route.route_handlers:
            yield from ((str(method), path, handler.opt.get("scope")) for method in handler.http_methods - {"OPTIONS"})


ROUTES = sorted(_routes(), key=str)
GUARDED = [route for route in ROUTES if route[2] != PUBLIC]


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[fakes.Client]:
    """Give a client of the whole app."""
    with fakes.client(tmp_path_factory.mktemp("auth")) as client:
        yield client


def _call(client: fakes.Client, method: str, path: str, authorization: str) -> Any:
    if path.endswith("/tail"):
        path += "?kind=nothing"  # refused after the guard, so that the endless stream does not begin
    return client.request(method, path, headers={"authorization": authorization}, json=BODIES.get(path))


def _key(client: fakes.Client, name: str, scopes: list[str]) -> str:
    catalog = client.engines.catalog
    if any(key.name == name and key.revoked_at_ms is None for key in catalog.secret_keys()):
        catalog.revoke(name)
    key = catalog.create_secret_key(name, scopes)
    client.keyring.refresh()
    return f"Bearer {key}"


def test_there_are_routes() -> None:
    """The matrix is not empty, and names what the issue asks for."""
    paths = {path for _, path, _ in ROUTES}
    assert {"/v1/profiles/x", "/v1/profiles/x/events", "/v1/events/tail", "/metrics", "/readyz"} <= paths


@pytest.mark.parametrize(("method", "path", "scope"), ROUTES)
def test_every_route_declares_a_scope(method: str, path: str, scope: str | None) -> None:
    """A route says which scope it needs, or that it is public; only health is. What reads is GET, if it fits one."""
    assert scope
    assert set(scope.split()) <= {*SCOPES, PUBLIC}
    assert (scope == PUBLIC) == (path in {"/healthz", "/readyz"})
    assert method == "GET" or not str(scope).endswith(":read") or path in READS_BY_POST


@pytest.mark.parametrize(("method", "path", "scope"), GUARDED)
def test_without_a_known_key_nothing_is_said(client: fakes.Client, method: str, path: str, scope: str) -> None:
    """No key, an unknown one, a revoked one and a write key get the same 401, whatever the path names."""
    write_key = "Bearer wk_" + "a" * 32
    answers = [_call(client, method, path, key) for key in ("", "Bearer sk_unknown", "Nonsense", write_key, "Basic !")]
    assert {answer.status_code for answer in answers} == {401}
    assert {answer.json()["code"] for answer in answers} == {"unauthorized"}
    assert len({answer.content for answer in answers}) == 1
    assert all("www-authenticate" in answer.headers for answer in answers)


@pytest.mark.parametrize(("method", "path", "scope"), GUARDED)
def test_a_key_without_the_scope_is_refused(client: fakes.Client, method: str, path: str, scope: str) -> None:
    """A key that may do everything else is refused with 403, also where it lacks one of several."""
    for needed in scope.split():
        others = [other for other in SCOPES if not allows(frozenset([other]), needed)]
        answer = _call(client, method, path, _key(client, "others", others))
        assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")
        assert needed in answer.json()["message"]


@pytest.mark.parametrize(("method", "path", "scope"), GUARDED)
def test_the_right_key_passes_the_guard(client: fakes.Client, method: str, path: str, scope: str) -> None:
    """A key with the scope alone is let through, and whatever comes then is not our mistake."""
    answer = _call(client, method, path, _key(client, "right", scope.split()))
    assert answer.status_code < 500
    assert answer.status_code not in {401} | ({403} if path != "/v1/keys" else set())


def test_a_route_without_a_scope_is_closed(client: fakes.Client) -> None:
    """Fail closed: an unknown path is no route, and says the same to everybody."""
    answers = [client.get("/v1/profiles", headers={"authorization": key}) for key in ("", f"Bearer {client.secret}")]
    assert {answer.status_code for answer in answers} == {404}
    assert {answer.json()["code"] for answer in answers} == {"not_found"}


def test_basic_takes_the_key_as_user(client: fakes.Client) -> None:
    """`curl -u sk_…:` works."""
    basic = base64.b64encode(f"{client.secret}:".encode()).decode()
    for authorization in (f"Basic {basic}", f"basic {basic}", f"bearer {client.secret}", f"BEARER  {client.secret}"):
        assert client.get("/v1/profiles/user_id:ann", headers={"authorization": authorization}).status_code == 200


def test_write_holds_read() -> None:
    """`x:write` lets one read x, and nothing else holds anything else."""
    assert allows(frozenset(["keys:write"]), "keys:read")
    assert not allows(frozenset(["keys:read"]), "keys:write")
    assert not allows(frozenset(["keys:write"]), "profiles:read")
    assert allows(frozenset(["*"]), "keys:write")
    assert not allows(frozenset(), "keys:read")


def test_a_keyring_follows_the_catalog(tmp_path: Path) -> None:
    """Keys that were made or revoked elsewhere count after the next refresh."""
    engines = fakes.engines(tmp_path)
    keyring = Keyring(engines.catalog)
    write_key = engines.catalog.create_source("app")
    secret = engines.catalog.create_secret_key("reader", ["profiles:read"])
    assert write_key not in keyring.write_keys()
    keyring.refresh()
    assert keyring.write_keys()[write_key] == "app"
    assert keyring.scopes(f"Bearer {secret}") == frozenset({"profiles:read"})
    engines.catalog.enable_source("app", enabled=False)
    keyring.refresh()
    assert write_key not in keyring.write_keys()
