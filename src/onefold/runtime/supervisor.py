"""`onefold serve`: one process that starts the roles, restarts those that die, and stops them all together.

Each role is a process of its own (`python -m onefold.runtime.role NAME`). The supervisor writes the settings as one
JSON line to a role's stdin and keeps that pipe open for as long as it lives: a role that reads the end of it knows that
its supervisor is gone, however it went, and stops too. Nothing is lost when a role dies, because every hand-over
lies in the log or in the state; so the supervisor only ever starts it again.
"""

import asyncio
import contextlib
import errno
import fcntl
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO, Any, NamedTuple

import msgspec
import structlog
from msgspec import Struct

from onefold.clock import Clock, SystemClock
from onefold.errors import StorageError
from onefold.runtime import logs
from onefold.runtime.ruling import begin_log
from onefold.settings import Settings
from onefold.storage.directory import DataDirectory
from onefold.storage.place import Place

LOCK_FILE = "serve.lock"
STOP_WITHIN_S = 10.0
"""How long roles have to stop by themselves before they are killed."""
RESTART_FIRST_S = 0.2
RESTART_MAX_S = 10.0
HEALTHY_AFTER_S = 30.0
"""A role that lived this long is restarted at once again when it dies."""
ORPHANS_WITHIN_S = STOP_WITHIN_S + 5.0
"""How long the next `serve` waits for the port, where the one before was killed and its roles have yet to end."""
_PORT_POLL_S = 0.05
READY_WITHIN_S = 30.0
EXIT_SETTINGS = 2
"""A role that ends with this code cannot work with these settings: no restart will help."""

log = structlog.get_logger()


class Role(NamedTuple):
    """A process to keep alive: what it is called, and how it is started."""

    name: str
    command: Sequence[str]


class Running(Struct):
    """What the lock file of a served data directory says."""

    pid: int
    url: str


class FirstKeys(NamedTuple):
    """What the first start made; the secret key is shown this once."""

    write_key: str
    secret_key: str


def serve(settings: Settings, announce: Callable[[Settings, FirstKeys | None], None]) -> int:
    """Run the platform until SIGTERM or SIGINT; the exit code. `announce` is called once it answers.

    Raises `StorageError` where another process serves this directory or the port is taken.
    """
    logs.configure(settings.log_level, role="serve")
    place = Place.open(settings)
    with lock(settings, DataDirectory.open(settings.data).path) as held:
        begin_log(place, SystemClock())
        keys = first_run(place, SystemClock())
        return asyncio.run(_serve(held, lambda: announce(held, keys)))


def first_run(place: Place, clock: Clock) -> FirstKeys | None:
    """Make the source `default` and the secret key `admin` in an empty catalog; None where there are some."""
    catalog = place.catalog(clock)
    try:
        made = catalog.bootstrap()
    finally:
        catalog.close()
    return FirstKeys(*made) if made else None


@contextlib.contextmanager
def lock(settings: Settings, data: Path) -> Iterator[Settings]:
    """Hold the data directory against a second `serve`; yields the settings with the port that is really used."""
    with (data / LOCK_FILE).open("a+") as file:
        if not _lock(file):
            other = running(data)
            who = f"process {other.pid} at {other.url}" if other else "another process"
            raise StorageError(f"{data} is already served by {who}; stop it first, or choose another --data")
        within_s = ORPHANS_WITHIN_S if _left_behind(file) else 0.0
        settings = msgspec.structs.replace(settings, port=_free_port(settings.host, settings.port, within_s))
        file.truncate(0)
        file.write(msgspec.json.encode(Running(os.getpid(), url(settings))).decode())
        file.flush()
        try:
            yield settings
        finally:
            file.truncate(0)


def running(data: Path) -> Running | None:
    """Who serves this data directory now, if anyone does."""
    try:
        with (data / LOCK_FILE).open("rb") as file:
            if _lock(file, fcntl.LOCK_SH):
                return None
            return msgspec.json.decode(file.read(), type=Running)
    except (OSError, msgspec.MsgspecError):
        return None


