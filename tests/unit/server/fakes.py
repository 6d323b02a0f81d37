"""A platform in memory for the API's tests: one person with a history, one audience, one event in quarantine."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from litestar.testing import TestClient
from msgspec import Raw

from onefold.clock import SystemClock
from onefold.errors import NotFoundError
from onefold.model import delivery, entry, position, profile
from onefold.model.changes import Changes, Cursor
from onefold.model.definitions import Audience, Definitions, Trait
from onefold.model.effect import Admitted, AnyEffect, Entered
from onefold.model.profile import Declared, Link, Merge, Profile
from onefold.model.quarantined import Quarantined
from onefold.ports import Record, State
from onefold.server.app import build
from onefold.server.auth import Keyring
from onefold.server.engines import Engines
from onefold.settings import Settings
from onefold.storage.embedded.deliveries import DeliveryStore
from onefold.storage.place import Place
from onefold.testing.memory.log import MemoryLog
from onefold.testing.memory.proposals import MemoryProposals
from onefold.testing.memory.state import MemoryState

T0 = 1_700_000_000_000
ANN = position.profile_id(1, position.position(0, 1))
EVENTS = [
    b'{"type":"track","event":"Viewed","userId":"nobody","messageId":"m0"}',
    (
        b'{"type":"track","event":"Bought","userId":"ann","messageId":"m1","unknownField":[1,2],'
        b'"timestamp":"2023-11-14T22:13:10Z","sentAt":"2023-11-14T22:13:15Z"}'
    ),
]


class FakeLog:
    """One record in partition 1."""

    partitions = 2

    def __init__(self) -> None:
        self.records = {(1, 0): entry.encode(entry.Outgoing("shop", T0, [Raw(body) for body in EVENTS]))}

    def read(self, partition: int, offset: int, max_bytes: int) -> list[Record]:  # noqa: ARG002 the port's
        """The one record, or retention's answer."""
        if offset >= 1:
            return []
        if (data := self.records.get((partition, offset))) is None:
            raise NotFoundError("removed by retention")
        return [Record(offset, data)]

    def ends(self, partition: int) -> tuple[int, int]:  # noqa: ARG002 the port's
        """Both partitions end at 1."""
        return 0, 1

    def watch(self, partitions: Iterable[int]) -> int | None:  # noqa: ARG002 the port's
        """There are no signs."""
        return None

    def close(self) -> None:
        """Nothing to let go of."""


def state(made: State | None = None) -> State:
    """Ann, five members of the audience, three events in quarantine; partition 0 is one record behind."""
    made = MemoryState() if made is None else made
    quarantined = [
        Quarantined(1, 0, "shop", T0, "no identifier", ""),
        Quarantined(1, 7, "shop", T0, "not an object", "[]"),
        Quarantined(1, 9 << 16, "shop", T0, "no identifier", ""),
    ]
    counts = {"received": 3, "admitted": 1, "duplicate": 1, "quarantined.invalid": 1}
    names = ("user_id:ann", "email:ann@example.com", "user_id:a/b", "user_id:a b%")
    changes = Changes(
        partition=1,
        cursor=Cursor(1, T0, 1),
        profiles={ANN: ann()},
        identifiers=dict.fromkeys(names, ANN),
        absorbed={ANN + 100: ANN},
        due={},
        members={"buyers": {ANN + n: T0 + n for n in range(5)}},
        messages={},
        effects=[],
        quarantined=quarantined,
        counts=counts,
    )
    commit(made, changes)
    return made


def commit(into: State, changes: Changes) -> None:
    """Commit changes as a worker would."""
    encoded = {number: profile.encode(found) for number, found in changes.profiles.items()}
    into.commit([changes], into.load(changes.identifiers, changes.profiles, changes.messages), encoded)


def happen(into: State, *effects: AnyEffect) -> None:
    """Commit effects alone."""
    commit(into, Changes(1, Cursor(1, T0, 1), {}, {}, {}, {}, {}, {}, list(effects), [], {}))


def deliveries(path: Path) -> DeliveryStore:
    """Three deliveries went out, one waits, two are parked."""
    store = DeliveryStore(path)

    def row(n: int, state: delivery.State) -> delivery.Delivery:
        payload = b'{"type":"entered"}'
        return delivery.Delivery(n << 24, f"01-{n}-0", ANN, "entered", payload, state, 3, T0, 503, "busy", T0 * (n > 1))

    progress = delivery.Progress(
        "crm",
        9,
        {"taken": 6, "delivered": 3, "pending": 1, "parked.gave_up": 2},
        {1 << 24: row(1, "retrying")},
        {n << 24: row(n, "parked") for n in (2, 3)},
    )
    store.write([progress], 9, ["crm"])
    return store


def ann() -> Profile:
    """A person with something in every part."""
    return Profile(
        ANN,
        T0,
        T0 + 1,
        T0 + 2,
        T0 + 3,
        version=1,
        events=2,
        identifiers={"user_id:ann": T0, "email:ann@example.com": T0 + 5, "user_id:a/b": T0, "odd:a:b": T0},
        declared={"plan": Declared("gold", T0, b"1", 1 << 56 | 1), "tags": Declared(["a", None, 1.5], T0, b"1")},
        computed={"orders": 2, "last_order_at": datetime(2023, 11, 14, 22, 13, 20, 5_000, UTC)},
        audiences={"buyers": T0 + 7},
        links=[Link("user_id:ann", "email:ann@example.com", 1, 65_537, "shared_event", T0)],
        merges=[Merge(ANN - 1, 1, 65_537, T0)],
        recent=[5, 1 << 56 | 1],
    )


def admitted(n: int, name: str = "Bought") -> AnyEffect:
    """An admitted event of Ann."""
    return Admitted(ANN, n, 0, T0, name)


def entered(n: int) -> AnyEffect:
    """Ann enters the audience."""
    return Entered(ANN, n, 1, T0, "buyers")


def engines(path: Path, **changed: Any) -> Engines:
    """Engines over the fakes, with a real catalog, which may be given: it has no version yet."""
    settings = Settings(data=path / "data", disk_reserve_bytes=1)
    place = Place.open(settings)
    clock = SystemClock()
    catalog = changed.get("catalog") or place.catalog(clock)
    catalog.save_definitions(
        Definitions(
            traits=(Trait("orders", 'count("Bought")'),), audiences=(Audience("buyers", "orders > 0", "Who buys"),)
        ),
        "test",
    )
    proposals = MemoryProposals(clock)
    parts: dict[str, Any] = {
        "settings": settings,
        "clock": clock,
        "place": place,
        "catalog": catalog,
        "log": FakeLog(),
        "writer": MemoryLog(FakeLog.partitions),
        "state": changed.get("state") or state(),
        "deliveries": deliveries(settings.data / "deliveries"),
        "proposals": lambda: proposals,
    }
    return Engines(**(parts | changed))


class Client(TestClient[Any]):
    """A client with an admin's key."""

    def __init__(self, app: Any, engines: Engines, keyring: Keyring, secret: str) -> None:
        super().__init__(app, raise_server_exceptions=True)
        self.engines, self.keyring, self.secret = engines, keyring, secret
        self.headers["authorization"] = f"Bearer {secret}"


@contextmanager
def client(path: Path, **changed: Any) -> Iterator[Client]:
    """A client of the whole app over the fakes."""
    made = engines(path, **changed)
    secret = made.catalog.create_secret_key("admin", ["*"])
    app = build(made)
    try:
        yield Client(app, made, app.keyring, secret)
    finally:
        made.catalog.close()
