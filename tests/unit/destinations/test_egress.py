"""Nothing inside is ever connected to, however its address is spelled and whatever a name server says."""

import asyncio
import base64
import socket
from collections.abc import Container
from ipaddress import ip_address

import pytest
from aiohttp import ClientConnectorError
from aiohttp.abc import AbstractResolver, ResolveResult

from onefold.clock import SystemClock
from onefold.destinations import egress
from onefold.destinations.egress import is_denied
from onefold.destinations.webhook import Webhook
from onefold.errors import SettingsError
from onefold.model.definitions import Destination
from onefold.model.host import spelled
from onefold.model.signing import SigningSecret
from onefold.ports import Outcome
from onefold.testing.destinations import Receiver, status

SECRET = SigningSecret("whsec_" + base64.b64encode(bytes(32)).decode())

SPELLINGS = """
    127.0.0.1 127.1 127.0.1 127.127.127.127 2130706433 0x7f000001 0x7f.0.0.1 0x7f.1 0177.0.0.1 0177.1 017700000001
    127.0.0.1. 0127.0.0.1 127.00.00.01 0 0.0.0.0 0x0 00000000000 localhost LOCALHOST localhost. localhost.localdomain
    ip6-localhost [::1] [0:0:0:0:0:0:0:1] [0000:0000:0000:0000:0000:0000:0000:0001] [::] [::ffff:127.0.0.1]
    [::ffff:7f00:1] [0:0:0:0:0:ffff:127.0.0.1] [::127.0.0.1] [::7f00:1] [64:ff9b::127.0.0.1] [64:ff9b::7f00:1]
    [2002:7f00:1::] [2002:7f00:1::1] [fe80::1] [fe80::1%25lo] [fc00::1] [fd00::1] [ff02::1] 10.0.0.1 10.255.255.255
    172.16.0.1 172.31.255.255 192.168.0.1 192.168.255.255 169.254.169.254 169.254.170.2 100.64.0.1 100.100.100.200
    192.0.0.192 168.63.129.16 198.18.0.1 224.0.0.1 255.255.255.255 240.0.0.1 user:pw@127.0.0.1 example.com@127.0.0.1
    ①②⑦.⓪.⓪.① 127。0。0。1 127%2e0%2e0%2e1 ⓛⓞⓒⓐⓛⓗⓞⓢⓣ 127.0.0.1%00.example.com 127.0.0.1%09
"""


class Told(AbstractResolver):
    """A name server that answers what it was told, one answer after the other."""

    def __init__(self, *answers: list[str]) -> None:
        self.answers = list(answers)

    async def resolve(
        self,
        host: str,
        port: int = 0,
        family: socket.AddressFamily = socket.AF_INET,  # noqa: ARG002 - the protocol's
    ) -> list[ResolveResult]:
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return [
            ResolveResult(
                hostname=host,
                host=address,
                port=port,
                family=socket.AF_INET6 if ":" in address else socket.AF_INET,
                proto=0,
                flags=0,
            )
            for address in answer
        ]

    async def close(self) -> None:
        """Nothing to let go of."""


async def send(url: str, resolver: AbstractResolver | None = None, *, private_hosts: Container[str] = ()) -> Outcome:
    """One attempt under the address policy."""
    definition = Destination("d", url=url, timeout_s=0.5)
    webhook = Webhook(definition, [SECRET], SystemClock(), private_hosts=private_hosts, resolver=resolver)
    try:
        return await webhook.send("k", {})
    finally:
        await webhook.close()


def test_no_spelling_reaches_a_listener() -> None:
    """Of over 60 ways to write an inner address none makes a listener on all local addresses accept."""
    assert len(SPELLINGS.split()) >= 60

    async def attack() -> int:
        async with Receiver(host="127.0.0.1") as four, Receiver(host="::1", port=four.port) as six:
            for spelling in SPELLINGS.split():
                for scheme in ("http", "https", "HTTP"):
                    try:
                        outcome = await send(f"{scheme}://{spelling}:{four.port}/")
                    except SettingsError:
                        continue
                    assert not outcome.delivered
                    assert outcome.reason in {"forbidden_address", "dns", "not_http"}, (spelling, outcome)
            return four.connections + six.connections

    assert asyncio.run(attack()) == 0


