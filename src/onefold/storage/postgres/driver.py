"""Reaching a server of the PostgreSQL protocol: connections that never wait for ever, a pool, its errors as ours.

A workspace is one SQL schema (`schema_of`), made and migrated by `migration`; who wants to hear of news
without asking listens (`signs`). The SQL of the engines is what PostgreSQL and its kin (Citus, YugabyteDB,
CockroachDB) share; where a server is PostgreSQL itself (`is_genuine`), planner settings and storage parameters come
on top.

Needs `onefold[postgres]`, and says so when it is imported; the other modules of these engines have psycopg from here.
"""

import re
import select
import threading
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any, NamedTuple, TypeVar

from onefold.errors import Conflict, OnefoldError, Refused, SettingsError, StorageError, StorageFull, Unavailable

try:
    import psycopg
    from psycopg import conninfo, pq
    from psycopg.abc import PQGen
except ImportError as error:
    raise SettingsError("PostgreSQL needs more packages: pip install 'onefold[postgres]'") from error

DEFAULT_WORKSPACE = "default"
WORKSPACE_MAX_CHARS = 40
"""A schema's name has at most 63, and channels are named after schemas."""
POOL_SIZE = 8
"""Connections that one process reads with at once; a server has some hundred for all."""
PLANNER: Mapping[str, str] = {
    "plan_cache_mode": "force_generic_plan",
    "enable_seqscan": "off",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
    "max_parallel_workers_per_gather": "0",
    "jit": "off",
}
"""For genuine PostgreSQL: each statement is planned once a connection, as look-ups in indexes. Its statistics of a
state that is young would have it read whole tables, later, and plan anew for every batch."""
_DURABLE = "SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'"
"""Stronger settings, which wait for standbys too, stay as they are."""
_WORKSPACE = re.compile(r"[a-z][a-z0-9_]*")
_INTERVAL_S = 0.1
"""How often a wait looks whether it has lasted too long."""

Row = tuple[Any, ...]
Cursor = psycopg.Cursor[Row]
T = TypeVar("T")
Dumper = psycopg.adapt.Dumper
Loader = psycopg.adapt.Loader
BINARY = pq.Format.BINARY
errors = psycopg.errors
"""What other modules need of psycopg, so that they can be imported without it up to here."""


class Timeouts(NamedTuple):
    """After how many seconds something is given up, as `Unavailable`."""

    connect_s: float = 5.0
    """Until a connection stands; the URL's own `connect_timeout` counts more."""
    statement_s: float = 15.0
    """What the server gives one statement; waiting for locks included."""
    lock_s: float = 10.0
    """What the server lets one statement wait for a lock."""
    idle_s: float = 10.0
    """What the server lets a transaction rest: a client that vanished holds its locks no longer."""
    answer_s: float = 20.0
    """What we wait for an answer, and for a free connection: a server that stands still has no time-outs."""


PATIENT = Timeouts(statement_s=0, lock_s=120, idle_s=0, answer_s=3_600)
"""For migrations, which may have to write all tables anew."""


class Address(NamedTuple):
    """Where an engine's tables are, and who says so to the server."""

    url: str
    """As libpq takes it: several hosts for failover, TLS settings. It is not shown, since it may hold a password."""
    schema: str
    role: str = "onefold"
    """Shown as application_name in `pg_stat_activity`."""
    timeouts: Timeouts = Timeouts()

    def __repr__(self) -> str:
        return f"Address(schema={self.schema!r}, role={self.role!r})"


class Connection(psycopg.Connection[Row]):
    """A connection that gives up where no answer comes in time; it is closed then, as the answer could come later."""

    answer_s = Timeouts().answer_s

    def wait(self, gen: PQGen[T], interval: float = _INTERVAL_S, timeout: float | None = None) -> T:
        """Run a generator of psycopg's to its end. Raises `Silent` where nothing comes for `answer_s`."""
        try:
            return super().wait(_bounded(gen, self.answer_s), interval, timeout)
        except Silent:
            self.pgconn.finish()
            raise


class Uncertain(Unavailable):
    """The answer to a COMMIT was lost: it may have happened."""


class Silent(psycopg.OperationalError):
    """The server has not answered in time."""


def schema_of(workspace: str) -> str:
    """The SQL schema that holds a workspace: the unit of GRANT, DROP and of Citus' sharding by schema.

    Raises `SettingsError` for a name that is none: lower-case letters, digits and `_`, at most 40.
    """
    if not _WORKSPACE.fullmatch(workspace) or len(workspace) > WORKSPACE_MAX_CHARS:
        raise SettingsError(
            f"{workspace!r} is no name of a workspace: up to {WORKSPACE_MAX_CHARS} lower-case letters, digits and _, "
            "beginning with a letter"
        )
    return f"onefold_{workspace}"


