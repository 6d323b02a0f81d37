"""The collector: a plain ASGI app that turns requests of existing SDKs into records of the log.

One request goes one way: may we take more, which key, read the body, inflate, decode, append, answer. A 2xx is sent
after the log has the events on disk, and never before.
"""

from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any, Literal

from onefold.clock import Clock
from onefold.collect import auth, cors, rudder, segment
from onefold.collect.answer import (
    SUCCESS,
    Answer,
    Headers,
    limited,
    not_stored,
    overloaded,
    partly,
    refusal,
    too_large,
    unauthorized,
)
from onefold.collect.committer import Committer
from onefold.collect.decode import Decoder, Intake
from onefold.collect.inflate import inflate
from onefold.collect.patience import Patience
from onefold.collect.pixel import picture
from onefold.collect.rate import Rates
from onefold.collect.record import records
from onefold.errors import Overloaded, StorageError
from onefold.model import receipt
from onefold.model.event import EventType
from onefold.ports import LogWriter
from onefold.settings import Settings

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

Kind = EventType | Literal["batch", "import"]
_KINDS: dict[str, Kind] = {
    "/v1/batch": "batch",
    "/v1/b": "batch",
    rudder.BEACON: "batch",
    "/v1/import": "import",
    **{f"/v1/{name}": kind for name, kind in segment.TYPES.items()},
}
_CONTENT_TYPES = frozenset(
    {b"", b"application/json", b"text/plain", b"text/json", b"application/octet-stream",
     b"application/x-www-form-urlencoded"}
)  # fmt: skip
"""JSON by any of these names: sendBeacon says text/plain, and RudderStack's Node SDK lets axios say that its gzipped
JSON is a form."""
_CHARSETS = frozenset({b"", b"utf-8", b"utf8", b"us-ascii"})
_NOWHERE = refusal(404, "not_found", "no such path; /docs shows the API, docs/collect.md where events go")


class Collector:
    """The collector on one log. `write_keys` and `pressure` are asked at every request, so they must cost nothing."""

    def __init__(
        self,
        log: LogWriter,
        write_keys: Callable[[], Mapping[str, str]],
        settings: Settings,
        clock: Clock,
        pressure: Callable[[], Overloaded | None],
    ) -> None:
        self._write_keys = write_keys
        self._settings = settings
        self._clock = clock
        self._pressure = pressure
        self._decoder = Decoder(settings, log.partitions)
        self._committer = Committer(log)
        self._patience = Patience(settings.body_timeout_s)
        self.rates = Rates(settings.source_events_per_s, settings.source_burst_events, clock)

    async def start(self) -> None:
        """Begin, on the running event loop."""
        self._committer.start()

    async def aclose(self) -> None:
        """Make durable what was taken, and end."""
        await self._committer.aclose()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or live through the server's lifespan."""
        if scope["type"] == "lifespan":
            await self._live(receive, send)
            return
        if scope["type"] != "http":
            return
        headers: dict[bytes, bytes] = dict(scope["headers"])
        answer = await self._answer(scope, headers, receive)
        await _send(send, answer, cors.allow(headers))

    async def _answer(self, scope: Scope, headers: Mapping[bytes, bytes], receive: Receive) -> Answer:
        method, path = scope["method"], scope["path"]
        if len(path) > 1:
            path = path.rstrip("/")
        kind = _KINDS.get(path)
        if method == "POST" and kind is not None:
            return await self._post(kind, scope["query_string"], headers, receive)
        if method == "OPTIONS":
            return cors.preflight(headers)
        if method == "GET" and kind is None:
            return await self._get(path, scope, headers)
        return _NOWHERE if kind is None else _NOT_ALLOWED

    async def _post(self, kind: Kind, query: bytes, headers: Mapping[bytes, bytes], receive: Receive) -> Answer:
        if (behind := self._pressure()) is not None:
            return overloaded(behind)
        given = auth.given_outside(headers, query)
        if (unsupported := _unsupported(headers.get(b"content-type"))) is not None:
            return unsupported
        max_bytes = self._settings.import_max_bytes if kind == "import" else self._settings.batch_max_bytes
        try:
            body = await self._patience.wait(_read(headers, receive, max_bytes))
        except TimeoutError:
            return _SLOW
        if isinstance(body, bytes) and (encoding := headers.get(b"content-encoding")) is not None:
            body = inflate(body, encoding, max_bytes)
        if isinstance(body, Answer):
            return body
        return await self._take(kind, body, given)

    async def _take(self, kind: Kind, body: bytes, given: tuple[str, ...]) -> Answer:
        if kind == "batch" or kind == "import":  # noqa: PLR1714 — so that the type checker sees what is left
            intake = self._decoder.batch(body)
        elif len(body) > self._settings.event_max_bytes:
            return too_large(f"the event has {len(body)} bytes; {self._settings.event_max_bytes} are allowed")
        else:
            intake = self._decoder.single(body, kind)
        if isinstance(intake, Answer):
            return intake
        given += intake.write_keys
        source = auth.source(self._write_keys(), given)
        if source is None:
            return unauthorized(key_given=bool(given))
        return await self._store(intake, source)

    async def _store(self, intake: Intake, source: str) -> Answer:
        if wait_s := self.rates.take(source, intake.accepted + len(intake.rejected)):
            return limited(wait_s)
        stored = records(intake, source, self._clock.now_ms())
        try:
            lasts = await self._committer.append(stored)
        except Overloaded as error:
            return overloaded(error)
        except StorageError as error:
            return not_stored(error)
        answer = partly(intake.accepted, intake.rejected) if intake.rejected else SUCCESS
        return Answer(answer.status, answer.body, ((receipt.HEADER, receipt.issue(stored, lasts)),))

    async def _get(self, path: str, scope: Scope, headers: Mapping[bytes, bytes]) -> Answer:
        query: bytes = scope["query_string"]
        if path.startswith((segment.PIXEL, rudder.PIXEL)):
            return picture(await self._pixel(path, query, headers))
        if (key := segment.settings_key(path)) is not None:
            if key not in self._write_keys():
                return unauthorized(key_given=True)
            return segment.settings_document(key, *segment.reached_at(headers, scope.get("scheme", "http")))
        if path in rudder.SOURCE_CONFIG:
            return self._source_config(auth.given_outside(headers, query))
        return _NOWHERE

    async def _pixel(self, path: str, query: bytes, headers: Mapping[bytes, bytes]) -> Answer:
        kind = segment.TYPES.get(path.rpartition("/")[2])
        if kind is None or path.count("/") != 3:
            return _NOWHERE
        if (behind := self._pressure()) is not None:
            return overloaded(behind)
        body = segment.pixel_body(query) if path.startswith(segment.PIXEL) else rudder.pixel_body(query)
        return body if isinstance(body, Answer) else await self._take(kind, body, auth.given_outside(headers, query))

    def _source_config(self, given: tuple[str, ...]) -> Answer:
        keys = self._write_keys()
        for key in given:
            if key in keys:
                return rudder.source_config(key, keys[key])
        return unauthorized(key_given=bool(given))

    async def _live(self, receive: Receive, send: Send) -> None:
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                await self.start()
                await send({"type": "lifespan.startup.complete"})
            else:
                await self.aclose()
                await send({"type": "lifespan.shutdown.complete"})
                return


