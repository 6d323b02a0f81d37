"""Events out of quarantine are made ready so that they mean what they meant, and sent so that none is forgotten."""

import http.server
import json
import threading
from collections.abc import Iterator
from typing import Any, ClassVar

import msgspec
import pytest
from msgspec import Raw

from onefold.cli import resending
from onefold.cli.resending import Fate, Fresh, Kept, made_ready, read_lines, send
from onefold.core import batch
from onefold.core.identity import identifiers
from onefold.errors import InvalidRequest
from onefold.language.stream import excerpt
from onefold.model.changes import Cursor
from onefold.model.entry import Outgoing, Received, encode
from onefold.model.rules import Rules

CAME_MS = 1_700_000_000_000
NOW_MS = CAME_MS + 86_400_000 * 30
CAME = "2023-11-14T22:13:20.000Z"
TIMES = [
    {},
    {"timestamp": "2023-11-14T20:00:00Z"},
    {"originalTimestamp": "2023-11-14T20:00:00Z", "timestamp": "2023-11-14T21:00:00Z"},
    {"timestamp": "2023-11-14T20:00:00Z", "sentAt": "2023-11-14T22:10:00Z"},
    {"timestamp": "2023-11-14T20:00:00Z", "sentAt": "2023-11-15T22:10:00Z"},
    {"sentAt": "2023-11-14T22:10:00Z"},
]


def when(event: bytes, received_ms: int) -> int:
    """The time that the platform gives to an event that it receives now."""
    record = encode(Outgoing("shop", received_ms, [Raw(event)]))
    received = excerpt.decoder((), ())(record)
    assert isinstance(received, Received)
    finder = identifiers.Finder(Rules(frozenset(), "", 1))
    return batch.read(0, Cursor(), [(0, received)], finder).incoming[0].at_ms


def kept(event: dict[str, Any], **more: Any) -> Kept:
    """An event in quarantine."""
    return Kept("00-2a0001", "shop", CAME, "why", Raw(msgspec.json.encode(event)), **more)


@pytest.mark.parametrize("times", TIMES)
def test_an_event_keeps_its_time(times: dict[str, str]) -> None:
    """Sent again a month later, an event happened when it would have happened at first."""
    event = {"type": "page", "userId": "u", **times}
    again = made_ready(kept(event), "x", NOW_MS).event
    assert when(again, NOW_MS) == when(msgspec.json.encode(event), CAME_MS)


def test_all_else_stays_byte_for_byte() -> None:
    """Numbers and unknown fields are as they came; the write key goes; a missing messageId comes from the place."""
    head = b'{"type":"track","event":"e","userId":"u","timestamp":"2023-11-14","writeKey":"",'
    text = head + b'"properties":{"a":1.50,"b":1e400}}'
    found = json.loads(made_ready(Kept("00-2a0001", "shop", CAME, event=Raw(text)), "x", NOW_MS).event, parse_float=str)
    assert found["properties"] == {"a": "1.50", "b": "1e400"}
    assert found["messageId"] == "quarantine-00-2a0001"
    assert "writeKey" not in found
    empty = made_ready(kept({"type": "page", "userId": "u", "messageId": ""}), "x", NOW_MS)
    assert json.loads(empty.event)["messageId"] == "quarantine-00-2a0001"
    own = made_ready(kept({"type": "page", "userId": "u", "messageId": "m"}), "x", NOW_MS)
    assert json.loads(own.event)["messageId"] == "m"


@pytest.mark.parametrize("body", ["", "[]", "{", '{"a":NaN}', "3", "[" * 100_000])
def test_what_is_no_object_must_be_mended_first(body: str) -> None:
    """It is said, and nothing is sent."""
    with pytest.raises(InvalidRequest):
        made_ready(Kept("00-1", "shop", CAME, body=body), "00-1", NOW_MS)


def test_lines_of_both_kinds() -> None:
    """Lines of `list --json` know their source, bare events need one, and a bad line stops no other."""
    lines = [
        msgspec.json.encode(kept({"type": "page", "userId": "u"})),
        b"",
        msgspec.json.encode(Kept("00-2", "app", CAME, body='{"type":"page","userId":"v"}')),
        b'{"type":"track","event":"e","userId":"w"}\n',
        b"nonsense",
        b'{"event":"e"}',
        msgspec.json.encode(Kept("00-3", "app", CAME, body="{")),
    ]
    found = list(read_lines(lines, "web", NOW_MS))
    fresh = [(one.name, one.source) for one in found if isinstance(one, Fresh)]
    assert fresh == [("00-2a0001", "shop"), ("00-2", "app"), ("line 4", "web")]
    assert [one.name for one in found if isinstance(one, Fate)] == ["line 5", "line 6", "line 7"]
    (nameless,) = read_lines(lines[3:4], "", NOW_MS)
    assert isinstance(nameless, Fate)
    assert "--source" in nameless.reason


class Collect(http.server.BaseHTTPRequestHandler):
    """Answers as it is told, one answer a request; the last for ever."""

    answers: ClassVar[list[tuple[int, Any]]] = []
    bodies: ClassVar[list[Any]] = []

    def do_POST(self) -> None:
        """Keep the body."""
        self.bodies.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
        status, answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        raw = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("content-length", str(len(raw)))
        self.send_header("retry-after", "0")
        self.end_headers()
        self.wfile.write(raw)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture
def url() -> Iterator[str]:
    """Where `Collect` answers."""
    with http.server.HTTPServer(("127.0.0.1", 0), Collect) as server:
        Collect.bodies.clear()
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


def events(n: int) -> list[Fresh]:
    """So many to send."""
    return [Fresh(str(i), "shop", b'{"n":%d}' % i) for i in range(n)]


def test_every_event_has_its_fate(url: str) -> None:
    """Events go in batches in their order; each is told apart, also where a whole batch is refused."""
    some = {"success": True, "accepted": 99, "rejected": [{"index": 7, "reason": "bad"}]}
    Collect.answers[:] = [(503, {"code": "overloaded"}), (200, some), (413, {"message": "too large"})]
    fates = list(send(url, "wk", events(150)))
    assert [len(body["batch"]) for body in Collect.bodies] == [100, 100, 50]
    assert [fate.outcome for fate in fates] == ["accepted"] * 7 + ["rejected"] + ["accepted"] * 92 + ["refused"] * 50
    assert (fates[7].reason, fates[-1].reason) == ("bad", "413: too large")
    assert [event["n"] for body in Collect.bodies[1:] for event in body["batch"]] == list(range(150))


def test_all_bad_is_rejected_and_not_refused(url: str) -> None:
    """A 400 that names each event has received them all: they rest in quarantine anew."""
    Collect.answers[:] = [(400, {"success": False, "accepted": 0, "rejected": [{"index": 0, "reason": "no"}]})]
    assert list(send(url, "wk", events(1))) == [Fate("0", "shop", "rejected", "no")]


def test_a_platform_that_stays_too_busy_refuses(url: str) -> None:
    """After some tries it is said."""
    Collect.answers[:] = [(429, {"code": "rate_limited", "message": "slow down"})]
    assert [fate.outcome for fate in send(url, "wk", events(2))] == ["refused", "refused"]
    assert len(Collect.bodies) == resending.TRIES
