"""The table of hostile input in docs/collect.md: each has a defined answer, and its neighbours live."""

import gzip
import zlib

import pytest

from onefold import limits
from onefold.settings import Settings
from tests.unit.collect.asgi import BASIC, KEY, Door

GOOD = b'{"type":"track","event":"ok","userId":"u"}'

ONE_EVENT = {
    "invalid UTF-8": (b'{"type":"track","event":"\xff","userId":"u"}', "not UTF-8 at byte 25"),
    "invalid UTF-8 in an unknown field": (b'{"type":"page","x":"\xc3(","userId":"u"}', "not UTF-8 at byte 20"),
    "surrogate as UTF-8": (b'{"type":"page","name":"\xed\xa0\x80","userId":"u"}', "not UTF-8"),
    "NaN": (b'{"type":"page","userId":"u","properties":{"a":NaN}}', "invalid character (byte 46)"),
    "Infinity": (b'{"type":"page","userId":"u","properties":{"a":-Infinity}}', "invalid character"),
    "1e999": (b'{"type":"page","userId":"u","properties":{"a":1e999}}', "Number out of range"),
    "1e999 in an unknown field": (b'{"type":"page","userId":"u","x":1e999}', "Number out of range"),
    "5,000 digits": (b'{"type":"page","userId":"u","properties":{"a":%b}}' % (b"9" * 5000), "out of range"),
    "high surrogate": (b'{"type":"page","userId":"\\ud800"}', "half of a surrogate pair at byte 25"),
    "low surrogate": (b'{"type":"page","userId":"\\udc00abc"}', "half of a surrogate pair at byte 25"),
    "high surrogate before text": (
        b'{"type":"page","userId":"\\ud800abcdefgh"}',
        "half of a surrogate pair at byte 25",
    ),
    "two high surrogates": (b'{"type":"page","userId":"\\ud800\\ud800"}', "half of a surrogate pair at byte 25"),
    "10,000 deep": (b'{"type":"page","userId":"u","x":%b%b}' % (b"[" * 10_000, b"]" * 10_000), "nested 10001 deep"),
    "65 deep": (b'{"type":"page","userId":"u","context":%b1%b}' % (b'{"a":' * 64, b"}" * 64), "nested 65 deep"),
    "NUL": (b'{"type":"page","userId":"u","name":"a\x00b"}', "invalid character"),
    "control character": (b'{"type":"page","userId":"u","name":"a\tb"}', "invalid character"),
    "trailing comma": (b'{"type":"page","userId":"u",}', "invalid json"),
    "single quotes": (b"{'type':'page'}", "invalid json"),
    "leading zero": (b'{"type":"page","userId":"u","properties":{"a":01}}', "invalid number"),
    "comment": (b'{"type":"page", /* hello */ "userId":"u"}', "invalid json"),
    "a string": (b'"track"', "Expected `object`"),
    "null": (b"null", "Expected `object`"),
    "too large": (b'{"type":"page","userId":"%b"}' % (b"x" * limits.EVENT_MAX_BYTES), "32768 are allowed"),
}

ACCEPTED = {
    "64 deep": b'{"type":"page","userId":"u","context":%b1%b}' % (b'{"a":' * 63, b"}" * 63),
    "64 brackets in a string": b'{"type":"page","userId":"u","name":"%b"}' % (b"[{" * 70),
    "an integer past 64 bits": b'{"type":"page","userId":"u","properties":{"a":123456789012345678901234567890}}',
    "1e-999": b'{"type":"page","userId":"u","properties":{"a":1e-999}}',
    "an escaped NUL": b'{"type":"page","userId":"u","name":"a\\u0000b"}',
    "a surrogate pair": b'{"type":"page","userId":"u","name":"\\ud83d\\ude00"}',
    "an escaped backslash before a u": b'{"type":"page","userId":"u","name":"\\\\ud800"}',
    "an unknown field": b'{"type":"page","userId":"u","somethingNew":{"a":[1,2,{"b":null}]}}',
    "white space": b' {\t"type" : "page" ,\r\n"userId":"u"}\n',
}


