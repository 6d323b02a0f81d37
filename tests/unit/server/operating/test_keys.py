"""Keys, sources and deliveries over the API: what changes something."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from onefold.model.definitions import Definitions, Destination
from tests.unit.server import fakes


@pytest.fixture
def client(tmp_path: Path) -> Iterator[fakes.Client]:
    """Give a client of the whole app."""
    with fakes.client(tmp_path) as client:
        yield client


def test_a_key_is_shown_once(client: fakes.Client) -> None:
    """A created key works at once, is never shown again, and is refused once revoked."""
    made = client.post("/v1/keys", json={"name": "reader", "scopes": ["profiles:read"]})
    assert made.status_code == 201
    secret = made.json()["key"]
    bearer = {"authorization": f"Bearer {secret}"}
    assert client.get("/v1/profiles/user_id:ann", headers=bearer).status_code == 200
    listed = client.get("/v1/keys")
    assert secret not in listed.text
    assert listed.json()["keys"][-1]["hint"] == secret[-4:]
    assert client.delete("/v1/keys/reader").status_code == 204
    assert client.get("/v1/profiles/user_id:ann", headers=bearer).status_code == 401
    assert client.get("/v1/keys").json()["keys"][-1]["revoked_at"]
    assert client.delete("/v1/keys/reader").status_code == 404


def test_a_key_gives_no_more_than_it_has(client: fakes.Client) -> None:
    """Who may make keys cannot make themselves one that may do more."""
    maker = client.post("/v1/keys", json={"name": "maker", "scopes": ["keys:write"]}).json()["key"]
    bearer = {"authorization": f"Bearer {maker}"}
    for scopes, status in ((["*"], 403), (["profiles:read"], 403), (["keys:read"], 201)):
        answer = client.post("/v1/keys", json={"name": "made", "scopes": scopes}, headers=bearer)
        assert answer.status_code == status


@pytest.mark.parametrize(
    "body",
    [
        {"name": "x"},
        {"name": "x", "scopes": []},
        {"name": "x", "scopes": ["all"]},
        {"name": "x", "scopes": "*"},
        {"name": "a b", "scopes": ["*"]},
        {"name": "x", "scopes": ["*"], "more": 1},
        [],
        None,
        "x",
    ],
)
def test_a_wrong_body_is_refused(client: fakes.Client, body: object) -> None:
    """A body that does not fit is refused with 400 and changes nothing."""
    answer = client.post("/v1/keys", json=body)
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_request")
    assert len(client.get("/v1/keys").json()["keys"]) == 1


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b"[" * 50_000, b'{"name":"x","scopes":["*"]'])
def test_a_broken_body_is_refused(client: fakes.Client, body: bytes) -> None:
    """What is not JSON is refused with 400."""
    answer = client.post("/v1/keys", content=body, headers={"content-type": "application/json"})
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_request")


def test_a_large_body_is_refused(client: fakes.Client) -> None:
    """A body past the limit is refused with 413."""
    answer = client.post("/v1/keys", json={"name": "x" * 100_000, "scopes": ["*"]})
    assert answer.status_code == 413


def test_a_name_is_taken_once(client: fakes.Client) -> None:
    """A second key or source of a name is a conflict."""
    assert client.post("/v1/keys", json={"name": "admin", "scopes": ["*"]}).json()["code"] == "already_exists"
    assert client.post("/v1/sources", json={"name": "app"}).status_code == 201
    assert client.post("/v1/sources", json={"name": "app"}).status_code == 409


def test_a_source_has_a_life(client: fakes.Client) -> None:
    """A source is made, stopped, and let go on with a new key."""
    made = client.post("/v1/sources", json={"name": "app"}).json()
    assert made["enabled"]
    assert client.delete("/v1/sources/app/key").status_code == 204
    (stopped,) = client.get("/v1/sources").json()["sources"]
    assert not stopped["enabled"]
    again = client.post("/v1/sources/app/key").json()
    assert again["enabled"]
    assert again["write_key"] != made["write_key"]
    assert client.post("/v1/sources/none/key").status_code == 404
    assert client.delete("/v1/sources/none/key").status_code == 404


def test_deliveries_are_counted_and_listed(client: fakes.Client) -> None:
    """Counts, what waits, and what was parked with its reason."""
    (crm,) = client.get("/v1/deliveries").json()["destinations"]
    assert crm["counts"] == {"taken": 6, "delivered": 3, "pending": 1, "parked.gave_up": 2}
    (pending,) = client.get("/v1/deliveries/crm/pending").json()["deliveries"]
    assert (pending["key"], pending["parked_at"]) == ("01-1-0", None)
    first = client.get("/v1/deliveries/crm/parked?limit=1").json()
    second = client.get(f"/v1/deliveries/crm/parked?limit=5&after={first['next']}").json()
    parked = first["deliveries"] + second["deliveries"]
    assert [delivery["key"] for delivery in parked] == ["01-2-0", "01-3-0"]
    assert (parked[0]["status"], parked[0]["reason"]) == (503, "busy")
    assert not second["next"]


def test_parked_deliveries_are_replayed(client: fakes.Client) -> None:
    """A replay is asked for all, or for those with the given keys; an unknown or undefined destination is not found."""
    undefined = client.post("/v1/deliveries/crm/replay", json={})
    assert (undefined.status_code, "no definition of" in undefined.json()["message"]) == (404, True)
    catalog = client.engines.catalog
    catalog.save_definitions(Definitions(destinations=(Destination("crm", url="https://x.example"),)), "test")
    assert client.post("/v1/deliveries/crm/replay", json={"keys": ["01-2-0", "x"]}).json() == {"deliveries": 1}
    answer = client.post("/v1/deliveries/crm/replay", json={})
    assert (answer.status_code, answer.json()) == (202, {"deliveries": 2})
    missing = client.post("/v1/deliveries/crn/replay", json={})
    assert (missing.status_code, missing.json()["code"]) == (404, "not_found")
    assert "did you mean 'crm'?" in missing.json()["message"]
    store = client.engines.deliveries
    assert store is not None
    assert len(store.requests()) == 2


def test_a_signing_secret_is_rotated(client: fakes.Client) -> None:
    """A defined destination gets a new secret, shown this once, and is told how long the former signs too."""
    catalog = client.engines.catalog
    catalog.save_definitions(Definitions(destinations=(Destination("crm", url="https://x.example"),)), "test")
    former = catalog.signing_secret("crm")
    made = client.post("/v1/deliveries/crm/signing", json={}).json()
    assert [one.secret for one in catalog.signing_secrets("crm")] == [made["signing_secret"], former]
    until = datetime.fromisoformat(made["former_until"])
    assert timedelta(hours=23, minutes=59) < until - datetime.now(UTC) <= timedelta(hours=24)
    ended = client.post("/v1/deliveries/crm/signing", json={"old_valid_s": 0}).json()
    assert ended["former_until"] is None
    assert [one.secret for one in catalog.signing_secrets("crm")] == [ended["signing_secret"]]
    for body in ({"old_valid_s": -1}, {"old_valid_s": 1 << 40}, {"old_valid": 1}):
        assert client.post("/v1/deliveries/crm/signing", json=body).status_code == 400
    assert client.post("/v1/deliveries/none/signing", json={}).status_code == 404


def test_only_a_keeper_of_keys_rotates_secrets(client: fakes.Client) -> None:
    """Who may send deliveries again may not learn what they are signed with."""
    made = client.post("/v1/keys", json={"name": "clerk", "scopes": ["deliveries:write", "keys:read"]}).json()["key"]
    bearer = {"authorization": f"Bearer {made}"}
    assert client.post("/v1/deliveries/crm/signing", json={}, headers=bearer).status_code == 403
