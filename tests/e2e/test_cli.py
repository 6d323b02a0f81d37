"""The command against a real platform: `onefold serve` as processes, events over HTTP, answers from the directory."""

import base64
import contextlib
import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.command import command

COMMAND = (sys.executable, "-m", "onefold")
WITHIN_S = 20.0


class Platform:
    """A served data directory, and what its first start printed."""

    def __init__(self, data: Path, **environ: str) -> None:
        self.data = data
        serve = [*COMMAND, "serve", "--data", str(data), "--port", "0"]
        self.process = subprocess.Popen(serve, stderr=subprocess.PIPE, text=True, env=os.environ | environ)
        self.said = self._ready()

    def send(self, **event: Any) -> None:
        """Send one identify event."""
        key = base64.b64encode(f"{self.said['write_key']}:".encode()).decode()
        headers = {"content-type": "application/json", "authorization": f"Basic {key}"}
        request = urllib.request.Request(f"{self.said['url']}/v1/identify", json.dumps(event).encode(), headers)
        with urllib.request.urlopen(request, timeout=10) as answer:
            assert answer.status == 200

    def roles(self) -> dict[int, str]:
        """Process ids of the running roles → what they are."""
        found = {}
        for entry in Path("/proc").iterdir():
            try:
                words = (entry / "cmdline").read_text().split("\0")
                parent = (entry / "stat").read_text().rpartition(")")[2].split()[1]
            except (OSError, ValueError):
                continue
            if "onefold.runtime.role" in words and parent == str(self.process.pid):
                found[int(entry.name)] = words[words.index("onefold.runtime.role") + 1]
        return found

    def stop(self) -> int:
        """SIGTERM, and the exit code."""
        self.process.terminate()
        code = self.process.wait(WITHIN_S)
        assert self.process.stderr is not None
        self.process.stderr.close()
        return code

    def _ready(self) -> dict[str, str]:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            said = json.loads(line)
            if said.get("event") == "ready":
                return dict(said)
        raise AssertionError("the platform ended before it was ready")


@pytest.fixture
def platform(tmp_path: Path) -> Iterator[Platform]:
    """A platform on a new directory, stopped afterwards."""
    started = Platform(tmp_path / "data")
    try:
        yield started
    finally:
        if started.process.poll() is None:
            started.stop()


def onefold(*words: str, code: int = 0) -> Any:
    """What a command prints as JSON; it must exit with `code`."""
    done = command(*words, "--json")
    assert done.code == code, done.complained + done.said
    return json.loads(done.said.splitlines()[-1]) if done.said else None


def lines(*words: str, given: str = "") -> list[Any]:
    """What a command prints as lines of JSON."""
    done = command(*words, "--json", given=given)
    assert not done.code, done.complained + done.said
    return [json.loads(line) for line in done.said.splitlines()]


def account(platform: Platform) -> str:
    """What became of all events, as doctor says it."""
    found = onefold("doctor", "--data", str(platform.data))
    return next(str(one["detail"]) for one in found if one["name"] == "events")


def until(holds: Callable[[], bool]) -> None:
    """Wait until this holds; fails when it does not in time."""
    end = time.monotonic() + WITHIN_S
    while not holds():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.05)


def has_profile(platform: Platform, who: str) -> bool:
    """Whether a profile is there by now."""
    return command("profile", "show", who, "--data", str(platform.data), "--json").code == 0


def test_who_is_waited_for_comes_first(platform: Platform) -> None:
    """Roles in the background leave the processors to the others, and the others to nobody."""
    usual = os.getpriority(os.PRIO_PROCESS, 0)

    def held_back() -> set[str]:
        return {name for pid, name in platform.roles().items() if os.getpriority(os.PRIO_PROCESS, pid) > usual}

    until(lambda: bool(held_back()))
    assert held_back() == {"history"}


def test_from_nothing_to_a_profile(platform: Platform) -> None:
    """The first start prints keys; an event sent with them is a profile that the command shows; SIGTERM ends with 0."""
    platform.send(userId="42", traits={"email": "ann@example.org", "plan": "pro"})
    until(lambda: has_profile(platform, "email:ann@example.org"))
    shown = onefold("profile", "show", "user_id:42", "--events", "--data", str(platform.data))
    assert shown["profile"]["traits"]["plan"] == "pro"
    assert shown["events"][0]["event"]["userId"] == "42"
    assert onefold("profile", "show", "user_id:43", "--data", str(platform.data), code=1) is None
    assert platform.stop() == 0
    alone = [*COMMAND, "profile", "show", "user_id:42", "--data", str(platform.data), "--json"]
    done = subprocess.run(alone, capture_output=True, text=True, check=True, timeout=60)
    assert json.loads(done.stdout)["traits"] == shown["profile"]["traits"]


