"""Undo on the retail example, as a shop does it: looked at, done over the API, told to the CRM, followed by all."""

import json
import re
import shutil
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from tests.e2e.command import command
from tests.e2e.test_cli import Platform, onefold, until

RETAIL = Path(__file__).parents[2] / "examples" / "retail"
TABLET, ANN = "anonymous_id:tablet", "user_id:ann"


@contextmanager
def crm() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """A receiver of webhooks: its address, and the bodies that have come."""
    bodies: list[dict[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            """Take a delivery."""
            bodies.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/hook", bodies
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def posted(platform: Platform, path: str, body: Any, key: str) -> Any:
    """The answer to a POST."""
    headers = {"content-type": "application/json", "authorization": key}
    request = urllib.request.Request(f"{platform.said['url']}{path}", json.dumps(body).encode(), headers)
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)


def workspace(directory: Path, url: str) -> Path:
    """The retail example, with this CRM, which also wants splits."""
    shutil.copytree(RETAIL, directory)
    file = directory / "destinations.yaml"
    text = re.sub("url: .*", f"url: {url}", file.read_text()).replace("effects: [merged]", "effects: [merged, split]")
    file.write_text(text)
    return directory


def lived(platform: Platform) -> None:
    """A tablet has bought something dear; Ann a little; once both came together."""
    events: list[dict[str, Any]] = [
        {"type": "track", "event": "Order Completed", "anonymousId": "tablet", "properties": {"revenue": 640}},
        {"type": "identify", "userId": "ann", "traits": {"email": "ann@example.com", "newsletter": True}},
        {"type": "track", "event": "Order Completed", "userId": "ann", "properties": {"revenue": 30}},
        {"type": "page", "userId": "ann", "anonymousId": "tablet", "name": "Home"},
    ]
    batch = [event | {"messageId": f"m{n}"} for n, event in enumerate(events)]
    key = platform.said["write_key"]
    posted(platform, "/v1/batch", {"batch": batch, "writeKey": key}, f"Bearer {key}")


def test_a_shop_takes_two_people_apart(tmp_path: Path) -> None:
    """Who leaves and enters is told to the CRM once and in order; profiles, SQL and a replay agree with it."""
    with crm() as (url, bodies):
        platform = Platform(tmp_path / "data", ONEFOLD_HISTORY_FLUSH_S="0.2")
        place = ("--data", str(platform.data))
        try:
            assert not command("apply", str(workspace(tmp_path / "shop", url)), "--yes", *place).code
            lived(platform)
            until(lambda: len(rows(place)) == 3)
            told = len(bodies)
            asked = {"link": [ANN, TABLET], "why": "the tablet is her sister's"}
            would = onefold("identity", "unmerge", ANN, TABLET, "--dry-run", *place)
            assert (would["dry_run"], [each["events"] for each in would["people"]]) == (True, [1, 3])
            assert onefold("profile", "show", ANN, *place)["id"] == onefold("profile", "show", TABLET, *place)["id"]
            done = posted(platform, "/v1/identity/unmerge", asked, f"Bearer {platform.said['secret_key']}")
            assert done["folded"]
            assert who(done) == who(would)
            wanted = sorted(expected(done["people"]))
            until(lambda: len(compensating(bodies[told:])) >= len(wanted))
            assert compensating(bodies[told:]) == wanted
            assert len(wanted) >= 5
            until(lambda: len({profile for profile, _ in rows(place)}) == 2)
            (undone,) = onefold("profile", "show", ANN, "--include", "identity", *place)["identity"]["undone"]
            assert "her sister's" in undone["why"]
            assert undone["by"].startswith("key ")
            assert onefold("replay", "--verify", *place)["equal"]
        finally:
            platform.stop()


def rows(place: tuple[str, ...]) -> list[tuple[str, str]]:
    """Whose events are in history, by SQL."""
    done = command("query", "SELECT profile, name FROM events GROUP BY ALL", *place, "--csv")
    found = [line.split(",") for line in done.said.splitlines()[1:]]
    return [(profile, name) for profile, name in found]


Told = tuple[str, str, str]
"""Kind, profile, audience."""


BY_TIME = ("browsing_now", "just_added")
"""Audiences that people leave within the minute: on a slow machine while this test runs."""


def who(answer: dict[str, Any]) -> list[tuple[str, bool, int, list[str]]]:
    """Of each person what does not move with time."""
    return [
        (each["person"]["id"], each["is_new"], each["events"], [*each["person"]["identifiers"]])
        for each in answer["people"]
    ]


def expected(people: list[dict[str, Any]]) -> Iterator[Told]:
    """What the CRM is to be told: who is on their own, and who enters and leaves by it."""
    for each in people:
        one = each["person"]["id"]
        if each["is_new"]:
            yield "profile.split", one, ""
        yield from (("audience.entered", one, name) for name in each["entered"] if name not in BY_TIME)
        yield from (("audience.left", one, name) for name in each["left"] if name not in BY_TIME)


def compensating(bodies: list[dict[str, Any]]) -> list[Told]:
    """What it was told; leaving by time alone has nothing to do with it."""
    return sorted(
        (body["type"], body["data"]["profile"], body["data"].get("audience", ""))
        for body in bodies
        if body["data"].get("reason", "split") == "split" and body["data"].get("audience") not in BY_TIME
    )
