"""A real platform under load whose processes are killed with signal 9, over and over, and what was seen of it.

One seed draws who is killed and when, what clients send, and how the receiver fails. Real processes take their own
time, so a seed does not repeat a run to the letter; it repeats its plan.

Kinds of kill: a worker, http, or deliver (the supervisor starts it again); everything at once (and sometimes again
while it is starting); the supervisor alone. Then its roles are orphans that meet those of the next one, and sometimes
some of them are paused meanwhile, so that they wake up in a world that has gone on without them.
"""

import asyncio
import contextlib
import json
import os
import select
import signal
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Literal

from msgspec import Struct

from onefold.settings import Settings
from onefold.testing.destinations import Receiver
from tests.e2e.crowd import Address, Clients, People, Tally
from tests.e2e.evidence import AUDIENCES, LATER_AUDIENCES, Evidence, Kill
from tests.e2e.platform import Platform
from tests.e2e.surroundings import Surroundings

Victim = Literal["worker", "http", "deliver", "everything", "supervisor"]
VICTIMS: tuple[Victim, ...] = ("worker", "worker", "worker", "http", "deliver", "deliver", "everything", "supervisor")
"""Who is killed in every eight kills."""

CLIENTS = 12
PAUSE_S = 0.1
"""Between the requests of a client, on average: enough in all that every process is at work, and none overworked."""
AT_ONCE = 0.3
STARTING_AGAIN = 0.3
PAUSED = 0.5
PAUSES_S = (0.5, 4.0)
ROLE_WITHIN_S = 120.0
"""The supervisor waits at most ten seconds before it starts a role again."""
ORPHAN_WITHIN_S = 30.0
REST_WITHIN_S = 240.0


class Plan(Struct, frozen=True):
    """What to do to the platform."""

    seed: int
    kills: int
    workers: int


