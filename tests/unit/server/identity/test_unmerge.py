"""Undo over the API: who there would be, what it takes to ask, and what is no question."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from onefold.settings import Settings
from onefold.storage.place import Place
from onefold.testing.clock import ManualClock
from onefold.testing.memory.history import MemoryHistory
from onefold.testing.world import START_MS, World, define, track
from tests.property.test_unmerge import followed
from tests.unit.runtime.identity.test_unmerge import Worker
from tests.unit.server import fakes

LINK = ["user_id:ann", "anonymous_id:tablet"]


@pytest.fixture
def world() -> World:
    """Two who are one by one event; Ann has bought something."""
    made = World(define({"orders": 'count("Bought")'}, {"buyers": "orders > 0"}))
    made.send(track("Seen", anonymous="tablet", message="m0"), track("Bought", user="ann", message="m1"))
    made.send(track("Seen", user="ann", anonymous="tablet", message="m2"))
    made.fold()
    return made


@pytest.fixture
def client(tmp_path: Path, world: World) -> Iterator[fakes.Client]:
    """A client over that world, which is followed by a history, and folded at once; its definitions came before all."""
    history = followed(world, MemoryHistory())
    catalog = Place.open(Settings(data=tmp_path / "data")).catalog(ManualClock(START_MS - 1))
    changed = {"state": world.state, "log": world.reader, "writer": Worker(world), "catalog": catalog}
    with fakes.client(tmp_path, history=lambda: history, **changed) as made:
        yield made


def people(answer: Mapping[str, Any]) -> list[tuple[bool, int, Any, Sequence[str], Sequence[str]]]:
    """What is said of each."""
    return [
        (each["is_new"], each["events"], each["person"]["computed"], each["entered"], each["left"])
        for each in answer["people"]
    ]


def test_a_dry_run_shows_who_there_would_be_and_does_nothing(client: fakes.Client, world: World) -> None:
    """The same people that there are once it is done, with who did it."""
    before = world.state.digest()
    would = client.post("/v1/identity/unmerge", json={"link": LINK, "dry_run": True}).json()
    assert (would["said"], would["dry_run"], would["receipt"]) == (f"unmerge link {LINK[0]} {LINK[1]}", True, "")
    assert people(would) == [
        (False, 1, {"orders": 0}, [], ["buyers"]),
        (True, 2, {"orders": 1}, ["buyers"], []),
    ]
    assert world.state.digest() == before
    done = client.post("/v1/identity/unmerge", json={"link": LINK, "why": "her sister's", "by": "bea"}).json()
    assert (done["folded"], done["people"]) == (True, would["people"])
    shown = client.get("/v1/profiles/user_id:ann?include=identity").json()["identity"]
    assert shown["apart"] == [{"identifier": LINK[0], "other": LINK[1]}]
    assert [(each["by"], each["why"].partition(": ")[2]) for each in shown["undone"]] == [
        ("bea (key admin)", "her sister's")
    ]
    again = client.post("/v1/identity/unmerge", json={"link": LINK})
    assert (again.status_code, again.json()["code"]) == (400, "invalid_request")


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        ({}, 400, "say one of"),
        ({"link": LINK, "event": "m2"}, 400, "say one of"),
        ({"link": LINK[:1]}, 400, "two identifiers"),
        ({"link": ["user_id:ann", "user_id:nobody"]}, 404, "nobody has user_id:nobody"),
        ({"identifier": "tablet"}, 400, "no identifier"),
        ({"profile": "user_id:ann"}, 400, "say one of"),
        ({"profile": "user_id:ann", "after": "yesterday"}, 400, "is no time"),
        ({"profile": "prf_0000000000990001", "after": "2020-01-01"}, 404, "there is no profile"),
        ({"event": "m9"}, 404, "history has no event m9"),
        ({"links": LINK}, 400, "links"),
    ],
)
def test_what_is_no_question_is_refused(client: fakes.Client, body: dict[str, Any], status: int, said: str) -> None:
    """With the reason, and nothing is written."""
    answer = client.post("/v1/identity/unmerge", json=body)
    assert (answer.status_code, said in answer.text) == (status, True), answer.text


def test_it_takes_the_scope_of_who_may_say_what_is_one_person(client: fakes.Client) -> None:
    """A key that only reads is refused, for a dry run, too."""
    key = client.engines.catalog.create_secret_key("reader", ["identity:read", "profiles:read"])
    for dry_run in (True, False):
        answer = client.post(
            "/v1/identity/unmerge", json={"link": LINK, "dry_run": dry_run}, headers={"authorization": f"Bearer {key}"}
        )
        assert answer.status_code in (401, 403)