_NOT_ALLOWED = refusal(405, "method_not_allowed", "send events with POST", ((b"allow", b"POST, OPTIONS"),))
_SLOW = refusal(408, "timeout", "the body took too long to come", ((b"connection", b"close"),))
_CUT = refusal(400, "invalid_json", "invalid json: the connection ended before the body did")


def _unsupported(content_type: bytes | None) -> Answer | None:
    if content_type is None or content_type == b"application/json":
        return None
    kind, *parameters = content_type.lower().split(b";")
    if kind.strip() not in _CONTENT_TYPES:
        return refusal(415, "unsupported_content_type", "Content-Type: send application/json or text/plain")
    for parameter in parameters:
        name, _, value = parameter.strip().partition(b"=")
        if name == b"charset" and value.strip(b'" ') not in _CHARSETS:
            return refusal(415, "unsupported_content_type", "charset: send UTF-8")
    return None


async def _read(headers: Mapping[bytes, bytes], receive: Receive, max_bytes: int) -> bytes | Answer:
    """The body, refused as soon as it is known to be too large: by its own word, or while it comes."""
    declared = headers.get(b"content-length", b"")
    expected = int(declared[:20]) if declared.isdigit() else -1
    if expected > max_bytes:
        return too_large(f"{expected} bytes; {max_bytes} are allowed")
    message = await receive()
    body: bytes = message.get("body", b"")
    while message.get("more_body") and len(body) != expected and len(body) <= max_bytes:
        message = await receive()
        body += message.get("body", b"")
    if message["type"] == "http.disconnect":
        return _CUT
    return too_large(f"more than {max_bytes} bytes") if len(body) > max_bytes else body


async def _send(send: Send, answer: Answer, extra: Headers) -> None:
    status, body, headers, content_type = answer
    await send(
        {
            "type": "http.response.start",
            "status": status,
            "headers": [
                (b"content-type", content_type),
                (b"content-length", b"%d" % len(body)),
                *headers,
                *extra,
            ],
        }
    )
    await send({"type": "http.response.body", "body": body})
