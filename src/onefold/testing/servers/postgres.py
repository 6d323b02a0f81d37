"""A real PostgreSQL for tests and measurements: as users run it, fsync and all, in a directory of its own.

Needs the server's programs (Debian: `apt install postgresql`) and, for `create_database`, `onefold[postgres]`.
It can be killed, paused and restarted as a machine under it would do. PostgreSQL refuses to run as root: root runs it
as the user `postgres`, which the package makes.
"""

import atexit
import ctypes
import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from onefold.errors import SettingsError, StorageError

if TYPE_CHECKING:
    from onefold.testing.servers.certificates import Authority

PROGRAMS = ("initdb", "postgres")
USER = "onefold"
"""Owns the databases, and is no superuser: the product needs none."""
BEARER = "bearer"
"""Comes by a certificate of that name, where there is TLS, and without a password."""
START_S = 60.0
"""A start after a kill replays the WAL first."""
_LOG_LINES = 20
_SETTINGS: Mapping[str, str] = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "dynamic_shared_memory_type": "mmap",  # its files lie in the data directory and go with it, also after a kill
    "max_connections": "100",
    "log_line_prefix": "%m [%p] %a ",
}
"""Only what a test needs; durability is as it comes, which is all of it."""
_HBA = f"""
hostssl all {BEARER} 127.0.0.1/32 cert
hostssl all all 127.0.0.1/32 scram-sha-256
"""
"""Where there is TLS, nobody comes without."""
_GUARD = """
read -r _
pid=$(head -n 1 "$1/data/postmaster.pid")
if [ "$(readlink "/proc/$pid/cwd")" = "$1/data" ]; then
    kill -CONT "$pid"
    kill -QUIT "$pid"
    while [ "$(readlink "/proc/$pid/cwd")" = "$1/data" ]; do sleep 0.05; done
fi
rm -rf "$1"
"""
"""Waits for the end of who made a server, then ends the server, whose own children it kills, and removes its data."""


def find_programs() -> dict[str, str]:
    """Program → its path. Raises `SettingsError` with what to install where one is missing."""
    found = {name: path for name in PROGRAMS if (path := _find(name))}
    if missing := [name for name in PROGRAMS if name not in found]:
        raise SettingsError(
            f"PostgreSQL's {' and '.join(missing)} cannot be found in PATH, in `pg_config --bindir` or in "
            "/usr/lib/postgresql: install the server (Debian: apt install postgresql)"
        )
    return found


