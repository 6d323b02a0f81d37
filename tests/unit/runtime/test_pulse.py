"""The pulse of a role: what it says, and what its port answers."""

import json
import socket
import urllib.error
import urllib.request

import pytest

from onefold.errors import StorageError
from onefold.runtime.pulse import ALIVE_WITHIN_S, Pulse, told
from onefold.testing.clock import ManualClock


def test_a_role_is_ready_once_it_has_turned_well() -> None:
    """Not before its first turn, not while it is in trouble, and neither ready nor alive when it hangs."""
    clock = ManualClock()
    pulse = Pulse(clock)
    assert (pulse.alive, bool(pulse.trouble)) == (True, True)
    pulse.beat()
    assert (pulse.alive, pulse.trouble) == (True, "")
    pulse.beat("unavailable: no broker")
    assert (pulse.alive, pulse.trouble) == (True, "unavailable: no broker")
    pulse.beat()
    clock.advance(int(ALIVE_WITHIN_S * 1000))
    assert (pulse.alive, bool(pulse.trouble)) == (False, True)


def test_the_port_tells_what_the_pulse_says() -> None:
    """200 where it is well, 503 where it is not, 404 for any other path; a port that is taken is refused."""
    pulse = Pulse(ManualClock())
    with told(pulse, "127.0.0.1", 0) as port:
        assert port == 0
    with told(pulse, "127.0.0.1", _free()) as port:
        assert ask(port, "/readyz") == (503, {"ready": False, "detail": "not started yet"})
        pulse.beat()
        assert ask(port, "/readyz") == (200, {"ready": True, "detail": ""})
        assert ask(port, "/healthz?probe=1") == (200, {"status": "ok"})
        assert ask(port, "/else")[0] == 404
        with pytest.raises(StorageError, match="health_port"), told(pulse, "127.0.0.1", port):
            pass


def ask(port: int, path: str) -> tuple[int, object]:
    """Status and answer."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read())


def _free() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
