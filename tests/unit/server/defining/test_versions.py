"""Versions over the API: what changed, by whom; back, into shadow and out of it; and audiences in shadow."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from onefold.model import position
from onefold.model.changes import Changes, Cursor
from onefold.model.definitions import Audience, Definitions, Trait
from onefold.runtime.defining.versions import in_shadow
from tests.unit.server import fakes

CANDIDATE = Definitions(
    traits=(Trait("orders", 'count("Bought")'),),
    audiences=(Audience("buyers", "orders > 1", "Who buys"), Audience("anybody", "events > 0")),
)


@pytest.fixture
def client(tmp_path: Path) -> Iterator[fakes.Client]:
    """Give a client of the whole app, in whose catalog a second version runs a shadow."""
    with fakes.client(tmp_path) as client:
        prepare(client)
        yield client


def prepare(client: fakes.Client) -> None:
    """Put a candidate into shadow, and three people into its audience."""
    catalog = client.engines.catalog
    catalog.save_definitions(in_shadow(catalog.definitions(), CANDIDATE), "ann")
    members = {"buyers@shadow": {fakes.ANN + n: fakes.T0 for n in (3, 4, 5)}}
    fakes.commit(client.engines.state, Changes(1, Cursor(1, fakes.T0, 2), {}, {}, {}, {}, members, {}, [], [], {}))


def test_a_version_says_what_it_changed(client: fakes.Client) -> None:
    """Each with author, note and a line a change; any two can be compared."""
    found = client.get("/v1/definitions/versions/2").json()
    assert (found["author"], found["note"]) == ("ann", "in shadow")
    assert found["changes"][1] == "+ shadow (~ audience buyers: expression orders > 0 → orders > 1)"
    differs = client.get("/v1/definitions/difference?before=2&after=0").json()["changes"]
    assert "- audience buyers: orders > 0" in differs
    for path in ("versions/9", "difference?before=1&after=9"):
        assert client.get(f"/v1/definitions/{path}").status_code == 404
    assert client.get("/v1/definitions").json()["shadow"]["audiences"][0]["expression"] == "orders > 1"


def test_a_shadow_is_shown_beside_what_is_live(client: fakes.Client) -> None:
    """Sizes of both, who would move, and its members like those of any audience; live lists do not have it."""
    found = client.get("/v1/definitions/shadow").json()
    assert found["audiences"] == [
        {"name": "buyers", "size": 5, "shadow_size": 3}, {"name": "anybody", "size": 0, "shadow_size": 0},
    ]  # fmt: skip
    assert found["settled"] is False
    audiences = client.get("/v1/audiences").json()
    assert [one["name"] for one in audiences["audiences"]] == ["buyers"]
    assert [(one["name"], one["size"]) for one in audiences["shadow"]] == [
        ("buyers@shadow", 3),
        ("anybody@shadow", 0),
    ]
    moved = client.get("/v1/audiences/buyers/moves").json()
    assert (moved["staying"], moved["entering"], moved["leaving"]) == (2, 1, 3)
    assert moved["enter"] == [position.show(fakes.ANN + 5)]
    assert len(client.get("/v1/audiences/buyers@shadow/members").json()["members"]) == 3
    for path in ("none@shadow", "none/moves", "none@shadow/members"):
        assert client.get(f"/v1/audiences/{path}").status_code == 404


def _post(client: fakes.Client, path: str, **body: Any) -> Any:
    return client.post(f"/v1/definitions/{path}", json=body)


def test_promoting_makes_it_live(client: fakes.Client) -> None:
    """Once, in the name of the key; who has seen another version than the latest is told so."""
    conflict = _post(client, "shadow/promote", base=1)
    assert (conflict.status_code, conflict.json()["code"]) == (409, "conflict")
    saved = _post(client, "shadow/promote", base=2)
    assert (saved.status_code, saved.json()["version"]) == (201, 3)
    assert client.engines.catalog.definitions().audiences == CANDIDATE.audiences
    assert client.engines.catalog.versions()[-1].author == "key admin"
    for path in ("shadow/promote",):
        assert _post(client, path).status_code == 404
    assert client.get("/v1/definitions/shadow").status_code == 404
    assert client.get("/v1/audiences/buyers/moves").status_code == 404


def test_dropping_leaves_what_is_live(client: fakes.Client) -> None:
    """What is live is as it was before the shadow."""
    assert client.delete("/v1/definitions/shadow").status_code == 204
    catalog = client.engines.catalog
    assert (catalog.definitions().audiences, catalog.definitions().shadow) == (catalog.definitions(1).audiences, None)
    assert client.delete("/v1/definitions/shadow").status_code == 404


def test_rolling_back_makes_a_version(client: fakes.Client) -> None:
    """The old content is the newest; going back to what is there already makes none."""
    saved = _post(client, "rollback", version=0).json()
    assert saved["version"] == 3
    assert "- audience buyers: orders > 0" in saved["changes"]
    assert _post(client, "rollback", version=0).json() == {"version": 3, "changes": [], "coming": False}
    assert _post(client, "rollback", version=1, base=2).status_code == 409
    assert _post(client, "rollback", version=9).status_code == 404
    assert _post(client, "rollback", version=-1).status_code == 400
    assert _post(client, "rollback").status_code == 400
