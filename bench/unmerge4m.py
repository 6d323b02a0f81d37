"""Undo: how long it takes to have a person taken apart, from the request to the committed effect.

`python -m bench.unmerge [--quick]`. Over ten million events of a million people (quick: 200,000 of 20,000) some people
have a device that is somebody else's. Each is taken apart over the API of the platform that runs: their events are read
from history, whoever is concerned is looked for there, they are folded twice, and the answer comes once a worker has
committed it. The first request opens history.
"""

import asyncio
import json
import sys
import time
import urllib.error
import urllib.request
from contextlib import closing
from typing import Any

from bench.report import Bound, Row, table
from bench.running import Running, accounted, platform, send_all, until_folded
from bench.workload import BATCH_EVENTS, Options, World, definitions
from onefold.storage.embedded.state import LmdbState

_UNDONE = 60
_EVENTS_EACH = 50
_AT_ONCE = 200_000
"""Events whose requests are in memory at the same time."""
_BEHIND_MAX = 1_000_000
"""Events that may wait for the worker: far fewer than collect would refuse."""
_POLL_S = 0.05


def measure(*, quick: bool) -> list[Row]:
    """Each person's time; the first request is told apart."""
    events, people = (200_000, 20_000) if quick else (4_000_000, 400_000)
    with platform(definitions(), history=True) as running:
        _fill(running, events, people)
        _share(running)
        until_folded(running, events + _UNDONE * (2 * _EVENTS_EACH + 1))
        running.in_history()
        looked = [_asked(running, n, dry_run=True) for n in range(_UNDONE)]
        undone = [_asked(running, n, dry_run=False) for n in range(_UNDONE)]
    what = f"of {2 * _EVENTS_EACH + 1} events of one person, over {events:,} of {people:,} people"
    bound = None if quick else Bound(1.0, 0.5)
    details: dict[str, Any] = {"first_s": round(looked[0], 3), "slowest_s": round(max(undone), 3)}
    return [
        Row(f"unmerge {what}, to the committed effect", "s", undone, bound, "", details),
        Row(f"the same as a dry run, after the first ({looked[0]:.2f} s)", "s", looked[1:], None, "", details),
    ]


def _fill(running: Running, events: int, people: int) -> None:
    world = World(Options(people=people))
    for sent in range(0, events, _AT_ONCE):
        _keep_near(running, sent - _BEHIND_MAX)
        bodies = world.bodies(_AT_ONCE // BATCH_EVENTS)
        asyncio.run(send_all([running.request("/v1/batch", body) for body in bodies], running.port))


def _share(running: Running) -> None:
    """Of each of these people first what a tablet did, then what a user did, then what both did."""
    bodies = []
    for n in range(_UNDONE):
        tablet, user = {"anonymousId": f"unmerge-tablet-{n}"}, {"userId": f"unmerge-user-{n}"}
        each: list[dict[str, Any]] = [
            {"type": "track", "event": "Order Completed", "properties": {"revenue": 1}} | tablet
        ] * _EVENTS_EACH
        each += [{"type": "track", "event": "Order Completed", "properties": {"revenue": 2}} | user] * _EVENTS_EACH
        batch: list[dict[str, Any]] = [event | {"messageId": f"unmerge-{n}-{m}"} for m, event in enumerate(each)]
        batch.append({"type": "page", "messageId": f"unmerge-{n}-both"} | tablet | user)
        bodies.append(json.dumps({"batch": batch}).encode())
    asyncio.run(send_all([running.request("/v1/batch", body) for body in bodies], running.port))


def _asked(running: Running, n: int, *, dry_run: bool) -> float:
    """Seconds until the answer, which must be of two people with what is theirs."""
    asked = {"link": [f"user_id:unmerge-user-{n}", f"anonymous_id:unmerge-tablet-{n}"], "dry_run": dry_run}
    request = urllib.request.Request(
        f"http://127.0.0.1:{running.port}/v1/identity/unmerge", json.dumps(asked).encode(),
        {"authorization": f"Bearer {running.secret_key}", "content-type": "application/json"},
    )  # fmt: skip
    began_s = time.perf_counter()
    try:
        with urllib.request.urlopen(request, timeout=120) as answer:
            said = json.load(answer)
    except urllib.error.HTTPError as error:
        raise SystemExit(f"undo {n} was refused: {error.read().decode()}") from error
    taken_s = time.perf_counter() - began_s
    assert said["folded"] is not dry_run, said
    assert sorted(each["events"] for each in said["people"]) == [_EVENTS_EACH, _EVENTS_EACH + 1], said
    return taken_s


def _keep_near(running: Running, received: int) -> None:
    """Wait until the worker has come so far."""
    with closing(LmdbState(running.data / "state", readonly=True)) as state:
        while accounted(state.counts())["received"] < received:
            assert running.process.poll() is None, "the platform ended"
            time.sleep(_POLL_S)


if __name__ == "__main__":
    sys.stdout.write(table(measure(quick="--quick" in sys.argv)) + "\n")
