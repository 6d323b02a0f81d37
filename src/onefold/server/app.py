"""The http role: collect and the API on one port, as one ASGI app.

The app sends collect's paths to the collector, answers the one hot route of the API itself, and leaves the rest to
Litestar. It routes the API by the raw path: a %2F within an identifier parts nothing.
"""

import asyncio
import contextlib
import gc
import resource
import signal
from collections.abc import Callable, MutableMapping
from typing import Any

import msgspec
import structlog
import uvloop
from granian.constants import HTTPModes, Interfaces
from granian.http import HTTP1Settings
from granian.server.embed import Server
from litestar import Litestar
from litestar.datastructures import State as AppState
from litestar.di import Provide
from litestar.openapi.config import OpenAPIConfig
from litestar.openapi.spec import Components, SecurityScheme

import onefold
from onefold.clock import SystemClock
from onefold.collect.app import Collector
from onefold.errors import NotFoundError, OnefoldError
from onefold.limits import API_BODY_MAX_BYTES, CONNECTIONS_MAX, HEADER_TIMEOUT_MS, TAIL_SEND_TIMEOUT_S
from onefold.ports import LogWriter, State
from onefold.runtime.identity.proposed import Proposed
from onefold.runtime.past.archive import Archive
from onefold.runtime.ruling import begin, rules_of
from onefold.runtime.supervisor import url
from onefold.server import pages, refusals
from onefold.server.audiences import audience_export, audiences
from onefold.server.audiences.export_formats import FORMATS
from onefold.server.auth import Keyring, guard
from onefold.server.defining import backfill, definitions, preview
from onefold.server.engines import Engines, InForce
from onefold.server.identity import history as identity_history
from onefold.server.identity import household, reresolve, reviews, unmerge, what_if
from onefold.server.identity import picture as identity_picture
from onefold.server.identity import said as identity
from onefold.server.identity import why as identity_why
from onefold.server.operating import deliveries, events, health, keys, metrics, quarantine, sources
from onefold.server.operating.pressure import Pressure
from onefold.server.operating.tail import Tail
from onefold.server.operating.traffic import Receive, Send, Traffic
from onefold.server.people import accounts, profile_batch, profile_changes, profiles, why
from onefold.server.people.arrivals import Arrivals
from onefold.server.route import known_parameters
from onefold.settings import Settings
from onefold.storage.place import Place

BACKLOG = 1_024
"""Connections that wait to be accepted."""
_OTHER_FILES = 256
"""Files that are no connections: databases, their locks, streams."""
WATCH_S = 0.5
"""How often keys, disk and lag are looked at: a revoked key works no longer than this."""

ROUTERS = (
    accounts.router,
    audience_export.router,
    audiences.router,
    backfill.router,
    definitions.router,
    deliveries.router,
    events.router,
    health.router,
    household.counts,
    household.router,
    identity.router,
    identity_history.router,
    identity_picture.router,
    identity_why.router,
    keys.router,
    metrics.router,
    profile_batch.router,
    profile_changes.router,
    preview.router,
    profiles.router,
    quarantine.router,
    reviews.router,
    sources.router,
    reresolve.router,
    unmerge.router,
    what_if.router,
    why.router,
)

HEALTH = (health.router, metrics.router)
"""What each role with a port answers."""

_PROFILES = b"/v1/profiles/"
_TAIL = b"/v1/events/tail"
_STREAMS = (b"/changes", *(f"/export.{name}".encode() for name in FORMATS))
_JSON = (b"content-type", b"application/json")
_CACHING = (b"cache-control", profiles.CACHING.encode())
_API = (b"/v1/accounts", b"/v1/profiles", b"/v1/audiences", b"/v1/events", b"/v1/sources", b"/v1/keys",
        b"/v1/definitions", b"/v1/quarantine", b"/v1/identity", b"/v1/deliveries")  # fmt: skip
