"""The test tool that starts PostgreSQL: nothing is left of a server, however its starter ends."""

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from onefold.testing.servers import postgres
from onefold.testing.servers.postgres import PostgresServer

pytestmark = pytest.mark.services
LIMIT_S = 30.0
STARTER = """
import sys
from onefold.testing.servers.postgres import PostgresServer
server = PostgresServer()
server.start()
print(server.data, server.pids[0], flush=True)
if sys.argv[1] == "paused":
    server.pause()
    print("paused", flush=True)
sys.stdin.read()
"""


@pytest.fixture(params=["running", "paused"])
def starter(request: pytest.FixtureRequest) -> Iterator[tuple[subprocess.Popen[str], Path, int]]:
    """A process that has started a server, the server's data and the pid of its first process."""
    command = [sys.executable, "-c", STARTER, request.param]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        data, pid = process.stdout.readline().split()
        if request.param == "paused":
            assert process.stdout.readline() == "paused\n"
        yield process, Path(data), int(pid)
        process.kill()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL], ids=lambda number: number.name)
def test_a_server_does_not_outlive_a_starter_that_was_killed(
    starter: tuple[subprocess.Popen[str], Path, int], number: signal.Signals
) -> None:
    """Whoever started it is killed: its processes end, also paused ones, and its directory goes."""
    process, data, pid = starter
    process.send_signal(number)
    deadline = time.monotonic() + LIMIT_S
    while data.parent.exists() or _lives(pid):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_server_that_was_closed_leaves_nothing() -> None:
    """Neither processes nor files nor descriptors, also after a kill; closing again does nothing."""
    before = _descriptors()
    server = PostgresServer()
    server.start()
    pids = server.pids
    server.kill()
    server.start()
    pids += server.pids
    server.close()
    server.close()
    assert not server.data.parent.exists()
    assert not [pid for pid in pids if _lives(pid)]
    assert _descriptors() == before


def _descriptors() -> set[str]:
    return {path.name for path in Path("/proc/self/fd").iterdir() if path.exists()}


def _lives(pid: int) -> bool:
    """Whether it runs; a process that has ended may be there until somebody asks how."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_a_machine_without_postgresql_is_told_what_to_install(tmp_path: Path) -> None:
    """Where the programs are nowhere, the error names them and the package."""
    code = (
        "import onefold.testing.servers.postgres as p\n"
        "from onefold.errors import SettingsError\n"
        "p.PROGRAMS = ('initdb-of-nobody', 'postgres')\n"
        "try:\n    p.find_programs()\nexcept SettingsError as error:\n    print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert "initdb-of-nobody" in done.stdout
    assert "apt install postgresql" in done.stdout
    assert set(postgres.find_programs()) == set(postgres.PROGRAMS)
