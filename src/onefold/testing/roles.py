"""The roles of one workspace as processes of their own, kept alive as an orchestrator would, and hit by misfortune."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from msgspec import Struct

STOP_WITHIN_S = 20.0
READY_WITHIN_S = 60.0
_POLL_S = 0.02
_PORT_OPTION = {"collect": "--port", "api": "--port"} | dict.fromkeys(("worker", "deliver", "history"), "--health-port")


class Role(Struct):
    """One process to keep."""

    name: str
    """Its verb and number, such as `worker-0`."""
    port: int
    process: subprocess.Popen[bytes] | None = None
    wanted: bool = False
    """Whether it is started again when it dies."""
    starts: int = 0


class Roles:
    """So many processes of each role. As a context manager it starts them all, and stops them in the end."""

    def __init__(self, environ: Mapping[str, str], counts: Mapping[str, int], log: Path) -> None:
        """`environ`: ONEFOLD_* variables that name the engines; `log`: the file that takes what the roles say."""
        self._environ = {**os.environ, **environ}
        self._log = log
        self._roles = {
            f"{verb}-{n}": Role(f"{verb}-{n}", _free_port()) for verb, count in counts.items() for n in range(count)
        }
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._keeper = threading.Thread(target=self._keep, name="keeper", daemon=True)

    def __enter__(self) -> Self:
        self._keeper.start()
        for name in self._roles:
            self.start(name)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    @property
    def names(self) -> list[str]:
        """All of them."""
        return [*self._roles]

    def url(self, name: str) -> str:
        """Where this role answers, at least about its health."""
        return f"http://127.0.0.1:{self._roles[name].port}"

    def pid(self, name: str) -> int:
        """The process that is this role now; 0: there is none."""
        process = self._roles[name].process
        return process.pid if process is not None and process.poll() is None else 0

    def pids(self) -> list[int]:
        """All processes there are."""
        return [pid for name in self._roles if (pid := self.pid(name))]

    def starts(self, name: str) -> int:
        """How often this role was started."""
        return self._roles[name].starts

    def start(self, name: str) -> None:
        """Start a role, and again whenever it dies."""
        with self._lock:
            role = self._roles[name]
            role.wanted = True
            self._launch(role)

    def stop(self, name: str) -> int:
        """Ask a role to end by SIGTERM; its exit code. It is not started again."""
        with self._lock:
            role = self._roles[name]
            role.wanted = False
            process = role.process
        assert process is not None
        process.terminate()
        return process.wait(STOP_WITHIN_S)

    def kill(self, name: str) -> None:
        """End a role by SIGKILL; the keeper starts another in its place."""
        self._signal(name, signal.SIGKILL)

    def pause(self, name: str) -> None:
        """Let a role stand still."""
        self._signal(name, signal.SIGSTOP)

    def resume(self, name: str) -> None:
        """Let it go on."""
        self._signal(name, signal.SIGCONT)

    def ready(self, name: str) -> bool:
        """Whether it answers that it is."""
        try:
            with urllib.request.urlopen(f"{self.url(name)}/readyz", timeout=2) as answer:  # noqa: S310 - our own
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            return False

    def await_ready(self, within_s: float = READY_WITHIN_S) -> None:
        """Return once every role is ready. Raises `TimeoutError` naming those that are not."""
        deadline_s = time.monotonic() + within_s
        while late := [name for name in self._roles if not self.ready(name)]:
            if time.monotonic() > deadline_s:
                raise TimeoutError(f"not ready after {within_s:.0f} s: {', '.join(late)}; see {self._log}")
            time.sleep(_POLL_S)

    def close(self) -> dict[str, int]:
        """Stop all: exit codes by name; who does not end in time is killed."""
        self._ended.set()
        if self._keeper.is_alive():
            self._keeper.join()
        running = {role.name: role.process for role in self._roles.values() if role.process is not None}
        for process in running.values():
            process.send_signal(signal.SIGCONT)
            process.terminate()
        for process in running.values():
            try:
                process.wait(STOP_WITHIN_S)
            except subprocess.TimeoutExpired:
                process.kill()
        return {name: process.wait() for name, process in running.items()}

    def _keep(self) -> None:
        while not self._ended.wait(_POLL_S):
            with self._lock:
                for role in self._roles.values():
                    if role.wanted and role.process is not None and role.process.poll() is not None:
                        self._launch(role)

    def _launch(self, role: Role) -> None:
        verb, _, index = role.name.partition("-")
        command = [sys.executable, "-m", "onefold", verb, _PORT_OPTION[verb], str(role.port)]
        environ = self._environ
        if verb == "worker":
            command += ["--index", index]
            environ = {"ONEFOLD_WORKER_NAME": verb, **environ}
        with self._log.open("ab") as log:
            role.process = subprocess.Popen(  # noqa: S603 - our own command
                command, env=environ, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        role.starts += 1

    def _signal(self, name: str, number: signal.Signals) -> None:
        if pid := self.pid(name):
            os.kill(pid, number)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
