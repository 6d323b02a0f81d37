"""The deliver role over real engines, a real process, and receivers that answer, fail and lie."""

import asyncio
import contextlib
import random
import signal
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import msgspec
import pytest
from standardwebhooks import Webhook as Verifier

from onefold import limits
from onefold.clock import Clock, SystemClock
from onefold.errors import StorageError
from onefold.model import effect as effects
from onefold.model import profile as profiles
from onefold.model.changes import Changes, Cursor
from onefold.model.definitions import Definitions, Destination
from onefold.model.effect import Admitted, AnyEffect, Entered, Left, RejectedEvent
from onefold.model.entry import Outgoing
from onefold.model.entry import encode as encode_entry
from onefold.model.position import position, profile_id, show
from onefold.model.profile import Profile
from onefold.runtime.delivering import delivery
from onefold.runtime.delivering.delivery import Deliverer, Stores
from onefold.runtime.delivering.runner import Patience
from onefold.runtime.retention import Retention
from onefold.settings import Settings
from onefold.storage.directory import DataDirectory
from onefold.storage.embedded.catalog import SqliteCatalog
from onefold.storage.embedded.deliveries import DeliveryStore
from onefold.storage.embedded.log import LmdbLogReader, LmdbLogWriter
from onefold.storage.embedded.state import LmdbState
from onefold.testing.destinations import Received, Receiver, after, in_turn, ok, reset, status

ROLE = (
    "import sys, pathlib; from onefold.runtime.delivering.delivery import run; from onefold.settings import Settings; "
    "run(Settings(data=pathlib.Path(sys.argv[1]), pending_retention_s=10**9))"
)
ASK = (
    "import sys, pathlib; from onefold.storage.embedded.deliveries import DeliveryStore; "
    "print(DeliveryStore(pathlib.Path(sys.argv[1])).replay('crm', None))"
)
AT_MS = 1_750_000_000_000
ENDLESS = Patience(1 << 50, 1 << 50)
HOUR_MS = 3_600_000


class Later(SystemClock):
    """The machine's clock, set to when the events of this module happened, and moved on by hand."""

    def __init__(self) -> None:
        self.ahead_ms = AT_MS - super().now_ms()

    def now_ms(self) -> int:
        """Milliseconds since 1970-01-01 UTC."""
        return super().now_ms() + self.ahead_ms