_HEALTH = (b"/metrics", b"/healthz", b"/readyz")

_log = structlog.get_logger()

Scope = MutableMapping[str, Any]


class Onefold:
    """The ASGI app of the roles with a port. `keyring` and `pressure` are what it shares with collect."""

    def __init__(
        self, engines: Engines, keyring: Keyring, pressure: Pressure, collect: Collector | None, *, answers: bool = True
    ) -> None:
        """`answers`: with the API; without it only health and metrics are there, and collect."""
        self._engines = engines
        self._in_force = InForce(engines)
        self.keyring = keyring
        self._pressure = pressure
        self._tail = Tail(engines.state)
        self._arrivals = Arrivals(engines.log, engines.state)
        self._collect = collect
        self._traffic = Traffic(collect, collect.rates.limited) if collect is not None else None
        self._answers = answers
        self.api = litestar(engines, keyring, (self._tail, self._arrivals), self._traffic, answers=answers)
        self._pages: dict[bytes, tuple[bytes, bytes]] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or live through the server's lifespan."""
        if scope["type"] == "lifespan":
            await self._live(receive, send)
            return
        if scope["type"] != "http":
            return
        raw: bytes = scope.get("raw_path") or scope["path"].encode()
        raw = raw.partition(b"?")[0]
        if raw in _HEALTH:
            await self.api({**scope, "path": raw.decode("latin-1")}, receive, send)  # type: ignore[arg-type]
        elif not self._answers:
            await self._take(scope, receive, send)
        elif raw.startswith(_PROFILES) and scope["method"] == "GET" and b"/" not in raw[len(_PROFILES) :]:
            await self._profile(scope, raw, send)
        elif raw.startswith(_API):
            send = _impatient(send) if raw.startswith(_TAIL) or raw.endswith(_STREAMS) else send
            await self.api({**scope, "path": raw.decode("latin-1")}, receive, send)  # type: ignore[arg-type]
        elif raw in {b"/", b"/docs", b"/openapi.json"} and scope["method"] in {"GET", "HEAD"}:
            await self._page(scope, raw, send)
        else:
            await self._take(scope, receive, send)

    def close(self) -> None:
        """End the streams, so that the server can stop."""
        self._tail.close()
        self._arrivals.close()

    async def _take(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._traffic is not None:
            await self._traffic(scope, receive, send)
        else:
            await _answer(send, 404, _NOWHERE, ())

    async def _profile(self, scope: Scope, raw: bytes, send: Send) -> None:
        try:
            self.keyring.require(_header(scope, b"authorization"), profiles.SCOPE)
            name = raw[len(_PROFILES) :].decode("latin-1")
            asked = profiles.asked(scope["query_string"])
            if asked.after:
                await self._arrivals.reached(asked.after)
            if self._engines.state.local and "provenance" not in asked.include and not asked.as_of:
                body = self._read(name, asked)
            else:
                body = await asyncio.to_thread(self._read, name, asked)
        except OnefoldError as error:
            refusal = refusals.of(error)
            headers = [(name.encode(), value.encode()) for name, value in refusal.headers.items()]
            await _answer(send, refusal.status, msgspec.json.encode(refusal.problem), headers)
        else:
            tag = profiles.etag(body)
            headers = [(b"etag", tag.encode()), _CACHING]
            if (known := _header(scope, b"if-none-match")) is not None and profiles.is_known(known, tag):
                await _answer(send, 304, None, headers)
            else:
                await _answer(send, 200, body, headers)

    def _read(self, name: str, asked: profiles.Asked) -> bytes:
        return profiles.read_profile(self._engines, self._in_force.rules(), name, asked)

    async def _page(self, scope: Scope, raw: bytes, send: Send) -> None:
        if raw not in self._pages:
            document, base = self.api.openapi_schema.to_schema(), url(self._engines.settings)
            self._pages = {
                b"/": (b"text/html; charset=utf-8", pages.landing(onefold.__version__, base)),
                b"/docs": (b"text/html; charset=utf-8", pages.reference(document, base)),
                b"/openapi.json": (b"application/json", msgspec.json.encode(document)),
            }
        kind, body = self._pages[raw]
        headers = [
            (b"content-type", kind),
            (b"content-length", str(len(body)).encode()),
            (b"content-security-policy", pages.POLICY.encode()),
            (b"x-content-type-options", b"nosniff"),
            (b"referrer-policy", b"no-referrer"),
        ]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})

    async def _live(self, receive: Receive, send: Send) -> None:
        tasks: list[asyncio.Task[None]] = []
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                self._pressure.check()
                if self._collect is not None:
                    await self._collect.start()
                tasks = [asyncio.create_task(self._watch()), asyncio.create_task(self._tail.run())]
                await send({"type": "lifespan.startup.complete"})
            else:
                self.close()
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
                if self._collect is not None:
                    await self._collect.aclose()
                await send({"type": "lifespan.shutdown.complete"})
                return

    async def _watch(self) -> None:
        while True:
            try:
                await asyncio.to_thread(self._pressure.check)
                await asyncio.to_thread(self.keyring.refresh)
            except OnefoldError as error:
                _log.warning("cannot look at keys and pressure", code=error.code, reason=str(error))
            await asyncio.sleep(WATCH_S)


