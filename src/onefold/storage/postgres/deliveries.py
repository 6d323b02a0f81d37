"""The book of deliveries on a server of the PostgreSQL protocol: `ports.Deliveries` over a workspace's schema.

Rows and standings are bytes as `embedded.deliveries` keeps them; what is asked for by value has columns beside them.
Who keeps the book is `deliveries_lease`'s business, what a write comes to `deliveries_batch`'s.
"""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from itertools import takewhile
from typing import Any, NamedTuple

import msgspec
from msgspec.structs import replace

from onefold.clock import Clock, SystemClock
from onefold.errors import NotFoundError, StorageError
from onefold.limits import BOOK_LEASE_S
from onefold.model import delivery as deliveries
from onefold.model.delivery import Delivery, Kept, Progress, Request, Standing
from onefold.storage.postgres import driver, migration, signs
from onefold.storage.postgres.deliveries_batch import Batch, as_bytes, as_text, decode_standing
from onefold.storage.postgres.deliveries_lease import Lease
from onefold.storage.postgres.driver import DEFAULT_WORKSPACE, Address, Connection, Pool, Timeouts
from onefold.storage.postgres.signs import Signs

POOL_SIZE = 4
"""Connections that one process uses at once, besides that of the lease."""

_MARK = "UPDATE delivery_book SET mark = %s WHERE one"
_FOLLOW = """
UPDATE delivery_standings SET following = NOT following WHERE following <> (destination = ANY(%b::bytea[]))
"""
_DROP_REPLAY = "DELETE FROM delivery_replays WHERE number = %s"
_LOW_WATER = """
SELECT mark, standing.data FROM delivery_book LEFT JOIN delivery_standings AS standing ON following WHERE one
"""
_ROWS = """
SELECT data FROM delivery_rows WHERE destination = %s AND parked = %s AND seq >= %s ORDER BY seq LIMIT %s
"""
_ROWS_WITH_PAYLOADS = """
SELECT row.data, payload.data
FROM delivery_rows AS row LEFT JOIN delivery_payloads AS payload USING (destination, seq)
WHERE destination = %s AND parked = %s AND seq >= %s ORDER BY seq LIMIT %s
"""
_PAYLOAD = "SELECT data FROM delivery_payloads WHERE destination = %s AND seq = %s"
_MEANT = """
FROM delivery_rows
WHERE destination = ANY(%(destinations)b::bytea[]) AND parked AND parked_at_ms <= %(at_ms)s
AND (%(all)s OR key = ANY(%(keys)b::bytea[]))
"""
"""What `Request.asks_for` says."""

_request_decoder = msgspec.msgpack.Decoder(Request)


class Options(NamedTuple):
    """How to reach the server, and for how long the book is kept without a sign of life."""

    role: str = "onefold deliveries"
    """Shown as application_name in `pg_stat_activity`."""
    timeouts: Timeouts = Timeouts()
    lease_s: float = BOOK_LEASE_S


