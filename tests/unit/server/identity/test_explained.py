"""Why people are one or two, how a profile came to be, and its graph, over the API: the stories of docs/identity.md."""

import json
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from onefold.model.definitions import Definitions
from onefold.ports import Retention
from onefold.testing import identity_stories as stories
from onefold.testing.clock import ManualClock
from onefold.testing.identity_stories import KIOSK, LAPTOP, PHONE, TABLET
from onefold.testing.memory.history import MemoryHistory
from onefold.testing.world import World
from tests.property.test_unmerge import Catalog, Undone, undo
from tests.unit.server import fakes

SVG = "{http://www.w3.org/2000/svg}"


@contextmanager
def client_of(world: World, path: Path) -> Iterator[fakes.Client]:
    """A client of the whole app over a world."""
    clock = ManualClock(world.now_ms)
    parts = {"log": world.reader, "writer": world.writer, "state": world.state, "clock": clock}
    with fakes.client(path, **parts, history=MemoryHistory) as made:
        yield made


@pytest.fixture
def client(tmp_path: Path) -> Iterator[fakes.Client]:
    """A client of the shop in which all stories have happened."""
    with client_of(stories.told(), tmp_path) as made:
        yield made


def why(client: fakes.Client, a: str, b: str) -> Any:
    """What `/v1/identity/why` answers."""
    answer = client.get("/v1/identity/why", params={"a": a, "b": b})
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_a_path_has_each_link_with_its_event_and_rule(client: fakes.Client) -> None:
    """From her phone to her laptop: by the address that she signed in with, each link as it was made."""
    found = why(client, f"anonymous_id:{PHONE}", f"anonymous_id:{LAPTOP}")
    assert (found["one"], found["text"]) == (True, "one person: a chain of 3 links joins them")
    path = found["path"]
    ends = [path[0]["a"], *(link["b"] for link in path)]
    assert ends == [f"anonymous_id:{PHONE}", "email:ann@example.com", "user_id:42", f"anonymous_id:{LAPTOP}"]
    assert [link["rule"] for link in path] == ["shared_event"] * 3
    assert [link["event"]["message_id"] for link in path] == ["m-5", "m-3", "m-3"]
    assert path[0]["merged"] == "prf_0000000000020001"
    assert path[0]["event"]["source"] == "shop"
    assert path[0]["place"] == path[0]["event"]["id"]
    assert (path[2]["events"], path[2]["latest"]) == (2, "2026-03-02T09:02:00.000Z")
    assert found["together"] is None


def test_a_link_that_was_said_has_who_said_it(client: fakes.Client) -> None:
    """No event is behind it, but somebody's word."""
    (link,) = why(client, "user_id:42", "user_id:17")["path"]
    assert (link["rule"], link["by"], link["event"]) == ("explicit", "support", None)
    assert link["text"] == "somebody has said so (support)"


def test_profile_ids_are_explained_by_what_they_began_with(client: fakes.Client) -> None:
    """An id that ended in a merge leads from its own first identifier to that of the profile that it is part of."""
    found = why(client, "prf_0000000000010001", "prf_0000000000070001")
    assert found["one"]
    assert [found["a"]["identifier"], found["b"]["identifier"]] == [f"anonymous_id:{PHONE}", "user_id:17"]
    assert found["path"][-1]["b"] == "user_id:17"
    assert [each["absorbed"] for each in found["merged"]] == ["prf_0000000000070001"]


def test_two_people_are_told_everything_that_keeps_them_apart(client: fakes.Client) -> None:
    """Somebody's word first, then what they share, by the rule that was told when it was refused."""
    found = why(client, "user_id:42", "user_id:43")
    assert (found["one"], found["path"]) == (False, [])
    assert found["text"] == "two people: support has said that user_id:42 and user_id:43 are never one person"
    never, shared = found["hindrances"]
    assert (never["kind"], never["rule"], never["by"]) == ("never", "never_link", "support")
    assert (shared["kind"], shared["rule"], shared["told"]) == ("refused", "soft_identifier", True)
    assert (shared["a"], shared["b"], shared["events"]) == (f"anonymous_id:{TABLET}", "user_id:43", 3)
    assert shared["event"]["message_id"] == "m-10"
    assert shared["rule_now"] == "never_link"
    assert found["b"]["identifiers"] == {
        "anonymous_id": ["phone-a91f"],
        "user_id": ["43"],
        "email": ["ben@example.com"],
    }