class Ordeal:
    """One run of a plan in an empty directory."""

    def __init__(self, plan: Plan, place: Path) -> None:
        self._plan = plan
        self._place = place
        self._chance = self._random("kills")
        self._platform = Platform(place / "data", "--workers", str(plan.workers))
        self._orphans: list[_Orphan] = []
        self._url = ""
        self.evidence = Evidence(Settings(data=place / "data"), Tally())
        self._around = Surroundings(plan.seed, place, self.evidence)

    async def run(self) -> Evidence:
        """Live through all kills, come to rest, stop, and let the command look at what is left."""
        async with Receiver(self._around.mood) as receiver:
            self._url = receiver.url
            try:
                await asyncio.to_thread(self._platform.start)
                await self._around.apply(AUDIENCES, self._url)
                await asyncio.to_thread(self._around.until, self._in_force, REST_WITHIN_S)
                await self._load()
                await asyncio.to_thread(self._around.until, self._around.at_rest, REST_WITHIN_S)
                self.evidence.doctor_beside = await self._around.command("doctor")
            finally:
                self.evidence.stderr = list(self._platform.stderr)
                self.evidence.stop_code = await asyncio.to_thread(self._platform.stop)
                await asyncio.to_thread(self._bury)
        self.evidence.doctor = await self._around.command("doctor")
        self.evidence.replay = await self._around.command("replay", "--verify")
        return self.evidence

    # --- killing -----------------------------------------------------------------------------------------------
    async def _load(self) -> None:
        """Clients send for as long as there is somebody to kill, and a little longer."""
        address = Address(self._platform.url, self._platform.write_key)
        clients = Clients([address], People(self._random("people")), self._random("clients"), PAUSE_S)
        self.evidence.tally = clients.tally
        sending = asyncio.create_task(clients.run(CLIENTS))
        for number, victim in enumerate(self._victims()):
            if number == self._plan.kills // 2:
                await self._around.apply(AUDIENCES | LATER_AUDIENCES, self._url)
            await self._delay(sending)
            if sending.done():
                break
            await self._kill(victim)
        await asyncio.wait([sending], timeout=1)
        clients.stop()
        await sending

    def _victims(self) -> Iterator[Victim]:
        """All of `VICTIMS` in an order of chance, over and over."""
        for first in range(0, self._plan.kills, len(VICTIMS)):
            yield from self._chance.sample(VICTIMS, len(VICTIMS))[: self._plan.kills - first]

    async def _delay(self, sending: asyncio.Task[None]) -> None:
        """Sometimes at once, while others are still starting; mostly a moment after clients have got through again."""
        if self._chance.random() < AT_ONCE:
            await asyncio.wait([sending], timeout=self._chance.uniform(0, 0.2))
            return
        answered, since_s = self.evidence.tally.answered, time.monotonic()
        while not sending.done() and not (answered and answered[-1].begun_s > since_s):
            assert time.monotonic() < since_s + ROLE_WITHIN_S, f"nothing is acknowledged for {ROLE_WITHIN_S} s"
            await asyncio.sleep(0.01)
        await asyncio.wait([sending], timeout=self._chance.expovariate(1))

    async def _kill(self, victim: Victim) -> None:
        match victim:
            case "everything":
                await self._kill_everything()
            case "supervisor":
                await self._kill_supervisor()
            case _:
                await self._kill_role(victim)

    async def _kill_role(self, victim: Victim) -> None:
        """One process of this role, as soon as there is one: it may have been killed just now."""
        deadline_s = time.monotonic() + ROLE_WITHIN_S
        while not (running := [pid for name, pid in self._platform.roles().items() if name.startswith(victim)]):
            assert time.monotonic() < deadline_s, f"no {victim} was started again within {ROLE_WITHIN_S} s"
            await asyncio.sleep(0.01)
        self._note(victim)
        with contextlib.suppress(ProcessLookupError):
            os.kill(self._chance.choice(running), signal.SIGKILL)

    async def _kill_everything(self) -> None:
        self._note("everything")
        again = self._chance.random() < STARTING_AGAIN
        self._platform.kill()
        for orphan in self._orphans:
            orphan.send(signal.SIGKILL)
        self._launch()
        if again:
            await asyncio.sleep(self._chance.uniform(0, 2.5))
            self._platform.kill()
            self._launch()
        await asyncio.to_thread(self._platform.await_ready)

    async def _kill_supervisor(self) -> None:
        """Its roles learn of it by the end of their pipe; where some are paused, the next ones are there before."""
        orphans = [_Orphan(pid) for pid in self._platform.roles().values()]
        paused = [orphan for orphan in orphans if self._chance.random() < PAUSED]
        pause_s = self._chance.uniform(*PAUSES_S) if self._chance.random() < PAUSED else 0
        self._note("supervisor")
        if pause_s:
            for orphan in paused:
                orphan.send(signal.SIGSTOP)
        self._platform.kill_supervisor()
        self._orphans += orphans
        self._launch()
        await asyncio.sleep(pause_s)
        for orphan in paused:
            orphan.send(signal.SIGCONT)
        await asyncio.to_thread(self._platform.await_ready)

    def _launch(self) -> None:
        self.evidence.starts += 1
        self._platform.launch()

    def _note(self, victim: Victim) -> None:
        self.evidence.kills.append(Kill(victim, time.monotonic()))

    def _bury(self) -> None:
        """Every orphan ends by itself: nobody else would end it."""
        self.evidence.orphans_s = [orphan.outlived_s() for orphan in self._orphans]

    # --- what surrounds the platform ---------------------------------------------------------------------------
    def _in_force(self) -> str:
        """Which partitions do not have the first definitions yet."""
        key = {"authorization": f"Bearer {self._platform.secret_key}"}
        request = urllib.request.Request(f"{self._platform.url}/v1/definitions/versions", headers=key)
        with urllib.request.urlopen(request, timeout=10) as answer:
            in_force = json.loads(answer.read())["in_force"]
        return "" if set(in_force) == {1} else f"in force: {in_force}"

    def _random(self, what: str) -> Random:
        return Random(f"{what} {self._plan.seed}")


class _Orphan:
    """A role whose supervisor was killed. Held by a descriptor, so that no other process is ever meant."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._descriptor = os.pidfd_open(pid)
        self._since_s = time.monotonic()
        self._ended_s = 0.0
        self._watch = threading.Thread(target=self._await_end, daemon=True)
        self._watch.start()

    def send(self, number: signal.Signals) -> None:
        """Send a signal, if it is still there. Its time counts from when it could go on."""
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._descriptor, number)
        if number == signal.SIGCONT:
            self._since_s = time.monotonic()

    def outlived_s(self) -> float:
        """Wait for its end, and say how long it took from its supervisor's, or from the end of its pause."""
        self._watch.join(ORPHAN_WITHIN_S)
        assert self._ended_s, f"orphan {self.pid} lives on"
        os.close(self._descriptor)
        return max(0.0, self._ended_s - self._since_s)

    def _await_end(self) -> None:
        select.select([self._descriptor], [], [])
        self._ended_s = time.monotonic()