def test_reads_and_backups_work_beside_a_running_platform(platform: Platform, tmp_path: Path) -> None:
    """Doctor finds nothing wrong, a replay gives the same state, a backup opens and serves."""
    place = ("--data", str(platform.data))
    for n in range(20):
        platform.send(userId=f"u{n}")
    until(lambda: has_profile(platform, "user_id:u19"))
    assert {one["verdict"] for one in onefold("doctor", *place)} <= {"ok", "warn"}
    assert onefold("replay", "--verify", *place)["equal"]
    onefold("backup", str(tmp_path / "backup"), *place)
    assert onefold("backup", "--verify", str(tmp_path / "backup"))["profiles"] == 20
    onefold("backup", str(tmp_path / "backup"), *place, code=2)
    onefold("profile", "show", "user_id:u19", "--data", str(tmp_path / "backup"))
    damaged = tmp_path / "backup" / "catalog.sqlite"
    damaged.write_bytes(damaged.read_bytes()[:-1] + b"!")
    onefold("backup", "--verify", str(tmp_path / "backup"), code=3)


def test_identity_is_explained_beside_a_running_platform(platform: Platform, tmp_path: Path) -> None:
    """Why two are one, how that came to be, and its picture, by events that history has or the log alone."""
    place = ("--data", str(platform.data))
    platform.send(anonymousId="phone", traits={"plan": "pro"})
    platform.send(userId="42", anonymousId="laptop", traits={"email": "ann@example.org"})
    until(lambda: has_profile(platform, "user_id:42"))
    platform.send(anonymousId="phone", traits={"email": "ann@example.org"})
    until(lambda: len(onefold("identity", "graph", "user_id:42", *place)["nodes"]) == 4)
    found = onefold("identity", "why", "anonymous_id:phone", "anonymous_id:laptop", *place)
    assert [link["event"]["type"] for link in found["path"]] == ["identify"] * 3
    assert [turn["kind"] for turn in onefold("identity", "history", "user_id:42", *place)["turns"]].count("merged") == 1
    picture = tmp_path / "ann.svg"
    subprocess.run([*COMMAND, "identity", "graph", "user_id:42", *place, "-o", str(picture)], check=True)
    assert picture.read_text().startswith("<svg ")


def test_new_definitions_know_the_past(platform: Platform, tmp_path: Path) -> None:
    """What happened before counts, once, though the role that computes is paused and killed; the log says it all."""
    place = ("--data", str(platform.data))
    for n in range(40):
        platform.send(userId=f"u{n % 20}", traits={"n": n})
    until(lambda: has_profile(platform, "user_id:u19"))
    workspace = tmp_path / "workspace"
    workspace.mkdir()
    (workspace / "all.yaml").write_text(
        'traits:\n  said: count("identify")\naudiences:\n  talkers: count("identify", within="1d") >= 2\n'
    )
    onefold("backfill", "pause", *place)
    assert onefold("apply", str(workspace), "--yes", *place)["coming"]
    assert onefold("backfill", *place)["state"] in {"waiting", "paused"}
    platform.send(userId="u0")
    (historian,) = [pid for pid, name in platform.roles().items() if name == "history"]
    os.kill(historian, signal.SIGKILL)
    onefold("backfill", "resume", *place)
    assert onefold("backfill", "wait", *place) is None
    until(lambda: onefold("audience", "list", *place)[0].get("size") == 20)
    counts = [onefold("profile", "show", f"user_id:u{n}", *place)["computed"]["said"] for n in range(20)]
    assert counts == [3, *[2] * 19]
    assert onefold("replay", "--verify", *place)["equal"]


def test_a_stopped_platform_computes_when_it_starts(platform: Platform, tmp_path: Path) -> None:
    """Apply does not wait for a platform that is not there, and says so."""
    platform.send(userId="u")
    until(lambda: has_profile(platform, "user_id:u"))
    platform.stop()
    (tmp_path / "all.yaml").write_text('traits:\n  said: count("identify")\n')
    assert "when it is started" in command("apply", str(tmp_path), "--yes", "--data", str(platform.data)).said
    again = Platform(platform.data)
    try:
        place = ("--data", str(platform.data))
        onefold("backfill", "wait", *place)
        until(lambda: onefold("profile", "show", "user_id:u", *place)["computed"] == {"said": 1})
    finally:
        again.stop()


