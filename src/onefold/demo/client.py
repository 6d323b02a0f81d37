"""The platform as any program of a customer sees it: its public HTTP API, and nothing else."""

import asyncio
import json
import re
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any, NamedTuple, Self
from urllib.parse import quote

import aiohttp

from onefold.demo.shop import Event
from onefold.errors import Overloaded, StorageError

ATTEMPTS = 8
BATCH_MAX_EVENTS = 500
_SAMPLE = re.compile(r"^(\w+)(?:\{(.*)\})? (\S+)$")
_LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')


class Target(NamedTuple):
    """Where the platform is, and the keys to it."""

    url: str
    write_key: str
    secret_key: str


class Sample(NamedTuple):
    """One line of the metrics page."""

    name: str
    labels: dict[str, str]
    value: float


class Client:
    """A session with the platform. Use with `async with`."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._reader = {"authorization": f"Bearer {target.secret_key}"}
        self._writer = aiohttp.BasicAuth(target.write_key)
        self._session: aiohttp.ClientSession

    async def __aenter__(self) -> Self:
        """Connect on demand."""
        timeout = aiohttp.ClientTimeout(total=10)
        self._session = aiohttp.ClientSession(timeout=timeout, connector=aiohttp.TCPConnector(limit=32))
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close all connections."""
        await self._session.close()

    async def ready(self, within_s: float) -> None:
        """Wait until the platform answers that it is ready. Raises `StorageError` when it does not in time."""
        until = time.monotonic() + within_s
        while time.monotonic() < until:
            try:
                async with self._session.get(f"{self._target.url}/readyz") as answer:
                    if answer.status == 200:
                        return
            except aiohttp.ClientError:
                pass
            await asyncio.sleep(0.05)
        raise StorageError(f"the platform at {self._target.url} is not ready after {within_s:.0f} s; see its log")

    async def send(self, events: list[Event], path: str = "batch") -> float:
        """Send a batch until it is acknowledged, as client libraries do; seconds that the acknowledged try took.

        Raises `Overloaded` when the platform refuses it again and again.
        """
        now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        body = json.dumps({"batch": events, "sentAt": now}).encode()
        headers = {"content-type": "application/json"}
        for attempt in range(ATTEMPTS):
            began = time.perf_counter()
            url = f"{self._target.url}/v1/{path}"
            try:
                async with self._session.post(url, data=body, headers=headers, auth=self._writer) as answer:
                    said = await answer.read()
                    if answer.status < 300:
                        return time.perf_counter() - began
                    if answer.status not in (429, 503):
                        raise StorageError(f"{url} answered {answer.status}: {said.decode(errors='replace')[:200]}")
                    wait_s = float(answer.headers.get("retry-after", 1))
            except aiohttp.ClientConnectionError:
                wait_s = 0.2 * 2**attempt
            await asyncio.sleep(min(wait_s, 5))
        raise Overloaded(f"the platform refused a batch {ATTEMPTS} times")

    async def profile(self, identifier: str) -> dict[str, Any] | None:
        """One person's profile; None where there is none yet."""
        url = f"{self._target.url}/v1/profiles/{quote(identifier, safe=':')}"
        async with self._session.get(url, headers=self._reader) as answer:
            return await answer.json() if answer.status == 200 else None

    async def get(self, path: str) -> Any:
        """Any answer of the API that is JSON. Raises `StorageError` where it refuses."""
        async with self._session.get(f"{self._target.url}{path}", headers=self._reader) as answer:
            if answer.status != 200:
                raise StorageError(f"{path} answered {answer.status}: {(await answer.text())[:200]}")
            return await answer.json()

    async def metrics(self) -> list[Sample]:
        """The metrics page, read."""
        async with self._session.get(f"{self._target.url}/metrics", headers=self._reader) as answer:
            text = await answer.text()
        found = (_SAMPLE.match(line) for line in text.splitlines() if not line.startswith("#"))
        return [Sample(m[1], dict(_LABEL.findall(m[2] or "")), float(m[3])) for m in found if m]

    async def tail(self, kinds: str) -> AsyncIterator[dict[str, Any]]:
        """Effects of these kinds, as they happen, until cancelled; connects again when the stream ends."""
        while True:
            try:
                async with self._session.get(
                    f"{self._target.url}/v1/events/tail",
                    params={"kind": kinds},
                    headers=self._reader,
                    timeout=aiohttp.ClientTimeout(total=None),
                ) as answer:
                    async for line in answer.content:
                        if line.startswith(b"data:"):
                            yield json.loads(line[5:])
            except (aiohttp.ClientError, TimeoutError):
                pass
            await asyncio.sleep(0.2)
