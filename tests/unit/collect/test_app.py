"""The protocol: routes, keys, answers, what is stored, and what happens when the log cannot."""

import base64
import json
from typing import Any

import pytest

from onefold.collect.pixel import GIF
from onefold.errors import Overloaded, StorageError, StorageFull
from onefold.testing.memory.log import MemoryLog
from tests.unit.collect.asgi import BASIC, KEY, SOURCE, Door

EVENTS: dict[str, dict[str, Any]] = {
    "track": {"event": "Order Completed", "userId": "u"},
    "identify": {"userId": "u", "traits": {"email": "a@b.c"}},
    "page": {"anonymousId": "a", "name": "Home"},
    "screen": {"anonymousId": "a", "name": "Home"},
    "group": {"userId": "u", "groupId": "g"},
    "alias": {"userId": "u", "previousId": "p"},
}


@pytest.mark.parametrize("kind", EVENTS)
def test_each_call_and_its_short_form(kind: str) -> None:
    """POST /v1/track and /v1/t and so on: the path gives the type, the rest is kept."""
    for path in (f"/v1/{kind}", f"/v1/{kind[0]}", f"/v1/{kind}/"):
        door = Door()
        assert door.post(path, EVENTS[kind]).json == {"success": True}
        assert door.events() == [{"type": kind} | EVENTS[kind]]


def test_the_path_says_the_type() -> None:
    """A type in the body that differs from the path's is replaced, as RudderStack does."""
    door = Door()
    assert door.post("/v1/identify", {"type": "track", "userId": "u"}).status == 200
    assert door.events() == [{"type": "identify", "userId": "u"}]


def test_an_event_with_its_type_is_stored_byte_for_byte() -> None:
    """What needs no change is not changed: order, spaces and number formats stay."""
    door = Door()
    body = b'{ "type":"track", "event":"e","userId":"u","properties":{"price":1.50,"n":1E2}}'
    door.post("/v1/track", body)
    assert body in b"".join(record.data for p in (0, 1) for record in door.log.read(p, 0, 1 << 20))


@pytest.mark.parametrize("path", ["/v1/batch", "/v1/b", "/v1/import", "/beacon/v1/batch"])
def test_batches(path: str) -> None:
    """All batch paths take a batch, split by person, each partition in the order of the request."""
    door = Door()
    batch = [{"type": "track", "event": str(n), "userId": f"u{n % 7}"} for n in range(50)]
    assert door.post(path, {"batch": batch, "sentAt": "2023-11-14T22:13:20.123Z"}).json == {"success": True}
    assert sorted(door.events(), key=lambda e: int(e["event"])) == batch
    for entry in door.entries():
        assert (entry.source, entry.at_ms, entry.sent_at_ms) == (SOURCE, door.clock.now_ms(), 1_700_000_000_123)
        names = [int(event.event or "") for event in entry.events]
        assert names == sorted(names)
    homes = [{event.userId for event in entry.events} for entry in door.entries()]
    assert len(homes) == 2
    assert not homes[0] & homes[1]


def test_a_body_in_pieces() -> None:
    """A body that comes in many chunks is one body."""
    door = Door()
    door.post("/v1/batch", {"batch": [{"type": "page", "userId": "u"}] * 20}, chunks=7)
    assert len(door.events()) == 20


@pytest.mark.parametrize(
    ("headers", "query", "inside"),
    [
        ({"authorization": BASIC}, "", None),
        ({"authorization": "basic " + base64.b64encode(KEY.encode()).decode()}, "", None),
        ({"authorization": f"Bearer {KEY}"}, "", None),
        ({"x-write-key": KEY}, "", None),
        ({}, f"?writeKey={KEY}", None),
        ({}, "", KEY),
        ({"authorization": "Bearer some-oauth-token"}, "", KEY),
        ({"authorization": "Basic %%%"}, f"?writeKey={KEY}", "wk_wrong"),
    ],
)
def test_every_place_for_a_write_key(headers: dict[str, str], query: str, inside: str | None) -> None:
    """Basic, Bearer, X-Write-Key, query and body: the first key that is known counts."""
    key = {"writeKey": inside} if inside else {}
    assert Door().post(f"/v1/track{query}", EVENTS["track"] | key, headers).status == 200
    batch = {"batch": [EVENTS["track"] | {"type": "track"}]}
    assert Door().post(f"/v1/batch{query}", batch | key, headers).status == 200


