"""One attempt, against receivers that behave and that do not."""

import asyncio
import base64
import json

import pytest
from standardwebhooks import Webhook as Verifier

from onefold.clock import SystemClock
from onefold.destinations.webhook import Webhook, retry_after
from onefold.errors import SettingsError
from onefold.model.definitions import Destination
from onefold.model.signing import SigningSecret
from onefold.ports import Outcome
from onefold.testing.destinations import Receiver, closed_port, status, zoo

SECRET = "whsec_" + base64.b64encode(bytes(range(32))).decode()
OTHER = "whsec_" + base64.b64encode(bytes(range(1, 33))).decode()
ZOO = zoo()


def attempt(receiver: Receiver, *, timeout_s: float = 1.0, secrets: tuple[str, ...] = (SECRET,), n: int = 1) -> Outcome:
    """Send one payload `n` times to a receiver; the last outcome."""

    async def send() -> Outcome:
        async with receiver:
            definition = Destination("d", url=receiver.url, timeout_s=timeout_s)
            webhook = Webhook(definition, [*map(SigningSecret, secrets)], SystemClock(), private_hosts={"127.0.0.1"})
            try:
                for _ in range(n):
                    outcome = await webhook.send("msg_00-1-0-aa", {"type": "event", "data": {"name": "Ünïcode"}})
                return outcome
            finally:
                await webhook.close()

    return asyncio.run(send())


@pytest.mark.parametrize("name", ZOO)
def test_every_behaviour_has_its_outcome(name: str) -> None:
    """Whatever a destination does, an attempt ends in time and as documented."""
    expected = ZOO[name]
    outcome = attempt(Receiver(expected.behaviour))
    assert (outcome.delivered, outcome.reason, outcome.retry) == (expected.delivered, expected.reason, expected.retry)


@pytest.mark.parametrize("secrets", [(SECRET,), (OTHER, SECRET), (SECRET, OTHER)])
def test_receivers_verify_with_the_public_library(secrets: tuple[str, ...]) -> None:
    """A receiver that uses `standardwebhooks` accepts what is sent, also while secrets change."""
    receiver = Receiver()
    assert attempt(receiver, secrets=secrets).delivered
    request = receiver.received[0]
    assert Verifier(SECRET).verify(request.body, request.headers) == json.loads(request.body)
    assert request.headers["content-type"] == "application/json"


def test_a_connection_is_used_again() -> None:
    """Attempts one after the other share a connection, also where answers have bodies."""
    receiver = Receiver(status(200, body=b"x" * 1000))
    assert attempt(receiver, n=5).delivered
    assert (len(receiver.received), receiver.connections) == (5, 1)


def test_nobody_there() -> None:
    """A refused connection and an unknown name are failures with a reason of their own."""

    async def send(url: str) -> Outcome:
        definition = Destination("d", url=url, timeout_s=5)
        webhook = Webhook(definition, [SigningSecret(SECRET)], SystemClock(), private_hosts={"127.0.0.1"})
        try:
            return await webhook.send("k", {})
        finally:
            await webhook.close()

    with closed_port() as port:
        assert asyncio.run(send(f"http://127.0.0.1:{port}/")).reason == "connect"
    assert asyncio.run(send("http://does-not-exist.invalid/")).reason == "dns"


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("7", 7.0),
        ("0", 0.0),
        ("Thu, 01 Jan 1970 00:01:40 GMT", 90.0),
        ("Thu, 01 Jan 1970 00:00:01 GMT", 0.0),
        ("99999999999999999999", 9999999999.0),
        ("", None),
        ("soon", None),
        ("-1", None),
        ("1e9", None),
        ("Thu, 99 Jan 1970 00:01:40 GMT", None),
    ],
)
def test_retry_after(text: str, seconds: float | None) -> None:
    """Seconds and HTTP dates are understood; nonsense says nothing."""
    assert retry_after(text, 10_000) == seconds


@pytest.mark.parametrize(
    "url", ["", "ftp://example.com/", "file:///etc/passwd", "http://", "example.com", "http://[::1"]
)
def test_what_is_no_url_is_refused(url: str) -> None:
    """Only http and https URLs with a host are destinations."""

    async def make() -> None:
        Webhook(Destination("d", url=url), [SigningSecret(SECRET)], SystemClock())

    with pytest.raises(SettingsError):
        asyncio.run(make())