class World:
    """A data directory in which this process plays collect and worker."""

    def __init__(self, path: Path) -> None:
        self.directory = DataDirectory.open(path)
        self.log = LmdbLogWriter(self.directory.log, 1)
        self.state = LmdbState(self.directory.state)
        self.catalog = SqliteCatalog(self.directory.catalog, SystemClock())
        self.offset = 0
        self.sent: dict[int, list[str]] = defaultdict(list)

    def define(self, *destinations: Destination) -> None:
        """Make these the destinations."""
        self.catalog.save_definitions(
            Definitions(destinations=destinations, allow_private_hosts=("127.0.0.1",)), "test"
        )

    def emit(self, people: list[int], more: list[AnyEffect] | None = None) -> None:
        """One event of each of these people, in one record and one commit."""
        self.emit_at(people, AT_MS, more)

    def emit_at(self, people: list[int], at_ms: int, more: list[AnyEffect] | None = None) -> None:
        """The same, at an instant."""
        events = [msgspec.Raw(b'{"type":"track","event":"Seen","properties":{"n":%d}}' % n) for n in range(len(people))]
        offset = self.log.append({0: [encode_entry(Outgoing("web", at_ms, events))]})[0]
        assert offset == self.offset
        found: list[AnyEffect] = []
        for index, person in enumerate(people):
            found.append(Admitted(person, position(offset, index), 0, at_ms, "Seen"))
            self.sent[person].append(effects.key(0, found[-1]))
        self.offset += 1
        self.commit(found + (more or []), people)

    def commit(self, found: list[AnyEffect], people: list[int]) -> None:
        """Commit effects, and the profiles of these people."""
        loaded = self.state.load((), set(people), ())
        made = {p: Profile(p, AT_MS, AT_MS, AT_MS, AT_MS, identifiers={f"user_id:{p}": AT_MS}) for p in set(people)}
        changes = Changes(0, Cursor(self.offset), made, {}, {}, {}, {}, {}, found, [], {})
        self.state.commit([changes], loaded, {p: profiles.encode(made[p]) for p in made})

    @contextlib.asynccontextmanager
    async def delivering(
        self, clock: Clock | None = None, patience: Patience = ENDLESS
    ) -> AsyncIterator[DeliveryStore]:
        """The role in this process, over the same engines; yields its store."""
        stop = asyncio.Event()
        store = DeliveryStore(self.directory.deliveries)
        assert store.try_hold()
        stores = Stores(self.state, LmdbLogReader(self.directory.log), self.catalog, store)
        task = asyncio.create_task(Deliverer(stores, clock or SystemClock(), patience).run(stop))
        try:
            yield store
            assert not task.done()
        finally:
            stop.set()
            await task
            store.close()

    def process(self) -> subprocess.Popen[bytes]:
        """The role as a process of its own."""
        return subprocess.Popen([sys.executable, "-c", ROLE, str(self.directory.path)], stderr=subprocess.DEVNULL)

    def close(self) -> None:
        """Let go."""
        for part in (self.log, self.state, self.catalog):
            part.close()


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """A fresh data directory."""
    world = World(tmp_path / "data")
    yield world
    world.close()


def hook(receiver: Receiver, name: str = "crm", **more: object) -> Destination:
    """A destination that wants all events."""
    return msgspec.convert({"name": name, "url": receiver.url, "events": ["*"], "timeout_s": 2, **more}, Destination)


async def until(true: Callable[[], bool], within_s: float = 15.0) -> None:
    """Wait until something is so."""
    deadline_s = time.monotonic() + within_s
    while not true():
        assert time.monotonic() < deadline_s, "did not come true in time"
        await asyncio.sleep(0.02)


def check(run: Callable[[], Awaitable[None]]) -> None:
    """Run a test's coroutine."""
    asyncio.run(run())  # type: ignore[arg-type]


def closes(store: DeliveryStore, destination: str = "crm") -> dict[str, int]:
    """Check that the books close and fit the rows; the counts."""
    counts = store.counts()[destination]
    parts = sum(n for name, n in counts.items() if name != "taken")
    assert counts.get("taken", 0) == parts, counts
    return counts


def person(n: int) -> int:
    """The id of the n-th person."""
    return profile_id(0, position(1_000_000 + n, 0))


def first_times(received: list[Received]) -> dict[int, list[str]]:
    """Profile → effect keys in the order in which they came for the first time."""
    seen: set[str] = set()
    order: dict[int, list[str]] = defaultdict(list)
    for request in received:
        if request.key not in seen:
            seen.add(request.key)
            profile = int(request.payload["data"]["profile"][4:], 16)
            order[profile].append(request.key.removeprefix("msg_").rpartition("-")[0])
    return order