def litestar(
    engines: Engines, keyring: Keyring, news: tuple[Tail, Arrivals], traffic: Traffic | None, *, answers: bool = True
) -> Litestar:
    """The API as Litestar knows it: every route, guarded, with one shape of error; without `answers`, health alone.

    `news`: what routes that wait for news wait at.
    """
    tail, arrivals = news
    shared = {"keyring": keyring, "traffic": traffic, "answers": answers, "exports": audience_export.Exports()}
    return Litestar(
        route_handlers=list(ROUTERS if answers else HEALTH),
        guards=[guard, known_parameters],
        dependencies={
            "engines": Provide(lambda: engines, sync_to_thread=False),
            "tail": Provide(lambda: tail, sync_to_thread=False),
            "arrivals": Provide(lambda: arrivals, sync_to_thread=False),
        },
        exception_handlers={Exception: refusals.answer},
        state=AppState(shared, deep_copy=False),
        request_max_body_size=API_BODY_MAX_BYTES,
        logging_config=None,
        openapi_config=OpenAPIConfig(
            title="Onefold API",
            version=onefold.__version__,
            description=(
                "Profiles, audiences, the live tail, sources, keys, definitions, quarantine and deliveries "
                "of one workspace. Events are sent to the same host with a write key: `POST /v1/track`, `/v1/batch` "
                "and the others of Segment's protocol.\n\n"
                "Send a secret key as `Authorization: Bearer sk_…`, or by Basic with the key as the user name. "
                "Refusals are a code and a message; times are RFC 3339 in UTC with milliseconds."
            ),
            components=Components(
                security_schemes={
                    "bearer": SecurityScheme(type="http", scheme="bearer"),
                    "basic": SecurityScheme(type="http", scheme="basic"),
                }
            ),
            security=[{"bearer": []}, {"basic": []}],
        ),
    )


def build(
    engines: Engines, collect: Callable[[Keyring, Pressure], Collector] | None = None, *, answers: bool = True
) -> Onefold:
    """The app. `collect` makes the collector from what it shares with the API; `answers`: with the API."""
    keyring = Keyring(engines.catalog)
    pressure = Pressure(engines)
    return Onefold(engines, keyring, pressure, collect(keyring, pressure) if collect else None, answers=answers)


def run(settings: Settings) -> None:
    """Be the http role, collect and API on one port: serve until SIGTERM, let requests end, and close.

    Any number of these processes may share a port: the server listens with SO_REUSEPORT. Raises `TooNew`,
    `StorageError` and their kin where the engines cannot be opened.
    """
    _run(settings, collects=True, answers=True)


