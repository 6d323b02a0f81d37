"""The platform as any program of a customer sees it: its public HTTP API, and nothing else."""

import asyncio
import base64
import contextlib
import itertools
import json
import re
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any, NamedTuple, Self
from urllib.parse import quote

import aiohttp

from onefold.demo.shop import Event
from onefold.errors import Overloaded, StorageError, Unavailable

PATIENCE_S = 60.0
"""For how long a request that is refused or not answered is tried again."""
BATCH_MAX_EVENTS = 500
_WAIT_S = 0.2
_WAIT_MAX_S = 5.0
_SAMPLE = re.compile(r"^(\w+)(?:\{(.*)\})? (\S+)$")
_LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')


class Target(NamedTuple):
    """Where the platform is, and the keys to it."""

    collect: tuple[str, ...]
    """Events are sent to each of these in turn, as a balancer before them would do."""
    api: tuple[str, ...]
    """Everything else is asked here, in turn as well."""
    write_key: str
    secret_key: str


class Sending(NamedTuple):
    """How a batch came to be acknowledged."""

    took_s: float
    """From the first try to the acknowledgement."""
    refused: int = 0
    """Tries before the one that was acknowledged."""
    unsure: int = 0
    """Those of them whose events may lie in the log all the same: an answer was missing, or storage failed."""


class _Try(NamedTuple):
    """One request: acknowledged, or to be sent again after a while."""

    taken: bool
    wait_s: float = 0.0
    unsure: bool = False


class Sample(NamedTuple):
    """One line of the metrics page."""

    name: str
    labels: dict[str, str]
    value: float


class Client:
    """A session with the platform. Use with `async with`."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._collect = itertools.cycle(target.collect)
        self._api = itertools.cycle(target.api)
        self._reader = {"authorization": f"Bearer {target.secret_key}"}
        basic = base64.b64encode(f"{target.write_key}:".encode()).decode()
        self._writer = {"authorization": f"Basic {basic}", "content-type": "application/json"}
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
        for url in dict.fromkeys((*self._target.collect, *self._target.api)):
            while not await self._is_ready(url):
                if time.monotonic() > until:
                    raise StorageError(f"the platform at {url} is not ready after {within_s:.0f} s; see its log")
                await asyncio.sleep(0.05)

    async def send(self, events: list[Event], path: str = "batch") -> Sending:
        """Send a batch until it is acknowledged, as client libraries do.

        Raises `Overloaded` when the platform has refused it for `PATIENCE_S`, `StorageError` where it says that the
        request is wrong.
        """
        now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        body = json.dumps({"batch": events, "sentAt": now}).encode()
        began = time.perf_counter()
        refused = unsure = 0
        while (took_s := time.perf_counter() - began) < PATIENCE_S:
            tried = await self._try(f"{next(self._collect)}/v1/{path}", body, refused)
            if tried.taken:
                return Sending(time.perf_counter() - began, refused, unsure)
            refused += 1
            unsure += tried.unsure
            await asyncio.sleep(tried.wait_s)
        raise Overloaded(f"the platform refused a batch {refused} times in {took_s:.0f} s")

    async def profile(self, identifier: str) -> dict[str, Any] | None:
        """One person's profile; None where there is none yet. Raises as `get`."""
        status, said = await self._ask(f"/v1/profiles/{quote(identifier, safe=':')}")
        if status not in (200, 404):
            raise StorageError(f"the profile {identifier} was answered {status}: {said[:200].decode(errors='replace')}")
        return json.loads(said) if status == 200 else None

    async def get(self, path: str) -> Any:
        """Any answer of the API that is JSON.

        Raises `StorageError` where it refuses, `Unavailable` where it does not answer for `PATIENCE_S`.
        """
        status, said = await self._ask(path)
        if status != 200:
            raise StorageError(f"{path} answered {status}: {said[:200].decode(errors='replace')}")
        return json.loads(said)

    async def metrics(self) -> list[Sample]:
        """The metrics page, read. Raises as `get`."""
        _, said = await self._ask("/metrics")
        found = (_SAMPLE.match(line) for line in said.decode().splitlines() if not line.startswith("#"))
        return [Sample(m[1], dict(_LABEL.findall(m[2] or "")), float(m[3])) for m in found if m]

    async def tail(self, kinds: str) -> AsyncIterator[dict[str, Any]]:
        """Effects of these kinds, as they happen, until cancelled; connects again when the stream ends."""
        while True:
            try:
                async with self._session.get(
                    f"{next(self._api)}/v1/events/tail",
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

    async def _is_ready(self, url: str) -> bool:
        with contextlib.suppress(aiohttp.ClientError, TimeoutError):
            async with self._session.get(f"{url}/readyz") as answer:
                return answer.status == 200
        return False

    async def _try(self, url: str, body: bytes, refused: int) -> _Try:
        try:
            async with self._session.post(url, data=body, headers=self._writer) as answer:
                said = await answer.read()
                if answer.status < 300:
                    return _Try(taken=True)
                if answer.status not in (429, 503):
                    raise StorageError(f"{url} answered {answer.status}: {said.decode(errors='replace')[:200]}")
                wait_s = float(answer.headers.get("retry-after", 1))
                unsure = answer.status == 503 and _code(said) != Overloaded.code
                return _Try(taken=False, wait_s=min(wait_s, _WAIT_MAX_S), unsure=unsure)
        except (aiohttp.ClientError, TimeoutError) as error:
            wait_s = min(_WAIT_S * 2**refused, _WAIT_MAX_S)
            return _Try(taken=False, wait_s=wait_s, unsure=not isinstance(error, aiohttp.ClientConnectorError))

    async def _ask(self, path: str) -> tuple[int, bytes]:
        """Status and body of the first answer that does not put us off."""
        until = time.monotonic() + PATIENCE_S
        while True:
            with contextlib.suppress(aiohttp.ClientError, TimeoutError):
                async with self._session.get(f"{next(self._api)}{path}", headers=self._reader) as answer:
                    if answer.status not in (429, 503):
                        return answer.status, await answer.read()
            if time.monotonic() > until:
                raise Unavailable(f"the platform has not answered {path} for {PATIENCE_S:.0f} s")
            await asyncio.sleep(_WAIT_S)


def _code(said: bytes) -> str:
    """The code of a refusal, where it has one."""
    try:
        found = json.loads(said)
    except ValueError:
        return ""
    return str(found.get("code", "")) if isinstance(found, dict) else ""
