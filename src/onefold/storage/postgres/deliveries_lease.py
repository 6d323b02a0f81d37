"""Who keeps the book of deliveries on a PostgreSQL server: one row with a holder, an epoch and an end.

The epoch grows with each taking; the end is an instant by the server's clock, until which nobody else may take it. A
write is a transaction that begins with locking the row if the epoch is its own (`Lease.keeping`). So a holder that was
paused and comes back writes nothing; and where the pause came in the midst of a write, the server ends that transaction
when it has rested for as long as the lease (`Timeouts.idle_s`), and nothing of it is left.
"""

import os
import socket
from collections.abc import Callable
from contextlib import suppress

from onefold.clock import Clock
from onefold.errors import StorageError, Superseded, Unavailable
from onefold.storage.postgres import driver
from onefold.storage.postgres.driver import Address, Connection, Pool, Timeouts

_HOLD = """
UPDATE delivery_book AS book
SET epoch = book.epoch + 1, holder = %(holder)s, held_until = clock_timestamp() + %(lease_s)s * interval '1 second'
FROM (
    SELECT one FROM delivery_book
    WHERE one AND (holder = %(holder)s OR held_until <= clock_timestamp())
    FOR UPDATE SKIP LOCKED
) AS free
WHERE book.one = free.one
RETURNING book.epoch
"""
"""A row that is locked belongs to a holder who is writing: it is not free, and not waited for."""
_RENEW = """
UPDATE delivery_book SET held_until = clock_timestamp() + %(lease_s)s * interval '1 second'
WHERE one AND epoch = %(epoch)s
"""
_LOCK = "SELECT 1 FROM delivery_book WHERE one AND epoch = %s FOR UPDATE"
_LET_GO = "UPDATE delivery_book SET holder = '', held_until = '-infinity' WHERE one AND epoch = %s"
_NEVER = -1


class Lease:
    """The hold of one handle. Its own statements go over a connection of their own, which is given up in time."""

    def __init__(self, address: Address, clock: Clock, lease_s: float) -> None:
        self._clock = clock
        self._lease_s = lease_s
        self._holder = f"{socket.gethostname()}:{os.getpid()}:{clock.random_bytes(8).hex()}"
        self._epoch = _NEVER
        self._renewed_s = 0.0
        brief = address._replace(timeouts=_brief(address.timeouts, lease_s))
        self._pool = Pool(lambda: driver.connect(brief), brief.timeouts.answer_s, 1)

    def try_hold(self) -> bool:
        """As `ports.Deliveries.try_hold`. A handle that was superseded may stand in line again."""
        asked_s, wanted = self._clock.monotonic_s(), {"holder": self._holder, "lease_s": self._lease_s}
        found = self._pool.run(lambda connection: connection.execute(_HOLD, wanted).fetchone())
        self._epoch = _NEVER if found is None else found[0]
        self._renewed_s = asked_s
        return found is not None

    def renew(self) -> None:
        """As `ports.Deliveries.renew`. Waits no longer for the server than the lease lasts."""
        asked_s = self._clock.monotonic_s()
        try:
            done = self._pool.run(self._renew)
        except Unavailable as error:
            if self._clock.monotonic_s() - self._renewed_s >= self._lease_s:
                raise Superseded(f"the book of deliveries may be another's by now: {error}") from error
            raise
        if not done:
            raise _superseded()
        self._renewed_s = asked_s

    def keeping(self, pool: Pool, body: Callable[[Connection], object]) -> None:
        """Do this in a durable transaction, if this handle keeps the book; who writes is there, so it renews, too.

        Raises `Superseded`, having done nothing, where it does not. The body may run twice (`Pool.run`).
        """
        asked_s = self._clock.monotonic_s()

        def work(connection: Connection) -> None:
            with connection.transaction():
                if connection.execute(_LOCK, [self._epoch]).fetchone() is None:
                    raise _superseded()
                body(connection)
                self._renew(connection)

        pool.run(work)
        self._renewed_s = asked_s

    def close(self) -> None:
        """Let go of the book, if this handle keeps it and the server can be reached, and of the connection."""
        if self._epoch != _NEVER:
            with suppress(StorageError):
                self._pool.run(lambda connection: connection.execute(_LET_GO, [self._epoch]))
            self._epoch = _NEVER
        self._pool.close()

    def _renew(self, connection: Connection) -> int:
        return connection.execute(_RENEW, {"epoch": self._epoch, "lease_s": self._lease_s}).rowcount


def _superseded() -> Superseded:
    return Superseded("another process has taken over the book of deliveries, or this one never kept it")


def _brief(timeouts: Timeouts, lease_s: float) -> Timeouts:
    """For what is of no use any more when it comes after the end of the lease."""
    return Timeouts(*(min(each or lease_s, lease_s) for each in timeouts))