@pytest.mark.parametrize("name", ONE_EVENT)
@pytest.mark.parametrize("among", ["batch", "import"])
def test_a_bad_event_costs_only_itself(name: str, among: str) -> None:
    """In a batch the neighbours are accepted, and the bad one is named and rests in quarantine."""
    body, reason = ONE_EVENT[name]
    door = Door()
    reply = door.post(f"/v1/{among}", b'{"batch":[%b,%b,%b]}' % (GOOD, body, GOOD))
    assert (reply.status, reply.json["accepted"]) == (200, 2)
    assert [each["index"] for each in reply.json["rejected"]] == [1]
    assert reason in reply.json["rejected"][0]["reason"]
    assert len(door.events()) == 2
    assert [(each.index, each.reason) for each in door.rejected()] == [(1, reply.json["rejected"][0]["reason"])]
    assert door.rejected()[0].body == body.decode(errors="backslashreplace")


NOT_KEPT = {"a string", "null", "too large", "trailing comma", "single quotes", "comment"}
"""Alone these are no object with keys and values, or larger than what is read: refused with the position, not kept."""


@pytest.mark.parametrize("name", sorted(ONE_EVENT.keys() - NOT_KEPT))
def test_a_bad_event_alone_is_refused_and_kept(name: str) -> None:
    """A single bad event is answered with 400 and the reason, and rests in quarantine."""
    body, _ = ONE_EVENT[name]
    door = Door()
    reply = door.post("/v1/page", body)
    assert (reply.status, reply.json["code"]) == (400, "invalid_event")
    assert door.events() == []
    assert [each.reason for each in door.rejected()] == [reply.json["message"]]


@pytest.mark.parametrize("name", sorted(NOT_KEPT))
def test_a_body_that_is_no_object_is_refused_and_not_kept(name: str) -> None:
    """A body that cannot be taken for an event at all is the sender's to mend: 400 or 413, nothing stored."""
    body, _ = ONE_EVENT[name]
    door = Door()
    reply = door.post("/v1/page", body)
    assert reply.status in {400, 413}
    assert reply.json["code"] in {"invalid_json", "invalid_event", "too_large"}
    assert door.entries() == []


@pytest.mark.parametrize("name", ACCEPTED)
def test_odd_but_sound_events_are_stored_as_they_came(name: str) -> None:
    """What is JSON and within the limits is accepted, byte for byte."""
    door = Door()
    assert door.post("/v1/batch", b'{"batch":[%b]}' % ACCEPTED[name]).json == {"success": True}
    stored = door.log.read(0, 0, 1 << 20) + door.log.read(1, 0, 1 << 20)
    assert ACCEPTED[name].strip() in stored[0].data
    assert len(door.entries()[0].events) == 1


def test_of_equal_keys_the_last_counts() -> None:
    """Duplicate keys: the last one wins, in the envelope as in the event."""
    door = Door()
    body = b'{"batch":[{"type":"page"}],"batch":[{"type":"page","userId":"a","type":"screen","userId":"b"}]}'
    assert door.post("/v1/batch", body).json == {"success": True}
    [event] = door.entries()[0].events
    assert (event.type, event.userId) == ("screen", "b")


@pytest.mark.parametrize("path", ["/v1/batch", "/v1/page"])
@pytest.mark.parametrize(
    ("body", "where"),
    [
        (b"", "byte 0"),
        (b"hello", "byte 0"),
        (b'{"batch":[', "byte 10"),
        (b'{"batch":[{"type":"page"}]} x', "trailing characters, there was 'x' (byte 28)"),
        (b'{"userId": 42 oops', "expected ',' or '}', there was 'oops' (byte 14)"),
        (b'{"batch":[{"type":"page","a":1 oops]}', "expected ',' or '}', there was 'oops]}' (byte 31)"),
        (b'{"batch":[{"type":"page","userId":"u" "a":1]}', "expected ',' or '}', there was '\"a\":1]}' (byte 38)"),
        (b'{"batch":[{"userId":"u, "a": 1}]}', "byte 25"),
        (b'{"batch":' + b"[" * 10_000, "byte 10009"),
        (b'{"batch":[{"type":"page"]}', "byte 24"),
        (b'{"batch":[{"type":"pa', "byte 18"),
        (b'{"batch":[]}}', "byte 12"),
        (b"{batch:[]}", "byte 1"),
        (b"\x00", "byte 0"),
        ('{"batch":[]}'.encode("utf-16"), "byte 0"),
    ],
)
def test_what_is_not_json_is_refused_with_the_position(path: str, body: bytes, where: str) -> None:
    """A body whose parts cannot be told from each other: 400, where and what was there; nothing is stored."""
    door = Door()
    reply = door.post(path, body)
    assert (reply.status, reply.json["code"]) == (400, "invalid_json")
    assert where in reply.json["message"]
    assert door.entries() == []


