"""Each role as a command of its own, over one data directory."""

import base64
import json
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from onefold.model.definitions import Audience, Definitions, Trait
from onefold.settings import Settings
from onefold.storage.place import Place
from onefold.testing.roles import Roles

WITHIN_S = 30.0


class Platform:
    """The four roles, and a client's view of them."""

    def __init__(self, path: Path) -> None:
        place = Place.open(Settings(data=path / "data"))
        catalog = place.catalog()
        first = catalog.bootstrap()
        assert first is not None
        self.write_key, self.secret = first
        catalog.save_definitions(
            Definitions(traits=(Trait("orders", 'count("Bought")'),), audiences=(Audience("buyers", "orders > 0"),)),
            "test",
        )
        catalog.close()
        counts = {"collect": 1, "worker": 1, "deliver": 2, "history": 2, "api": 1}
        environ = {"ONEFOLD_DATA": str(path / "data"), "ONEFOLD_DISK_RESERVE_BYTES": "1"}
        self.roles = Roles(environ, counts, path / "roles.log")

    def send(self, user: str, role: str = "collect-0") -> int:
        """Send an event: the status of the answer."""
        body = {"userId": user, "event": "Bought"}
        key = base64.b64encode(f"{self.write_key}:".encode()).decode()
        return self.ask(role, "/v1/track", body, f"Basic {key}")[0]

    def read(self, user: str, role: str = "api-0") -> tuple[int, Any]:
        """A profile: status and answer."""
        return self.ask(role, f"/v1/profiles/user_id:{user}", None, f"Bearer {self.secret}")

    def ask(self, role: str, path: str, body: Any, authorization: str) -> tuple[int, Any]:
        """One request: status and decoded answer."""
        request = urllib.request.Request(
            self.roles.url(role) + path,
            None if body is None else json.dumps(body).encode(),
            {"authorization": authorization, "content-type": "application/json"},
        )
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                return answer.status, json.loads(answer.read() or b"null")
        except urllib.error.HTTPError as error:
            return error.code, json.loads(error.read() or b"null")

    def folded(self, user: str, orders: int) -> None:
        """Return once this person has so many orders."""
        deadline_s = time.monotonic() + WITHIN_S
        while (found := self.read(user))[0] != 200 or found[1]["computed"].get("orders") != orders:
            assert time.monotonic() < deadline_s, found
            time.sleep(0.05)


@pytest.fixture
def platform(tmp_path: Path) -> Iterator[Platform]:
    """Give a platform of which every role is ready."""
    made = Platform(tmp_path)
    with made.roles:
        made.roles.await_ready()
        yield made


def test_roles_of_their_own_are_one_platform(platform: Platform) -> None:
    """What collect took the API shows; neither does the other's work; whoever is killed is replaced, and nothing lost.

    The second deliver and history roles stand by and are ready, too. On SIGTERM each ends by itself.
    """
    assert platform.send("ann") == 200
    platform.folded("ann", 1)
    assert platform.read("ann", "collect-0")[0] == 404
    assert platform.send("ann", "api-0") == 404
    platform.roles.kill("worker-0")
    assert platform.send("ann") == 200
    platform.folded("ann", 2)
    assert platform.roles.starts("worker-0") == 2
    assert platform.roles.close() == dict.fromkeys(platform.roles.names, 0)
