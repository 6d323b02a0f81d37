"""The supervisor, with small processes that stand for the roles."""

import asyncio
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import msgspec
import pytest

from onefold.clock import SystemClock
from onefold.errors import StorageError
from onefold.runtime.supervisor import (
    LOCK_FILE,
    Role,
    Running,
    Supervisor,
    decode_settings,
    encode_settings,
    first_run,
    lock,
    roles,
    running,
)
from onefold.settings import Settings
from onefold.storage.place import Place

OBEDIENT = "import signal; signal.sigwait([signal.SIGTERM])"
DEAF = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(1, flush=True); signal.pause()"
LISTENING = (
    "import socket, sys; s = socket.create_server(('127.0.0.1', 0)); "
    "print(s.getsockname()[1], flush=True); sys.stdin.read()"
)
ADOPTED = "import signal; from onefold.runtime.supervisor import adopt; adopt(); print(1, flush=True); signal.pause()"


def role(name: str, code: str) -> Role:
    """A role that runs a line of Python."""
    return Role(name, (sys.executable, "-c", code))


def test_settings_reach_the_roles_whole() -> None:
    """What a role reads from its pipe is what the supervisor was given."""
    settings = Settings(data=Path("/some where/ünï"), port=0, phone_region="DE", blocked_identifiers=("a", "b"))
    assert decode_settings(encode_settings(settings)) == settings


def test_every_role_has_its_process() -> None:
    """There are as many collectors and workers as the settings say, and one deliverer."""
    names = [role.name for role in roles(Settings(collectors=2, workers=3))]
    assert names == ["http-0", "http-1", "worker-0", "worker-1", "worker-2", "deliver-0", "history-0"]


def test_stop_ends_all_roles() -> None:
    """`stop` lets every role end by itself, and the exit code is 0."""

    async def scenario() -> int:
        supervisor = Supervisor([role("a", OBEDIENT), role("b", OBEDIENT)], b"\n")
        run = asyncio.create_task(supervisor.run())
        pids = [(await supervisor.starts.get())[1] for _ in range(2)]
        supervisor.stop()
        code = await run
        assert not any(_alive(pid) for pid in pids)
        return code

    assert asyncio.run(scenario()) == 0


def test_a_role_that_dies_is_started_again() -> None:
    """A killed role comes back as a new process, and the others are left alone."""

    async def scenario() -> None:
        supervisor = Supervisor([role("a", OBEDIENT), role("b", OBEDIENT)], b"\n")
        run = asyncio.create_task(supervisor.run())
        first = dict([await supervisor.starts.get(), await supervisor.starts.get()])
        os.kill(first["a"], signal.SIGKILL)
        name, pid = await supervisor.starts.get()
        assert name == "a"
        assert pid != first["a"]
        assert _alive(first["b"])
        assert supervisor.starts.empty()
        supervisor.stop()
        await run

    asyncio.run(scenario())


def test_a_role_that_does_not_stop_is_killed() -> None:
    """A role that ignores SIGTERM is killed after the grace, and the exit code says so."""

    async def scenario() -> None:
        supervisor = Supervisor([role("deaf", DEAF)], b"\n", stop_within_s=0.2)
        run = asyncio.create_task(supervisor.run())
        _, pid = await supervisor.starts.get()
        supervisor.stop()
        await run
        assert not _alive(pid)

    asyncio.run(scenario())


def test_settings_that_no_role_can_work_with_end_everything() -> None:
    """A role that exits with the code of a usage error stops the platform with that code."""

    async def scenario() -> int:
        return await Supervisor([role("a", OBEDIENT), role("b", "import sys; sys.exit(2)")], b"\n").run()

    assert asyncio.run(scenario()) == 2


def test_a_role_ends_with_its_supervisor() -> None:
    """A role whose pipe is closed, as when the supervisor is killed, ends by SIGTERM."""

    async def scenario() -> int:
        pipe = asyncio.subprocess.PIPE
        child = await asyncio.create_subprocess_exec(sys.executable, "-c", ADOPTED, stdin=pipe, stdout=pipe)
        assert child.stdin is not None
        assert child.stdout is not None
        child.stdin.write(encode_settings(Settings()))
        assert await child.stdout.readline() == b"1\n"
        child.stdin.close()
        return await child.wait()

    assert asyncio.run(scenario()) == -signal.SIGTERM


def test_one_platform_a_directory(tmp_path: Path) -> None:
    """A second `serve` on the same directory is refused with the first one's address; afterwards the place is free."""
    settings = Settings(data=tmp_path, port=0)
    with lock(settings, tmp_path) as held:
        assert held.port > 0
        found = running(tmp_path)
        assert found is not None
        assert (found.pid, found.url) == (os.getpid(), f"http://127.0.0.1:{held.port}")
        with pytest.raises(StorageError, match="already served by process"), lock(settings, tmp_path):
            pass
    assert running(tmp_path) is None
    with lock(settings, tmp_path):
        pass


def test_the_next_platform_waits_for_the_port_of_orphans(tmp_path: Path) -> None:
    """Where a supervisor was killed, its http role may hold the port a little longer: the next `serve` has patience."""
    orphan = subprocess.Popen([sys.executable, "-c", LISTENING], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert orphan.stdin is not None
    assert orphan.stdout is not None
    port = int(orphan.stdout.readline())
    (tmp_path / LOCK_FILE).write_bytes(msgspec.json.encode(Running(1, f"http://127.0.0.1:{port}")))
    letting_go = threading.Timer(0.3, orphan.stdin.close)
    letting_go.start()
    with lock(Settings(data=tmp_path, port=port), tmp_path) as held:
        assert held.port == port
    letting_go.join()
    assert orphan.wait() == 0
    orphan.stdout.close()
    assert (tmp_path / LOCK_FILE).read_bytes() == b""


def test_the_first_run_makes_keys_once(tmp_path: Path) -> None:
    """An empty directory gets one source and one admin key; a second start makes nothing."""
    place = Place.open(Settings(data=tmp_path / "data"))
    keys = first_run(place, SystemClock())
    assert keys is not None
    assert keys.write_key.startswith("wk_")
    assert keys.secret_key.startswith("sk_")
    assert first_run(place, SystemClock()) is None


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