def connect(address: Address) -> Connection:
    """A new connection: autocommit, unqualified names are those of the schema, only to a server that can be written to.

    Raises `Unavailable` where nobody answers in time, `Refused` with what to do where the server lets nobody in.
    """
    parameters = _parameters(address, given(address.url))
    with translated():
        connection = Connection.connect(**parameters)
    connection.answer_s = address.timeouts.answer_s
    return connection


def with_password(url: str, password: str) -> str:
    """The same server with this password; none is empty. Raises `SettingsError` where the URL has one already."""
    if not password:
        return url
    if given(url).get("password"):
        raise SettingsError("`database` holds a password, and `database_password` is given, too: leave one out")
    return conninfo.make_conninfo(url, password=password)


def given(url: str) -> dict[str, Any]:
    """What a URL says, by libpq's names. Raises `SettingsError`, which does not show it."""
    try:
        return conninfo.conninfo_to_dict(url)
    except psycopg.ProgrammingError:
        # What is wrong is not shown: it may be the password.
        raise SettingsError("no URL of PostgreSQL, such as postgresql://user@host:port/database") from None


def is_genuine(connection: Connection) -> bool:
    """Whether the server is PostgreSQL itself, not one that speaks its protocol."""
    row = connection.execute("SELECT version()").fetchone()
    assert row is not None
    return says_genuine(str(row[0]))


def says_genuine(version: str) -> bool:
    """Whether this is what `version()` says on PostgreSQL itself."""
    return version.startswith("PostgreSQL") and "-YB-" not in version


def tune(connection: Connection) -> Connection:
    """Set `PLANNER` for this connection, where the server is genuine, and see to it that commits are durable.

    A number that was seen and then lost in a crash would be given again: whoever follows would miss the second.
    Returns the connection.
    """
    with closed_unless_done(connection), translated():
        if is_genuine(connection):
            settings = "; ".join(f"SET {name} = {value}" for name, value in PLANNER.items())
            connection.execute(f"{settings}; {_DURABLE}".encode())
    return connection


@contextmanager
def closed_unless_done(connection: Connection) -> Iterator[None]:
    """Close a new connection where what is done with it first fails."""
    try:
        yield
    except BaseException:
        connection.close()
        raise


def is_lost(connection: Connection) -> bool:
    """Whether this connection is of no use any more."""
    return connection.closed or connection.pgconn.status != pq.ConnStatus.OK


def require_alive(connection: Connection) -> None:
    """Raise `errors.OperationalError` where the server has closed a connection that rested, as far as can be seen."""
    look = select.poll()
    look.register(connection.fileno(), select.POLLIN)
    while look.poll(0):
        connection.pgconn.consume_input()  # What it has said as it went, and then that it is gone, which is raised.


def executed(connection: Connection, statement: str, parameters: Sequence[Any] = ()) -> Cursor:
    """Run a statement, prepared the first time and known by its text from then on; rows come in binary."""
    return connection.cursor(binary=True).execute(statement.encode(), parameters, prepare=True)


def fetched(connection: Connection, statement: str, parameters: Sequence[Any] = ()) -> list[Row]:
    """All rows of a statement, as `executed` runs it."""
    return executed(connection, statement, parameters).fetchall()


@contextmanager
def translated() -> Iterator[None]:
    """What psycopg raises within, as our own error."""
    try:
        yield
    except psycopg.Error as error:
        raise translation(error) from error


def translation(error: psycopg.Error) -> OnefoldError:
    """What an error of psycopg's means to a caller."""
    state, text = error.sqlstate or "", str(error).strip()
    if state in {"40001", "40P01"}:
        return Conflict(f"the database gave another transaction precedence: {text}")
    if state == "53100":
        return StorageFull(f"the database's disk is full: {text}; free space there and go on")
    if state in _PASSING or state[:2] in _PASSING_CLASSES:
        return Unavailable(f"the database is not available now: {text}")
    if not state and isinstance(error, psycopg.OperationalError | psycopg.InterfaceError):
        advice = next((advice for sign, advice in _REFUSALS.items() if sign in text), "")
        return Refused(f"{text}; {advice}") if advice else Unavailable(f"the database cannot be reached: {text}")
    advice = next((advice for code, advice in _ADVICE.items() if state.startswith(code)), "look into its log")
    return StorageError(f"the database refused what it was asked: {text} (SQLSTATE {state or 'none'}); {advice}")


