"""Asks a collector over ASGI, in this process: the real parts on a log in memory."""

import asyncio
import base64
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from onefold.collect.app import Collector
from onefold.errors import Overloaded
from onefold.model import entry
from onefold.model.entry import Received, Rejected
from onefold.ports import LogWriter
from onefold.settings import Settings
from onefold.testing.clock import ManualClock
from onefold.testing.memory.log import MemoryLog

KEY = "wk_test"
SOURCE = "shop"
BASIC = "Basic " + base64.b64encode(f"{KEY}:".encode()).decode()


class Reply(NamedTuple):
    """An HTTP answer."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body, read."""
        return msgspec.json.decode(self.body)


class Door:
    """A collector and its log. Every request starts and ends the collector, so all is durable when it returns."""

    def __init__(
        self,
        settings: Settings | None = None,
        log: LogWriter | None = None,
        pressure: Callable[[], Overloaded | None] = lambda: None,
        partitions: int = 2,
    ) -> None:
        self.log = MemoryLog(partitions)
        self.clock = ManualClock()
        self._parts = (log or self.log, lambda: {KEY: SOURCE}, settings or Settings(), self.clock, pressure)

    def post(self, path: str, body: bytes | object, headers: Mapping[str, str] | None = None, chunks: int = 1) -> Reply:
        """POST with the write key by Basic auth, unless `headers` are given."""
        raw = body if isinstance(body, bytes) else msgspec.json.encode(body)
        return self.ask("POST", path, {"authorization": BASIC} if headers is None else headers, _cut(raw, chunks))

    def get(self, path: str, headers: Mapping[str, str] | None = None) -> Reply:
        """GET without a key, unless `headers` bring one."""
        return self.ask("GET", path, headers or {}, [b""])

    def all(self, requests: Sequence[tuple[str, object]]) -> list[Reply]:
        """POST these bodies one after the other to one collector."""

        async def run() -> list[Reply]:
            collector = Collector(*self._parts)
            bodies = [(path, msgspec.json.encode(body)) for path, body in requests]
            return [await self._ask("POST", path, {"authorization": BASIC}, [raw], collector) for path, raw in bodies]

        return asyncio.run(run())

    def ask(self, method: str, path: str, headers: Mapping[str, str], body: Sequence[bytes | None]) -> Reply:
        """One request; None in `body`: the client goes away; an empty body: it says nothing."""
        return asyncio.run(self._ask(method, path, headers, body))

    def entries(self) -> list[Received]:
        """Everything that the log holds, decoded as the step decodes it."""
        found = []
        for partition in range(self.log.partitions):
            for record in self.log.read(partition, 0, 1 << 40):
                decoded = entry.decode(record.data)
                assert isinstance(decoded, Received)
                found.append(decoded)
        return found

    def events(self) -> list[dict[str, Any]]:
        """The events in the log as plain JSON."""
        return [event for raw in self._raw() for event in raw["events"]]

    def rejected(self) -> list[Rejected]:
        """The refused events in the log."""
        return [each for received in self.entries() for each in received.rejected]

    def _raw(self) -> list[dict[str, Any]]:
        lanes = range(self.log.partitions)
        return [msgspec.json.decode(record.data) for p in lanes for record in self.log.read(p, 0, 1 << 40)]

    async def _ask(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str],
        body: Sequence[bytes | None],
        collector: Collector | None = None,
    ) -> Reply:
        collector = collector or Collector(*self._parts)
        await collector.start()
        sent: list[Any] = []
        messages = [_message(each, more=n < len(body) - 1) for n, each in enumerate(body)]

        async def receive() -> Any:
            if not body:
                await asyncio.Event().wait()
            return messages.pop(0) if messages else {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            sent.append(message)

        await collector(_scope(method, path, headers), receive, send)
        await collector.aclose()
        start, end = sent
        named = {name.decode(): value.decode("latin-1") for name, value in start["headers"]}
        return Reply(start["status"], named, end["body"])


def _scope(method: str, path: str, headers: Mapping[str, str]) -> dict[str, Any]:
    path, _, query = path.partition("?")
    raw = [(name.lower().encode(), value.encode("latin-1")) for name, value in headers.items()]
    return {"type": "http", "method": method, "path": path, "query_string": query.encode(), "headers": raw}


def _message(body: bytes | None, *, more: bool) -> dict[str, Any]:
    return {"type": "http.disconnect"} if body is None else {"type": "http.request", "body": body, "more_body": more}


def _cut(body: bytes, chunks: int) -> list[bytes]:
    size = max(1, -(-len(body) // chunks))
    return [body[n : n + size] for n in range(0, len(body), size)] or [b""]