@pytest.mark.parametrize(
    ("host", "allowed", "reached"),
    [
        ("127.0.0.1", {"127.0.0.1"}, True),
        ("127.0.0.1", {"localhost", "127.0.0.2"}, False),
        ("localhost", {"localhost"}, True),
        ("LOCALHOST.", {"localhost"}, True),
        ("localhost", {"127.0.0.1"}, False),
        ("hooks.internal", {"hooks.internal"}, True),
        ("hooks.internal", {"hooks", "internal", "x.hooks.internal"}, False),
        ("a.hooks.internal", {"hooks.internal"}, False),
        ("hööks.internal", {spelled("HÖÖKS.internal")}, True),
        ("127.1", {"127.0.0.1"}, False),
    ],
)
def test_only_a_host_that_is_named_is_reached_inside(host: str, allowed: set[str], *, reached: bool) -> None:
    """Inner addresses are for the very host that the workspace has named, however many names lead there."""

    async def one() -> tuple[Outcome, int]:
        async with Receiver() as receiver:
            resolver = Told(["127.0.0.1"])
            outcome = await send(f"http://{host}:{receiver.port}/", resolver, private_hosts=allowed)
            return outcome, receiver.connections

    outcome, connections = asyncio.run(one())
    assert outcome.delivered == reached
    assert connections == reached
    assert reached or outcome.reason in {"forbidden_address", "not_http"}


@pytest.mark.parametrize("addresses", [["127.0.0.1"], ["127.0.0.2", "127.0.0.1"]])
def test_a_session_goes_inside_for_the_named_host_alone(addresses: list[str]) -> None:
    """Of one session, the host that is named is reached and another that leads to the same listener is not.

    So a redirect could not use what a workspace allows, even if it were followed, nor could an open connection.
    """

    async def both() -> int:
        async with Receiver(status(200)) as receiver:
            session = egress.session(connections=4, private_hosts={"named.example"}, resolver=Told(addresses))
            async with session:
                for _ in range(2):
                    async with session.get(f"http://named.example:{receiver.port}/") as answer:
                        assert answer.status == 200
                    for other in ("other.example", "127.0.0.1", "named.example.com"):
                        with pytest.raises(ClientConnectorError, match=egress.REFUSED):
                            await session.get(f"http://{other}:{receiver.port}/")
            return len(receiver.received)

    assert asyncio.run(both()) == 2


@pytest.mark.parametrize(
    "answer",
    [
        ["127.0.0.1"],
        ["::1"],
        ["::ffff:127.0.0.1"],
        ["169.254.169.254", "127.0.0.1"],
        ["10.0.0.1"] * 19 + ["127.0.0.1"],
        ["fe80::1", "::1", "127.0.0.1"],
    ],
)
def test_names_that_resolve_to_inner_addresses(answer: list[str]) -> None:
    """The address is judged, not the name: every record of it."""

    async def attack() -> tuple[Outcome, int]:
        async with Receiver() as receiver:
            outcome = await send(f"http://example.com:{receiver.port}/", Told(answer))
            return outcome, receiver.connections

    outcome, connections = asyncio.run(attack())
    assert (outcome.reason, connections) == ("forbidden_address", 0)


def test_a_name_that_changes_its_mind() -> None:
    """DNS rebinding: whatever was answered before, the address that is connected to is the one that is judged."""

    async def attack() -> int:
        async with Receiver() as receiver:
            resolver = Told(["192.0.2.1"], ["127.0.0.1"], ["192.0.2.1"], ["127.0.0.1"])
            for _ in range(4):
                outcome = await send(f"http://rebind.example:{receiver.port}/", resolver)
                assert outcome.reason == "forbidden_address"
            return receiver.connections

    assert asyncio.run(attack()) == 0


def test_redirects_lead_nowhere() -> None:
    """A destination that may be reached cannot point at another address."""

    async def attack() -> tuple[Outcome, int]:
        async with Receiver() as inner, Receiver(status(302, f"location: {inner.url}")) as outer:
            return await send(outer.url, private_hosts={"127.0.0.1"}), inner.connections

    outcome, connections = asyncio.run(attack())
    assert (outcome.reason, connections) == ("redirect", 0)


@pytest.mark.parametrize(
    "address", ["1.1.1.1", "8.8.8.8", "172.32.0.1", "100.128.0.1", "2606:4700::1111", "2a00:1450::1"]
)
def test_the_world_is_allowed(address: str) -> None:
    """Public addresses pass."""
    assert not is_denied(ip_address(address))