class Pool:
    """Connections for whoever reads, from any thread; those that broke are replaced without anybody noticing."""

    def __init__(self, open_one: Callable[[], Connection], answer_s: float, size: int = POOL_SIZE) -> None:
        self._open = open_one
        self._answer_s = answer_s
        self._free = threading.BoundedSemaphore(size)
        self._idle: list[Connection] = []
        self._closed = False

    def run(self, work: Callable[[Connection], T]) -> T:
        """Do what can be done twice, or raises `Uncertain`: once more where a connection that had rested was broken.

        So a restart of the server costs nothing, if it is back. Raises `Unavailable` where it is not, or where all
        connections are in use for too long; all else that `translated` does.
        """
        if not self._free.acquire(timeout=self._answer_s):
            raise Unavailable(f"all connections to the database have been in use for {self._answer_s:g} s")
        try:
            if (rested := self._rested()) is not None:
                with suppress(_Broken):
                    return self._attempt(rested, work, again=True)
                self._drop_idle()
            return self._attempt(self._open(), work, again=False)
        finally:
            self._free.release()

    def close(self) -> None:
        """Let go of the connections; those in use are closed when they come back."""
        self._closed = True
        self._drop_idle()

    def _attempt(self, connection: Connection, work: Callable[[Connection], T], *, again: bool) -> T:
        try:
            with translated():
                return work(connection)
        except Unavailable as error:
            if again and is_lost(connection) and not _is_final(error):
                raise _Broken from error
            raise
        finally:
            self._take_back(connection)

    def _rested(self) -> Connection | None:
        with suppress(IndexError):
            return self._idle.pop()
        return None

    def _take_back(self, connection: Connection) -> None:
        if self._closed or is_lost(connection) or connection.pgconn.transaction_status != pq.TransactionStatus.IDLE:
            connection.close()
        else:
            self._idle.append(connection)

    def _drop_idle(self) -> None:
        while (connection := self._rested()) is not None:
            connection.close()


class _Broken(Exception):
    """A connection that had rested turned out to be broken."""


def _is_final(error: Unavailable) -> bool:
    """Whether it must not be tried again: it may have been done, or took all the time there is."""
    return isinstance(error, Uncertain) or isinstance(error.__cause__, Silent)


def _parameters(address: Address, given: Mapping[str, Any]) -> dict[str, Any]:
    """What libpq is told; what the URL says counts more than what we do."""
    timeouts = address.timeouts
    session = {
        "search_path": f'"{address.schema}"',
        "statement_timeout": round(timeouts.statement_s * 1_000),
        "lock_timeout": round(timeouts.lock_s * 1_000),
        "idle_in_transaction_session_timeout": round(timeouts.idle_s * 1_000),
    }
    ours = {
        "connect_timeout": max(2, round(timeouts.connect_s)),
        "tcp_user_timeout": round(timeouts.answer_s * 1_000),
        "keepalives_idle": 10,
        "keepalives_interval": 5,
        "keepalives_count": 3,
        "application_name": address.role,
        "target_session_attrs": "read-write",
    }
    options = " ".join(f"-c {name}={value}" for name, value in session.items())
    return {**ours, **given, "options": f"{options} {given.get('options') or ''}", "autocommit": True}


def _bounded(gen: PQGen[T], within_s: float) -> Generator[Any, Any, T]:
    """The same generator, which does not wait for longer than this."""
    until_s = time.monotonic() + within_s
    try:
        wanted = next(gen)
        while True:
            ready = yield wanted
            if not ready and time.monotonic() > until_s:
                raise Silent(f"no answer within {within_s:g} s")
            wanted = gen.send(ready)
    except StopIteration as end:
        result: T = end.value
        return result


_PASSING = {
    "57014",  # a statement that took too long
    "55P03",  # a lock that was waited for too long
    "25P03",  # a transaction that rested too long
    "25006",  # a standby, which was the primary when we connected
    "57P01",
    "57P02",
    "57P03",
    "57P05",
}
_PASSING_CLASSES = {"08", "53", "58"}
"""Broken connections; too few of something; the server's own system."""
_REFUSALS = {
    "password authentication failed": "check user and password of `database` (or what `database_password_file` holds)",
    "no password supplied": "give `database_password_file`, or `database_password` as a variable",
    "no encryption": "the server takes no connection without TLS from here: add sslmode=verify-full to `database`",
    "no pg_hba.conf entry": "the server's pg_hba.conf does not let this user connect from here",
    "root certificate file": "name the server's authority in `database`: sslrootcert=FILE, or sslrootcert=system",
    "certificate verify failed": "the authority that sslrootcert of `database` names does not vouch for this server",
    "does not match host name": "name the server in `database` as its certificate does",
    "requires a valid client certificate": "add sslcert and sslkey to `database`",
    "certificate authentication failed": "the server knows the certificate of sslcert as another user's",
    "alert unknown ca": "the server does not know the authority that issued the certificate of sslcert in `database`",
    "private key file": "sslkey in `database` must be that of sslcert, in a file that nobody else can read",
    "certificate file": "sslcert in `database` must be the file of a certificate",
    "server does not support SSL": "`database` asks for TLS (sslmode), which this server does not speak",
    "does not exist": "create it, or correct `database`",
}
"""What libpq says of a connection that was refused, for which it has no SQLSTATE → what to do."""
_ADVICE = {
    "42501": "GRANT it to this user, or use the schema's owner",
    "3D000": "create the database, or correct the URL",
    "3F000": "start the platform once with a user that may create the schema",
    "42P01": "start the platform once, which creates and migrates the tables",
    "XX": "the server reports damage or an inner error: look into its log",
}