@pytest.mark.parametrize("path", ["/v1/batch", "/v1/page"])
@pytest.mark.parametrize("body", [b"[]", b"1", b'"x"', b"null", b'[{"type":"page","userId":"u"}]'])
def test_json_that_is_no_request_is_refused(path: str, body: bytes) -> None:
    """JSON of another shape: 400 that says what was expected."""
    reply = Door().post(path, body)
    assert reply.status == 400
    assert "Expected `object`" in reply.json["message"]


def test_a_byte_order_mark_is_skipped() -> None:
    """A UTF-8 BOM in front of the body means nothing."""
    for path, body in (("/v1/batch", b'{"batch":[%b]}' % GOOD), ("/v1/track", GOOD)):
        assert Door().post(path, b"\xef\xbb\xbf" + body).json == {"success": True}


def test_strings_of_a_megabyte() -> None:
    """1 MB strings: 413 alone and in a batch; in an import the event rests in quarantine, cut at 1 MiB."""
    event = b'{"type":"page","userId":"u","name":"%b"}' % (b"x" * limits.MIB)
    assert Door().post("/v1/page", event).status == 413
    assert Door().post("/v1/batch", b'{"batch":[%b]}' % event).status == 413
    door = Door()
    reply = door.post("/v1/import", b'{"batch":[%b,%b]}' % (GOOD, event))
    assert (reply.status, reply.json["accepted"]) == (200, 1)
    assert len(door.rejected()[0].body) == limits.QUARANTINED_BODY_MAX_BYTES


def test_a_quarantine_of_bytes_that_escape_badly_fits_its_records() -> None:
    """Refused bodies that grow sixfold when they are written still fit into records of the log."""
    door = Door()
    event = b'{"type":"page","userId":"%b"}' % (b"\x01" * (limits.MIB - 100))
    reply = door.post("/v1/import", b'{"batch":[%b]}' % b",".join([event] * 3))
    assert (reply.status, len(reply.json["rejected"])) == (400, 3)
    assert sorted(each.index for each in door.rejected()) == [0, 1, 2]
    for partition in range(2):
        for record in door.log.read(partition, 0, 1 << 40):
            assert len(record.data) <= limits.RECORD_MAX_BYTES


def test_a_gzip_bomb_is_judged_while_it_inflates() -> None:
    """A small body that becomes large is refused with 413, by ratio and by size."""
    headers = {"authorization": BASIC, "content-encoding": "gzip"}
    bomb = gzip.compress(b"0" * (64 * limits.MIB))
    assert Door().post("/v1/import", bomb, headers).status == 413
    loose = gzip.compress(b"0" * (limits.BATCH_MAX_BYTES + 1))
    assert Door().post("/v1/batch", loose, headers).status == 413


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (gzip.compress(b'{"batch":[%b]}' % GOOD)[:-9], "cut short"),
        (b"not gzip", "not what Content-Encoding says"),
        (gzip.compress(b'{"batch":[%b]}' % GOOD) + b"junk", "not what Content-Encoding says"),
        (b"", "cut short"),
    ],
    ids=["cut", "none", "junk behind", "empty"],
)
def test_damaged_compression_is_refused(body: bytes, said: str) -> None:
    """A compressed body that is cut, damaged or followed by other bytes: 400."""
    reply = Door().post("/v1/batch", body, {"authorization": BASIC, "content-encoding": "gzip"})
    assert reply.status == 400
    assert said in reply.json["message"]


