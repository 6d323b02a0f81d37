"""Webhooks as the Standard Webhooks specification has them: signed JSON by POST, a 2xx is a yes.

What an answer means: docs/delivery.md. The status line decides. A body is read only so that its connection can be
used again, DELIVERY_RESPONSE_MAX_BYTES of it at most and for DELIVERY_DRAIN_S at most, and is never looked at.
"""

import asyncio
from collections.abc import Container, Mapping, Sequence
from contextlib import suppress
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Any

import aiohttp
import msgspec
from aiohttp.abc import AbstractResolver
from yarl import URL

from onefold import __version__, limits
from onefold.clock import Clock
from onefold.destinations import egress
from onefold.destinations.signature import Signer
from onefold.errors import SettingsError
from onefold.model import definitions
from onefold.model.signing import SigningSecret
from onefold.ports import Outcome

GONE = 410
REFUSALS = frozenset({400, 413, 414, 415, 422, 431})
"""Answers that say: not this body, now or ever. All others may change when the receiver's operator does something."""

REASONS: tuple[tuple[type[Exception], str], ...] = (
    (TimeoutError, "timeout"),
    (aiohttp.ClientConnectorDNSError, "dns"),
    (aiohttp.ClientSSLError, "tls"),
    (aiohttp.ServerFingerprintMismatch, "tls"),
    (aiohttp.ClientConnectorError, "connect"),
    (OSError, "disconnected"),
    (aiohttp.ServerDisconnectedError, "disconnected"),
    (Exception, "not_http"),
)
"""What went wrong where no status came; the first that fits."""

_HEADERS = {"content-type": "application/json", "user-agent": f"onefold/{__version__}"}
_encode = msgspec.json.Encoder().encode


class Webhook:
    """`ports.Destination` over HTTP. One session, and so one set of connections, a destination."""

    def __init__(
        self,
        definition: definitions.Destination,
        secrets: Sequence[SigningSecret],
        clock: Clock,
        *,
        private_hosts: Container[str] = (),
        resolver: AbstractResolver | None = None,
    ) -> None:
        """Needs a running event loop. Raises `SettingsError` for a URL or a secret that is none."""
        self._url = _checked(definition.url)
        self._timeout_s = definition.timeout_s
        self._signer = Signer(secrets)
        self._clock = clock
        self._session = egress.session(
            connections=definition.concurrency, private_hosts=private_hosts, resolver=resolver
        )
        self._no_limit = aiohttp.ClientTimeout(total=None)

    async def send(self, key: str, payload: Mapping[str, Any]) -> Outcome:
        """Try once to send one payload, within `timeout_s` in all."""
        body = _encode(payload)
        try:
            async with asyncio.timeout(self._timeout_s):
                answer = await self._answer(key, body)
        except (TimeoutError, aiohttp.ClientError, OSError, ValueError) as error:
            return Outcome(delivered=False, reason=_reason(error))
        try:
            await _drain(answer)
        finally:
            answer.close()  # does nothing to a connection that was given back at the body's end
        return self._judge(answer)

    async def close(self) -> None:
        """Let go of connections."""
        await self._session.close()

    async def _answer(self, key: str, body: bytes) -> aiohttp.ClientResponse:
        try:
            return await self._post(key, body)
        except aiohttp.ServerDisconnectedError:
            return await self._post(key, body)  # most likely it closed a connection that had been idle

    async def _post(self, key: str, body: bytes) -> aiohttp.ClientResponse:
        headers = _HEADERS | self._signer.headers(key, self._clock.now_ms() // 1000, body)
        return await self._session.post(
            self._url, data=body, headers=headers, allow_redirects=False, timeout=self._no_limit
        )

    def _judge(self, answer: aiohttp.ClientResponse) -> Outcome:
        status = answer.status
        if 200 <= status < 300:
            return Outcome(delivered=True, status=status)
        if status == GONE:
            return Outcome(delivered=False, status=status, reason="gone", retry=False)
        retry_after_s = retry_after(answer.headers.get("retry-after", ""), self._clock.now_ms())
        return Outcome(
            delivered=False,
            status=status,
            reason="redirect" if 300 <= status < 400 else f"http_{status}",
            retry=status not in REFUSALS,
            retry_after_s=retry_after_s,
        )


def connect(
    definition: definitions.Destination, secrets: Sequence[SigningSecret], clock: Clock, private_hosts: Container[str]
) -> Webhook:
    """The connector of this kind of destination. Raises `SettingsError` where its definition cannot work."""
    return Webhook(definition, secrets, clock, private_hosts=private_hosts)


def retry_after(text: str, now_ms: int) -> float | None:
    """Seconds that a Retry-After header asks to wait, as a number or as an HTTP date; None: it says nothing."""
    if text.isascii() and text.isdecimal():
        return float(text[:10])
    try:
        at = parsedate_to_datetime(text)
        if at.tzinfo is None:
            at = at.replace(tzinfo=UTC)
        return max(0.0, at.timestamp() - now_ms / 1000)
    except (ValueError, TypeError, OverflowError):
        return None


def _reason(error: Exception) -> str:
    if egress.REFUSED in str(error):
        return "forbidden_address"
    return next(reason for kind, reason in REASONS if isinstance(error, kind))


async def _drain(answer: aiohttp.ClientResponse) -> None:
    if answer.content.at_eof() or answer.connection is None:
        return
    left = limits.DELIVERY_RESPONSE_MAX_BYTES
    with suppress(TimeoutError, aiohttp.ClientError, OSError):
        async with asyncio.timeout(limits.DELIVERY_DRAIN_S):
            while left > 0 and (chunk := await answer.content.readany()):
                left -= len(chunk)


def _checked(text: str) -> URL:
    try:
        url = URL(text)
    except ValueError as error:
        raise SettingsError(f"{text!r} is not a URL: {error}") from error
    if url.scheme not in egress.SCHEMES or not url.host:
        raise SettingsError(
            f"{text!r} is not a URL that webhooks can be sent to: it must begin with https:// or http://"
        )
    return url
