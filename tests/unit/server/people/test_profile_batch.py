"""Many profiles at once: in the order asked, each as by itself, bounded."""

from collections.abc import Iterator
from typing import Any

import pytest

from onefold.limits import BATCH_READ_MAX
from onefold.model import position
from tests.unit.server import fakes


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[fakes.Client]:
    """Give a client of the whole app."""
    with fakes.client(tmp_path_factory.mktemp("batch")) as client:
        yield client


def _ask(client: fakes.Client, profiles: list[str], **more: Any) -> Any:
    return client.post("/v1/profiles/batch", json={"profiles": profiles} | more)


def test_each_is_as_by_itself(client: fakes.Client) -> None:
    """Any name of the person finds them, in the order asked; who is not there is null, and so is what is impossible."""
    names = ["email:ANN@example.com", "user_id:bob", position.show(fakes.ANN + 100), "email:no", position.show(7)]
    found = _ask(client, names).json()["profiles"]
    assert [one["asked"] for one in found] == names
    ann = client.get("/v1/profiles/user_id:ann").json()
    assert [one["profile"] for one in found] == [ann, None, ann, None, None]


def test_a_projection_holds_for_all(client: fakes.Client) -> None:
    """`include` means what it means for one."""
    (found,) = _ask(client, ["user_id:ann"], include="traits.plan").json()["profiles"]
    assert found["profile"]["traits"] == {"plan": "gold"}
    assert "computed" not in found["profile"]


def test_a_thousand_fit_and_no_more(client: fakes.Client) -> None:
    """The bound is the one in the docs, also with the longest identifiers; past it the message says it."""
    names = [f"user_id:{n:0392}" for n in range(BATCH_READ_MAX)]
    found = _ask(client, names)
    assert (found.status_code, len(found.json()["profiles"])) == (200, BATCH_READ_MAX)
    refused = _ask(client, ["user_id:a"] * (BATCH_READ_MAX + 1))
    assert refused.status_code == 400
    assert "1000" in refused.json()["message"]


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ({"profiles": ["user_id:ann", "ann"]}, "profiles[1]"),
        ({"profiles": ["user_id:ann"], "include": "provenance"}, "provenance"),
        ({"profiles": ["user_id:ann"], "include": "trait"}, "'traits'"),
        ({"profiles": ["user_id:ann"], "after": "x"}, "after"),
        ({"profile": ["user_id:ann"]}, "profile"),
    ],
)
def test_a_mistake_is_named(client: fakes.Client, body: Any, named: str) -> None:
    """What is wrong is refused as a whole, and named."""
    answer = client.post("/v1/profiles/batch", json=body)
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_request")
    assert named in answer.json()["message"]
