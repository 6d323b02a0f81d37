"""Explanations over the API: a tree that a console can draw, events in pages, and refusals that help."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from onefold.model import position
from onefold.model.definitions import Audience, Definitions, Trait
from onefold.testing.clock import ManualClock
from onefold.testing.memory.history import MemoryHistory
from onefold.testing.world import World, track
from tests.unit.server import fakes

DEFINITIONS = Definitions(
    version=1,
    traits=(Trait("orders", 'count("Bought")'),),
    audiences=(Audience("buyers", "orders > 0", "Who buys"),),
)
MANY = 45


def platform() -> World:
    """Somebody who bought so often that it takes pages to say when."""
    world = World(DEFINITIONS)
    for n in range(MANY):
        world.pass_time(1_000)
        world.send(track("Bought", user="ann", properties={"n": n}))
    world.fold()
    return world


@pytest.fixture(scope="module")
def world() -> World:
    """Give the platform."""
    return platform()


@pytest.fixture(scope="module")
def client(world: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[fakes.Client]:
    """Give a client of the whole app over it."""
    clock, path = ManualClock(world.now_ms), tmp_path_factory.mktemp("why")
    changed = {"log": world.reader, "state": world.state, "clock": clock, "history": MemoryHistory}
    with fakes.client(path, **changed) as client:
        yield client


def ask(client: fakes.Client, path: str) -> Any:
    """What a route answers."""
    answer = client.get(f"/v1/profiles/user_id:ann/why/{path}")
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_an_audience_is_explained(client: fakes.Client, world: World) -> None:
    """The answer, its version and author, every part with its columns and value, and the latest deciding events."""
    found = ask(client, "buyers")
    assert found["profile"] == position.show(world.profile("user_id:ann").id)
    assert (found["definitions_version"], found["applied_by"]) == (1, "test")
    assert (found["deciding"], len(found["events"]), found["profile_events"], found["events_seen"]) == (45, 20, 45, 45)
    audience, (trait,) = found["answer"], found["rests_on"]
    assert (audience["name"], audience["kind"], audience["value"]) == ("buyers", "audience", True)
    assert audience["description"] == "Who buys"
    whole = audience["whole"]
    assert (whole["text"], whole["kind"], whole["value"], whole["column"], whole["end"]) == (
        "orders > 0", "compare", True, 0, 10,
    )  # fmt: skip
    assert [part["value"] for part in whole["parts"]] == [45, 0]
    evidence = trait["whole"]["evidence"]
    assert (evidence["named"], evidence["within"], evidence["counted"], evidence["deciding"]) == (45, 45, 45, 45)
    assert found["since"] == "2023-11-14T22:13:21.000Z"
    assert found["late_since"] is None


@pytest.mark.parametrize("of", ["", "?of=orders&part=0", "?of=buyers"])
def test_all_deciding_events_come_in_pages(client: fakes.Client, of: str) -> None:
    """Page by page, latest first, every event is listed once, of the answer or of one part of a trait."""
    seen: list[str] = []
    after = ""
    while True:
        query = f"{of}{'&' if of else '?'}limit=20" + (f"&after={after}" if after else "")
        page = ask(client, f"buyers/events{query}")
        assert page["deciding"] == MANY
        seen += [event["at"] for event in page["events"]]
        after = page["next"]
        if not after:
            break
    assert len(seen) == len(set(seen)) == MANY
    assert seen == sorted(seen, reverse=True)


@pytest.mark.parametrize(
    ("path", "status", "hint"),
    [
        ("buyer", 404, "did you mean `buyers`"),
        ("zzzzzz", 404, "no trait or audience"),
        ("buyers?evnts=1", 400, "evnts"),
        ("buyers/events?of=orders", 400, "part"),
        ("buyers/events?part=7", 400, "no part 7"),
        ("buyers/events?of=none&part=0", 400, "none"),
        ("buyers/events?after=x", 400, "after"),
    ],
)
def test_refusals_say_what_was_meant(client: fakes.Client, path: str, status: int, hint: str) -> None:
    """Names, parts and pages that are not there are answered with what helps."""
    answer = client.get(f"/v1/profiles/user_id:ann/why/{path}")
    assert answer.status_code == status
    assert hint in answer.json()["message"]


def test_an_unknown_profile_is_not_found(client: fakes.Client) -> None:
    """It is the same answer as of any route that names a profile."""
    answer = client.get("/v1/profiles/user_id:nobody/why/buyers")
    assert (answer.status_code, answer.json()["message"]) == (404, "there is no such profile")


@pytest.mark.parametrize(
    ("scopes", "status"),
    [(["profiles:read"], 403), (["events:read"], 403), (["profiles:read", "events:read"], 200)],
)
def test_it_needs_both_scopes(client: fakes.Client, scopes: list[str], status: int) -> None:
    """It shows a profile and events, so a key may see both or nothing."""
    secret = client.engines.catalog.create_secret_key("-".join(scopes).replace(":", "_"), scopes)
    client.keyring.refresh()
    headers = {"authorization": f"Bearer {secret}"}
    assert client.get("/v1/profiles/user_id:ann/why/buyers", headers=headers).status_code == status


def test_without_a_history_only_the_latest_events_are_seen(tmp_path: Path) -> None:
    """The log still has what a profile names as its latest; that the others are missing is said."""
    world = platform()
    changed = {"log": world.reader, "state": world.state, "clock": ManualClock(world.now_ms)}
    with fakes.client(tmp_path, **changed) as client:
        found = ask(client, "buyers")
    assert (found["answer"]["value"], found["profile_events"], found["events_seen"]) == (True, 45, 20)
    part = found["rests_on"][0]["whole"]
    assert (part["value"], part["from_events"], part["differs"]) == (45, 20, True)
    assert [note["reason"] for note in part["notes"]] == ["events_missing"]


def test_a_definition_that_began_later_says_since_when(tmp_path: Path) -> None:
    """The catalog knows when the aggregate came; events before that are shown beside what was counted."""
    world = World(Definitions(version=1))
    world.send(*[track("Sold", user="ann")] * 3)
    world.fold()
    clock = ManualClock(world.now_ms)
    with fakes.client(tmp_path, log=world.reader, state=world.state, clock=clock, history=MemoryHistory) as client:
        added = Definitions(traits=(Trait("sold", 'count("Sold")'), Trait("more", 'count("Sold") + 1')))
        saved = client.engines.catalog.save_definitions(added, "ann")
        began_ms = client.engines.catalog.versions()[-1].created_at_ms
        world.now_ms = began_ms + 5
        world.define(saved)
        world.send(track("Sold", user="ann"))
        world.fold()
        clock.advance(world.now_ms - clock.now_ms())
        found = ask(client, "sold")
    part = found["answer"]["whole"]
    assert (found["answer"]["value"], part["from_events"]) == (1, 4)
    assert [note["reason"] for note in part["notes"]] == ["counted_since"]


def test_a_definition_that_the_profile_has_not_met_yet_says_so(tmp_path: Path) -> None:
    """Between applying and judging, the answer names both versions."""
    world = World(Definitions(version=1))
    world.send(track("Sold", user="ann"))
    world.fold()
    with fakes.client(tmp_path, log=world.reader, state=world.state) as client:
        client.engines.catalog.save_definitions(Definitions(traits=(Trait("sold", 'count("Sold")'),)), "ann")
        answer = client.get("/v1/profiles/user_id:ann/why/sold")
    assert answer.status_code == 404
    assert "version 2" in answer.json()["message"]
