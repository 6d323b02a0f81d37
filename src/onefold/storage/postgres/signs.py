"""Signs that something was written, by LISTEN and NOTIFY: PostgreSQL's own, and so a help that nobody may rely on.

A NOTIFY holds a lock of the whole database until its transaction ends, so it is sent after the commit that it tells of.
"""

import os
import select
import threading
from contextlib import suppress

from onefold.errors import StorageError
from onefold.storage.postgres import driver
from onefold.storage.postgres.driver import Address, Connection, errors

_AGAIN_S = 0.5
"""Between attempts to reach a server that has gone."""


def notify(connection: Connection, channel: str) -> None:
    """Give a sign on this channel, where there are channels."""
    connection.execute(f'NOTIFY "{channel}"'.encode())


class Signs:
    """Hears a channel in a thread with a connection of its own, once somebody watches."""

    def __init__(self, address: Address, channel: str) -> None:
        self._address = address
        self._channel = channel
        self._lock = threading.Lock()
        self._pipes: list[int] = []
        self._thread: threading.Thread | None = None
        self._silent = False
        self._stop: list[int] = []

    def watch(self) -> int | None:
        """A file descriptor as `ports.State.watch` says; None where this server has no signs.

        Also readable after each loss of the connection, since who knows what was written meanwhile. Raises
        `Unavailable` where the server cannot be reached at first.
        """
        with self._lock:
            if self._thread is None and not self._silent:
                self._begin()
            if self._silent:
                return None
            reader, writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
            self._pipes.append(writer)
            return reader

    def close(self) -> None:
        """Let go of the connection. Watches stay open, and silent, until who has them closes them."""
        with self._lock:
            thread, self._thread, self._silent = self._thread, None, True
        if thread is not None:
            os.write(self._stop[1], b"\0")
            thread.join()
        for pipe in [*self._pipes, *self._stop]:
            os.close(pipe)
        self._pipes, self._stop = [], []

    def _begin(self) -> None:
        try:
            with driver.translated():
                connection = self._listening()
        except StorageError as error:
            if not isinstance(error.__cause__, errors.FeatureNotSupported | errors.SyntaxError):
                raise
            self._silent = True
            return
        # Others may take LISTEN, and are told nothing all the same: commits send signs to PostgreSQL alone.
        if not driver.is_genuine(connection):
            connection.close()
            self._silent = True
        else:
            self._stop = list(os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC))
            self._thread = threading.Thread(target=self._hear, args=[connection], name="signs", daemon=True)
            self._thread.start()

    def _listening(self) -> Connection:
        connection = driver.connect(self._address)
        with driver.closed_unless_done(connection):
            connection.execute(f'LISTEN "{self._channel}"'.encode())
        return connection

    def _hear(self, connection: Connection | None) -> None:
        """Pass signs on, and connect again where the connection broke, until there is a stop."""
        while True:
            if connection is None:
                with suppress(StorageError), driver.translated():
                    connection = self._listening()
                    self._give()
            waits = [self._stop[0]] if connection is None else [self._stop[0], connection.fileno()]
            ready, _, _ = select.select(waits, [], [], _AGAIN_S if connection is None else None)
            if self._stop[0] in ready:
                break
            if connection is not None and not _heard(connection):
                connection.close()
                connection = None
            self._give()
        if connection is not None:
            connection.close()

    def _give(self) -> None:
        """Write into every pipe that somebody still reads."""
        with self._lock:
            for pipe in list(self._pipes):
                try:
                    os.write(pipe, b"\0")
                except BlockingIOError:
                    continue
                except OSError:
                    self._pipes.remove(pipe)
                    os.close(pipe)


def _heard(connection: Connection) -> bool:
    """Take what has come; False: the connection is broken."""
    try:
        connection.pgconn.consume_input()
        while connection.pgconn.notifies():
            pass
    except errors.OperationalError:
        return False
    return not driver.is_lost(connection)
