"""Receivers of webhooks on this machine, well-behaved and otherwise: what destinations in the world do, on command.

    async with Receiver() as receiver:
        receiver.behave(status(503, "retry-after: 2"))
        ...
        assert receiver.received[0].key == "msg_…"

A receiver counts the connections that it accepts, so that a test can say that nothing ever came.
"""

import asyncio
import contextlib
import gzip
import socket
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, NamedTuple, Self

import msgspec

Behaviour = Callable[["Received", asyncio.StreamWriter], Awaitable[None]]
"""Answers one request, or does not. A connection goes on afterwards unless it was closed."""


class Received(NamedTuple):
    """A request that came whole."""

    path: str
    headers: dict[str, str]
    """Names in lower case."""
    body: bytes
    at_s: float
    """`time.monotonic()` when its last byte came."""

    @property
    def key(self) -> str:
        """The idempotency key."""
        return self.headers.get("webhook-id", "")

    @property
    def payload(self) -> dict[str, Any]:
        """The body as JSON."""
        payload: dict[str, Any] = msgspec.json.decode(self.body)
        return payload


async def ok(_request: Received, writer: asyncio.StreamWriter) -> None:
    """Say 204 and keep the connection."""
    writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")
    await writer.drain()


class Receiver:
    """A server on a free port of 127.0.0.1 (or `host`)."""

    def __init__(self, behaviour: Behaviour = ok, host: str = "127.0.0.1", port: int = 0) -> None:
        self._behaviour = behaviour
        self._host = host
        self.port = port
        self.connections = 0
        self.received: list[Received] = []
        self._came = asyncio.Condition()
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, self._host, self.port, limit=1 << 20)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    @property
    def url(self) -> str:
        """Where to send to."""
        return f"http://{self._host}:{self.port}/hook"

    def behave(self, behaviour: Behaviour) -> None:
        """From the next request on."""
        self._behaviour = behaviour

    async def got(self, n: int, within_s: float = 10.0) -> list[Received]:
        """Wait until `n` requests have come; all that came."""
        async with asyncio.timeout(within_s), self._came:
            await self._came.wait_for(lambda: len(self.received) >= n)
        return self.received

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.create_task(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while not writer.is_closing():
                request = await _read(reader)
                self.received.append(request)
                async with self._came:
                    self._came.notify_all()
                await self._behaviour(request, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


async def _read(reader: asyncio.StreamReader) -> Received:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    first, *lines = head.rstrip("\r\n").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return Received(first.split(" ")[1], headers, body, time.monotonic())


# --- behaviours ----------------------------------------------------------------------------------------------
def status(code: int, *headers: str, body: bytes = b"") -> Behaviour:
    """Answer with this status, these header lines and this body."""
    lines = "".join(f"{line}\r\n" for line in headers)
    return raw(f"HTTP/1.1 {code} -\r\ncontent-length: {len(body)}\r\n{lines}\r\n".encode() + body)


def raw(answer: bytes, *, close: bool = False) -> Behaviour:
    """Answer with exactly these bytes."""

    async def behave(_request: Received, writer: asyncio.StreamWriter) -> None:
        writer.write(answer)
        await writer.drain()
        if close:
            writer.close()

    return behave


def after(delay_s: float, then: Behaviour = ok) -> Behaviour:
    """Be slow."""

    async def behave(request: Received, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(delay_s)
        await then(request, writer)

    return behave


def reset() -> Behaviour:
    """Cut the connection without a word."""

    async def behave(_request: Received, writer: asyncio.StreamWriter) -> None:
        writer.transport.abort()

    return behave


def ok_then_reset() -> Behaviour:
    """Say 200, promise a body, and cut the connection."""

    async def behave(_request: Received, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf")
        await writer.drain()
        await asyncio.sleep(0.05)
        writer.transport.abort()

    return behave


def drip(head: bytes, every_s: float = 0.05) -> Behaviour:
    """Say `head`, then one byte at a time for ever."""

    async def behave(_request: Received, writer: asyncio.StreamWriter) -> None:
        writer.write(head)
        while not writer.is_closing():
            writer.write(b"x")
            await writer.drain()
            await asyncio.sleep(every_s)

    return behave


def flood(head: bytes) -> Behaviour:
    """Say `head`, then send without end."""

    async def behave(_request: Received, writer: asyncio.StreamWriter) -> None:
        writer.write(head)
        while not writer.is_closing():
            writer.write(b"x" * 65536)
            await writer.drain()

    return behave


def in_turn(behaviours: Iterator[Behaviour]) -> Behaviour:
    """Each request meets the next behaviour; when they have run out, `ok`."""

    async def behave(request: Received, writer: asyncio.StreamWriter) -> None:
        await next(behaviours, ok)(request, writer)

    return behave


class Expected(NamedTuple):
    """A misbehaviour and what one attempt must make of it."""

    behaviour: Behaviour
    delivered: bool
    reason: str = ""
    retry: bool = True


def zoo() -> dict[str, Expected]:
    """Everything that destinations were seen to do, by name."""
    bomb = gzip.compress(b"\0" * 50_000_000)
    many = [f"x-{n}: {n}" for n in range(10_000)]
    ok_head = b"HTTP/1.1 200 OK\r\n"
    return {
        "200": Expected(status(200, body=b"thanks"), delivered=True),
        "204": Expected(ok, delivered=True),
        "299": Expected(status(299), delivered=True),
        "200 with a gzip bomb": Expected(status(200, "content-encoding: gzip", body=bomb), delivered=True),
        "200, then a reset": Expected(ok_then_reset(), delivered=True),
        "200, then a byte now and then": Expected(drip(ok_head + b"\r\n"), delivered=True),
        "200, then a body without end": Expected(flood(ok_head + b"\r\n"), delivered=True),
        "200 with a body of 1 GB promised": Expected(
            flood(ok_head + b"content-length: 1000000000\r\n\r\n"), delivered=True
        ),
        "200 with broken chunks": Expected(
            raw(ok_head + b"transfer-encoding: chunked\r\n\r\nzz\r\n"), delivered=False, reason="not_http"
        ),
        "300": Expected(status(300), delivered=False, reason="redirect"),
        "301 elsewhere": Expected(status(301, "location: http://127.0.0.1:1/"), delivered=False, reason="redirect"),
        "307 elsewhere": Expected(status(307, "location: http://127.0.0.1:1/"), delivered=False, reason="redirect"),
        "308 to itself": Expected(status(308, "location: /hook"), delivered=False, reason="redirect"),
        "400": Expected(status(400), delivered=False, reason="http_400", retry=False),
        "401": Expected(status(401), delivered=False, reason="http_401"),
        "403": Expected(status(403), delivered=False, reason="http_403"),
        "404": Expected(status(404), delivered=False, reason="http_404"),
        "408": Expected(status(408), delivered=False, reason="http_408"),
        "410": Expected(status(410), delivered=False, reason="gone", retry=False),
        "413": Expected(status(413), delivered=False, reason="http_413", retry=False),
        "422": Expected(status(422), delivered=False, reason="http_422", retry=False),
        "429": Expected(status(429, "retry-after: 7"), delivered=False, reason="http_429"),
        "500": Expected(status(500, body=b"<html>sorry</html>"), delivered=False, reason="http_500"),
        "503": Expected(status(503), delivered=False, reason="http_503"),
        "a reset": Expected(reset(), delivered=False, reason="disconnected"),
        "silence": Expected(after(60), delivered=False, reason="timeout"),
        "a status line a byte at a time": Expected(drip(b"HTTP/1.1 200 "), delivered=False, reason="timeout"),
        "HTTP/0.9": Expected(raw(b"<html>hello</html>", close=True), delivered=False, reason="not_http"),
        "garbage": Expected(raw(b"\x16\x03\x01\x00\xff\xfe\r\n\r\n", close=True), delivered=False, reason="not_http"),
        "a huge header": Expected(status(200, "x: " + "y" * 100_000), delivered=False, reason="not_http"),
        "10,000 headers": Expected(status(200, *many), delivered=False, reason="not_http"),
        "a status that is no number": Expected(raw(b"HTTP/1.1 abc OK\r\n\r\n"), delivered=False, reason="not_http"),
        "100 for ever": Expected(raw(b"HTTP/1.1 100 Continue\r\n\r\n" * 20), delivered=False, reason="timeout"),
    }


@contextlib.contextmanager
def closed_port() -> Iterator[int]:
    """A port of 127.0.0.1 on which nobody listens, and nobody else will."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield bound.getsockname()[1]
