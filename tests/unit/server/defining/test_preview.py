"""A preview over the API: a change is given, and what it would do to the people of history is answered."""

from collections.abc import Iterator
from contextlib import closing

import pytest

from onefold.clock import SystemClock
from onefold.limits import DAY_MS
from onefold.model.event import Event
from onefold.model.past import Past
from onefold.model.position import show
from tests.unit.server import fakes

PATH = "/v1/definitions/preview"


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[fakes.Client]:
    """Give a client of the whole app, over a history in which person n has bought n times."""
    with fakes.client(tmp_path_factory.mktemp("preview")) as client:
        assert client.post(PATH, json={}).status_code == 404
        at_ms = SystemClock().now_ms() - DAY_MS // 2
        bought = Event("track", event="Bought", properties={"price": 5})
        pasts = [
            Past(0, number << 8 | n, number, at_ms, at_ms, bytes((number, n)) * 8, "web", "Bought", bought)
            for number in range(1, 6)
            for n in range(number)
        ]
        with closing(client.engines.place.history()) as history:
            assert history.try_hold()
            history.append(pasts, [], 1)
        yield client


def test_a_change_is_previewed(client: fakes.Client) -> None:
    """What is given replaces what is in force; counts, samples and days come back."""
    change = {"traits": [{"name": "orders", "expression": 'count("Bought") - 3'}]}
    found = client.post(PATH, json=change | {"days": 2}).json()
    (buyers,) = found["audiences"]
    assert (found["definitions_version"], found["people"]) == (1, 5)
    assert (buyers["name"], buyers["change"], buyers["people"], buyers["before"]) == ("buyers", "changed", 2, 5)
    assert buyers["leaves"]["people"] == 3
    assert {one["id"] for one in buyers["samples"]} == {show(4), show(5)}
    assert [day["people"] for day in buyers["movement"]["days"]] == [0, 0, 2]
    assert buyers["traits"] == ["orders"]


def test_what_is_removed_is_gone(client: fakes.Client) -> None:
    """A name under `remove` is previewed as gone."""
    (gone,) = client.post(PATH, json={"remove": ["buyers"], "days": 0}).json()["audiences"]
    assert (gone["change"], gone["people"], gone["leaves"]["people"]) == ("gone", 0, 5)


def test_what_is_wrong_is_said(client: fakes.Client) -> None:
    """Mistakes in definitions, unknown audiences and unknown fields are refused with their own codes."""
    wrong = {"audiences": [{"name": "x", "expression": "orderz > 1"}]}
    answers = [client.post(PATH, json=body) for body in (wrong, {"audience": "byers"}, {"what": 1}, {"days": 1000})]
    assert [answer.status_code for answer in answers] == [400, 404, 400, 400]
    assert answers[0].json()["code"] == "definitions"
    assert "orderz" in answers[0].json()["message"]
    assert "did you mean 'buyers'" in answers[1].json()["message"]
    assert client.post(PATH, json={}, headers={"authorization": "Bearer wrong"}).status_code == 401