def test_effects_become_signed_webhooks(world: World) -> None:
    """What was subscribed to arrives, with the person and the event; the rest is counted as filtered."""

    async def run() -> None:
        async with Receiver() as receiver:
            world.define(hook(receiver, audiences=["vip"], effects=["rejected"]))
            vip = person(7)
            more: list[AnyEffect] = [
                Entered(vip, position(5, 0), 0, AT_MS, "vip"),
                Entered(vip, position(5, 0), 1, AT_MS, "other"),
                Left(vip, position(6, 0), 0, AT_MS, "vip", "time"),
                RejectedEvent(0, position(7, 0), 0, AT_MS, "web", "not_json"),
            ]
            world.emit([vip], more)
            async with world.delivering() as store:
                got = {request.payload["type"]: request for request in await receiver.got(4)}
                await until(lambda: closes(store).get("delivered") == 4 if store.counts().get("crm") else False)
            assert set(got) == {"event", "audience.entered", "audience.left", "event.rejected"}
            event = got["event"]
            Verifier(world.catalog.signing_secret("crm")).verify(event.body, event.headers)
            assert event.payload["timestamp"] == "2025-06-15T15:06:40.000Z"
            assert event.payload["data"] == {
                "profile": show(vip),
                "identifiers": {"user_id": [str(vip)]},
                "event": {"type": "track", "event": "Seen", "properties": {"n": 0}},
            }
            assert got["audience.left"].payload["data"]["reason"] == "time"
            with contextlib.closing(DeliveryStore(world.directory.deliveries, readonly=True)) as store:
                assert closes(store) == {"taken": 5, "delivered": 4, "filtered.unsubscribed": 1}
                assert store.lag(store.low_water()) == {"crm": 0}

    check(run)


def test_secrets_change_without_losing_a_delivery(world: World) -> None:
    """After a rotation receivers with the former and with the new secret both verify, with the public library."""

    async def run() -> None:
        async with Receiver() as receiver:
            world.define(hook(receiver))
            former = world.catalog.signing_secret("crm")
            async with world.delivering():
                world.emit([person(1)])
                await receiver.got(1)
                new = world.catalog.rotate_signing_secret("crm", 60)
                for n in range(2, 200):
                    world.emit([person(n)])
                    last = (await receiver.got(n))[-1]
                    if len(last.headers["webhook-signature"].split(" ")) == 2:
                        break
                    await asyncio.sleep(0.02)
            for secret in (former, new):
                assert Verifier(secret).verify(last.body, last.headers)
            Verifier(former).verify(receiver.received[0].body, receiver.received[0].headers)

    check(run)


def test_order_per_profile_while_some_fail(world: World) -> None:
    """A destination that fails at random gets every event, each person's in order of first success."""

    async def run() -> None:
        dice = random.Random(5)
        taken: list[Received] = []

        async def moody(request: Received, writer: asyncio.StreamWriter) -> None:
            if dice.random() < 0.1:
                await dice.choice([status(500), status(503), reset(), status(302)])(request, writer)
            else:
                taken.append(request)
                await ok(request, writer)

        async with Receiver(moody) as receiver:
            world.define(hook(receiver))
            async with world.delivering() as store:
                for _ in range(10):
                    world.emit([person(dice.randrange(8)) for _ in range(10)])
                await until(lambda: len({request.key for request in taken}) == 100, 60)
                await until(lambda: closes(store).get("delivered") == 100)
                assert store.pending("crm", 10) == []
        assert first_times(taken) == world.sent

    check(run)


def test_a_dead_destination_slows_no_other(world: World) -> None:
    """While one hangs, the other gets everything at once; what waits for the dead one survives a restart."""

    async def run() -> None:
        async with Receiver(after(60)) as dead, Receiver() as alive:
            world.define(hook(dead, "dead", timeout_s=0.3), hook(alive, "alive"))
            async with world.delivering() as store:
                world.emit([person(n) for n in range(50)])
                began_s = time.monotonic()
                await alive.got(50)
                assert time.monotonic() - began_s < 2
                await until(lambda: bool(store.pending("dead", 100)))
                assert closes(store, "alive")["delivered"] == 50
            keys = {request.key for request in dead.received}
            dead.behave(ok)
            dead.received.clear()
            async with world.delivering() as store:
                await until(lambda: store.counts()["dead"].get("delivered") == 50, 30)
                closes(store, "dead")
            assert keys <= {request.key for request in dead.received}
            assert len({request.key for request in dead.received}) == 50

    check(run)


