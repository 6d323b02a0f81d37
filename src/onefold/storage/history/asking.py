"""Asking history large questions within bounds of memory, threads and time."""

import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import duckdb

from onefold.errors import Cancelled, Overloaded, StorageError
from onefold.language.sql.functions import SqlFunction
from onefold.ports import Connection, HistoryReader
from onefold.storage.history import sql_functions
from onefold.storage.history.views import quoted


class Means(NamedTuple):
    """What a question may use."""

    memory: str = "2GB"
    """Of DuckDB; what is more goes to the disk while the question lasts."""
    threads: int = 2
    timeout_s: float = 60.0


@contextmanager
def bounded(history: HistoryReader, memory: str, threads: int) -> Iterator[Connection]:
    """A connection to one snapshot of history that uses so much memory and goes on on the disk while it is open.

    What fails in the block raises `StorageError`.
    """
    with (
        TemporaryDirectory(prefix="onefold-asking-") as scratch,
        closing(history.connect(scratch)) as connection,
    ):
        connection.execute(f"SET memory_limit = {quoted(memory)}")
        connection.execute(f"SET threads = {threads}")
        connection.execute("SET preserve_insertion_order = false")
        with asking():
            yield connection


@contextmanager
def asking() -> Iterator[None]:
    """What DuckDB raises in the block becomes `StorageError`."""
    try:
        yield
    except duckdb.Error as error:
        raise StorageError(f"history cannot be asked: {error}") from error


class Asking:
    """A connection to one snapshot of history, with the functions that compiled definitions call.

    Another thread may `cancel`; what is under way then, and all that is asked afterwards, raises `Cancelled`.
    """

    def __init__(self, history: HistoryReader, means: Means) -> None:
        self._open = ExitStack()
        self._connection = self._open.enter_context(bounded(history, means.memory, means.threads))
        sql_functions.register(self._connection)
        self._known: set[str] = set()
        self._why = ""
        self._timer = threading.Timer(means.timeout_s, self.cancel, (f"it took longer than {means.timeout_s:g} s",))
        self._timer.daemon = True
        self._timer.start()

    def know(self, functions: Mapping[str, SqlFunction]) -> None:
        """Make a plan's own functions known, as far as they are not."""
        sql_functions.register(
            self._connection, {name: each for name, each in functions.items() if name not in self._known}
        )
        self._known.update(functions)

    def rows(self, query: str) -> list[Any]:
        """What a SELECT gives. Raises `Cancelled`, `Overloaded` past the memory, `StorageError`."""
        if self._why:
            raise Cancelled(self._why)
        try:
            found: list[Any] = self._connection.execute(query).fetchall()
        except duckdb.InterruptException as error:
            raise Cancelled(self._why or "it was interrupted") from error
        except duckdb.OutOfMemoryException as error:
            raise Overloaded(f"the question needs more memory than it may have: {error}") from error
        except duckdb.Error as error:
            raise StorageError(f"history cannot be asked: {error}") from error
        return found

    def row(self, query: str) -> tuple[Any, ...]:
        """The one row that a SELECT gives."""
        (row,) = self.rows(query)
        return tuple(row)

    def run(self, statement: str) -> None:
        """A statement for what it does."""
        self.rows(statement)

    def cancel(self, why: str = "somebody asked for it") -> None:
        """End it all."""
        self._why = self._why or why
        self._connection.interrupt()

    def close(self) -> None:
        """Let go of the connection and of what went to the disk."""
        self._timer.cancel()
        self._open.close()
