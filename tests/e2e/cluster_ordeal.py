"""A whole cluster under load whose roles and servers are killed and paused, over and over, and what was seen of it.

One seed draws who is hit and when. Roles are replaced as an orchestrator would; servers come back after a while. Roles
that stand still for longer than others wait for them come back into a world that has gone on without them. Meanwhile
the database fails commits for want of serialisation, as a busy one does.
"""

import asyncio
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from random import Random
from typing import Literal

import psycopg
from msgspec import Struct

from onefold.storage.place import Place
from onefold.storage.postgres.driver import schema_of
from onefold.testing.cluster.run import Cluster
from onefold.testing.destinations import Receiver
from tests.e2e.crowd import Address, Clients, People, Tally
from tests.e2e.evidence import AUDIENCES, LATER_AUDIENCES, Evidence, Kill
from tests.e2e.surroundings import Surroundings

Victim = Literal["collect", "worker", "deliver", "paused worker", "paused deliver", "broker", "postgres", "all roles"]
VICTIMS: tuple[Victim, ...] = (
    "worker", "collect", "paused worker", "broker", "deliver", "postgres", "paused deliver", "all roles",
)  # fmt: skip
"""Each is hit once in every eight blows."""
CLIENTS = 8
PAUSE_S = 0.1
SERVER_AWAY_S = (0.5, 3.0)
STOOD_STILL_S = {"paused worker": (7.0, 9.0), "paused deliver": (6.0, 8.0)}
"""Longer than Kafka waits for a worker, and the book for who keeps it."""
ANSWER_WITHIN_S = 60.0
REST_WITHIN_S = 240.0
FAIL_COMMITS = """
CREATE SEQUENCE {schema}.blows;
CREATE FUNCTION {schema}.refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
  IF nextval('{schema}.blows') % 2 = 1 THEN
    RAISE EXCEPTION 'could not serialize access' USING ERRCODE = '40001';
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER refuse BEFORE UPDATE ON {schema}.head FOR EACH ROW EXECUTE FUNCTION {schema}.refuse();
"""
"""Every other attempt to commit fails: the first of each batch, and its repetition succeeds."""


class Plan(Struct, frozen=True):
    """What to do to the cluster."""

    seed: int
    blows: int
    brokers: int = 1


class ClusterOrdeal:
    """One run of a plan on a cluster that runs."""

    def __init__(self, plan: Plan, cluster: Cluster, scratch: Path) -> None:
        self._plan = plan
        self._cluster = cluster
        self._chance = self._random("blows")
        self.evidence = Evidence(cluster.settings, Tally())
        self._around = Surroundings(plan.seed, scratch, self.evidence)

    async def run(self) -> Evidence:
        """Live through all blows, come to rest, stop the roles, and let the command look at what is left."""
        async with Receiver(self._around.mood) as receiver:
            await self._around.apply(AUDIENCES, receiver.url)
            await asyncio.to_thread(self._around.until, self._in_force, REST_WITHIN_S)
            await asyncio.to_thread(self._fail_commits)
            await self._load(receiver.url)
            await asyncio.to_thread(self._around.until, self._around.at_rest, REST_WITHIN_S)
            self.evidence.doctor_beside = await self._around.command("doctor")
            codes = await asyncio.to_thread(self._cluster.roles.close)
        self.evidence.stop_code = max(map(abs, codes.values()))
        self.evidence.doctor = await self._around.command("doctor")
        self.evidence.replay = await self._around.command("replay", "--verify")
        return self.evidence

    async def _load(self, url: str) -> None:
        """Clients send for as long as there are blows, and a little longer."""
        roles, key = self._cluster.roles, self._cluster.write_key
        addresses = [Address(roles.url(name), key) for name in roles.names if name.startswith("collect")]
        clients = Clients(addresses, People(self._random("people")), self._random("clients"), PAUSE_S)
        self.evidence.tally = clients.tally
        sending = asyncio.create_task(clients.run(CLIENTS))
        for number, victim in enumerate(self._victims()):
            if number == self._plan.blows // 2:
                await self._around.apply(AUDIENCES | LATER_AUDIENCES, url)
            await self._until_answered(sending)
            if sending.done():
                break
            self.evidence.kills.append(Kill(victim, time.monotonic()))
            await self._strike(victim)
        await asyncio.wait([sending], timeout=1)
        clients.stop()
        await sending

    def _victims(self) -> Iterator[Victim]:
        for first in range(0, self._plan.blows, len(VICTIMS)):
            yield from self._chance.sample(VICTIMS, len(VICTIMS))[: self._plan.blows - first]

    async def _until_answered(self, sending: asyncio.Task[None]) -> None:
        """Until clients have got through again, and a moment longer."""
        answered, since_s = self.evidence.tally.answered, time.monotonic()
        while not sending.done() and not (answered and answered[-1].begun_s > since_s):
            assert time.monotonic() < since_s + ANSWER_WITHIN_S, f"nothing is acknowledged for {ANSWER_WITHIN_S} s"
            await asyncio.sleep(0.02)
        await asyncio.wait([sending], timeout=self._chance.expovariate(1))

    async def _strike(self, victim: Victim) -> None:
        cluster, away_s = self._cluster, self._chance.uniform(*SERVER_AWAY_S)
        match victim:
            case "broker":
                broker = self._chance.randrange(self._plan.brokers)
                await asyncio.to_thread(cluster.kafka.kill, broker)
                await asyncio.sleep(away_s)
                await asyncio.to_thread(cluster.kafka.restart, broker)
            case "postgres":
                await asyncio.to_thread(cluster.postgres.kill)
                await asyncio.sleep(away_s)
                await asyncio.to_thread(cluster.postgres.restart)
            case "all roles":
                for name in cluster.roles.names:
                    cluster.roles.kill(name)
            case "paused worker" | "paused deliver":
                name = self._any_of(victim.removeprefix("paused "))
                cluster.roles.pause(name)
                await asyncio.sleep(self._chance.uniform(*STOOD_STILL_S[victim]))
                cluster.roles.resume(name)
            case _:
                cluster.roles.kill(self._any_of(victim))

    def _any_of(self, role: str) -> str:
        return self._chance.choice([name for name in self._cluster.roles.names if name.startswith(role)])

    def _fail_commits(self) -> None:
        settings = self._cluster.settings
        with psycopg.connect(settings.database, autocommit=True) as connection:
            connection.execute(FAIL_COMMITS.format(schema=schema_of(settings.workspace)).encode())

    def commits_refused(self) -> int:
        """How many attempts to commit the database has refused."""
        settings = self._cluster.settings
        query = f"SELECT (last_value + 1) / 2 FROM {schema_of(settings.workspace)}.blows"
        with psycopg.connect(settings.database) as connection:
            ((refused,),) = connection.execute(query.encode()).fetchall()
        return int(refused)

    def _in_force(self) -> str:
        """Which partitions do not have the first definitions yet."""
        with closing(Place.open(self._cluster.settings).state(readonly=True)) as state:
            versions = {n: state.cursor(n).version for n in range(self._cluster.settings.partitions)}
        return "" if set(versions.values()) == {1} else f"in force: {versions}"

    def _random(self, what: str) -> Random:
        return Random(f"{what} {self._plan.seed}")
