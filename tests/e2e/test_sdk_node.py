"""The Node SDKs of Segment and RudderStack, unmodified, against a real platform: every event once, whole."""

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.platform import Platform

NODE = Path(__file__).parent / "node"

pytestmark = [
    pytest.mark.services,
    pytest.mark.skipif(
        shutil.which("node") is None or not (NODE / "node_modules").exists(),
        reason="needs node and `npm ci` in tests/e2e/node; `make test-services` does that",
    ),
]


@pytest.fixture(scope="module")
def platform() -> Iterator[Platform]:
    """A running platform."""
    with Platform() as running:
        yield running


@pytest.mark.parametrize("sdk", ["segment", "rudder"])
def test_every_event_arrives_once_and_whole(sdk: str, platform: Platform) -> None:
    """All six calls and two hundred more: what the SDK was given is in the log, once, value for value."""
    command = ["node", "send.mjs", sdk, platform.url, platform.write_key]
    done = subprocess.run(command, cwd=NODE, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    given = [json.loads(line) for line in done.stdout.splitlines()]
    stored = [event for event in platform.events() if _names(event, sdk)]
    assert len(stored) == len(given)
    assert len({event["messageId"] for event in stored}) == len(given)
    by_key = {_key(event): event for event in stored}
    for event in given:
        missing = _missing(event, by_key[_key(event)])
        assert not missing, f"{event['type']}: {missing}"
    assert not [entry for entry in platform.entries() if entry.get("rejected")]


def _names(event: dict[str, Any], sdk: str) -> bool:
    return str(event.get("userId") or event.get("anonymousId")).startswith(f"{sdk}-")


def _key(event: dict[str, Any]) -> tuple[str, Any]:
    return event["type"], (event.get("properties") or {}).get("n")


def _missing(given: Any, stored: Any, at: str = "$") -> list[str]:
    """Paths of what was given and is not stored as it was; an SDK may add fields, and writes instants its own way."""
    if isinstance(given, dict) and isinstance(stored, dict):
        return [each for name, value in given.items() for each in _missing(value, stored.get(name), f"{at}.{name}")]
    if at == "$.timestamp":
        return [] if str(stored)[:19] == given[:19] else [f"{at}: {stored!r}"]
    return [] if given == stored else [f"{at}: {stored!r}"]
