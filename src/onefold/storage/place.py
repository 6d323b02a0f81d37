"""Where a workspace's data lies: its settings choose the engine behind each port here, and nowhere else."""

from onefold.clock import Clock, SystemClock
from onefold.ports import Assignment, LogReader, State, TrimmingWriter
from onefold.settings import Settings
from onefold.storage import log_lmdb
from onefold.storage.assignment import share
from onefold.storage.catalog import Catalog
from onefold.storage.deliveries_lmdb import DeliveryStore
from onefold.storage.directory import DataDirectory
from onefold.storage.log_lmdb import LmdbLogReader, LmdbLogWriter
from onefold.storage.state_lmdb import LmdbState


class Place:
    """The data of one workspace. Every call opens an engine anew; who opened it closes it."""

    def __init__(self, settings: Settings, directory: DataDirectory) -> None:
        self.settings = settings
        self.directory = directory

    @classmethod
    def open(cls, settings: Settings, *, create: bool = True) -> "Place":
        """The place that these settings name. Raises as `DataDirectory.open`."""
        return cls(settings, DataDirectory.open(settings.data, create=create))

    @property
    def name(self) -> str:
        """What people call it. Holds no secret."""
        return str(self.directory.path)

    def free_bytes(self) -> int | None:
        """Free disk where the data lies; None where that is somebody else's disk."""
        return self.directory.free_bytes()

    def log_writer(self, clock: Clock | None = None) -> TrimmingWriter:
        """The log, made first where it is missing."""
        path = self.directory.log
        return LmdbLogWriter(path, log_lmdb.partitions_for(path, self.settings), clock or SystemClock())

    def log_reader(self) -> LogReader:
        """The log, for reading. Raises `NotFoundError` where it was not made yet."""
        return LmdbLogReader(self.directory.log)

    def share(self, index: int) -> tuple[LogReader, Assignment]:
        """The log for a worker, and which of its partitions are this worker's: each `workers`-th from `index` on.

        Raises `SettingsError` where nothing is left for this index, `NotFoundError` where there is no log yet.
        """
        reader = self.log_reader()
        return reader, share(reader.partitions, self.settings.workers, index)

    def state(self, *, readonly: bool = False) -> State:
        """The state. Raises `NotFoundError` where it was not made yet and is only to be read."""
        return LmdbState(self.directory.state, readonly=readonly)

    def deliveries(self, *, readonly: bool = False, clock: Clock | None = None) -> DeliveryStore:
        """The book of the deliver role."""
        return DeliveryStore(self.directory.deliveries, readonly, clock or SystemClock())

    def catalog(self, clock: Clock | None = None) -> Catalog:
        """Sources, keys and definitions, made first where they are missing."""
        return Catalog(self.directory.catalog, clock or SystemClock())