def url(settings: Settings) -> str:
    """Where a client on this machine finds the platform."""
    host = "127.0.0.1" if settings.host in ("0.0.0.0", "", "::") else settings.host  # noqa: S104 - compared, not bound
    return f"http://[{host}]:{settings.port}" if ":" in host else f"http://{host}:{settings.port}"


def roles(settings: Settings) -> list[Role]:
    """All the processes that these settings ask for."""

    def role(name: str, index: int) -> Role:
        return Role(f"{name}-{index}", (sys.executable, "-m", "onefold.runtime.role", name, "--index", str(index)))

    return [
        *(role("http", index) for index in range(settings.collectors)),
        *(role("worker", index) for index in range(settings.workers)),
        role("deliver", 0),
        *([role("history", 0)] if settings.keeps_history else []),
        *([role("match", 0)] if settings.matching else []),
    ]


class Supervisor:
    """Keeps roles alive until it is told to stop."""

    def __init__(self, roles: Sequence[Role], first_line: bytes, stop_within_s: float = STOP_WITHIN_S) -> None:
        """`first_line` is what every role reads first from its stdin."""
        self._roles = roles
        self._first_line = first_line
        self._stop_within_s = stop_within_s
        self._stopping = asyncio.Event()
        self._exit_code = 0
        self._children: dict[str, asyncio.subprocess.Process] = {}
        self.starts: asyncio.Queue[tuple[str, int]] = asyncio.Queue()
        """(role, process id), for whoever wants to follow."""

    def stop(self) -> None:
        """Stop all roles gracefully; told a second time, at once."""
        if self._stopping.is_set():
            self._signal_all(signal.SIGKILL)
        self._stopping.set()

    async def run(self) -> int:
        """Keep the roles alive until `stop`; 0, or the code of a role that cannot work with its settings."""
        keepers = [asyncio.create_task(self._keep(role)) for role in self._roles]
        await self._stopping.wait()
        self._signal_all(signal.SIGTERM)
        _, late = await asyncio.wait(keepers, timeout=self._stop_within_s)
        if late:
            log.warning("killing roles that did not stop", roles=sorted(self._children))
            self._signal_all(signal.SIGKILL)
            self._exit_code = self._exit_code or 1
        await asyncio.gather(*keepers)
        return self._exit_code

    async def _keep(self, role: Role) -> None:
        loop = asyncio.get_running_loop()
        wait_s = RESTART_FIRST_S
        while not self._stopping.is_set():
            since = loop.time()
            code = await self._run_once(role)
            if self._stopping.is_set():
                return
            if code == EXIT_SETTINGS:
                log.error("a role cannot work with these settings; stopping", name=role.name)
                self._exit_code = code
                self._stopping.set()
                return
            wait_s = RESTART_FIRST_S if loop.time() - since > HEALTHY_AFTER_S else wait_s
            log.error("role died, restarting", name=role.name, exit=_how(code), wait_s=wait_s)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), wait_s)
            wait_s = min(RESTART_MAX_S, wait_s * 2)

    async def _run_once(self, role: Role) -> int:
        child = await asyncio.create_subprocess_exec(
            *role.command, stdin=asyncio.subprocess.PIPE, start_new_session=True
        )
        self._children[role.name] = child
        self.starts.put_nowait((role.name, child.pid))
        log.debug("role started", name=role.name, pid=child.pid)
        if self._stopping.is_set():
            child.terminate()
        assert child.stdin is not None
        with contextlib.suppress(ConnectionError):
            child.stdin.write(self._first_line)
            await child.stdin.drain()
        try:
            return await child.wait()
        finally:
            del self._children[role.name]

    def _signal_all(self, number: signal.Signals) -> None:
        for child in self._children.values():
            with contextlib.suppress(ProcessLookupError):
                child.send_signal(number)