def test_gone_parks_and_a_replay_from_another_process_brings_back(world: World) -> None:
    """410 switches a destination off; what it had taken is parked as `gone`, and goes out in order when replayed."""

    async def run() -> None:
        async with Receiver(in_turn(iter([after(0.2, status(410))]))) as receiver:
            world.define(hook(receiver))
            world.emit([person(1)] * 5)
            async with world.delivering() as store:
                await until(lambda: len(store.parked("crm", 0, 100)) == 5)
                assert {row.reason for row in store.parked("crm", 0, 100)} == {"gone"}
                assert all(row.payload for row in store.parked("crm", 0, 100))
                world.emit([person(1)])
                await until(lambda: closes(store).get("filtered.gone") == 1)
                asked = await asyncio.to_thread(
                    subprocess.check_output,
                    [
                        sys.executable,
                        "-c",
                        ASK,
                        str(world.directory.deliveries),
                    ],
                )
                assert int(asked) == 5
                await until(lambda: closes(store).get("delivered") == 5)
                await until(lambda: not store.requests())
        assert first_times(receiver.received[1:])[person(1)] == world.sent[person(1)][:5]

    check(run)


def test_a_destination_that_is_defined_later_misses_nothing_after_it(world: World) -> None:
    """Events after `define` arrive at a new destination; a disabled one counts them as filtered."""

    async def run() -> None:
        async with Receiver() as old, Receiver() as new:
            world.define(hook(old, "old"))
            async with world.delivering() as store:
                world.emit([person(1)] * 3)
                await old.got(3)
                await asyncio.sleep(0.6)
                world.define(hook(old, "old", enabled=False), hook(new, "new"))
                world.emit([person(2)] * 4)
                await new.got(4)
                await until(lambda: closes(store, "old").get("filtered.disabled", 0) + len(old.received) == 7)
                assert len(new.received) == 4

    check(run)


