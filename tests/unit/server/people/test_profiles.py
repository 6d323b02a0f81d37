"""Profiles over the API: found by any spelling of any identifier, shown in the parts that were asked for."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from onefold.model import position
from onefold.model.changes import Changes, Cursor
from onefold.model.rules import Rules, fingerprint
from onefold.server.app import litestar
from onefold.server.operating.tail import Tail
from onefold.server.people.arrivals import Arrivals
from onefold.server.people.projection import OPTIONAL, PARTS
from onefold.settings import Settings
from onefold.testing.clock import ManualClock
from tests.unit.server import fakes


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[fakes.Client]:
    """Give a client of the whole app."""
    with fakes.client(tmp_path_factory.mktemp("profiles")) as client:
        yield client


def test_a_profile_has_every_part(client: fakes.Client) -> None:
    """All that is known is shown, times in RFC 3339 with milliseconds, evidence beside each link."""
    found = client.get("/v1/profiles/user_id:ann").json()
    assert found["id"] == position.show(fakes.ANN)
    assert found["identifiers"]["email"] == [{"value": "ann@example.com", "first_seen_at": "2023-11-14T22:13:20.005Z"}]
    assert found["identifiers"]["odd"][0]["value"] == "a:b"
    assert found["traits"] == {"plan": "gold", "tags": ["a", None, 1.5]}
    assert found["computed"] == {"orders": 2, "last_order_at": "2023-11-14T22:13:20.005000Z"}
    assert found["audiences"] == [{"name": "buyers", "entered_at": "2023-11-14T22:13:20.007Z"}]
    assert found["links"] == [
        {
            "a": "user_id:ann",
            "b": "email:ann@example.com",
            "rule": "shared_event",
            "event": "01-10001",
            "at": "2023-11-14T22:13:20.000Z",
        }
    ]
    assert found["merges"][0]["event"] == "01-10001"


def test_identifiers_are_spelled_by_the_rules_in_force(tmp_path: Path) -> None:
    """What the log says of phone numbers holds, whatever the settings of this process say; new rules are noticed."""
    state, clock = fakes.state(), ManualClock()
    changed = {"state": state, "clock": clock, "settings": Settings(data=tmp_path / "data", phone_region="FR")}
    with fakes.client(tmp_path, **changed) as client:
        assert client.get("/v1/profiles/phone:030 1234567").status_code == 404
        rules = Rules(phone_region="DE")
        cursor = Cursor(1, fakes.T0, rules=fingerprint(rules))
        owned = {"phone:+49301234567": fakes.ANN}
        fakes.commit(state, Changes(0, cursor, {}, owned, {}, {}, {}, {}, [], [], {}, rules))
        clock.advance(1_000)
        for path in ("/v1/profiles/phone:030 1234567", "/v1/profiles/phone:030 1234567/events"):
            assert client.get(path).status_code == 200


@pytest.mark.parametrize(
    "name",
    [
        "user_id:ann",
        "user_id%3Aann",
        "email:ann@example.com",
        "email:%20ANN%40Example.COM%20",
        "user_id:a%2Fb",
        "user_id:a%20b%25",
        position.show(fakes.ANN),
        position.show(fakes.ANN + 100),
    ],
)
def test_any_spelling_finds_the_person(client: fakes.Client, name: str) -> None:
    """Identifiers are spelled as on entry, URL-encoded or not; an absorbed id finds the survivor."""
    assert client.get(f"/v1/profiles/{name}").json()["id"] == position.show(fakes.ANN)
    assert client.get(f"/v1/profiles/{name}/events").json()["profile"] == position.show(fakes.ANN)


@pytest.mark.parametrize(
    "name", ["user_id:bob", "user_id:", "email:no", "phone:1", "none:none", "prf_" + "0" * 16, "%FF:%FF", ":", "a:%00"]
)
def test_all_that_is_absent_looks_the_same(client: fakes.Client, name: str) -> None:
    """Unknown, blocked and impossible identifiers get one answer, so that nothing can be learned from it."""
    answer = client.get(f"/v1/profiles/{name}")
    assert answer.status_code == 404
    assert answer.json() == {"code": "not_found", "message": "there is no such profile"}
    assert client.get(f"/v1/profiles/{name}/events").json() == answer.json()


@pytest.mark.parametrize("name", ["ann", "prf_1", "prf_-000000000000001", "prf_0x00000000000001"])
def test_a_name_needs_a_namespace(client: fakes.Client, name: str) -> None:
    """What is neither `namespace:value` nor an id is refused with what was expected."""
    answer = client.get(f"/v1/profiles/{name}")
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_request")


def test_include_chooses(client: fakes.Client) -> None:
    """Only the parts that were asked for are there; the head always is."""
    found = client.get("/v1/profiles/user_id:ann?include=traits, audiences").json()
    assert {"traits", "audiences"} == found.keys() & {*PARTS, *OPTIONAL}
    assert found["id"]


@pytest.mark.parametrize(
    ("query", "hint"),
    [("include=trait", "'traits'"), ("includ=traits", "'include'"), ("x=1", "include"), ("include=traits&y=", "'y'")],
)
def test_misspelt_parameters_are_named(client: fakes.Client, query: str, hint: str) -> None:
    """An unknown parameter or part is refused, never ignored, with the nearest name."""
    answer = client.get(f"/v1/profiles/user_id:ann?{query}")
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_request")
    assert hint in answer.json()["message"]


def test_include_chooses_names(client: fakes.Client) -> None:
    """Of a part just the names that were asked for, as far as they are there; or all, if it was asked for."""
    asked = "traits.plan,traits.nothing,computed.orders,identifiers.email,audiences.vips"
    found = client.get(f"/v1/profiles/user_id:ann?include={asked}").json()
    assert (found["traits"], found["computed"], found["audiences"]) == ({"plan": "gold"}, {"orders": 2}, [])
    assert list(found["identifiers"]) == ["email"]
    both = client.get("/v1/profiles/user_id:ann?include=traits.plan,traits").json()
    assert both["traits"].keys() == {"plan", "tags"}


@pytest.mark.parametrize("include", ["links.a", "x.plan", ".", "traits.a," * 201])
def test_names_are_chosen_where_there_are_names(client: fakes.Client, include: str) -> None:
    """A name in a part that has none, or in no part, is refused; so are too many."""
    answer = client.get(f"/v1/profiles/user_id:ann?include={include}")
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_request")


def test_an_etag_stands_for_all_that_is_shown(client: fakes.Client) -> None:
    """The same answer has the same tag, another has another; who knows it is told so in a few bytes."""
    first = client.get("/v1/profiles/user_id:ann")
    tag = first.headers["etag"]
    assert client.get("/v1/profiles/email:ann@example.com").headers["etag"] == tag
    assert client.get("/v1/profiles/user_id:ann?include=traits").headers["etag"] != tag
    for known in (tag, f"W/{tag}", f'"x", {tag}', "*"):
        again = client.get("/v1/profiles/user_id:ann", headers={"if-none-match": known})
        assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
        assert "private" in again.headers["cache-control"]
    assert client.get("/v1/profiles/user_id:ann", headers={"if-none-match": '"x"'}).json() == first.json()


def test_provenance_names_event_source_and_definitions(client: fakes.Client) -> None:
    """A declared trait comes from an event of a source; a computed one from an expression of a version."""
    found = client.get("/v1/profiles/user_id:ann?include=provenance").json()["provenance"]
    said = {"at": "2023-11-14T22:13:20.000Z", "event": "01-1", "source": "shop"}
    assert found["traits"] == {"plan": said, "tags": said | {"event": None, "source": None}}
    reckoned = {
        "definitions_version": 1, "expression": 'count("Bought")', "aggregates": ['count("Bought")'], "traits": [],
        "audiences": [],
    }  # fmt: skip
    assert found["computed"] == {"orders": reckoned}
    chosen = client.get("/v1/profiles/user_id:ann?include=provenance,traits.tags,computed.none").json()["provenance"]
    assert (list(chosen["traits"]), chosen["computed"]) == (["tags"], {})


def test_recent_events_come_from_the_log(client: fakes.Client) -> None:
    """Events are as they came, with the corrected time; those that retention removed are counted."""
    found = client.get("/v1/profiles/user_id:ann/events").json()
    assert found["expired"] == 1
    (event,) = found["events"]
    assert event["event"] == msgspec.json.decode(fakes.EVENTS[1])
    assert (event["id"], event["source"], event["type"]) == ("01-1", "shop", "track")
    assert (event["at"], event["received_at"]) == ("2023-11-14T22:13:15.000Z", "2023-11-14T22:13:20.000Z")


@pytest.mark.parametrize("limit", ["0", "-1", "21", "x", "1e3", "9" * 40])
def test_limits_are_bounded(client: fakes.Client, limit: str) -> None:
    """A limit out of range is refused."""
    answer = client.get(f"/v1/profiles/user_id:ann/events?limit={limit}")
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_request")
    assert "limit" in answer.json()["message"]


@pytest.mark.parametrize(
    "path",
    [
        "/v1/profiles/user_id:ann",
        "/v1/profiles/user_id:a%2Fb?include=links",
        "/v1/profiles/user_id:bob",
        "/v1/profiles/ann",
        "/v1/profiles/user_id:ann?include=x",
        "/v1/profiles/user_id:ann?x=1",
    ],
)
def test_the_fast_path_answers_as_the_framework(tmp_path: Path, client: fakes.Client, path: str) -> None:
    """The hot route bypasses the framework; both give the same status and body."""
    engines = client.engines
    news = Tail(engines.state), Arrivals(engines.log, engines.state)
    plain = litestar(engines, client.keyring, news, None)

    async def routed(scope: Any, receive: Any, send: Any) -> None:
        raw = scope.get("raw_path", b"").partition(b"?")[0].decode()
        scope["path"] = raw or scope["path"]
        await plain(scope, receive, send)

    slow = fakes.Client(routed, engines, client.keyring, client.secret).get(path)
    fast = client.get(path)
    assert (fast.status_code, fast.json()) == (slow.status_code, slow.json())
    for name in ("content-type", "etag", "cache-control"):
        assert fast.headers.get(name) == slow.headers.get(name)


def test_other_methods_are_refused(client: fakes.Client) -> None:
    """A profile is read only, and the answer says how."""
    answer = client.post("/v1/profiles/user_id:ann")
    assert (answer.status_code, answer.json()["code"]) == (405, "method_not_allowed")
    assert "GET" in answer.headers["allow"]
