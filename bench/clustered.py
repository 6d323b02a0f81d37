"""A cluster for a benchmark: warm servers that stay, and over them roles in a workspace of their own for each run."""

import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from bench.cpu import tree_cpu_s
from bench.running import accounted, request
from onefold.model.definitions import Definitions
from onefold.settings import Settings
from onefold.storage.place import Place
from onefold.testing.roles import Roles
from onefold.testing.servers.kafka import Jvm, KafkaCluster
from onefold.testing.servers.postgres import PostgresServer

PARTITIONS = 8
"""As many as a topic has where nobody says: see `onefold.storage.place`."""
ONE_OF_EACH: Mapping[str, int] = {"collect": 1, "worker": 1, "deliver": 1, "api": 1}
POLL_S = 0.1
"""Between looks at the cursors."""
HEAP = "1g"
_LOG_LINES = 20


class Servers:
    """One Kafka broker, compiled as in production, and one PostgreSQL as it comes. A context manager."""

    def __init__(self) -> None:
        self.kafka = KafkaCluster(1, Jvm(HEAP, quick=False))
        self.postgres = PostgresServer()
        self._workspaces = 0

    def __enter__(self) -> Self:
        try:
            self.kafka.start()
            self.postgres.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """End both and remove what they have written."""
        self.kafka.stop()
        self.postgres.close()

    def cpu_s(self) -> dict[str, float]:
        """Server → CPU seconds so far, with all of PostgreSQL's processes, also of those that have ended."""
        return {"kafka": tree_cpu_s(self.kafka.pids[0]), "postgres": tree_cpu_s(self.postgres.pids[0])}

    @contextmanager
    def workspace(self, partitions: int) -> Iterator[Settings]:
        """Settings of a new workspace: nothing is in it, and in the end nothing of it is left in the database."""
        self._workspaces += 1
        database = self.postgres.create_database()
        try:
            yield Settings(
                workspace=f"bench{self._workspaces}",
                kafka=self.kafka.bootstrap,
                database=database,
                partitions=partitions,
            )
        finally:
            self.postgres.drop_database(database)


class Clustered:
    """A cluster that answers: what `running.Running` is for one machine. Made by `clustered`."""

    def __init__(self, servers: Servers, place: Place, roles: Roles, keys: tuple[str, str], log: Path) -> None:
        self.roles = roles
        self.place = place
        """Where the roles' data lies, for who opens the same engines beside them."""
        self.write_key, self.secret_key = keys
        self._servers = servers
        self._log = log
        self._state = place.state(readonly=True)
        self._reader = place.log_reader()

    @property
    def collect_port(self) -> int:
        """Where events are taken."""
        return self._port("collect-0")

    @property
    def api_port(self) -> int:
        """Where questions are answered."""
        return self._port("api-0")

    @property
    def workers(self) -> list[str]:
        """Names of the roles that fold."""
        return [name for name in self.roles.names if name.startswith("worker")]

    def request(self, path: str, body: bytes) -> bytes:
        """A keep-alive request with the write key."""
        return request(self.write_key, path, body)

    def counts(self) -> dict[str, int]:
        """The account so far."""
        return accounted(self._state.counts())

    def settled(self, received: int, within_s: float = 300.0) -> dict[str, int]:
        """Wait until what is in the log by now is folded; the account, which must close over so many events.

        Looks at the cursors, one row each: for the sum of all counts PostgreSQL may start parallel workers, whose CPU
        would be counted with what is measured.
        """
        deadline_s = time.monotonic() + within_s
        ends = {partition: self._reader.ends(partition)[1] for partition in range(self._reader.partitions)}
        while any(self._state.cursor(partition).offset < end for partition, end in ends.items()):
            assert time.monotonic() < deadline_s, f"{self.counts()} of {received}; the roles said:\n{self._said()}"
            time.sleep(POLL_S)
        counts = self.counts()
        assert counts["received"] == received == sum(counts.values()) - received, counts
        return counts

    def cpu_s(self) -> dict[str, float]:
        """Role or server → CPU seconds so far. Of a role that died, those of the process in its place."""
        roles = {name: tree_cpu_s(pid) for name in self.roles.names if (pid := self.roles.pid(name))}
        return self._servers.cpu_s() | roles

    def close(self) -> None:
        """Let go of state and log."""
        self._state.close()
        self._reader.close()

    def _said(self) -> str:
        return "\n".join(self._log.read_text().splitlines()[-_LOG_LINES:])

    def _port(self, name: str) -> int:
        return int(self.roles.url(name).rpartition(":")[2])


@contextmanager
def clustered(
    servers: Servers, definitions: Definitions, counts: Mapping[str, int] = ONE_OF_EACH, partitions: int = PARTITIONS
) -> Iterator[Clustered]:
    """Roles that are ready, in a new workspace with these definitions, which are in force before the first event."""
    with servers.workspace(partitions) as settings, tempfile.TemporaryDirectory(prefix="onefold-bench-") as scratch:
        place = Place.open(settings)
        keys, version = _prepare(place, definitions)
        log = Path(scratch) / "roles.log"
        with Roles(_environ(settings, counts), counts, log) as roles:
            roles.await_ready()
            running = Clustered(servers, place, roles, keys, log)
            try:
                _until_defined(running, version)
                yield running
            finally:
                running.close()


def _prepare(place: Place, definitions: Definitions) -> tuple[tuple[str, str], int]:
    catalog = place.catalog()
    try:
        keys = catalog.bootstrap()
        assert keys is not None
        saved = catalog.save_definitions(definitions, "bench")
    finally:
        catalog.close()
    return keys, saved.version


def _environ(settings: Settings, counts: Mapping[str, int]) -> dict[str, str]:
    given: dict[str, Any] = {
        "workspace": settings.workspace,
        "kafka": settings.kafka,
        "database": settings.database,
        "partitions": settings.partitions,
        "workers": counts.get("worker", 1),
    }
    return {f"ONEFOLD_{name.upper()}": str(value) for name, value in given.items()}


def _until_defined(running: Clustered, version: int, within_s: float = 60.0) -> None:
    """Return once every partition folds under these definitions."""
    state = running.place.state(readonly=True)
    deadline_s = time.monotonic() + within_s
    try:
        while any(state.cursor(n).version < version for n in range(running.place.settings.partitions)):
            assert time.monotonic() < deadline_s, "the definitions did not come into force"
            time.sleep(POLL_S)
    finally:
        state.close()