def test_what_is_hot_keeps_apart_and_says_so(client: fakes.Client) -> None:
    """Customers of the counter: of the one who came first the device is, and of the last it is only seen."""
    (hot,) = why(client, "user_id:100", "user_id:107")["hindrances"]
    assert (hot["kind"], hot["rule"], hot["shared"]) == ("hot", "hot_identifier", f"anonymous_id:{KIOSK}")
    (before,) = why(client, "user_id:100", "user_id:101")["hindrances"]
    assert (before["kind"], before["rule"], before["rule_now"]) == ("refused", "soft_identifier", "hot_identifier")
    (third,) = why(client, "user_id:106", "user_id:107")["hindrances"]
    assert (third["kind"], third["shared"]) == ("third", f"anonymous_id:{KIOSK}")
    assert "it is hot" in third["text"]
    assert third["owner"] == client.get("/v1/profiles/user_id:100").json()["id"]


def test_who_shares_nothing_is_told_so(client: fakes.Client) -> None:
    """With the identifiers of both, so that one sees how near they come."""
    found = why(client, "user_id:42", "user_id:105")
    assert found["text"] == "two people: no event has identifiers of both, and no chain of events joins them"
    assert found["hindrances"] == []
    assert (found["a"]["identifiers_in_all"], found["b"]["identifiers_in_all"]) == (8, 2)


def test_a_blocked_value_in_common_is_named(tmp_path: Path) -> None:
    """Two who both gave an address that identifies nobody are told so."""
    world = stories.shop()
    for user in ("1", "2"):
        world.send({"type": "identify", "userId": user, "traits": {"email": "test@test.com"}})
    world.fold()
    with client_of(world, tmp_path) as client:
        (found,) = why(client, "user_id:1", "user_id:2")["hindrances"]
        assert (found["kind"], found["shared"], found["events"]) == ("blocked", "email:test@test.com", 2)
        refused = client.get("/v1/identity/why?a=user_id:1&b=email:test@test.com")
        assert (refused.status_code, "block" in refused.json()["message"]) == (400, True)


def test_an_identifier_that_nobody_has_is_explained_where_it_was_kept_out(tmp_path: Path) -> None:
    """Of a third card within the year nobody is the owner, but it is known whose it is not."""
    world = stories.shop()
    for number in range(4):
        properties = {"card": f"7{number}"}
        world.send({"type": "track", "event": "Bought", "userId": "1", "properties": properties}, source="till")
    world.fold()
    with client_of(world, tmp_path) as client:
        found = why(client, "user_id:1", "card:73")
        assert (found["b"]["profile"], found["hindrances"][0]["rule"]) == (None, "most_card")
        missing = client.get("/v1/identity/why?a=user_id:1&b=card:999")
        assert (missing.status_code, missing.json()["message"]) == (404, "nobody has card:999")


@pytest.mark.parametrize(
    ("a", "b", "status", "hint"),
    [
        ("user_id:42", "user_id:42", 400, "are the same"),
        ("user_id:42", "nothing", 400, "prf_"),
        ("user_id:42", "user_id:", 400, "identifies nobody"),
        ("user_id:p", "user_id:q", 404, "nobody has user_id:p, nor user_id:q"),
        ("user_id:42", "user_id:null", 400, "the rules block this value"),
        ("user_id:42", "email:nonsense", 400, "it is no email"),
        ("user_id:42", "prf_00000000000fffff", 404, "there is no profile"),
        ("user_id:42", "user_id:nobody", 404, "nobody has user_id:nobody"),
    ],
)
def test_what_cannot_be_asked_is_refused(client: fakes.Client, a: str, b: str, status: int, hint: str) -> None:
    """Each refusal says what was wrong."""
    answer = client.get("/v1/identity/why", params={"a": a, "b": b})
    assert (answer.status_code, hint in answer.json()["message"]) == (status, True), answer.text


def test_the_history_tells_what_became_of_a_profile(client: fakes.Client) -> None:
    """Oldest first: how it began, what was linked and merged, by which event, what was refused and said."""
    found = client.get("/v1/profiles/user_id:42/identity").json()
    told = [(turn["kind"], turn["a"], turn["b"]) for turn in found["turns"]]
    laptop, phone, email = f"anonymous_id:{LAPTOP}", f"anonymous_id:{PHONE}", "email:ann@example.com"
    assert told == [
        ("created", None, None),
        ("created", None, None),
        ("linked", "user_id:42", laptop),
        ("linked", "user_id:42", email),
        ("merged", email, phone),
        ("linked", "user_id:42", "card:1234567"),
        ("created", None, None),
        ("linked", "user_id:17", "email:ann.miller@example.com"),
        ("merged", "user_id:42", "user_id:17"),
        ("linked", "user_id:42", f"anonymous_id:{TABLET}"),
        ("never", "user_id:42", "user_id:43"),
    ]
    assert [turn["at"] for turn in found["turns"]] == sorted(turn["at"] for turn in found["turns"])
    merged = [turn for turn in found["turns"] if turn["kind"] == "merged"]
    assert [turn["profile"] for turn in merged] == ["prf_0000000000020001", "prf_0000000000070001"]
    assert [turn["by"] for turn in merged] == ["", "support"]
    ben = client.get("/v1/profiles/user_id:43/identity").json()["turns"]
    assert [(turn["kind"], turn["rule"]) for turn in ben if turn["kind"] == "refused"] == [
        ("refused", "soft_identifier")
    ]
    kiosk = client.get("/v1/profiles/user_id:100/identity").json()["turns"]
    assert [turn["a"] for turn in kiosk if turn["kind"] == "hot"] == [f"anonymous_id:{KIOSK}"]


