"""Where a workspace's data lies: its settings choose the engine behind each port here, and nowhere else.

Without `kafka` and `database` everything lies in the data directory. With `kafka` the log does not, with `database`
neither state nor deliveries nor catalog; with both there is no data directory. The modules of these engines are loaded
where they are wanted: they are extras.
"""

from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from onefold.clock import Clock, SystemClock
from onefold.errors import NotFoundError
from onefold.ports import (
    Assignment,
    Catalog,
    Deliveries,
    History,
    HistoryReader,
    LogReader,
    Proposals,
    State,
    TrimmingWriter,
)
from onefold.settings import Settings
from onefold.storage import assignment
from onefold.storage.directory import DataDirectory
from onefold.storage.embedded import log
from onefold.storage.embedded.catalog import SqliteCatalog
from onefold.storage.embedded.deliveries import DeliveryStore
from onefold.storage.embedded.log import LmdbLogReader, LmdbLogWriter
from onefold.storage.embedded.proposals import SqliteProposals
from onefold.storage.embedded.state import LmdbState
from onefold.storage.embedded.state import Options as StateOptions
from onefold.storage.history import standing
from onefold.storage.kafka import security
from onefold.storage.secret import secret

if TYPE_CHECKING:
    from onefold.storage.kafka.log import KafkaOptions

PARTITIONS = 8
"""Of a Kafka topic that is made, where the settings do not say: as many workers can share it."""


class Place:
    """The data of one workspace. Every call opens an engine anew; who opened it closes it."""

    def __init__(self, settings: Settings, directory: DataDirectory | None) -> None:
        self.settings = settings
        self.directory = directory
        """None where nothing lies in one."""

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
        settings = self.settings
        if settings.kafka:
            from onefold.storage.kafka import log as kafka_log  # lazily: an extra

            options = self._kafka()
            partitions = settings.partitions or kafka_log.partitions_of(options) or PARTITIONS
            return kafka_log.KafkaLogWriter(options, partitions, clock)
        path = self._here().log
        return LmdbLogWriter(path, log.partitions_for(path, self.settings), clock or SystemClock())

    def log_reader(self) -> LogReader:
        """The log, for reading. Raises `NotFoundError` where it was not made yet."""
        if self.settings.kafka:
            from onefold.storage.kafka import log as kafka_log  # lazily: an extra

            return kafka_log.KafkaLogReader(self._kafka())
        return LmdbLogReader(self._here().log)

    def share(self, index: int) -> tuple[LogReader, Assignment]:
        """The log for a worker, and which of its partitions are this worker's.

        Kafka shares them among the workers that are there; in a directory they are each `workers`-th from `index` on.
        Raises `SettingsError` where nothing is left for this index, `NotFoundError` where there is no log yet.
        """
        if self.settings.kafka:
            from onefold.storage.kafka.group import KafkaMembership  # lazily: an extra

            name = self.settings.worker_name
            membership = KafkaMembership(self._kafka(), f"{name}-{index}" if name else "")
            return membership.reader, membership
        reader = self.log_reader()
        return reader, assignment.share(reader.partitions, self.settings.workers, index)

    def state(self, *, readonly: bool = False) -> State:
        """The state. Raises `NotFoundError` where it was not made yet and is only to be read."""
        settings = self.settings
        if settings.database:
            from onefold.storage.postgres.state import PostgresState  # lazily: an extra

            return PostgresState(self._database(), settings.workspace, readonly=readonly)
        return LmdbState(self._here().state, readonly=readonly, options=StateOptions(sweeps=settings.workers == 1))

    def deliveries(self, *, readonly: bool = False, clock: Clock | None = None) -> Deliveries:
        """The book of the deliver role."""
        settings = self.settings
        if settings.database:
            from onefold.storage.postgres.deliveries import PostgresDeliveries  # lazily: an extra

            return PostgresDeliveries(self._database(), settings.workspace, readonly=readonly, clock=clock)
        return DeliveryStore(self._here().deliveries, readonly, clock or SystemClock())

    def catalog(self, clock: Clock | None = None) -> Catalog:
        """Sources, keys and definitions, made first where they are missing."""
        settings = self.settings
        if settings.database:
            from onefold.storage.postgres.catalog import PostgresCatalog  # lazily: an extra

            return PostgresCatalog(self._database(), clock or SystemClock(), settings.workspace)
        return SqliteCatalog(self._here().catalog, clock or SystemClock())

    def proposals(self, clock: Clock | None = None) -> Proposals:
        """Links that are proposed, made first where they are missing."""
        settings = self.settings
        if settings.database:
            from onefold.storage.postgres.proposals import PostgresProposals  # lazily: an extra

            return PostgresProposals(self._database(), clock or SystemClock(), settings.workspace)
        return SqliteProposals(self._here().proposals, clock or SystemClock())

    def matched(self) -> int | None:
        """The commit up to which changes are matched; None: nobody asks for it, or everybody is yet to be matched."""
        if not self.settings.matching:
            return None
        with closing(self.proposals()) as proposals:
            cursor = proposals.cursor()
        return None if cursor < 0 else cursor

    @property
    def history_location(self) -> str | None:
        """Where the tables of history are, or are to be; None: there is no history."""
        settings = self.settings
        if not settings.keeps_history:
            return None
        return settings.history_location or str(self._here().history)

    def history(self) -> History:
        """History, for who writes it (`try_hold`), or who does not mind that there is none yet."""
        from onefold.storage.history.delta import DeltaHistory, Options  # lazily: loads DuckDB and the table library

        settings = self.settings
        return DeltaHistory(self._history(), options=Options(settings.history_options, settings.history_keep_days))

    def history_reader(self) -> HistoryReader:
        """History, for reading. Raises `NotFoundError` where there is none, or none yet."""
        from onefold.storage.history.delta import DeltaHistory, Options  # lazily: loads DuckDB and the table library

        return DeltaHistory(self._history(), readonly=True, options=Options(self.settings.history_options))

    def history_settled(self) -> int | None:
        """The commit up to which effects and events are in history for good; None: there is no history."""
        location = self.history_location
        if location is None:
            return None
        if "://" not in location:
            return standing.read(Path(location)).cursor
        try:
            with closing(self.history_reader()) as reader:
                return reader.cursor()
        except NotFoundError:
            return 0

    def _history(self) -> str:
        location = self.history_location
        if location is None:
            raise NotFoundError(
                "there is no history here: `history` is false, or `history_location` is missing where nothing lies in "
                "a data directory"
            )
        return location

    def _here(self) -> DataDirectory:
        assert self.directory is not None
        return self.directory

    def _database(self) -> str:
        """The URL with its password, which may lie elsewhere; read anew each time, so that it may change meanwhile."""
        from onefold.storage.postgres.driver import with_password  # lazily: an extra

        settings = self.settings
        found = secret("database_password", settings.database_password, settings.database_password_file)
        return with_password(settings.database, found)

    def _kafka(self) -> "KafkaOptions":
        from onefold.storage.kafka.log import KafkaOptions  # lazily: an extra

        settings = self.settings
        properties = security.properties(settings.kafka_security, settings.kafka_options)
        return KafkaOptions(settings.kafka, settings.workspace, properties)