def adopt() -> Settings:
    """In a role: read the settings from the supervisor's pipe, and end when that pipe does.

    On the end of the pipe the process sends itself SIGTERM, and kills itself should that not end it in time.
    """
    line = b""
    while not line.endswith(b"\n"):
        if not (byte := os.read(0, 1)):
            raise StorageError("the supervisor went away before it said what to do")
        line += byte
    settings = decode_settings(line)
    threading.Thread(target=_watch, name="supervisor-watch", daemon=True).start()
    return settings


def encode_settings(settings: Settings) -> bytes:
    """Settings as the one line that a role reads first."""
    return msgspec.json.encode(settings, enc_hook=str) + b"\n"


def decode_settings(line: bytes) -> Settings:
    """Settings from such a line."""
    return msgspec.json.decode(line, type=Settings, dec_hook=lambda kind, value: kind(value))


def _watch() -> None:
    while os.read(0, 4096):
        pass
    os.kill(os.getpid(), signal.SIGTERM)
    threading.Event().wait(STOP_WITHIN_S)
    os._exit(1)


def _with_names(settings: Settings) -> Settings:
    """A name for its workers: theirs while this supervisor runs, and nobody else's."""
    name = settings.worker_name or f"serve-{SystemClock().random_bytes(8).hex()}"
    return msgspec.structs.replace(settings, worker_name=name)


async def _serve(settings: Settings, announce: Callable[[], None]) -> int:
    supervisor = Supervisor(roles(settings), encode_settings(_with_names(settings)))
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        loop.add_signal_handler(number, supervisor.stop)
    announcing = asyncio.create_task(_announce(settings, announce))
    try:
        return await supervisor.run()
    finally:
        announcing.cancel()


async def _announce(settings: Settings, announce: Callable[[], None]) -> None:
    loop = asyncio.get_running_loop()
    until = loop.time() + READY_WITHIN_S
    while not await _answers(settings):
        if loop.time() > until:
            log.error("the platform does not answer yet", url=url(settings), waited_s=READY_WITHIN_S)
            until = loop.time() + READY_WITHIN_S
        await asyncio.sleep(0.05)
    announce()


async def _answers(settings: Settings) -> bool:
    host = "127.0.0.1" if settings.host in ("0.0.0.0", "") else settings.host  # noqa: S104 - compared, not bound
    try:
        reader, writer = await asyncio.open_connection(host, settings.port)
        writer.write(f"GET /readyz HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
        status = await asyncio.wait_for(reader.readline(), 2)
        writer.close()
    except (OSError, TimeoutError):
        return False
    return b" 200 " in status


def _free_port(host: str, port: int, within_s: float) -> int:
    """`port` once nobody has it, or any free one for 0. Raises `StorageError` where somebody still has it then."""
    deadline_s = time.monotonic() + within_s
    while True:
        try:
            return _probe(host, port)
        except OSError as error:
            if error.errno != errno.EADDRINUSE or time.monotonic() >= deadline_s:
                raise StorageError(
                    f"cannot listen on {host}:{port}: {error.strerror}; choose another --port (0: any free one) "
                    "or --host"
                ) from error
        time.sleep(_PORT_POLL_S)


def _probe(host: str, port: int) -> int:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind((host, port))
        return int(probe.getsockname()[1])


def _left_behind(file: IO[Any]) -> bool:
    """Whether the last `serve` was killed: one that ends by itself leaves the lock file empty."""
    file.seek(0)
    return bool(file.read())


def _lock(file: IO[Any], kind: int = fcntl.LOCK_EX) -> bool:
    """Whether the lock was free. Tried three times, because `running` holds it for an instant when it asks."""
    for _ in range(3):
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(file, kind | fcntl.LOCK_NB)
            return True
        time.sleep(0.02)
    return False


def _how(code: int) -> str:
    return f"signal {signal.Signals(-code).name}" if code < 0 else f"code {code}"