def test_without_a_known_key_nothing_is_taken() -> None:
    """401, with RudderStack's words for no key and for a wrong one."""
    door = Door()
    assert door.post("/v1/track", EVENTS["track"], {}).status == 401
    reply = door.post("/v1/track", EVENTS["track"] | {"writeKey": "wk_other"}, {"authorization": "Bearer x"})
    assert (reply.status, reply.json["message"]) == (401, "invalid write key")
    assert door.entries() == []


@pytest.mark.parametrize(
    ("path", "event", "said"),
    [
        ("track", {"event": "e"}, "request neither has anonymousId nor userId"),
        ("track", {"event": "e", "userId": "", "anonymousId": ""}, "request neither has anonymousId nor userId"),
        ("track", {"userId": "u"}, "track without a name: say at $.event"),
        ("track", {"userId": "u", "event": ""}, "track without a name"),
        ("group", {"userId": "u"}, "group without groupId"),
        ("alias", {"userId": "u"}, "alias without both ids"),
        ("alias", {"previousId": "u", "anonymousId": "a"}, "alias without both ids"),
        ("page", {"userId": 1.5}, "$.userId"),
        ("page", {"userId": True}, "$.userId"),
        ("page", {"userId": "u", "properties": []}, "$.properties"),
        ("page", {"userId": "u", "timestamp": "yesterday"}, "$.timestamp"),
        ("page", {"userId": "u", "messageId": "x" * 257}, "$.messageId"),
        ("track", {"userId": "u", "event": "x" * 513}, "$.event"),
    ],
)
def test_what_an_event_must_have(path: str, event: dict[str, Any], said: str) -> None:
    """The Segment spec's demands, refused with what, where and what to do; alone and in a batch."""
    reply = Door().post(f"/v1/{path}", event)
    assert reply.status == 400
    assert said in reply.json["message"]
    reply = Door().post("/v1/batch", {"batch": [{"type": path} | event]})
    assert (reply.status, reply.json["accepted"], reply.json["success"]) == (400, 0, False)
    assert said in reply.json["rejected"][0]["reason"]


def test_a_batch_names_an_unknown_or_missing_type() -> None:
    """The type of an event in a batch is one of six."""
    reply = Door().post("/v1/batch", {"batch": [{"userId": "u"}, {"type": "buy", "userId": "u"}]})
    assert ["`type`" in each["reason"] or "$.type" in each["reason"] for each in reply.json["rejected"]] == [True] * 2


def test_zero_is_an_identifier() -> None:
    """Numbers are identifiers, also 0; whether it is blocked is decided later."""
    door = Door()
    assert (
        door.post("/v1/batch", {"batch": [{"type": "page", "userId": 0}, {"type": "page", "userId": 7}]}).status == 200
    )
    assert len(door.events()) == 2


def test_empty_ids_fall_back() -> None:
    """An empty userId counts as missing, so the anonymousId decides."""
    door = Door()
    assert door.post("/v1/batch", {"batch": [{"type": "page", "userId": "", "anonymousId": "a"}]}).status == 200


def test_what_the_batch_says_reaches_its_events() -> None:
    """Context and integrations of the batch are given to each event; where both speak, the event is right."""
    door = Door()
    batch = [
        {"type": "page", "userId": "a"},
        {"type": "page", "userId": "a", "context": {"ip": "2"}, "integrations": None},
        {"type": "page", "userId": "a", "integrations": False},
    ]
    shared = {"context": {"ip": "1", "library": {"name": "l"}}, "integrations": {"All": False}}
    assert door.post("/v1/batch", {"batch": batch} | shared).json == {"success": True}
    first, second, third = door.events()
    assert first == {"type": "page", "userId": "a"} | shared
    assert second["context"] == {"ip": "2", "library": {"name": "l"}}
    assert second["integrations"] == {"All": False}
    assert third["integrations"] is False


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"batch": {}}, "$.batch"),
        ({"batch": [], "sentAt": "now"}, "$.sentAt"),
        ({"batch": [], "context": "x"}, "$.context"),
        ({"batch": []}, "empty batch payload"),
        ({}, "empty batch payload"),
    ],
)
def test_a_wrong_envelope_is_refused_as_a_whole(body: dict[str, Any], said: str) -> None:
    """What is wrong around the events is the sender's to mend: 400, nothing stored."""
    door = Door()
    reply = door.post("/v1/batch", body)
    assert reply.status == 400
    assert said in reply.json["message"]
    assert door.entries() == []