class PostgresDeliveries:
    """`ports.Deliveries` in a workspace's schema. Any number of handles may be open; any thread may use one."""

    def __init__(
        self,
        url: str,
        workspace: str = DEFAULT_WORKSPACE,
        *,
        readonly: bool = False,
        clock: Clock | None = None,
        options: Options | None = None,
    ) -> None:
        """Open, making or migrating the workspace's schema unless `readonly`.

        Raises `TooNew`, having written nothing, where a newer Onefold made it; `NotFoundError` where there is nothing
        yet to read; and as `driver.connect` does.
        """
        role, timeouts, lease_s = options or Options()
        address = Address(url, driver.schema_of(workspace), role, timeouts._replace(idle_s=lease_s))
        self._clock = clock or SystemClock()
        self._readonly = readonly
        self._channel = f"{address.schema}_deliveries"
        self._signs = Signs(address, self._channel)
        self._lease = Lease(address, self._clock, lease_s)
        self._pool = Pool(lambda: driver.connect(address), timeouts.answer_s, POOL_SIZE)
        if readonly:
            self._pool.run(partial(migration.require_current, schema=address.schema))
        else:
            migration.migrate(url, address.schema)

    # --- reading, from any process ---------------------------------------------------------------------------
    def counts(self) -> dict[str, dict[str, int]]:
        """Destination → counts up to its low-water mark: taken = delivered + pending + `parked.…` + `filtered.…`."""
        return {name: standing.counts for name, standing in self.standings().items()}

    def standings(self) -> dict[str, Standing]:
        """Destination → where it stands."""
        return self._pool.run(_standings)

    def lag(self, newest_commit: int) -> dict[str, int]:
        """Destination that is followed → commits that are not wholly settled yet."""
        standings = self.standings().items()
        return {name: max(0, newest_commit - s.low_water) for name, s in standings if s.following}

    def low_water(self) -> int:
        """No destination, and none that may yet be defined, needs effects of commits up to this one again."""
        found = self._all(_LOW_WATER)
        marks = [decode_standing(data).low_water for _, data in found if data is not None]
        return min([int(found[0][0]), *marks])

    def pending(self, destination: str, limit: int) -> list[Delivery]:
        """The oldest deliveries that wait for a retry, or behind one, with their payloads."""
        return self._with_payloads(destination, False, 0, limit)

    def parked(self, destination: str, after: int, limit: int) -> list[Delivery]:
        """Parked deliveries with seq > `after`, oldest first, with their payloads."""
        return self._with_payloads(destination, True, after + 1, limit)

    # --- asking for a replay, from any process ---------------------------------------------------------------
    def replay(self, destination: str | None, keys: Iterable[str] | None) -> int:
        """Ask that parked deliveries be sent again, of one destination or all, all of them or those with these keys.

        The deliver role does it: soon, or when it runs again. Also switches a destination on again that had
        answered 410. Returns how many are parked now and meant. Raises `NotFoundError` for an unknown destination.
        """
        self._must_write()
        request = Request(self._clock.now_ms(), destination, None if keys is None else frozenset(keys))
        meant = self._pool.run(lambda connection: _ask(connection, request))
        with suppress(StorageError):
            self._pool.run(lambda connection: signs.notify(connection, self._channel))
        return meant

    # --- keeping the book ------------------------------------------------------------------------------------
    def try_hold(self) -> bool:
        """Keep the book from now on, where nobody else does; False: another does. Who keeps it already goes on.

        Never waits for the one who keeps it. A handle that was `Superseded` may stand in line again.
        """
        self._must_write()
        return self._lease.try_hold()

    def renew(self) -> None:
        """Go on keeping it. Waits no longer for the server than the lease lasts.

        Raises `Superseded` where another has taken the book over, or may have by now; `Unavailable` before that.
        """
        self._lease.renew()

    def write(self, changes: Iterable[Progress], mark: int, following: Iterable[str]) -> None:
        """Write all of this in one durable transaction. Destinations not in `following` hold up nothing.

        Raises `Superseded`, having written nothing, where this handle does not keep the book; otherwise `StorageError`
        and its kin: call again with the same.
        """
        batch = Batch.of(changes)
        followed = [as_bytes(name) for name in following]

        def body(connection: Connection) -> None:
            batch.write(connection)
            connection.execute(_FOLLOW, [followed])
            connection.execute(_MARK, [mark])

        self._lease.keeping(self._pool, body)

    def finish(self, request: int) -> None:
        """A replay is done, and written. Raises `Superseded` as `write`."""
        self._lease.keeping(self._pool, lambda connection: connection.execute(_DROP_REPLAY, [request]))

    # --- for who keeps it ------------------------------------------------------------------------------------
    def mark(self) -> int:
        """The commit after which destinations begin that nobody has heard of yet."""
        return int(self._all("SELECT mark FROM delivery_book WHERE one")[0][0])

    def load(self, destination: str) -> Kept:
        """What there is to go on from."""
        standing = self.standings().get(destination)
        if standing is None:
            return Kept(None, [], [])
        ahead = deliveries.sequence(standing.low_water + 1, 0)
        return Kept(standing, self._rows(destination, False, 0, None), self._rows(destination, True, ahead, None))

    def payload(self, destination: str, seq: int) -> bytes:
        """The payload of a pending or parked delivery."""
        found = self._all(_PAYLOAD, [as_bytes(destination), seq])
        assert found, "a row without a payload"
        return bytes(found[0][0])

    def requests(self) -> dict[int, Request]:
        """Replays that were asked for and are not done, oldest first."""
        found = self._all("SELECT number, data FROM delivery_replays ORDER BY number")
        return {number: _request_decoder.decode(data) for number, data in found}

    def parked_rows(self, destination: str, request: Request, after: int, limit: int) -> list[Delivery]:
        """Rows of parked deliveries with seq > `after` that a replay means, without payloads."""
        wanted = f"SELECT data {_MEANT} AND seq > %(after)s ORDER BY seq LIMIT %(limit)s"
        found = self._all(wanted, {**_meant(request, [destination]), "after": after, "limit": limit})
        return [deliveries.decode(data) for (data,) in found]

    def parked_before(self, destination: str, at_ms: int, limit: int) -> list[Delivery]:
        """Rows of the oldest deliveries, as far as they were parked before this instant, without payloads."""
        return list(takewhile(lambda row: row.parked_at_ms < at_ms, self._rows(destination, True, 0, limit)))

    def watch(self) -> int | None:
        """A file descriptor that can be read from once somebody has asked for a replay; None: look now and then."""
        return self._signs.watch()

    def close(self) -> None:
        """Let go of the book, if this handle keeps it and the server can be reached, and of connections."""
        self._lease.close()
        self._signs.close()
        self._pool.close()

    # --- within ----------------------------------------------------------------------------------------------
    def _must_write(self) -> None:
        if self._readonly:
            raise StorageError("the book of deliveries was opened for reading only")

    def _all(self, query: str, values: Sequence[Any] | Mapping[str, Any] = ()) -> list[driver.Row]:
        return self._pool.run(lambda connection: connection.execute(query.encode(), values).fetchall())

    def _rows(self, destination: str, parked: bool, first: int, limit: int | None) -> list[Delivery]:  # noqa: FBT001 - which of the two lists
        found = self._all(_ROWS, [as_bytes(destination), parked, first, limit])
        return [deliveries.decode(data) for (data,) in found]

    def _with_payloads(self, destination: str, parked: bool, first: int, limit: int) -> list[Delivery]:  # noqa: FBT001 - as above
        found = self._all(_ROWS_WITH_PAYLOADS, [as_bytes(destination), parked, first, limit])
        return [replace(deliveries.decode(data), payload=bytes(payload or b"")) for data, payload in found]


def _standings(connection: Connection) -> dict[str, Standing]:
    found = connection.execute("SELECT destination, following, data FROM delivery_standings ORDER BY destination")
    return {as_text(name): replace(decode_standing(data), following=following) for name, following, data in found}


def _ask(connection: Connection, request: Request) -> int:
    with connection.transaction():
        names = list(_standings(connection))
        if request.destination is not None and request.destination not in names:
            raise NotFoundError(f"no deliveries are known to a destination named {request.destination!r}")
        meant = _meant(request, [name for name in names if request.destination in (None, name)])
        row = connection.execute(f"SELECT count(*) {_MEANT}".encode(), meant).fetchone()
        connection.execute("INSERT INTO delivery_replays (data) VALUES (%s)", [msgspec.msgpack.encode(request)])
        assert row is not None
        return int(row[0])


def _meant(request: Request, destinations: Iterable[str]) -> dict[str, Any]:
    """The values of `_MEANT`."""
    return {
        "destinations": [as_bytes(name) for name in destinations],
        "at_ms": request.at_ms,
        "all": request.keys is None,
        "keys": [as_bytes(key) for key in request.keys or ()],
    }
