"""Audiences and quarantine over the API: sizes, definitions, and pages that add up."""

from collections.abc import Iterator
from typing import Any

import pytest

from onefold.model import position
from tests.unit.server import fakes


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[fakes.Client]:
    """Give a client of the whole app."""
    with fakes.client(tmp_path_factory.mktemp("audiences")) as client:
        yield client


def _pages(client: fakes.Client, path: str, limit: int, key: str) -> list[Any]:
    found: list[Any] = []
    after = ""
    while True:
        page = client.get(path, params={"limit": limit} | ({"after": after} if after else {})).json()
        assert len(page[key]) <= limit
        found += page[key]
        after = page.get("next", "")
        if not after:
            return found


def test_audiences_have_sizes_and_definitions(client: fakes.Client) -> None:
    """An audience is shown with its expression and how many are in it."""
    found = client.get("/v1/audiences").json()
    buyers = {"name": "buyers", "expression": "orders > 0", "description": "Who buys", "size": 5}
    assert found == {"definitions_version": 1, "audiences": [buyers], "shadow": []}
    assert client.get("/v1/audiences/buyers").json() == buyers


@pytest.mark.parametrize("limit", [1, 2, 4, 5, 6, 1000])
def test_pages_of_members_add_up(client: fakes.Client, limit: int) -> None:
    """Whatever the size of a page, all members are seen once, in order."""
    members = _pages(client, "/v1/audiences/buyers/members", limit, "members")
    assert [member["id"] for member in members] == [position.show(fakes.ANN + n) for n in range(5)]
    assert members[1]["entered_at"] == "2023-11-14T22:13:20.001Z"


@pytest.mark.parametrize("limit", [1, 2, 3, 100])
def test_pages_of_quarantine_add_up(client: fakes.Client, limit: int) -> None:
    """Whatever the size of a page, all quarantined events are seen once; a body is found in the log, if it is there."""
    events = _pages(client, "/v1/quarantine", limit, "events")
    assert [event["id"] for event in events] == ["01-0", "01-7", "01-90000"]
    assert [event["body"][:16] for event in events] == ['{"type":"track",', "[]", ""]
    assert events[1]["reason"] == "not an object"


def test_absent_audiences_are_not_found(client: fakes.Client) -> None:
    """Unknown audiences get one answer."""
    answers = [client.get(f"/v1/audiences/{name}") for name in ("x", "Buyers", "buyers%2F", "x/members")]
    assert {answer.status_code for answer in answers} == {404}
    assert {answer.json()["code"] for answer in answers} == {"not_found"}


@pytest.mark.parametrize("after", ["x", "a" * 13, "7777777777777", "a" * 128, "a" * 129, "%00", "aeaaaaaaaaaae="])
@pytest.mark.parametrize("path", ["/v1/audiences/buyers/members", "/v1/quarantine", "/v1/deliveries/crm/parked"])
def test_a_made_up_cursor_is_refused_or_harmless(client: fakes.Client, path: str, after: str) -> None:
    """What is not a `next` of this route never makes a mistake of ours."""
    answer = client.get(f"{path}?after={after}")
    assert answer.status_code in {200, 400}
    if answer.status_code == 400:
        assert answer.json()["code"] == "invalid_request"


def test_definitions_in_versions(client: fakes.Client) -> None:
    """The latest and every earlier version can be read, with who applied it and what is in force."""
    assert client.get("/v1/definitions").json()["traits"][0]["name"] == "orders"
    assert client.get("/v1/definitions?version=0").json()["traits"] == []
    assert client.get("/v1/definitions?version=7").status_code == 404
    found = client.get("/v1/definitions/versions").json()
    assert [version["author"] for version in found["versions"]] == ["test"]
    assert found["in_force"] == [0, 1]
