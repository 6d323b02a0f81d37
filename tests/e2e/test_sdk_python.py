"""The Python SDKs of Segment and RudderStack, unmodified, against a real platform: every event once, whole."""

import json
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from typing import Any

import pytest
from rudderstack.analytics.client import Client as Rudder
from segment.analytics.client import Client as Segment

from tests.e2e.platform import Platform

PROPERTIES = {
    "name": "Zoë's 鞋 \U0001f45f",
    "price": 12.5,
    "quantity": 3,
    "large": 2**70,
    "none": None,
    "tags": ["a", {"deep": [[1]]}],
    "since": date(2024, 2, 29),
    "text": "x" * 1_000,
}
CONTEXT = {"ip": "1.2.3.4", "campaign": {"name": "spring"}}
AT = datetime(2024, 5, 1, 12, 30, tzinfo=UTC)
INTEGRATIONS = {"All": False, "webhook": True}


@pytest.fixture(scope="module")
def platform() -> Iterator[Platform]:
    """A running platform."""
    with Platform() as running:
        yield running


CLIENTS: dict[str, Callable[..., Any]] = {
    "segment": lambda p, **options: Segment(p.write_key, host=p.url, **options),
    "segment gzip": lambda p, **options: Segment(p.write_key, host=p.url, gzip=True, **options),
    "segment one by one": lambda p, **options: Segment(p.write_key, host=p.url, sync_mode=True, **options),
    "rudder": lambda p, **options: Rudder(p.write_key, host=p.url, **options),
    "rudder plain": lambda p, **options: Rudder(p.write_key, host=p.url, gzip=False, **options),
    "rudder one by one": lambda p, **options: Rudder(p.write_key, host=p.url, sync_mode=True, **options),
}


@pytest.mark.parametrize("name", CLIENTS)
def test_every_event_arrives_once_and_whole(name: str, platform: Platform) -> None:
    """All six calls and a few hundred more: the log holds just what the SDK was given, under its source."""
    failures: list[Any] = []
    client = CLIENTS[name](platform, on_error=lambda error, batch: failures.append((error, batch)))
    few = 20 if "one by one" in name else 350
    given = [
        client.identify(f"{name}-u", {"email": "zoe@example.com"} | PROPERTIES, CONTEXT, AT, integrations=INTEGRATIONS),
        client.page(f"{name}-u", "Shop", "Home", PROPERTIES, CONTEXT),
        client.screen(f"{name}-u", "Shop", "Home", PROPERTIES, anonymous_id="a-1"),
        client.group(f"{name}-u", "group-1", {"plan": "pro"}),
        client.alias("a-1", f"{name}-u"),
        *(client.track(f"{name}-{n % 40}", "Product Viewed", PROPERTIES | {"n": n}, CONTEXT, AT) for n in range(few)),
    ]
    client.flush()
    if client.consumers:
        client.join()
    assert failures == []
    sent = {message["messageId"]: _plain(message) for ok, message in given if ok}
    assert len(sent) == few + 5
    stored = [event for event in platform.events() if event["messageId"] in sent]
    assert len(stored) == len(sent), "an event is missing, or came twice"
    assert {event["messageId"]: event for event in stored} == sent
    assert all(
        _plain(PROPERTIES).items() <= event["properties"].items() for event in stored if event["type"] == "track"
    )


@pytest.mark.parametrize("name", ["segment", "rudder"])
def test_a_bad_event_among_good_ones(name: str, platform: Platform) -> None:
    """An event with NaN, which these SDKs send as it is, costs only itself and raises no error in the client."""
    failures: list[Any] = []
    client = CLIENTS[name](platform, on_error=lambda error, _: failures.append(error))
    marks = [f"nan-{name}-{n}" for n in range(3)]
    for n, mark in enumerate(marks):
        client.track(mark, "e", {"value": float("nan") if n == 1 else 1.0})
    client.flush()
    client.join()
    assert failures == []
    assert {e["userId"] for e in platform.events() if e["userId"] in marks} == {marks[0], marks[2]}
    rejected = [each for entry in platform.entries() for each in entry.get("rejected", [])]
    assert [marks[1] in each["body"] for each in rejected].count(True) == 1


@pytest.mark.parametrize("kind", [Segment, Rudder])
def test_a_wrong_key_reaches_the_client_as_an_error(kind: Callable[..., Any], platform: Platform) -> None:
    """The SDK can read the refusal: its status and its text."""
    failures: list[Any] = []
    client = kind("wk_wrong", host=platform.url, on_error=lambda error, _: failures.append(error), max_retries=0)
    client.track("wrong-key", "e")
    client.flush()
    client.join()
    assert [error.status for error in failures] == [401]
    assert "invalid write key" in str(failures[0])
    assert not any(event["userId"] == "wrong-key" for event in platform.events())


def _plain(message: Any) -> Any:
    return json.loads(json.dumps(message, default=lambda value: value.isoformat()))