def test_a_role_that_ends_before_it_knows_its_destinations_forgets_none(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Told to stop while it still reads the catalog, it does not write that nobody follows: what is due still comes."""
    monkeypatch.setattr(delivery, "STOP_GRACE_S", 0.1)

    async def run() -> None:
        async with Receiver(after(60)) as receiver:
            world.define(hook(receiver, timeout_s=60))
            world.emit([person(n) for n in range(5)])
            async with world.delivering():
                await receiver.got(5)
            async with world.delivering():
                pass
            receiver.behave(ok)
            receiver.received.clear()
            async with world.delivering():
                assert len(await receiver.got(5)) == 5

    check(run)


def test_a_replay_waits_until_the_catalog_can_be_read(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that is asked for while the role does not know its destinations yet is done once it does."""

    async def run() -> None:
        async with Receiver(status(400)) as receiver:
            world.define(hook(receiver))
            world.emit([person(1)] * 3)
            async with world.delivering() as store:
                await until(lambda: len(store.parked("crm", 0, 9)) == 3)
                assert store.replay("crm", None) == 3
                await until(lambda: not store.requests())
                await until(lambda: len(store.parked("crm", 0, 9)) == 3)
            receiver.behave(ok)
            with monkeypatch.context() as broken:
                broken.setattr(world.catalog, "definitions", _unreadable)
                async with world.delivering() as store:
                    assert store.replay("crm", None) == 3
                    await asyncio.sleep(0.5)
                    assert store.requests()
            async with world.delivering() as store:
                await until(lambda: closes(store).get("delivered") == 3)

    check(run)


def _unreadable() -> Definitions:
    raise StorageError("the catalog: no such device")


def test_a_destination_that_is_removed_keeps_what_waited(world: World) -> None:
    """What waits for a removed destination is kept, and goes out when that comes back, before what follows."""

    async def run() -> None:
        async with Receiver(status(500)) as receiver, Receiver() as other:
            world.define(hook(receiver), hook(other, "other"))
            async with world.delivering() as store:
                world.emit([person(1)] * 3)
                await until(lambda: len(store.pending("crm", 9)) == 3)
                world.define(hook(other, "other"))
                await until(lambda: store.lag(9).keys() == {"other"})
                world.emit([person(1)] * 4)
                await other.got(7)
                await asyncio.sleep(0.6)
                receiver.behave(ok)
                receiver.received.clear()
                world.define(hook(receiver), hook(other, "other"))
                await until(lambda: store.lag(9).keys() == {"crm", "other"})
                world.emit([person(1)] * 2)
                await until(lambda: closes(store).get("delivered") == 5, 30)
            sent = world.sent[person(1)]
            assert first_times(receiver.received)[person(1)] == sent[:3] + sent[7:]

    check(run)


def test_kill_9_under_load(world: World) -> None:
    """However often the role is killed: every effect arrives at least once, in order, under the same key."""

    async def run() -> None:
        dice = random.Random(11)

        async def moody(request: Received, writer: asyncio.StreamWriter) -> None:
            await asyncio.sleep(dice.random() * 0.01)
            await (status(500) if dice.random() < 0.02 else ok)(request, writer)

        async with Receiver(moody) as receiver:
            world.define(hook(receiver))
            total = 0
            for _ in range(6):
                process = world.process()
                for _ in range(15):
                    people = [person(dice.randrange(30)) for _ in range(20)]
                    world.emit(people)
                    total += len(people)
                    await asyncio.sleep(0.05 * dice.random())
                await asyncio.sleep(0.5 + dice.random())
                process.send_signal(signal.SIGKILL)
                await asyncio.to_thread(process.wait)
            process = world.process()
            world.emit([person(1)])
            total += 1
            try:
                with contextlib.closing(DeliveryStore(world.directory.deliveries, readonly=True)) as store:
                    await until(lambda: store.counts().get("crm", {}).get("delivered") == total, 60)
                    assert closes(store) == {"taken": total, "delivered": total}
            finally:
                process.send_signal(signal.SIGTERM)
                assert await asyncio.to_thread(process.wait, 10) == 0
        bodies: dict[str, set[bytes]] = defaultdict(set)
        for request in receiver.received:
            bodies[request.key].add(request.body)
        assert len(bodies) == total
        assert all(len(same) == 1 for same in bodies.values())
        assert first_times(receiver.received) == world.sent

    check(run)


@pytest.mark.parametrize("stuck", ["dead", "full", "still", "disabled"])
def test_a_dead_destination_lets_go_of_effects_and_log(world: World, stuck: str) -> None:
    """What has waited for too long is given up and counted, wherever it waits; effects and log are trimmed again.

    Then the destination comes back, and gets what follows.
    """
    clock = Later()
    settings = Settings(data=world.directory.path, effects_retention_s=60, log_retention_bytes=0)
    people = [person(n) for n in range(limits.DELIVERY_LANES_MAX // 19 if stuck == "full" else 2)]
    total = 20 * len(people)

    async def run() -> None:
        async with Receiver(status(500)) as receiver:
            world.define(hook(receiver, url="nowhere") if stuck == "still" else hook(receiver))
            async with world.delivering(clock, Patience(HOUR_MS, 24 * HOUR_MS)) as store:
                await until(lambda: bool(store.lag(0)) or stuck == "still")
                for _ in range(20):
                    world.emit(people)
                if stuck in ("dead", "disabled"):
                    await until(lambda: bool(store.counts()) and closes(store).get("pending") == total)
                retention = Retention(settings, world.log, world.state, store.low_water, clock)
                if stuck == "disabled":
                    world.define(hook(receiver, enabled=False))
                    await asyncio.sleep(0.6)
                clock.ahead_ms += HOUR_MS // 2
                await asyncio.sleep(3)
                retention.trim()
                if stuck in ("full", "still"):
                    assert world.state.effects(0, 99), "trimmed before its time"
                clock.ahead_ms += HOUR_MS
                await until(lambda: bool(store.counts()) and closes(store).get("filtered.expired") == total, 30)
                assert closes(store) == {"taken": total, "filtered.expired": total}
                assert (store.pending("crm", 9), store.parked("crm", 0, 9)) == ([], [])
                retention.trim()
                assert not world.state.effects(0, 99)
                with contextlib.closing(LmdbLogReader(world.directory.log)) as log:
                    assert log.ends(0) == (20, 20)
                receiver.behave(ok)
                receiver.received.clear()
                world.define(hook(receiver))
                await asyncio.sleep(0.6)
                late = person(1_000_000)
                world.emit_at([late], clock.now_ms())
                await until(lambda: closes(store).get("delivered") == 1, 30)
                assert first_times(receiver.received)[late] == world.sent[late]

    check(run)


def test_what_is_parked_is_forgotten_in_the_end(world: World) -> None:
    """A replay in time gives a delivery a new life; without one it is given up after its time, with its payload."""
    clock = Later()

    async def run() -> None:
        async with Receiver(status(400)) as receiver:
            world.define(hook(receiver))
            async with world.delivering(clock, Patience(HOUR_MS, 24 * HOUR_MS)) as store:
                world.emit([person(n) for n in range(600)])
                await until(lambda: bool(store.counts()) and closes(store).get("parked.http_400") == 600)
                clock.ahead_ms += 23 * HOUR_MS
                receiver.behave(ok)
                first = store.parked("crm", 0, 1)[0]
                store.replay("crm", [first.key])
                await until(lambda: closes(store).get("delivered") == 1)
                clock.ahead_ms += 2 * HOUR_MS
                await until(lambda: closes(store).get("filtered.expired") == 599)
                assert closes(store) == {"taken": 600, "delivered": 1, "filtered.expired": 599}
                assert store.parked("crm", 0, 9) == []
                assert len(receiver.received) == 601
                with pytest.raises(AssertionError):
                    store.payload("crm", first.seq + 1)

    check(run)


def test_a_new_destination_does_not_forget_its_first_delivery(world: World) -> None:
    """Killed while the first attempt of all hangs, and others have gone on meanwhile, it sends that delivery again."""

    async def run() -> None:
        async with Receiver(after(60)) as slow, Receiver() as quick:
            world.define(hook(slow, "slow", timeout_s=50), hook(quick, "quick"))
            process = world.process()
            world.emit([person(1)])
            await slow.got(1)
            with contextlib.closing(DeliveryStore(world.directory.deliveries, readonly=True)) as store:
                await until(lambda: store.mark() >= 1 and closes(store, "quick").get("delivered") == 1)
            process.kill()
            process.wait()
            slow.behave(ok)
            async with world.delivering() as store:
                assert [request.key for request in await slow.got(2)] == [slow.received[0].key] * 2
                await until(lambda: closes(store, "slow").get("delivered") == 1)

    check(run)


def test_a_role_waits_for_the_end_of_the_one_before(world: World) -> None:
    """While another deliver role is at work on this store, as an orphan is, a new one leaves store and receivers alone.

    Both would write one book: what the old one has kept since the new one read it would be kept for ever.
    """

    async def run() -> None:
        async with Receiver(after(3, status(500))) as receiver:
            world.define(hook(receiver, timeout_s=5))
            orphan = world.process()
            world.emit([person(1)])
            await receiver.got(1)
            receiver.behave(ok)
            successor = world.process()
            try:
                with contextlib.closing(DeliveryStore(world.directory.deliveries, readonly=True)) as store:
                    await until(lambda: len(store.pending("crm", 9)) == 1)
                    orphan.kill()
                    orphan.wait()
                    await until(lambda: store.pending("crm", 9) == [])
                    assert closes(store) == {"taken": 1, "delivered": 1}
                assert len(receiver.received) == 2
            finally:
                successor.terminate()
                assert await asyncio.to_thread(successor.wait, 10) == 0

    check(run)
