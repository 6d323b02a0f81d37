"""Following one profile: what it is, then what changes it, through merges, and nothing of anybody else."""

import asyncio
from typing import Any

import pytest

from onefold.model.effect import AnyEffect, Changed, Left, Merged
from onefold.server.app import build
from onefold.server.operating.tail import Filter, Subscriber, Tail
from onefold.server.people.profile_changes import KINDS
from onefold.testing.memory.state import MemoryState
from tests.unit.server import fakes

ANN, BOB, CAT = fakes.ANN, fakes.ANN + 7, fakes.ANN + 9


def _changed(profile: int, n: int) -> AnyEffect:
    return Changed(profile, n, 0, fakes.T0, {"plan": n})


def _merged(profile: int, absorbed: int) -> AnyEffect:
    return Merged(profile, 5, 0, fakes.T0, absorbed, "user_id:a", "user_id:b", "shared_event")


def _seen(subscriber: Subscriber) -> list[str]:
    _, taken = asyncio.run(subscriber.take(0))
    return [f"{shown.kind} {shown.profile}" for shown in taken]


def test_only_this_profile_is_told_of() -> None:
    """Others' effects pass by, and so do kinds that change nothing."""
    state = MemoryState()
    tail = Tail(state)
    subscriber = tail.subscribe(Filter(frozenset(KINDS)), {ANN})
    left = Left(BOB, 3, 0, fakes.T0, "buyers", "time")
    fakes.happen(state, fakes.admitted(1), _changed(ANN, 1), _changed(BOB, 2), left, fakes.entered(4))
    tail.poll()
    assert [one.split()[0] for one in _seen(subscriber)] == ["changed", "entered"]


def test_a_merge_is_followed_from_its_very_effect_on() -> None:
    """Who absorbs the profile is followed, also through another merge, and also in the same commit; not before."""
    state = MemoryState()
    tail = Tail(state)
    subscriber = tail.subscribe(Filter(frozenset(KINDS)), {ANN})
    fakes.happen(state, _changed(BOB, 1), _merged(BOB, ANN), _changed(BOB, 2))
    fakes.happen(state, _changed(CAT, 3), _merged(CAT, BOB), _changed(CAT, 4), _changed(ANN + 50, 5))
    tail.poll()
    assert [one.split()[0] for one in _seen(subscriber)] == ["merged", "changed", "merged", "changed"]


@pytest.mark.parametrize(("name", "status"), [("user_id:bob", 404), ("ann", 400), ("user_id:ann?include=x", 400)])
def test_mistakes_are_told_before_the_stream(tmp_path_factory: pytest.TempPathFactory, name: str, status: int) -> None:
    """Who is not there cannot be followed."""
    path, _, query = name.partition("?")
    with fakes.client(tmp_path_factory.mktemp("changes")) as client:
        assert client.get(f"/v1/profiles/{path}/changes?{query}").status_code == status


def test_the_profile_comes_first(tmp_path_factory: pytest.TempPathFactory) -> None:
    """A stream begins with the profile as it is, and ends when the server stops."""

    async def story(app: Any, secret: str) -> bytes:
        sent: list[Any] = []
        ended = asyncio.Event()

        async def receive() -> Any:
            await ended.wait()
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            sent.append(message)
            if b"event: profile" in message.get("body", b""):
                app.close()
            if message["type"] == "http.response.body" and not message.get("more_body"):
                ended.set()

        path = "/v1/profiles/user_id:ann/changes"
        scope = {
            "type": "http", "method": "GET", "path": path, "raw_path": path.encode(), "query_string": b"include=traits",
            "headers": [(b"authorization", f"Bearer {secret}".encode())],
            "http_version": "1.1", "scheme": "http", "server": ("test", 80), "client": ("test", 1), "root_path": "",
        }  # fmt: skip
        async with asyncio.timeout(30):
            await app(scope, receive, send)
        return b"".join(message.get("body", b"") for message in sent)

    engines = fakes.engines(tmp_path_factory.mktemp("stream"))
    secret = engines.catalog.create_secret_key("reader", ["profiles:read"])
    body = asyncio.run(story(build(engines), secret))
    assert body.startswith(b"event: profile")
    assert b'"traits":{"plan":"gold"' in body