class PostgresServer:
    """One server. Usable as a context manager; what was not closed is closed when the process ends."""

    def __init__(self, settings: Mapping[str, str] | None = None, authority: "Authority | None" = None) -> None:
        """Make the data directory; `settings` are those of postgresql.conf. `start` starts it.

        With an authority it speaks TLS only, with a certificate for `localhost`, and takes those of clients.
        """
        self._programs = find_programs()
        self._settings = {**_SETTINGS, **(settings or {})}
        self._password = secrets.token_hex(16)
        self._process: subprocess.Popen[bytes] | None = None
        self._databases = 0
        self.port = 0
        self._home = Path(tempfile.mkdtemp(prefix="onefold-postgres-"))
        self._guard = _guard(self._home)
        atexit.register(self.close)
        self._as_user: dict[str, Any] = _other_user(self._home)
        self.data = self._home / "data"
        self.log = self._home / "log"
        self._init()
        if authority is not None:
            self._secure(authority)

    def __enter__(self) -> Self:
        """Start it."""
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop and remove it."""
        self.close()

    @property
    def url(self) -> str:
        """The database `postgres` of this server, as the superuser."""
        return self._url("postgres", "postgres")

    @property
    def pids(self) -> list[int]:
        """The server's processes, the one that starts all others first; empty where it does not run."""
        if self._process is None or self._process.poll() is not None:
            return []
        return [self._process.pid, *_children(self._process.pid)]

    def start(self) -> None:
        """Start, on the same port as before, and wait until it takes connections."""
        assert not self.pids
        for _ in range(5):
            self.port = self.port or _free_port()
            if self._started():
                return
            if "could not create any TCP/IP sockets" not in self._tail():
                break
            self.port = 0
        raise StorageError(f"PostgreSQL did not start; its log ends with:\n{self._tail()}")

    def stop(self) -> None:
        """Stop as an administrator does: connections are closed, everything is written."""
        self._end(signal.SIGINT)

    def kill(self) -> None:
        """Kill -9 every process of it at once."""
        pids = self.pids
        _send(pids, signal.SIGKILL)
        self._end(signal.SIGKILL)
        _await_end(pids)

    def restart(self) -> None:
        """Stop and start."""
        self.stop()
        self.start()

    def pause(self) -> None:
        """Let no process of it go on until `resume`; connections stay open, and are not answered."""
        _send(self.pids, signal.SIGSTOP)

    def resume(self) -> None:
        """Go on after `pause`."""
        _send(self.pids, signal.SIGCONT)

    def cpu_s(self) -> float:
        """CPU seconds that the server has used, also by connections that are closed and were waited for."""
        return sum(_cpu_s(pid, ended=n == 0) for n, pid in enumerate(self.pids))

    def create_database(self, template: str = "template1") -> str:
        """A new database, a copy of `template`, and its URL; nobody may be connected to the template."""
        import psycopg

        self._databases += 1
        name = f"test_{self._databases}"
        with psycopg.connect(self.url, autocommit=True) as connection:
            if self._databases == 1:
                connection.execute(f"CREATE ROLE {USER} LOGIN PASSWORD '{self._password}'".encode())
            connection.execute(f'CREATE DATABASE {name} OWNER {USER} TEMPLATE "{template}"'.encode())
        return self._url(USER, name)

    def drop_database(self, url: str) -> None:
        """Remove a database that `create_database` has made, and end what is connected to it."""
        import psycopg

        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute(f"DROP DATABASE {url.rpartition('/')[2]} WITH (FORCE)".encode())

    def close(self) -> None:
        """Stop it and remove all that it has written. Can be repeated."""
        atexit.unregister(self.close)
        if self.pids:
            self.resume()
            self.kill()
        _release_shared_memory(self.data / "postmaster.pid")
        self._guard.kill()
        self._guard.communicate()
        shutil.rmtree(self._home, ignore_errors=True)

    def _url(self, user: str, database: str) -> str:
        return f"postgresql://{user}:{self._password}@127.0.0.1:{self.port}/{database}"

    def _init(self) -> None:
        secret = self._home / "password"
        secret.write_text(self._password)
        command = [self._programs["initdb"], "-D", str(self.data), "-U", "postgres", f"--pwfile={secret}"]
        command += ["--auth=scram-sha-256", "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync"]
        try:
            done = subprocess.run(  # noqa: S603 - the program was found by us
                command, capture_output=True, text=True, cwd=self._home, check=False, **self._as_user
            )
        finally:
            secret.unlink()
        if done.returncode:
            raise StorageError(f"initdb failed: {done.stderr or done.stdout}")

    def _secure(self, authority: "Authority") -> None:
        pair = authority.issue("server", ["localhost"])
        files = {"ssl_cert_file": pair.certificate, "ssl_key_file": pair.key, "ssl_ca_file": authority.file}
        for name, file in files.items():
            own = shutil.copy(file, self.data / f"{name}.pem")
            if user := self._as_user.get("user"):
                shutil.chown(own, user, user)
            self._settings[name] = str(own)
        self._settings["ssl"] = "on"
        (self.data / "pg_hba.conf").write_text(_HBA)

    def _started(self) -> bool:
        command = [self._programs["postgres"], "-D", str(self.data), "-c", f"port={self.port}"]
        for name, value in self._settings.items():
            command += ["-c", f"{name}={value}"]
        with self.log.open("ab") as log:
            # In a session of its own, so that Ctrl-C on a terminal is for us alone.
            self._process = subprocess.Popen(  # noqa: S603 - the program was found by us
                command,
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                cwd=self._home,
                start_new_session=True,
                **self._as_user,
            )
        deadline = time.monotonic() + START_S
        while time.monotonic() < deadline and self._process.poll() is None:
            if self._ready(self._process.pid):
                return True
            time.sleep(0.01)
        self.kill()
        return False

    def _ready(self, pid: int) -> bool:
        """Whether the server says in its lock file that it takes connections: what pg_ctl waits for."""
        try:
            lines = (self.data / "postmaster.pid").read_text().splitlines()
        except OSError:
            return False
        return len(lines) > 7 and int(lines[0]) == pid and lines[7].strip() == "ready"

    def _end(self, number: signal.Signals) -> None:
        process = self._process
        if process is not None and process.poll() is None:
            process.send_signal(number)
            process.wait(START_S)

    def _tail(self) -> str:
        lines = self.log.read_text(errors="replace").splitlines()
        return "\n".join(lines[-_LOG_LINES:])


