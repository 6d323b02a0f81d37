"""A whole cluster on this machine: Kafka, PostgreSQL, and the roles over them as processes of their own."""

import tempfile
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from msgspec.structs import replace

from onefold.settings import Settings
from onefold.storage.place import Place
from onefold.testing.roles import Roles
from onefold.testing.servers.kafka import KafkaCluster
from onefold.testing.servers.postgres import PostgresServer

TWO_OF_EACH: Mapping[str, int] = {"collect": 2, "worker": 2, "deliver": 2, "api": 2}


class Cluster:
    """Servers and roles of one workspace. A context manager: inside, all are ready; in the end, all are gone."""

    def __init__(
        self,
        counts: Mapping[str, int] = TWO_OF_EACH,
        *,
        brokers: int = 1,
        partitions: int = 4,
        environ: Mapping[str, str] | None = None,
    ) -> None:
        """`counts`: so many of each role; with `history` there are tables, too. `environ`: more ONEFOLD_* variables."""
        self._more = environ or {}
        self.kafka = KafkaCluster(brokers)
        self.postgres = PostgresServer()
        self._counts = counts
        self._partitions = partitions
        self._stack = ExitStack()
        self.settings = Settings()
        """Once it runs: those of the roles, for who opens the same engines beside them."""
        self.environ: dict[str, str] = {}
        """The same as variables, for commands."""
        self.roles: Roles

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="onefold-cluster-")))
            stack.enter_context(self.kafka)
            stack.enter_context(self.postgres)
            self.settings = Settings(
                kafka=self.kafka.bootstrap, database=self.postgres.create_database(), partitions=self._partitions
            )
            self.log = scratch / "roles.log"
            environ = {
                **self._more,
                "ONEFOLD_KAFKA": self.settings.kafka,
                "ONEFOLD_DATABASE": self.settings.database,
                "ONEFOLD_PARTITIONS": str(self._partitions),
            }
            if "history" in self._counts:
                self.settings = replace(self.settings, history_location=str(scratch / "lake"))
                environ["ONEFOLD_HISTORY_LOCATION"] = self.settings.history_location
            self.environ = environ
            self.place = Place.open(self.settings)
            catalog = self.place.catalog()
            first = catalog.bootstrap()
            catalog.close()
            assert first is not None
            self.write_key, self.secret_key = first
            self.roles = stack.enter_context(Roles(environ, self._counts, self.log))
            self.roles.await_ready()
            self._stack = stack.pop_all()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._stack.close()

    @property
    def pids(self) -> list[int]:
        """All processes of it, servers included, for who counts their CPU."""
        return [*self.kafka.pids, *self.postgres.pids, *self.roles.pids()]