def run_collect(settings: Settings) -> None:
    """Be the collect role, as `run` without the API."""
    _run(settings, collects=True, answers=False)


def run_api(settings: Settings) -> None:
    """Be the API's role, as `run` without collect."""
    _run(settings, collects=False, answers=True)


def _run(settings: Settings, *, collects: bool, answers: bool) -> None:
    with contextlib.ExitStack() as stack:
        engines, writer = _open(settings, stack)

        def collect(keyring: Keyring, pressure: Pressure) -> Collector:
            return Collector(writer, keyring.write_keys, settings, engines.clock, pressure)

        app = build(engines, collect if collects else None, answers=answers)
        # What is here now stays: a full collection that went through it would hold every request up for some 25 ms.
        gc.freeze()
        uvloop.run(_serve(app, settings))


async def _serve(app: Onefold, settings: Settings) -> None:
    server = Server(
        app,
        address=settings.host,
        port=settings.port,
        interface=Interfaces.ASGI,
        backlog=BACKLOG,
        backpressure=_connections(),
        http1_settings=HTTP1Settings(header_read_timeout=HEADER_TIMEOUT_MS),
        http=HTTPModes.http1,
        websockets=False,
        log_enabled=False,
    )
    loop = asyncio.get_running_loop()

    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, _stop, app, server)
    await server.serve()


def _connections() -> int:
    """How many connections this process may hold; it first asks for as many open files as it is allowed."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    files = hard if hard != resource.RLIM_INFINITY else 2 * CONNECTIONS_MAX
    resource.setrlimit(resource.RLIMIT_NOFILE, (files, hard))
    return max(64, min(CONNECTIONS_MAX, files - _OTHER_FILES))


def _stop(app: Onefold, server: Any) -> None:
    """End the endless streams, then let the server finish the requests that it has."""
    app.close()
    server.stop()


def _open(settings: Settings, stack: contextlib.ExitStack) -> tuple[Engines, LogWriter]:
    """Open every engine; what is missing is made where this process comes first."""
    place, clock = Place.open(settings), SystemClock()
    catalog = stack.enter_context(contextlib.closing(place.catalog(clock)))
    writer = stack.enter_context(contextlib.closing(place.log_writer(clock)))
    reader = stack.enter_context(contextlib.closing(place.log_reader()))
    state = stack.enter_context(contextlib.closing(_open_state(place)))
    begin(reader, writer, rules_of(settings), clock)
    store = stack.enter_context(contextlib.closing(place.deliveries(clock=clock)))
    archive = stack.enter_context(contextlib.closing(Archive(place)))
    proposed = stack.enter_context(contextlib.closing(Proposed(place, clock)))
    return Engines(settings, clock, place, catalog, reader, state, store, writer, archive, proposed), writer


def _open_state(place: Place) -> State:
    try:
        return place.state(readonly=True)
    except NotFoundError:
        place.state().close()
        return place.state(readonly=True)


_NOWHERE = msgspec.json.encode(refusals.Problem("not_found", "Not Found"))


async def _answer(send: Send, status: int, body: bytes | None, headers: Any) -> None:
    content = () if body is None else (_JSON, (b"content-length", str(len(body)).encode()))
    await send({"type": "http.response.start", "status": status, "headers": [*content, *headers]})
    await send({"type": "http.response.body", "body": body or b""})


def _impatient(send: Send) -> Send:
    """The server does not notice that a reader is gone while it waits for it to take more."""

    async def send_or_give_up(message: MutableMapping[str, Any]) -> None:
        async with asyncio.timeout(TAIL_SEND_TIMEOUT_S):
            await send(message)

    return send_or_give_up


def _header(scope: Scope, wanted: bytes) -> str | None:
    for name, value in scope["headers"]:
        if name == wanted:
            return str(value.decode("latin-1"))
    return None