def _find(name: str) -> str | None:
    if found := shutil.which(name):
        return found
    places = []
    if config := shutil.which("pg_config"):
        asked = subprocess.run([config, "--bindir"], capture_output=True, text=True, check=False)  # noqa: S603 - as above
        places.append(asked.stdout.strip())
    versions = Path("/usr/lib/postgresql").glob("*/bin")
    places += map(str, sorted(versions, key=lambda path: int(re.sub(r"\D", "", path.parent.name) or 0), reverse=True))
    return shutil.which(name, path=os.pathsep.join(places)) if places else None


def _guard(home: Path) -> subprocess.Popen[bytes]:
    """What cleans up where we cannot: it reads from us, and our end is the end of what it reads."""
    quiet = subprocess.DEVNULL
    return subprocess.Popen(  # noqa: S603 - ours
        ["/bin/sh", "-c", _GUARD, "guard", str(home)],
        stdin=subprocess.PIPE,
        stdout=quiet,
        stderr=quiet,
        start_new_session=True,
    )


def _other_user(home: Path) -> dict[str, Any]:
    """For root: what makes a child run as `postgres`, who is given this directory."""
    if os.geteuid() != 0:
        return {}
    try:
        shutil.chown(home, "postgres", "postgres")
    except LookupError as error:
        raise SettingsError(
            "PostgreSQL refuses to run as root, and there is no user `postgres` to run it as"
        ) from error
    return {"user": "postgres", "group": "postgres", "extra_groups": []}


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _children(parent: int) -> list[int]:
    pids = [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]
    return sorted(pid for pid in pids if _stat(pid)[1:2] == [str(parent)])


def _stat(pid: int) -> list[str]:
    """State, parent, … of a process, as the kernel tells them; nothing where it has gone."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return []
    return text.rpartition(")")[2].split()


def _cpu_s(pid: int, *, ended: bool) -> float:
    """CPU seconds of a process, with those of its children that have `ended`."""
    times = _stat(pid)[11 : 15 if ended else 13]
    return sum(map(int, times)) / os.sysconf("SC_CLK_TCK")


def _send(pids: list[int], number: signal.Signals) -> None:
    """Send a signal to each that is there still."""
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, number)


def _await_end(pids: list[int]) -> None:
    """Wait until none of these lives: they hold the data directory as long as one does."""
    deadline = time.monotonic() + START_S
    while any(_stat(pid)[:1] not in ([], ["Z"]) for pid in pids):
        assert time.monotonic() < deadline
        time.sleep(0.001)


def _release_shared_memory(lock_file: Path) -> None:
    """Give back the System V segment that a killed server leaves: the next start would, but there is none."""
    with suppress(OSError, IndexError, ValueError):
        segment = int(lock_file.read_text().splitlines()[6].split()[1])
        ctypes.CDLL(None).shmctl(segment, 0, None)
