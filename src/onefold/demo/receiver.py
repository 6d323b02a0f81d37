"""A receiver of webhooks, as a customer would write one: it verifies every signature and counts what came.

The signature is that of the Standard Webhooks specification: base64 of HMAC-SHA256 over `id.timestamp.body`.
"""

import base64
import hashlib
import hmac
import json
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

from aiohttp import web

TOLERANCE_S = 300


class Receiver:
    """Listens on a free local port; `url` is what a destination is given."""

    def __init__(self) -> None:
        self.secrets: list[str] = []
        """Every one of them may sign; a message that none of them signed is refused."""
        self.received: Counter[str] = Counter()
        """Distinct messages by their type."""
        self.repeated = 0
        self.forged = 0
        self.url = ""
        self.on_message: Callable[[dict[str, Any], float], None] | None = None
        """Told of every verified message and of the instant (`perf_counter`) at which it came."""
        self._seen: set[str] = set()
        self._runner: web.AppRunner | None = None

    async def start(self) -> None:
        """Begin to listen."""
        app = web.Application(client_max_size=4 * 1024 * 1024)
        app.router.add_post("/webhook", self._take)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        port = self._runner.addresses[0][1]
        self.url = f"http://127.0.0.1:{port}/webhook"

    async def close(self) -> None:
        """Stop listening."""
        if self._runner:
            await self._runner.cleanup()

    async def _take(self, request: web.Request) -> web.Response:
        body = await request.read()
        at_s = time.perf_counter()
        if not self._verified(request, body):
            self.forged += 1
            return web.Response(status=401, text="bad signature")
        message_id = request.headers["webhook-id"]
        if message_id in self._seen:
            self.repeated += 1
            return web.Response(status=204)
        self._seen.add(message_id)
        payload = json.loads(body)
        self.received[str(payload.get("type", ""))] += 1
        if self.on_message:
            self.on_message(payload, at_s)
        return web.Response(status=204)

    def _verified(self, request: web.Request, body: bytes) -> bool:
        message_id = request.headers.get("webhook-id", "")
        sent_at = request.headers.get("webhook-timestamp", "")
        if not message_id or not sent_at.isdecimal() or abs(time.time() - int(sent_at)) > TOLERANCE_S:
            return False
        given = [part.removeprefix("v1,") for part in request.headers.get("webhook-signature", "").split()]
        signed = f"{message_id}.{sent_at}.".encode() + body
        return any(hmac.compare_digest(sign(secret, signed), one) for secret in self.secrets for one in given)


def sign(secret: str, signed: bytes) -> str:
    """The signature that `secret` gives these bytes."""
    key = base64.b64decode(secret.removeprefix("whsec_"))
    return base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
