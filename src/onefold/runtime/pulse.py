"""Whether a role without a port of its own lives and is ready: its pulse, and a small port that tells of it."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import msgspec

from onefold.clock import Clock
from onefold.errors import StorageError

ALIVE_WITHIN_S = 60.0
"""A role that has not turned for longer than this hangs, and is better started anew."""


class Pulse:
    """What a role's loop says of itself at each turn. `beat` may be called by one thread, the rest by any."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._at_s = clock.monotonic_s()
        self._trouble = "not started yet"

    def beat(self, trouble: str = "") -> None:
        """The loop has turned; `trouble`: why it could not do its work, empty where it could."""
        self._at_s = self._clock.monotonic_s()
        self._trouble = trouble

    @property
    def alive(self) -> bool:
        """The loop turns, well or not."""
        return self._clock.monotonic_s() - self._at_s < ALIVE_WITHIN_S

    @property
    def trouble(self) -> str:
        """Why it is not ready; empty where it is."""
        return self._trouble if self.alive else f"no turn for {ALIVE_WITHIN_S:.0f} s"


@contextmanager
def told(pulse: Pulse, host: str, port: int) -> Iterator[int]:
    """Answer `/healthz` and `/readyz` on this port meanwhile, 200 or 503; yields the port. 0: answer nowhere.

    Raises `StorageError` where the port is taken.
    """
    if not port:
        yield 0
        return
    try:
        server = ThreadingHTTPServer((host, port), _handler(pulse))
    except OSError as error:
        raise StorageError(f"cannot listen on {host}:{port}: {error.strerror}; choose another `health_port`") from error
    thread = threading.Thread(target=server.serve_forever, name="health", daemon=True)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _handler(pulse: Pulse) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        timeout = 5

        def do_GET(self) -> None:
            path = self.path.partition("?")[0]
            if path == "/healthz":
                self._answer(200 if pulse.alive else 503, {"status": "ok" if pulse.alive else "hangs"})
            elif path == "/readyz":
                trouble = pulse.trouble
                self._answer(503 if trouble else 200, {"ready": not trouble, "detail": trouble})
            else:
                self._answer(404, {"code": "not_found", "message": "there are /healthz and /readyz"})

        def _answer(self, status: int, body: dict[str, object]) -> None:
            text = msgspec.json.encode(body)
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name in the base class
            """Probes are not worth a line each."""

    return Handler
