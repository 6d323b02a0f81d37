"""`as_of` over the API: people and audiences as they were, and refusals that say why there is no answer."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from onefold.limits import DAY_MS, HOUR_MS
from onefold.model import position
from onefold.model.definitions import Audience, Definitions, Trait
from onefold.runtime.history.writing import Historian, Sources
from onefold.server import instants
from onefold.settings import Settings
from onefold.storage.place import Place
from onefold.testing.clock import ManualClock
from onefold.testing.memory.history import MemoryHistory
from onefold.testing.world import START_MS, World, identify, track
from tests.unit.server import fakes

DEFINITIONS = Definitions(
    version=1,
    traits=(Trait("orders", 'count("Bought")'), Trait("orders_1d", 'count("Bought", within="1d")')),
    audiences=(Audience("buyers", "orders > 0", "Who buys"), Audience("regulars", "orders > 1")),
)
FIRST_MS = START_MS + 1_000
SECOND_MS = FIRST_MS + HOUR_MS
JOINED_MS = SECOND_MS + HOUR_MS
LATE_MS = JOINED_MS + HOUR_MS
NOW_MS = LATE_MS + 2 * DAY_MS


def platform(history: MemoryHistory) -> World:
    """Ann bought on her phone, then on her laptop, signed in on both, and an event of long ago came late."""
    world = World(DEFINITIONS)
    historian = Historian(Sources(world.state, world.reader), history, ManualClock(), flush_s=5)
    historian.turn()
    _until(world, FIRST_MS, track("Bought", anonymous="phone"))
    _until(world, SECOND_MS, track("Bought", anonymous="laptop"), identify(anonymous="laptop", user="ann"))
    _until(world, JOINED_MS, identify(anonymous="phone", user="ann", traits={"plan": "pro"}))
    historian.turn()
    historian.stop()
    _until(world, LATE_MS, track("Bought", FIRST_MS + 1, anonymous="laptop"))
    world.pass_time(NOW_MS - world.now_ms)
    return world


def _until(world: World, at_ms: int, *events: dict[str, Any]) -> None:
    world.pass_time(at_ms - world.now_ms)
    world.send(*events)
    world.fold()


@pytest.fixture(scope="module")
def history() -> MemoryHistory:
    """What the role has written: all but the last event."""
    return MemoryHistory()


@pytest.fixture(scope="module")
def world(history: MemoryHistory) -> World:
    """Give the platform."""
    return platform(history)


@pytest.fixture(scope="module")
def client(world: World, history: MemoryHistory, tmp_path_factory: pytest.TempPathFactory) -> Iterator[fakes.Client]:
    """Give a client of the whole app over it, whose definitions were saved before anything happened."""
    with _client(world, tmp_path_factory.mktemp("as-of"), history=lambda: history) as client:
        yield client


@contextmanager
def _client(world: World, path: Path, **changed: Any) -> Iterator[fakes.Client]:
    """The definitions are the second version: the fakes have one of their own."""
    catalog = Place.open(Settings(data=path / "catalog")).catalog(ManualClock(START_MS))
    parts = {"log": world.reader, "state": world.state, "clock": ManualClock(NOW_MS), "catalog": catalog}
    with fakes.client(path, **(parts | changed)) as client:
        catalog.save_definitions(DEFINITIONS, "ann")
        yield client


def _ask(client: fakes.Client, path: str, at_ms: int, **more: str) -> Any:
    answer = client.get(path, params={"as_of": instants.show(at_ms)} | more)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_a_person_is_shown_as_they_were(client: fakes.Client, world: World) -> None:
    """Traits, audiences, identifiers and id are those of then, whoever has absorbed the profile since."""
    now = world.profile("user_id:ann")
    laptop = _ask(client, "/v1/profiles/user_id:ann", JOINED_MS - 1)
    assert laptop["id"] == position.show(now.merges[0].absorbed)
    assert (laptop["events"], laptop["computed"]) == (2, {"orders": 1, "orders_1d": 1})
    assert sorted(laptop["identifiers"]) == ["anonymous_id", "user_id"]
    assert laptop["identifiers"]["anonymous_id"][0]["value"] == "laptop"
    assert laptop["audiences"] == [{"name": "buyers", "entered_at": instants.show(SECOND_MS)}]
    assert (laptop["traits"], laptop["merges"]) == ({}, [])
    assert laptop["as_of"] == {
        "at": instants.show(JOINED_MS - 1), "profile_now": position.show(now.id), "memberships": "told",
        "events_forgotten": 0, "late": False,
    }  # fmt: skip
    phone = _ask(client, "/v1/profiles/anonymous_id:phone", JOINED_MS - 1)
    assert (phone["id"], phone["events"]) == (position.show(now.id), 1)
    joined = _ask(client, f"/v1/profiles/{laptop['id']}", JOINED_MS)
    assert (joined["id"], joined["computed"]["orders"]) == (position.show(now.id), 2)
    assert [each["name"] for each in joined["audiences"]] == ["buyers", "regulars"]
    assert joined["audiences"][0]["entered_at"] == instants.show(FIRST_MS)


def test_time_alone_has_passed(client: fakes.Client) -> None:
    """A window that had ended by then has ended, though nothing came; ago is a way to say when."""
    found = _ask(client, "/v1/profiles/user_id:ann", NOW_MS - HOUR_MS)
    assert found["computed"] == {"orders": 3, "orders_1d": 0}
    ago = client.get("/v1/profiles/user_id:ann", params={"as_of": "1h"}).json()
    assert ago == found


def test_what_was_told_stays_and_late_is_what_is_known_now(client: fakes.Client) -> None:
    """The event that came late is not in what was known then; with `late` it is, and nobody was told that."""
    told = _ask(client, "/v1/profiles/user_id:ann", LATE_MS - 1)
    known = _ask(client, "/v1/profiles/user_id:ann", LATE_MS - 1, late="true")
    assert (told["computed"]["orders"], known["computed"]["orders"]) == (2, 3)
    assert (told["as_of"]["memberships"], known["as_of"]["memberships"]) == ("told", "computed")
    parts = _ask(client, "/v1/profiles/user_id:ann", LATE_MS - 1, include="computed.orders")
    assert parts["computed"] == {"orders": 2}
    assert "audiences" not in parts


def test_audiences_are_counted_and_listed_as_told(client: fakes.Client, world: World) -> None:
    """Sizes and members of then, in pages, under the ids that they had."""
    now = world.profile("user_id:ann")
    laptop, phone = position.show(now.merges[0].absorbed), position.show(now.id)
    size = _ask(client, "/v1/audiences/buyers", JOINED_MS - 1)
    assert (size["size"], size["as_of"]) == (2, instants.show(JOINED_MS - 1))
    first = _ask(client, "/v1/audiences/buyers/members", JOINED_MS - 1, limit="1")
    second = _ask(client, "/v1/audiences/buyers/members", JOINED_MS - 1, limit="1", after=first["next"])
    assert first["members"] == [{"id": phone, "entered_at": instants.show(FIRST_MS)}]
    assert second["members"] == [{"id": laptop, "entered_at": instants.show(SECOND_MS)}]
    joined = _ask(client, "/v1/audiences/buyers/members", JOINED_MS)
    assert joined["members"] == first["members"]
    assert _ask(client, "/v1/audiences/regulars", JOINED_MS - 1)["size"] == 0
    assert "as_of" not in client.get("/v1/audiences/buyers").json()


def test_an_answer_of_then_is_explained(client: fakes.Client) -> None:
    """Conditions, numbers and deciding events are those of then."""
    found = _ask(client, "/v1/profiles/user_id:ann/why/regulars", JOINED_MS - 1)
    assert (found["answer"]["value"], found["confirmed"], found["at"]) == (False, True, instants.show(JOINED_MS - 1))
    found = _ask(client, "/v1/profiles/user_id:ann/why/regulars", LATE_MS - 1)
    assert (found["answer"]["value"], found["deciding"], found["since"]) == (True, 2, instants.show(JOINED_MS))
    events = _ask(client, "/v1/profiles/user_id:ann/why/orders_1d/events", NOW_MS - 1)
    assert events["deciding"] == 0


@pytest.mark.parametrize(
    ("path", "query", "status", "says"),
    [
        ("profiles/user_id:ann", "as_of=2099-01-01", 400, "2099-01-01 has yet to come: it is 2023-11-1"),
        ("profiles/user_id:ann", "as_of=yesterday", 400, "'yesterday' is neither a time"),
        ("profiles/user_id:ann", "as_of=0s", 400, "'0s' is neither"),
        ("profiles/user_id:ann", "late=true", 400, "late: is asked for with `as_of`"),
        ("profiles/user_id:ann", "as_of=1h&late=maybe", 400, "late: true or false"),
        ("profiles/user_id:ann", "as_of=1h&include=provenance", 400, "provenance is of now"),
        ("profiles/user_id:ann", "asof=1h", 400, "did you mean 'as_of'"),
        ("profiles/user_id:ann", "as_of=2023-11-14", 404, "nobody had this identifier then: it was first seen at 2023"),
        ("profiles/user_id:bob", "as_of=1h", 404, "there is no such profile"),
        ("audiences/buyers", "as_of=2023-11-14", 404, "there was no such audience then, in version 0"),
        ("audiences/other/members", "as_of=1h", 404, "there was no such audience then, in version 2"),
        ("audiences/buyers@shadow/members", "as_of=1h", 400, "what runs in shadow is told to nobody"),
        ("audiences/buyers/members", "as_of=10y", 400, "'10y' is neither a time"),
    ],
)
def test_refusals_say_what_is_wrong(client: fakes.Client, path: str, query: str, status: int, says: str) -> None:
    """What cannot be answered is refused with the reason and what to do."""
    answer = client.get(f"/v1/{path}?{query}")
    assert (answer.status_code, says in answer.json()["message"]) == (status, True), answer.text


@pytest.mark.parametrize("path", ["profiles/user_id:ann", "audiences/buyers", "audiences/buyers/members"])
def test_without_a_history_nothing_is_said(world: World, tmp_path: Path, path: str) -> None:
    """Where history is off, or not written yet, that is the answer."""
    off = Settings(data=tmp_path / "off", history=False)
    for place, says in ((Place.open(off), "switched off"), (None, "not been written yet")):
        changed = {} if place is None else {"place": place}
        with _client(world, tmp_path / f"{place is None}", history=lambda: None, **changed) as client:
            answer = client.get(f"/v1/{path}?as_of=1h")
            assert (answer.status_code, answer.json()["code"]) == (404, "not_in_history")
            assert says in answer.json()["message"]


def test_what_is_no_longer_kept_is_counted(tmp_path: Path) -> None:
    """Where events are gone the answer says how many; where moves are not known that far back, they are computed."""
    world = World(DEFINITIONS)
    for n in range(25):
        _until(world, START_MS + 1_000 * (n + 1), track("Bought", user="ann"))
    world.pass_time(NOW_MS - world.now_ms)
    history = MemoryHistory(cursor=world.state.newest())
    with _client(world, tmp_path, history=lambda: history) as client:
        found = _ask(client, "/v1/profiles/user_id:ann", START_MS + DAY_MS)
        assert (found["as_of"]["events_forgotten"], found["as_of"]["memberships"]) == (5, "computed")
        assert found["computed"]["orders"] == 20
        answer = client.get("/v1/audiences/buyers?as_of=1h")
        assert (answer.status_code, answer.json()["code"]) == (404, "not_in_history")
        Historian(Sources(world.state, world.reader), history, ManualClock(), flush_s=5).turn()
        answer = client.get(f"/v1/audiences/buyers?as_of={instants.show(START_MS + DAY_MS)}")
        assert "history knows memberships from 2023-11-1" in answer.json()["message"]