def test_the_graph_comes_as_json_and_as_a_picture(client: fakes.Client) -> None:
    """Both show the same; the picture is an SVG in which nothing runs, whoever opens it as a page."""
    graph = client.get("/v1/profiles/user_id:42/graph").json()
    assert (len(graph["nodes"]), len(graph["links"]), graph["merges"]) == (8, 7, 2)
    assert [(each["b"], each["kind"]) for each in graph["refused"]] == [("user_id:43", "never")]
    answer = client.get("/v1/profiles/user_id:42/graph.svg")
    assert answer.headers["content-type"].startswith("image/svg+xml")
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert answer.headers["x-content-type-options"] == "nosniff"
    shown = "".join(ET.fromstring(answer.text).itertext())
    for node in graph["nodes"]:
        assert node["value"] in shown
    assert client.get("/v1/profiles/user_id:42/graph.svg").text == answer.text
    assert client.get("/v1/profiles/user_id:nobody/graph.svg").status_code == 404


@pytest.mark.parametrize(
    "path",
    ["/v1/identity/why?a=user_id:42&b=user_id:43", "/v1/profiles/user_id:42/graph", "/v1/profiles/user_id:42/identity"],
)
def test_what_events_showed_needs_the_scope_of_events(client: fakes.Client, path: str) -> None:
    """A key that may not read events is not shown what they said."""
    narrow = client.engines.catalog.create_secret_key("narrow", ["profiles:read", "identity:read"])
    client.keyring.refresh()
    assert client.get(path, headers={"authorization": f"Bearer {narrow}"}).status_code == 403
    assert client.get(path).status_code == 200


def test_trimmed_events_are_said_to_be_missing(tmp_path: Path) -> None:
    """Where neither history nor log has the events any more, links stay, and what they showed is said to be missing."""
    world = stories.told()
    with client_of(world, tmp_path) as client:
        forget(world)
        found = why(client, f"anonymous_id:{PHONE}", f"anonymous_id:{LAPTOP}")
        assert [link["event"] for link in found["path"]] == [None] * 3
        assert found["a"]["events_forgotten"] == 8
        assert why(client, "user_id:42", "user_id:17")["path"][0]["by"] == "support"
        apart = why(client, "user_id:42", "user_id:43")
        assert [each["kind"] for each in apart["hindrances"]] == ["never", "refused"]
        history = client.get("/v1/profiles/user_id:42/identity").json()
        assert history["events_forgotten"] == 8
        assert [turn["kind"] for turn in history["turns"]].count("merged") == 2
        json.dumps(client.get("/v1/profiles/user_id:42/graph").json())


def forget(world: World) -> None:
    """Retention lets go of the whole log."""
    writer: Any = world.writer
    writer.trim(0, world.reader.ends(0)[1], Retention(size_bytes=0))


def test_a_link_that_was_undone_is_explained_told_and_drawn(tmp_path: Path) -> None:
    """Who undid it stands in the answer, in the history of both, and in the picture; with it goes what hung on it."""
    world, definitions = stories.told(), Definitions(version=1, identity=stories.RULES)
    undo(world, Catalog(definitions), MemoryHistory(), Undone("42", LAPTOP, loose=False))
    with client_of(world, tmp_path) as client:
        found = why(client, "user_id:42", f"anonymous_id:{LAPTOP}")
        assert (found["one"], found["hindrances"][0]["kind"]) == (False, "undone")
        assert found["text"].endswith(f"ann has undone the link between user_id:42 and anonymous_id:{LAPTOP}")
        assert why(client, "user_id:42", f"anonymous_id:{PHONE}")["one"]
        for who in ("user_id:42", f"anonymous_id:{LAPTOP}"):
            turns = client.get(f"/v1/profiles/{who}/identity").json()["turns"]
            assert [turn["by"] for turn in turns if turn["kind"] == "split"] == ["ann"]
            assert not [turn for turn in turns if turn["kind"] == "refused"]
            assert "undone by ann" in client.get(f"/v1/profiles/{who}/graph.svg").text


def test_metrics_count_merges_and_what_was_refused(client: fakes.Client) -> None:
    """By the rule, each once, however often the same value comes."""
    page = client.get("/metrics").text
    assert "onefold_merges_total 2.0" in page
    assert 'onefold_links_refused_total{rule="soft_identifier"} 5.0' in page
    assert 'onefold_links_refused_total{rule="never_link"} 1.0' in page
    assert "onefold_hot_identifiers_total 1.0" in page
