"""Turns of workers whose commits are dear: by an advisory lock, which nobody relies on.

Who would wait for the row `head` with a commit that is made is overtaken while waiting, if they have people in common.
So the waiting comes first, here, and what others have changed meanwhile is looked at in one's own turn.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from onefold.errors import StorageError
from onefold.storage.postgres import driver
from onefold.storage.postgres.driver import Connection, errors

_TAKE = b"SELECT pg_advisory_xact_lock(hashtextextended(current_schema(), 0))"


class Turns:
    """Takes one worker's turns, over a connection of its own. For one thread at a time.

    Who stands still in their turn loses it, and who waits for too long goes on without: `driver.Timeouts`.
    """

    def __init__(self, connect: Callable[[], Connection]) -> None:
        self._connect = connect
        self._connection: Connection | None = None
        self._none = False
        """This server has no such locks, or is not PostgreSQL itself."""

    @contextmanager
    def turn(self) -> Iterator[None]:
        """As `ports.State.turn`. Where it cannot be taken, all goes on without."""
        taken = not self._none and self._take()
        try:
            yield
        finally:
            if taken:
                self._end()

    def close(self) -> None:
        """Let go of the connection."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _take(self) -> bool:
        try:
            with driver.translated():
                connection = self._connection = self._connection or self._opened()
                if connection is None:
                    return False
                with connection.pipeline():
                    connection.execute(b"BEGIN")
                    connection.execute(_TAKE)
        except StorageError:
            self.close()
            return False
        return True

    def _end(self) -> None:
        """Whoever has lost the connection has lost the turn with it."""
        if (connection := self._connection) is None:
            return
        try:
            connection.execute(b"ROLLBACK")
        except errors.Error:
            self.close()

    def _opened(self) -> Connection | None:
        connection = self._connect()
        with driver.closed_unless_done(connection):
            if driver.is_genuine(connection):
                return connection
        self._none = True
        connection.close()
        return None
