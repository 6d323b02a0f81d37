"""Where a workspace's data lies: its settings choose the engine behind each port here, and nowhere else.

Without `kafka` and `database` everything lies in the data directory. With `kafka` the log does not, with `database`
neither state nor deliveries nor catalog; with both there is no data directory. The modules of these engines are loaded
where they are wanted: they are extras.
"""

from typing import TYPE_CHECKING

from onefold.clock import Clock, SystemClock
from onefold.ports import Assignment, Catalog, Deliveries, LogReader, State, TrimmingWriter
from onefold.settings import Settings
from onefold.storage import assignment, log_lmdb
from onefold.storage.catalog_sqlite import SqliteCatalog
from onefold.storage.deliveries_lmdb import DeliveryStore
from onefold.storage.directory import DataDirectory
from onefold.storage.log_lmdb import LmdbLogReader, LmdbLogWriter
from onefold.storage.state_lmdb import LmdbState

if TYPE_CHECKING:
    from onefold.storage.postgres import Address


class Place:
    """The data of one workspace. Every call opens an engine anew; who opened it closes it."""

    def __init__(self, settings: Settings, directory: DataDirectory | None) -> None:
        self.settings = settings
        self.directory = directory
        """None where nothing lies in one."""
        self._migrated = False

    @classmethod
    def open(cls, settings: Settings, *, create: bool = True) -> "Place":
        """The place that these settings name. Raises as `DataDirectory.open`."""
        embedded = not (settings.kafka and settings.database)
        return cls(settings, DataDirectory.open(settings.data, create=create) if embedded else None)

    @property
    def name(self) -> str:
        """What people call it: the directory, or the workspace in its databases. Holds no secret."""
        settings = self.settings
        parts = [f"Kafka at {settings.kafka}"] * bool(settings.kafka) + ["PostgreSQL"] * bool(settings.database)
        return f"workspace {settings.workspace} on {' and '.join(parts)}" if parts else str(settings.data)

    def free_bytes(self) -> int | None:
        """Free disk where the data lies; None where that is somebody else's disk."""
        return self.directory.free_bytes() if self.directory else None

    def log_writer(self, clock: Clock | None = None) -> TrimmingWriter:
        """The log, made first where it is missing."""
        path = self._here().log
        return LmdbLogWriter(path, log_lmdb.partitions_for(path, self.settings), clock or SystemClock())

    def log_reader(self) -> LogReader:
        """The log, for reading. Raises `NotFoundError` where it was not made yet."""
        return LmdbLogReader(self._here().log)

    def share(self, index: int) -> tuple[LogReader, Assignment]:
        """The log for a worker, and which of its partitions are this worker's: each `workers`-th from `index` on.

        Raises `SettingsError` where nothing is left for this index, `NotFoundError` where there is no log yet.
        """
        reader = self.log_reader()
        return reader, assignment.share(reader.partitions, self.settings.workers, index)

    def state(self, *, readonly: bool = False) -> State:
        """The state. Raises `NotFoundError` where it was not made yet and is only to be read."""
        return LmdbState(self._here().state, readonly=readonly)

    def deliveries(self, *, readonly: bool = False, clock: Clock | None = None) -> Deliveries:
        """The book of the deliver role."""
        if self.settings.database:
            from onefold.storage.deliveries_postgres import PostgresDeliveries

            return PostgresDeliveries(self._database("deliveries"), clock or SystemClock())
        return DeliveryStore(self._here().deliveries, readonly, clock or SystemClock())

    def catalog(self, clock: Clock | None = None) -> Catalog:
        """Sources, keys and definitions, made first where they are missing."""
        if self.settings.database:
            from onefold.storage.catalog_postgres import PostgresCatalog

            return PostgresCatalog(self._database("catalog"), clock or SystemClock())
        return SqliteCatalog(self._here().catalog, clock or SystemClock())

    def _here(self) -> DataDirectory:
        assert self.directory is not None
        return self.directory

    def _database(self, role: str) -> "Address":
        """Where the tables are, made or migrated before anything is asked of them."""
        from onefold.storage import postgres, postgres_migration

        schema = postgres.schema_of(self.settings.workspace)
        if not self._migrated:
            postgres_migration.migrate(self.settings.database, schema)
            self._migrated = True
        return postgres.Address(self.settings.database, schema, f"onefold {role}")
