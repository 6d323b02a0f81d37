"""Other rules of identity over the API."""

from collections.abc import Iterator
from contextlib import closing

import pytest

from onefold.testing.memory.state import MemoryState
from onefold.testing.pasts import pasts
from onefold.testing.world import World, identify
from tests.unit.server import fakes

PATH = "/v1/identity/what-if"


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[fakes.Client]:
    """Give a client of the whole app, over a shop in which two share a browser."""
    world = World()
    for name in ("ann", "bob"):
        world.send(identify(anonymous="shared", traits={"email": f"{name}@acme.com"}))
    world.fold()
    assert isinstance(world.state, MemoryState)
    made = tmp_path_factory.mktemp("what-if")
    with fakes.client(made, state=world.state, log=world.reader, writer=world.writer) as client:
        assert client.post(PATH, json={"identity": {}}).status_code == 404
        with closing(client.engines.place.history()) as history:
            assert history.try_hold()
            events, merges = pasts(world)
            history.append(events, merges, world.state.newest())
        yield client


def test_other_rules_are_tried(client: fakes.Client) -> None:
    """The answer says who would split, and by which rule."""
    found = client.post(PATH, json={"identity": {"types": [{"name": "email", "unique": True}]}}).json()
    assert (found["people_now"], found["people_then"], found["refused"]) == (1, 2, {"one_email": 1})
    (case,) = found["splits"]["samples"]
    assert [part["identifiers"] for part in case["then"]] == [
        ["email:ann@acme.com", "anonymous_id:shared"], ["email:bob@acme.com"],
    ]  # fmt: skip
    assert client.post(PATH, json={"identity": {}, "samples": 0}).json()["same"] == 1


def test_rules_that_are_none_are_refused(client: fakes.Client) -> None:
    """They are checked as definitions are, each mistake where it is."""
    wrong = client.post(PATH, json={"identity": {"types": [{"name": "Bad Name"}]}})
    assert (wrong.status_code, wrong.json()["code"]) == (400, "definitions")
    assert client.post(PATH, json={"identity": {"policy": "none"}}).status_code == 400
    assert client.post(PATH, json={"identity": {}, "samples": 1_000}).status_code == 400
