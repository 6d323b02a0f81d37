"""What surrounds a platform in an ordeal: a moody receiver, users with the command, and somebody who waits for rest."""

import asyncio
import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

from onefold.limits import NEVER_MS
from onefold.model.delivery import Standing
from onefold.storage.place import Place
from onefold.testing.destinations import Received, after, ok, reset, status
from tests.e2e.evidence import DESTINATION, EFFECTS, EVENT, TRAITS, Evidence, Hook

FAILING = 0.01
FAILURES = (status(500), status(503), status(429), reset(), after(0.3, status(500)), after(3.0))
"""The last one answers when nobody listens any more: its attempts end after two seconds."""
COMMAND_WITHIN_S = 600.0
MEMORY = Path("/dev/shm")
"""A replay commits as often as the live platform did; what it writes is thrown away, and need not wait for a disk."""


class Surroundings:
    """Of one platform; what they see goes into the evidence."""

    def __init__(self, seed: int, scratch: Path, evidence: Evidence) -> None:
        self._scratch = scratch
        self._moods = Random(f"receiver {seed}")
        self.evidence = evidence

    async def mood(self, request: Received, writer: asyncio.StreamWriter) -> None:
        """A receiver that takes most of what comes."""
        if self._moods.random() < FAILING:
            self.evidence.failed_hooks += 1
            await self._moods.choice(FAILURES)(request, writer)
        else:
            self.evidence.hooks.append(Hook(request.key, request.payload, request.at_s))
            await ok(request, writer)

    async def apply(self, audiences: Mapping[str, str], url: str) -> None:
        """Put these definitions into force, as users do."""
        workspace = self._scratch / "workspace"
        workspace.mkdir(exist_ok=True)
        hook = {"kind": "webhook", "url": url, "timeout_s": 2}
        wants = {"events": [EVENT], "audiences": ["*"], "effects": list(EFFECTS)}
        whole = {"traits": TRAITS, "audiences": dict(audiences), "destinations": {DESTINATION: hook | wants}}
        whole["allow_private_hosts"] = ["127.0.0.1"]
        (workspace / "shop.yaml").write_text(json.dumps(whole))
        await self.command("apply", str(workspace), "--yes")

    async def command(self, *words: str) -> Any:
        """What `onefold` prints as JSON, beside the platform or after it; a failure is for the checks to see."""
        command = [sys.executable, "-m", "onefold", *words, "--json"]
        scratch = {"TMPDIR": str(MEMORY)} if os.access(MEMORY, os.W_OK) else {}
        settings = self.evidence.settings
        names = {"data": str(settings.data), "kafka": settings.kafka, "database": settings.database}
        environ = {f"ONEFOLD_{name.upper()}": value for name, value in names.items()}
        run = partial(subprocess.run, capture_output=True, text=True, check=False, env=os.environ | scratch | environ)
        done = await asyncio.to_thread(run, command, timeout=COMMAND_WITHIN_S)
        assert done.returncode in (0, 1), f"{words} ended with {done.returncode}: {done.stderr}"
        assert done.stdout, f"{words} said nothing: {done.stderr}"
        return json.loads(done.stdout.splitlines()[-1])

    def until(self, still: Callable[[], str], within_s: float) -> None:
        deadline_s = time.monotonic() + within_s
        while why := still():
            assert time.monotonic() < deadline_s, f"not within {within_s} s: {why}"
            time.sleep(0.1)

    def at_rest(self) -> str:
        """What is still to be folded, to happen by time alone, or to be delivered; empty: nothing."""
        place = Place.open(self.evidence.settings)
        with (
            contextlib.closing(place.state(readonly=True)) as state,
            contextlib.closing(place.log_reader()) as log,
            contextlib.closing(place.deliveries(readonly=True)) as deliveries,
        ):
            for partition in range(log.partitions):
                cursor, end = state.cursor(partition), log.ends(partition)[1]
                if cursor.offset < end or cursor.sweeping >= 0:
                    return f"partition {partition} is folded up to {cursor} of {end}"
                if state.next_due_ms(partition) != NEVER_MS:
                    return f"a timer of partition {partition} is due at {state.next_due_ms(partition)}"
            standing = deliveries.standings().get(DESTINATION, Standing())
            untaken, pending = state.effects(standing.low_water, 1), deliveries.pending(DESTINATION, 1)
            return f"to be delivered: {untaken or pending}; {standing}" if untaken or pending else ""
