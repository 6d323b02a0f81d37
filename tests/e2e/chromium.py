"""A visitor's browser: headless Chromium with a profile of its own, and the web site that it visits."""

import json
import queue
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Self

WAIT_S = 30.0
_NAMES = ("chromium", "chromium-browser", "google-chrome")
_TYPES = {".html": "text/html; charset=utf-8", ".js": "text/javascript; charset=utf-8"}


def unavailable() -> str:
    """Why nothing can be shown here; empty where it can."""
    return "" if _binary() else "needs Chromium; `make test-services` installs it where it may"


class _Server(ThreadingHTTPServer):
    """A page that goes away does not read its answers to the end."""

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class Site:
    """A web site on a port of this machine, of another origin (`localhost`) than the platform (127.0.0.1).

    A page may `POST /happened` a JSON object, which `happened` returns, and `GET /wait` until `go_on`.
    """

    def __init__(self, pages: Mapping[str, str], folders: Mapping[str, Path], policy: str) -> None:
        """Serve `pages`, path → HTML, and below each path of `folders` its files, all under a content policy."""
        self._pages = pages
        self._folders = folders
        self.policy = policy
        self._told: queue.Queue[dict[str, Any]] = queue.Queue()
        self._turns = threading.Semaphore(0)
        self._server = _Server(("127.0.0.1", 0), type("Bound", (_Answers,), {"site": self}))
        self._server.daemon_threads = True
        self.url = f"http://localhost:{self._server.server_port}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._server.shutdown()
        self._server.server_close()

    def happened(self) -> dict[str, Any]:
        """What a page tells next. Raises `queue.Empty` where none does in time."""
        return self._told.get(timeout=WAIT_S)

    def go_on(self) -> None:
        """Answer one `GET /wait`, also one that is still to come."""
        self._turns.release()

    def told(self, what: dict[str, Any]) -> None:
        """A page has told something."""
        self._told.put(what)

    def wait(self) -> None:
        """Return when a page may go on, or when it has waited in vain."""
        self._turns.acquire(timeout=WAIT_S)

    def file(self, path: str) -> tuple[str, bytes] | None:
        """Content type and bytes of what lies at a path."""
        if (page := self._pages.get(path)) is not None:
            return _TYPES[".html"], page.encode()
        for prefix, folder in self._folders.items():
            found = folder / path.removeprefix(prefix)
            if path.startswith(prefix) and found.is_file():
                return _TYPES.get(found.suffix, "application/octet-stream"), found.read_bytes()
        return None


class Chromium:
    """Headless Chromium on one page, which it may leave for others; ended with all of its windows on leaving."""

    def __init__(self, url: str) -> None:
        self._profile = tempfile.TemporaryDirectory(prefix="onefold-chromium-", ignore_cleanup_errors=True)
        self._said = tempfile.TemporaryFile(mode="w+")  # noqa: SIM115 — lives as long as the browser
        binary = _binary()
        assert binary, unavailable()
        flags = [
            "--headless=new",
            "--no-sandbox",  # the pages are ours, and a container often allows no sandbox
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--disable-background-networking",
            "--disable-popup-blocking",
            "--no-first-run",
            "--no-proxy-server",
            "--enable-logging=stderr",
            f"--user-data-dir={self._profile.name}",
        ]
        self._command = [binary, *flags, url]
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(self._command, stdout=self._said, stderr=self._said, text=True)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        assert self._process is not None
        self._process.terminate()
        self._process.wait(WAIT_S)
        if error is not None:
            error.add_note("\n".join(self.console()))
        self._said.close()
        self._profile.cleanup()

    def console(self) -> list[str]:
        """What pages wrote to the console so far."""
        self._said.seek(0)
        return [line.strip() for line in self._said if ":CONSOLE" in line]


class _Answers(BaseHTTPRequestHandler):
    """Answers one connection to a site."""

    site: Site
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if path == "/wait":
            self.site.wait()
            self._answer(204, "text/plain", b"")
        elif (found := self.site.file(path)) is not None:
            self._answer(200, *found)
        else:
            self._answer(404, "text/plain", b"")

    def do_POST(self) -> None:
        self.site.told(json.loads(self.rfile.read(int(self.headers["content-length"]))))
        self._answer(204, "text/plain", b"")

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 — the library's name
        """Say nothing."""

    def _answer(self, status: int, kind: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Content-Security-Policy", self.site.policy)
        self.end_headers()
        self.wfile.write(body)


def _binary() -> str | None:
    return next((found for name in _NAMES if (found := shutil.which(name))), None)