def test_out_of_quarantine(platform: Platform) -> None:
    """A bad event is listed and shown; mended and sent again it is a person, and the account tells of both."""
    place = ("--data", str(platform.data))
    with contextlib.suppress(urllib.error.HTTPError):
        platform.send(traits={"email": "lost@example.org"}, timestamp="2026-01-02T03:04:05Z")
    with contextlib.suppress(urllib.error.HTTPError):
        platform.send(userId="null", traits={"plan": "pro"})
    until(lambda: len(lines("quarantine", "list", *place)) == 2)
    nobody, blocked = sorted(lines("quarantine", "list", *place), key=lambda each: "userId" in each["event"])
    assert "anonymousId" in nobody["reason"]
    assert lines("quarantine", "list", "--reason", "identifier", *place) == [blocked]
    assert lines("quarantine", "list", "--source", "other", *place) == []
    pages = lines("quarantine", "list", "--limit", "1", *place)
    assert sorted(pages + lines("quarantine", "list", "--after", pages[0]["id"], *place), key=str) == sorted(
        [nobody, blocked], key=str
    )
    assert onefold("quarantine", "show", nobody["id"], *place) == nobody
    assert onefold("quarantine", "show", "00-77", *place, code=1) is None
    assert onefold("quarantine", "show", "x", *place, code=2) is None
    assert onefold("quarantine", "replay", nobody["id"], *place, code=1)["outcome"] == "rejected"
    nobody["event"]["userId"] = "found"
    for _ in range(2):
        assert lines("quarantine", "replay", "--from", "-", *place, given=json.dumps(nobody)) == [
            {"name": nobody["id"], "source": "default", "outcome": "accepted", "reason": ""}
        ]
    until(lambda: has_profile(platform, "email:lost@example.org"))
    shown = onefold("profile", "show", "user_id:found", *place)
    assert shown["events"] == 1
    assert shown["first_seen_at"] == "2026-01-02T03:04:05.000Z"
    until(lambda: "5 received = 1 admitted + 1 duplicate + 3 quarantined" in account(platform))
    platform.stop()
    onefold("quarantine", "replay", nobody["id"], *place, code=3)


def test_a_replay_needs_no_settings(tmp_path: Path) -> None:
    """Two runs with different rules, replayed under yet others: equal byte for byte, as the log has them."""
    data, first = tmp_path / "data", Platform(tmp_path / "data", ONEFOLD_PHONE_REGION="DE")
    try:
        for _ in range(2):
            first.send(userId="ann", messageId="m1", traits={"phone": "030 1234567"})
        first.send(userId="n/a", messageId="m2", traits={"phone": "030 7654321"})
        until(lambda: has_profile(first, "phone:+49307654321"))
    finally:
        first.stop()
    (data / "onefold.toml").write_text('blocked_identifiers = ["ann"]\n')
    second = Platform(data, ONEFOLD_PHONE_REGION="FR", ONEFOLD_DEDUPE_WINDOW_S="1")
    try:
        second.said |= {"write_key": first.said["write_key"]}
        second.send(userId="n/a", traits={"phone": "01 23 45 67 89"})
        until(lambda: has_profile(second, "phone:+33123456789"))
        second.send(userId="ann", messageId="m1", traits={"phone": "030 1234567"})
        until(lambda: has_profile(second, "phone:+33301234567"))
    finally:
        second.stop()
    (data / "onefold.toml").write_text('dedupe_window_s = 7\nphone_region = "US"\n')
    found = onefold("replay", "--verify", "--data", str(data))
    assert found["equal"], found
    assert found["events"] == 5


def test_a_killed_role_comes_back(platform: Platform) -> None:
    """Kill -9 the worker: the others go on, it is started again, and later events become profiles."""
    before = platform.roles()
    assert sorted(before.values()) == ["deliver", "history", "http", "worker"]
    worker = next(pid for pid, name in before.items() if name == "worker")
    os.kill(worker, signal.SIGKILL)
    platform.send(userId="after")
    until(lambda: has_profile(platform, "user_id:after"))
    assert set(before) - set(platform.roles()) == {worker}


def test_roles_end_with_a_killed_supervisor(platform: Platform) -> None:
    """Kill -9 the supervisor: its roles notice and end, and the directory can be served again."""
    roles = platform.roles()
    platform.process.kill()
    platform.process.wait()
    until(lambda: not any(Path(f"/proc/{pid}/cmdline").exists() for pid in roles))
    again = Platform(platform.data)
    assert "write_key" not in again.said
    assert again.stop() == 0


def test_one_directory_is_served_once(platform: Platform) -> None:
    """A second `serve` on the same directory is refused with exit code 3 and says who serves it."""
    again = [*COMMAND, "serve", "--data", str(platform.data), "--port", "0"]
    second = subprocess.run(again, capture_output=True, text=True, check=False, timeout=30)
    assert second.returncode == 3
    assert f"process {platform.process.pid}" in second.stderr


def test_a_taken_port_is_named(platform: Platform, tmp_path: Path) -> None:
    """A port that somebody has is refused with exit code 3 and a hint."""
    port = platform.said["url"].rpartition(":")[2]
    other = [*COMMAND, "serve", "--data", str(tmp_path / "other"), "--port", port]
    second = subprocess.run(other, capture_output=True, text=True, check=False, timeout=30)
    assert second.returncode == 3
    assert "--port" in second.stderr