@pytest.mark.parametrize(
    ("encoding", "pack"),
    [
        ("gzip", gzip.compress),
        ("GZIP", gzip.compress),
        ("x-gzip", gzip.compress),
        ("deflate", zlib.compress),
        ("identity", bytes),
        ("gzip", lambda body: gzip.compress(body[:9]) + gzip.compress(body[9:])),
    ],
)
def test_compressed_bodies(encoding: str, pack: type[bytes]) -> None:
    """Gzip (also of several members) and deflate are inflated."""
    door = Door()
    body = pack(b'{"batch":[%b]}' % GOOD)
    assert door.post("/v1/batch", body, {"authorization": BASIC, "content-encoding": encoding}).status == 200
    assert len(door.events()) == 1


def test_limits_are_settings() -> None:
    """The limits of the Segment spec can be moved."""
    small = Settings(event_max_bytes=60, batch_max_bytes=200, batch_max_events=2, import_max_bytes=300)
    assert Door(small).post("/v1/batch", b'{"batch":[%b,%b]}' % (GOOD, GOOD)).status == 200
    assert Door(small).post("/v1/batch", b'{"batch":[%b]}' % b",".join([GOOD] * 3)).status == 413
    assert Door(small).post("/v1/batch", b'{"batch":[%b]}' % b",".join([GOOD] * 5)).status == 413
    assert Door(small).post("/v1/track", b'{"event":"%b","userId":"u"}' % (b"x" * 60)).status == 413


def test_a_body_without_a_length_is_cut_off_at_the_limit() -> None:
    """A chunked body is refused as soon as it is too long, whatever else would come."""
    door = Door(Settings(batch_max_bytes=100))
    reply = door.ask("POST", "/v1/batch", {"authorization": BASIC}, [b"x" * 90, b"x" * 20, b"never read"])
    assert reply.status == 413


def test_a_declared_length_past_the_limit_is_refused_unread() -> None:
    """Content-Length alone is enough to refuse."""
    headers = {"authorization": BASIC, "content-length": str(10**9)}
    assert Door().ask("POST", "/v1/batch", headers, [None]).status == 413


def test_a_client_that_goes_away_leaves_nothing() -> None:
    """A body that ends with the connection is not taken for a whole one."""
    door = Door()
    whole = b'{"batch":[%b]}' % GOOD
    assert door.ask("POST", "/v1/batch", {"authorization": BASIC}, [whole, None]).status == 400
    assert door.entries() == []


def test_a_body_that_does_not_come_is_not_waited_for() -> None:
    """A client that dribbles is answered 408, so that its connection is free for others."""
    door = Door(Settings(body_timeout_s=0))
    reply = door.ask("POST", "/v1/batch", {"authorization": BASIC, "content-length": "100"}, [])
    assert (reply.status, reply.json["code"], reply.headers["connection"]) == (408, "timeout", "close")
    assert door.events() == []


def test_no_shared_cache_may_keep_the_settings_of_a_page() -> None:
    """Whoever asks says the host under which events are sent; a cache must not tell it to others."""
    reply = Door().get(f"/v1/projects/{KEY}/settings", {"x-forwarded-host": "evil.example"})
    assert "evil.example" in reply.body.decode()
    assert "private" in reply.headers["cache-control"]


def test_shared_context_cannot_be_multiplied() -> None:
    """A large context of a batch times many events is refused before it is made."""
    context = b'{"a":"%b"}' % (b"x" * 20_000)
    body = b'{"context":%b,"batch":[%b]}' % (context, b",".join([GOOD] * 2_500))
    assert Door().post("/v1/batch", body).status == 413


def test_no_write_key_is_stored() -> None:
    """The write key is a credential: neither events nor quarantine hold it."""
    door = Door()
    key = KEY.encode()
    door.post("/v1/track", b'{"writeKey":"%b","event":"e","userId":"u"}' % key, {})
    door.post("/v1/batch", b'{"writeKey":"%b","batch":[{"type":"page","userId":"u","writeKey":"%b"}]}' % (key, key), {})
    door.post("/v1/track", b'{"writeKey":"%b","event":"e"}' % key, {})
    door.post("/v1/track", b'{"writeKey":"%b","event":NaN}' % key, {})
    assert (len(door.events()), len(door.rejected())) == (2, 2)
    for partition in range(2):
        assert not any(key in record.data for record in door.log.read(partition, 0, 1 << 20))
