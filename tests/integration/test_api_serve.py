"""The http role as a process: events in, a profile out, a live tail, a shared port, and a stop that loses nothing."""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from onefold.clock import SystemClock
from onefold.model.definitions import Audience, Definitions, Trait
from onefold.settings import Settings
from onefold.storage.directory import DataDirectory
from onefold.storage.embedded.catalog import SqliteCatalog

WITHIN_S = 20.0
ROLE = (
    "import sys, msgspec; from onefold.settings import Settings; from onefold.{module} import run;"
    "run(msgspec.json.decode(sys.argv[1], type=Settings, dec_hook=lambda kind, value: kind(value)){index})"
)


class Platform:
    """Http and worker roles over one data directory."""

    def __init__(self, path: Path) -> None:
        directory = DataDirectory.open(path / "data")
        catalog = SqliteCatalog(directory.catalog, SystemClock())
        first = catalog.bootstrap()
        assert first is not None
        self.write_key, self.secret = first
        catalog.save_definitions(
            Definitions(traits=(Trait("orders", 'count("Bought")'),), audiences=(Audience("buyers", "orders > 0"),)),
            "test",
        )
        catalog.close()
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(probe.getsockname()[1])
        self.settings = Settings(data=directory.path, port=self.port, disk_reserve_bytes=1)
        self.processes: list[subprocess.Popen[bytes]] = []

    def start(self, module: str, index: str = "") -> subprocess.Popen[bytes]:
        """Start a role."""
        settings = msgspec.json.encode(self.settings, enc_hook=str).decode()
        code = ROLE.format(module=module, index=index)
        process = subprocess.Popen([sys.executable, "-c", code, settings], stdin=subprocess.DEVNULL)
        self.processes.append(process)
        return process

    def ask(self, method: str, path: str, body: Any = None, key: str = "") -> tuple[int, Any]:
        """One request on a connection of its own: status and decoded body."""
        text = None if body is None else json.dumps(body)
        status, _, content = self._ask(method, path, text, key or self.secret)
        return status, json.loads(content) if content else None

    def _ask(self, method: str, path: str, body: str | None, key: str) -> tuple[int, dict[str, str], bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            headers = {"authorization": f"Bearer {key}", "content-type": "application/json"}
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            named = {name.lower(): value for name, value in answer.getheaders()}
            return answer.status, named, answer.read()
        finally:
            connection.close()

    def send(self, event: Any, write_key: str = "") -> tuple[int, dict[str, str], Any]:
        """One track event: status, headers and decoded body."""
        key = write_key or self.write_key
        status, headers, content = self._ask("POST", "/v1/track", json.dumps(event), key)
        return status, headers, json.loads(content)

    def fetch(self, path: str) -> tuple[int, dict[str, str], bytes]:
        """What a route answers that is not JSON."""
        return self._ask("GET", path, None, self.secret)

    def metrics(self) -> str:
        """The page of metrics."""
        return self._ask("GET", "/metrics", None, self.secret)[2].decode()

    def until(self, path: str, status: int = 200) -> Any:
        """Ask until the answer has this status."""
        deadline_s = time.monotonic() + WITHIN_S
        while True:
            try:
                found, body = self.ask("GET", path)
            except OSError:
                found, body = 0, None
            if found == status:
                return body
            assert time.monotonic() < deadline_s, (path, found, body)
            time.sleep(0.05)

    def fold(self) -> None:
        """Start a worker, and return when the definitions are in force: they count events from then on."""
        self.start("runtime.worker", ", 0")
        deadline_s = time.monotonic() + WITHIN_S
        while set(self.ask("GET", "/v1/definitions/versions")[1]["in_force"]) != {1}:
            assert time.monotonic() < deadline_s
            time.sleep(0.05)

    def close(self) -> None:
        """End every process that this one started."""
        for process in self.processes:
            process.kill()
            process.wait()


@pytest.fixture
def platform(tmp_path: Path) -> Iterator[Platform]:
    """Give a platform whose http role answers."""
    made = Platform(tmp_path)
    try:
        made.start("server.app")
        made.until("/readyz")
        yield made
    finally:
        made.close()


def test_an_event_becomes_a_profile(platform: Platform) -> None:
    """What was sent to collect is read back from the API: traits, audience, evidence, and the event itself."""
    platform.fold()
    event = {"type": "identify", "userId": "ann", "anonymousId": "a-1", "traits": {"email": "Ann@Example.com"}}
    bought = {"type": "track", "event": "Bought", "userId": "ann", "messageId": "m-1", "properties": {"price": 3}}
    status, _ = platform.ask("POST", "/v1/batch", {"batch": [event, bought]}, platform.write_key)
    assert status == 200
    found = platform.until("/v1/profiles/email:ann%40example.com")
    assert found["computed"] == {"orders": 1}
    assert [audience["name"] for audience in found["audiences"]] == ["buyers"]
    assert {"user_id", "anonymous_id", "email"} == found["identifiers"].keys()
    assert all(link["event"] and link["rule"] for link in found["links"])
    events = platform.until(f"/v1/profiles/{found['id']}/events")["events"]
    assert {one["event"].get("messageId") for one in events} >= {"m-1"}
    assert platform.until("/v1/audiences/buyers")["size"] == 1
    assert platform.until("/v1/audiences/buyers/members")["members"][0]["id"] == found["id"]


def test_identity_is_explained(platform: Platform) -> None:
    """A person is drawn, told and explained by the running role, by the events that it took itself."""
    platform.fold()
    platform.send({"event": "Viewed", "anonymousId": "a-1"})
    platform.send({"event": "Viewed", "userId": "bob", "anonymousId": "b-1"})
    _, headers, _ = platform.send({"event": "Bought", "userId": "ann", "anonymousId": "a-1", "messageId": "m-1"})
    platform.until(f"/v1/profiles/user_id:ann?after={headers['onefold-receipt']}")
    found = platform.until("/v1/identity/why?a=user_id:ann&b=anonymous_id:a-1")
    assert [link["event"]["message_id"] for link in found["path"]] == ["m-1"]
    assert platform.until("/v1/identity/why?a=user_id:ann&b=user_id:bob")["hindrances"] == []
    status, said = platform.ask("POST", "/v1/identity/links", {"a": "user_id:ann", "b": "user_id:bob", "by": "eve"})
    assert status == 201
    platform.until(f"/v1/profiles/user_id:ann?after={said['receipt']}")
    assert platform.until("/v1/identity/why?a=user_id:bob&b=anonymous_id:a-1")["path"][0]["by"] == "eve (key admin)"
    kinds = [turn["kind"] for turn in platform.until("/v1/profiles/user_id:ann/identity")["turns"]]
    assert kinds == ["created", "created", "linked", "linked", "merged"]
    status, named, picture = platform.fetch("/v1/profiles/user_id:ann/graph.svg")
    assert (status, named["content-type"].partition(";")[0]) == (200, "image/svg+xml")
    assert picture.startswith(b"<svg ")
    assert "onefold_merges_total 1.0" in platform.metrics()


def test_what_was_sent_is_read(platform: Platform) -> None:
    """Read your writes: with the receipt of each event the very next read has it, again and again."""
    platform.fold()
    for n in range(1, 30):
        status, headers, _ = platform.send({"event": "Bought", "userId": "ann"})
        assert status == 200
        status, found = platform.ask("GET", f"/v1/profiles/user_id:ann?after={headers['onefold-receipt']}")
        assert (status, found["computed"]) == (200, {"orders": n})


def test_what_nobody_folds_is_not_waited_for_without_end(platform: Platform) -> None:
    """Without a worker a reader with a receipt is told in time that nothing is lost; a later one finds it."""
    _, headers, _ = platform.send({"event": "Bought", "userId": "ann"})
    path = f"/v1/profiles/user_id:ann?after={headers['onefold-receipt']}"
    status, body = platform.ask("GET", path)
    assert (status, body["code"]) == (504, "not_folded")
    platform.start("runtime.worker", ", 0")
    assert platform.until(path)["events"] == 1


def test_a_profile_is_followed(platform: Platform) -> None:
    """A stream begins with the profile and goes on with what changes it, while it happens."""
    platform.fold()
    _, headers, _ = platform.send({"event": "Viewed", "userId": "ann"})
    platform.until(f"/v1/profiles/user_id:ann?after={headers['onefold-receipt']}")
    connection = http.client.HTTPConnection("127.0.0.1", platform.port, timeout=WITHIN_S)
    connection.request(
        "GET", "/v1/profiles/user_id:ann/changes", headers={"authorization": f"Bearer {platform.secret}"}
    )
    lines = iter(connection.getresponse().readline, b"")
    assert next(lines).startswith(b"event: profile")
    platform.send({"event": "Bought", "userId": "bob"})
    platform.send({"event": "Bought", "userId": "ann"})
    kinds = [line.split()[1] for line in _until(lines, b"event: entered") if line.startswith(b"event:")]
    assert kinds == [b"changed", b"entered"]
    connection.close()


def _until(lines: Iterator[bytes], last: bytes) -> Iterator[bytes]:
    for line in lines:
        yield line
        if line.startswith(last):
            return


def test_an_export_is_a_whole_file_or_a_broken_connection(platform: Platform) -> None:
    """Members come as a stream that ends as HTTP says; one that the server cannot end is seen to be cut."""
    platform.fold()
    receipt = ""
    for n in range(20):
        receipt = platform.send({"event": "Bought", "userId": f"u{n}"})[1]["onefold-receipt"]
    platform.until(f"/v1/profiles/user_id:u19?after={receipt}")
    connection = http.client.HTTPConnection("127.0.0.1", platform.port, timeout=WITHIN_S)
    path = "/v1/audiences/buyers/export.csv?include=identifiers.user_id,computed.orders"
    connection.request("GET", path, headers={"authorization": f"Bearer {platform.secret}"})
    answer = connection.getresponse()
    header, *rows = answer.read().decode().splitlines()
    assert answer.getheader("content-type", "").startswith("text/csv")
    assert header == "id,entered_at,identifiers.user_id,computed.orders"
    assert sorted(row.split(",")[2] for row in rows) == sorted(f"u{n}" for n in range(20))
    connection.close()


def test_far_behind_is_refused_and_nothing_is_lost(tmp_path: Path) -> None:
    """I10: while the workers are too far behind collect says 503 with Retry-After; all that it took is folded later."""
    platform = Platform(tmp_path)
    platform.settings = msgspec.structs.replace(platform.settings, behind_max_events=20)
    try:
        platform.start("server.app")
        platform.until("/readyz")
        taken, deadline_s = 0, time.monotonic() + WITHIN_S
        while (answer := platform.send({"event": "Bought", "userId": "ann", "messageId": f"m{taken}"}))[0] == 200:
            taken += 1
            assert time.monotonic() < deadline_s
            time.sleep(0.01)
        status, headers, body = answer
        assert (status, headers["retry-after"], body["code"]) == (503, "10", "overloaded")
        assert "behind" in body["message"]
        assert taken > 20
        assert platform.until("/readyz", 503)["checks"]["workers"]["ok"] is False
        platform.start("runtime.worker", ", 0")
        platform.until("/readyz")
        while platform.send({"event": "Bought", "userId": "ann", "messageId": "last"})[0] != 200:
            assert time.monotonic() < deadline_s
            time.sleep(0.05)
        while platform.until("/v1/profiles/user_id:ann")["events"] < taken + 1:
            assert time.monotonic() < deadline_s
            time.sleep(0.05)
        assert platform.until("/v1/profiles/user_id:ann")["events"] == taken + 1
    finally:
        platform.close()


def test_a_source_over_its_rate_is_refused_alone(tmp_path: Path) -> None:
    """429 with Retry-After for the one that floods, counted in /metrics; a source beside it is not touched."""
    platform = Platform(tmp_path)
    platform.settings = msgspec.structs.replace(platform.settings, source_events_per_s=0.5, source_burst_events=3)
    catalog = SqliteCatalog(platform.settings.data / "catalog.sqlite", SystemClock())
    other = catalog.create_source("app")
    catalog.close()
    try:
        platform.start("server.app")
        platform.until("/readyz")
        answers = [platform.send({"event": "Bought", "userId": "ann"}) for _ in range(6)]
        assert [status for status, _, _ in answers][:3] == [200] * 3
        status, headers, body = answers[-1]
        assert (status, body["code"]) == (429, "rate_limited")
        assert int(headers["retry-after"]) >= 1
        assert platform.send({"event": "Bought", "userId": "bob"}, other)[0] == 200
        page = platform.metrics()
        refused = sum(status == 429 for status, _, _ in answers)
        assert f'onefold_collect_limited_events_total{{source="default"}} {refused}.0' in page
        assert f'onefold_collect_requests_total{{status="429"}} {refused}.0' in page
    finally:
        platform.close()


def test_the_tail_is_live(platform: Platform) -> None:
    """A reader that follows an audience sees somebody enter it, while it happens."""
    platform.fold()
    connection = http.client.HTTPConnection("127.0.0.1", platform.port, timeout=WITHIN_S)
    headers = {"authorization": f"Bearer {platform.secret}"}
    connection.request("GET", "/v1/events/tail?kind=entered&audience=buyers", headers=headers)
    stream = connection.getresponse()
    assert stream.getheader("content-type", "").startswith("text/event-stream")
    assert stream.readline().startswith(b": following")
    platform.ask("POST", "/v1/track", {"event": "Bought", "userId": "bob"}, platform.write_key)
    lines = iter(stream.readline, b"")
    data = next(line for line in lines if line.startswith(b"data:"))
    assert json.loads(data[5:])["audience"] == "buyers"
    connection.close()


def test_processes_share_the_port(platform: Platform) -> None:
    """A second http process takes its share of the connections, and one may go while the other answers."""
    second = platform.start("server.app")
    deadline_s = time.monotonic() + WITHIN_S
    while _listeners(platform.port) < 2:
        assert time.monotonic() < deadline_s
        time.sleep(0.05)
    assert {platform.ask("GET", "/healthz")[0] for _ in range(40)} == {200}
    second.send_signal(signal.SIGTERM)
    assert second.wait(10) == 0
    assert {platform.ask("GET", "/healthz")[0] for _ in range(20)} == {200}


def test_a_stop_loses_nothing(platform: Platform) -> None:
    """On SIGTERM, with a tail open and a request half sent, the answer still comes, and the process ends well."""
    tail = http.client.HTTPConnection("127.0.0.1", platform.port, timeout=WITHIN_S)
    tail.request("GET", "/v1/events/tail", headers={"authorization": f"Bearer {platform.secret}"})
    stream = tail.getresponse()
    body = json.dumps({"event": "Bought", "userId": "eve"}).encode()
    half = socket.create_connection(("127.0.0.1", platform.port), WITHIN_S)
    head = f"POST /v1/track HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {platform.write_key}\r\n"
    half.sendall(f"{head}Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body[:5])
    platform.ask("GET", "/healthz")
    platform.processes[0].send_signal(signal.SIGTERM)
    stream.read()
    half.sendall(body[5:])
    assert half.recv(4096).startswith(b"HTTP/1.1 200")
    half.close()
    assert platform.processes[0].wait(10) == 0
    platform.start("server.app")
    platform.start("runtime.worker", ", 0")
    assert platform.until("/v1/profiles/user_id:eve")["events"] == 1


def test_a_key_made_elsewhere_works_soon(platform: Platform) -> None:
    """Keys and sources that another process makes or revokes count within a second or so."""
    catalog = SqliteCatalog(platform.settings.data / "catalog.sqlite", SystemClock())
    secret = catalog.create_secret_key("late", ["audiences:read"])
    deadline_s = time.monotonic() + WITHIN_S
    while platform.ask("GET", "/v1/audiences", key=secret)[0] != 200:
        assert time.monotonic() < deadline_s
        time.sleep(0.05)
    catalog.revoke("late")
    while platform.ask("GET", "/v1/audiences", key=secret)[0] != 401:
        assert time.monotonic() < deadline_s
        time.sleep(0.05)
    catalog.close()


def _listeners(port: int) -> int:
    """How many sockets listen on this port."""
    lines = Path(f"/proc/{os.getpid()}/net/tcp").read_text().splitlines()[1:]
    return sum(line.split()[1].endswith(f":{port:04X}") and line.split()[3] == "0A" for line in lines)