@pytest.mark.parametrize(
    "kind",
    [
        "application/json; charset=UTF-8",
        "text/plain;charset=UTF-8",
        "text/plain",
        "",
        "application/x-www-form-urlencoded",
        "application/octet-stream",
    ],
)
def test_content_types_that_sdks_send(kind: str) -> None:
    """JSON, sendBeacon's text/plain, and what HTTP clients put where an SDK says nothing."""
    assert Door().post("/v1/t", EVENTS["track"], {"authorization": BASIC, "content-type": kind}).status == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"content-type": "multipart/form-data; boundary=x"},
        {"content-type": "application/xml"},
        {"content-type": "application/json; charset=latin-1"},
        {"content-encoding": "br"},
    ],
)
def test_other_types_and_encodings(headers: dict[str, str]) -> None:
    """415 for what nobody can read here."""
    assert Door().post("/v1/t", EVENTS["track"], {"authorization": BASIC} | headers).status == 415


def test_pages_of_any_origin_may_send() -> None:
    """CORS: every answer echoes the origin, also a refusal; a preflight grants the headers asked for."""
    for headers in ({"authorization": BASIC}, {}):
        reply = Door().post("/v1/t", EVENTS["track"], {"origin": "https://shop.example"} | headers)
        assert reply.headers["access-control-allow-origin"] == "https://shop.example"
        assert reply.headers["access-control-allow-credentials"] == "true"
        assert reply.headers["vary"] == "origin"
    asked = {"origin": "https://a", "access-control-request-method": "POST", "access-control-request-headers": "X-A, b"}
    reply = Door().ask("OPTIONS", "/v1/t", asked, [b""])
    assert (reply.status, reply.headers["access-control-allow-headers"]) == (204, "X-A, b")
    reply = Door().ask("OPTIONS", "/v1/t", asked | {"access-control-request-headers": "a\x7fb"}, [b""])
    assert "content-type" in reply.headers["access-control-allow-headers"]
    assert "access-control-allow-origin" not in Door().post("/v1/t", EVENTS["track"]).headers


def test_other_paths_and_methods() -> None:
    """404 for paths that are not there, 405 for GET where POST is meant."""
    assert Door().post("/v1/merge", {}).status == 404
    assert Door().get("/").status == 404
    reply = Door().get("/v1/track")
    assert (reply.status, reply.headers["allow"]) == (405, "POST, OPTIONS")


@pytest.mark.parametrize("error", [StorageFull("full"), StorageError("broken"), OSError("odd")])
def test_what_is_not_stored_is_not_acknowledged(error: Exception) -> None:
    """A log that cannot take the events: 503 with Retry-After, and no success."""
    log = MemoryLog(2)
    log.fail_next(append=error)
    reply = Door(log=log).post("/v1/track", EVENTS["track"])
    assert reply.status == 503
    assert int(reply.headers["retry-after"]) > 0
    assert reply.json["code"] in {"storage", "storage_full"}


def test_under_pressure_requests_are_refused_unread() -> None:
    """When the platform is behind: 503 with its Retry-After; the pixel still shows its picture."""
    door = Door(pressure=lambda: Overloaded("behind", 7))
    reply = door.ask("POST", "/v1/track", {"authorization": BASIC}, [])
    assert (reply.status, reply.headers["retry-after"], reply.json["code"]) == (503, "7", "overloaded")
    reply = door.get(f"/pixel/v1/page?writeKey={KEY}&userId=1")
    assert (reply.status, reply.body) == (503, GIF)
    assert door.entries() == []


def _data(event: dict[str, Any], encode: Any = base64.b64encode) -> str:
    return str(encode(json.dumps(event).encode()).decode())


@pytest.mark.parametrize("kind", EVENTS)
def test_segments_pixel(kind: str) -> None:
    """GET /v1/pixel/track?data=… stores the event and shows one transparent pixel that nobody caches."""
    door = Door()
    data = _data(EVENTS[kind] | {"writeKey": KEY})
    for path in (f"/v1/pixel/{kind}?data={data}", f"/v1/pixel/{kind}?data={data.rstrip('=')}&x=1"):
        reply = door.get(path)
        assert (reply.status, reply.body, reply.headers["content-type"]) == (200, GIF, "image/gif")
        assert "no-store" in reply.headers["cache-control"]
    assert door.events() == [{"type": kind} | EVENTS[kind]] * 2


def test_segments_pixel_in_either_alphabet() -> None:
    """Base64 with + and / (also unescaped) or with - and _."""
    event = EVENTS["page"] | {"name": "?>?>ÿ~~~", "writeKey": KEY}
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        door = Door()
        assert door.get(f"/v1/pixel/page?data={_data(event, encode)}").status == 200
        assert door.events()[0]["name"] == "?>?>ÿ~~~"


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/v1/pixel/track", 400),
        ("/v1/pixel/track?data=%%%", 400),
        ("/v1/pixel/track?data=AAAA", 400),
        ("/v1/pixel/track?data=" + _data({"event": "e", "userId": "u"}), 401),
        ("/v1/pixel/track?data=" + _data({"event": "e", "writeKey": KEY}), 400),
        ("/v1/pixel/buy?data=" + _data({"event": "e", "userId": "u", "writeKey": KEY}), 404),
        ("/v1/pixel/a/track", 404),
        ("/pixel/v1/track?userId=u&event=e", 401),
        (f"/pixel/v1/track?writeKey={KEY}", 400),
        (f"/pixel/v1/track?writeKey={KEY}&" + "&".join(f"a{n}=1" for n in range(300)), 401),
    ],
)
def test_a_pixel_always_shows_a_picture(path: str, status: int) -> None:
    """Whatever is wrong, a mail shows no broken image; status and header say what it was."""
    reply = Door().get(path)
    assert (reply.status, reply.body) == (status, GIF)
    assert reply.headers["onefold-error"].isascii()


def test_rudderstacks_pixel() -> None:
    """Plain parameters become fields, dotted ones nest, all others are properties."""
    door = Door()
    query = "event=Opened&userId=u%20%C3%A9&context.campaign.name=spring&price=3&properties.sku=s&context=x"
    reply = door.get(f"/pixel/v1/track?writeKey={KEY}&{query}")
    assert (reply.status, reply.body) == (200, GIF)
    assert door.events() == [
        {
            "type": "track",
            "event": "Opened",
            "userId": "u é",
            "context": {"campaign": {"name": "spring"}},
            "properties": {"price": "3", "sku": "s", "context": "x"},
        }
    ]


@pytest.mark.parametrize("path", ["/v1/projects", "/projects", "/v1/projects/projects"])
def test_the_settings_document(path: str) -> None:
    """What analytics.js fetches first sends it here, by the address under which it found us."""
    reply = Door().get(f"{path}/{KEY}/settings", {"host": "cdp.example", "x-forwarded-proto": "https"})
    segment = reply.json["integrations"]["Segment.io"]
    assert (segment["apiKey"], segment["apiHost"], segment["protocol"]) == (KEY, "cdp.example/v1", "https")
    assert Door().get(f"{path}/wk_other/settings").status == 401
    assert Door().get(f"{path}/a/b/settings").status in {401, 404}


def test_rudderstacks_source_configuration() -> None:
    """The SDK learns that its source is there and has nothing to load; without a key it learns nothing."""
    for path in ("/sourceConfig", "/sourceConfig/?p=npm&v=3"):
        reply = Door().get(path, {"authorization": BASIC})
        assert (reply.json["source"]["enabled"], reply.json["source"]["destinations"]) == (True, [])
        assert Door().get(path).status == 401


def test_a_large_import_is_split_into_records() -> None:
    """Records stay small enough for the log, and keep the order of the request."""
    door = Door(partitions=1)
    batch = [{"type": "track", "event": str(n), "userId": "u", "properties": {"x": "y" * 2_000}} for n in range(1_900)]
    assert door.post("/v1/import", {"batch": batch}).status == 200
    assert len(door.entries()) > 1
    assert door.events() == batch
