"""Rules from settings into the log: settings say what the platform is to do, the log what it does."""

from onefold.clock import Clock
from onefold.model import entry as entries
from onefold.model.entry import Ruled
from onefold.model.rules import Rules
from onefold.ports import LogReader, LogWriter
from onefold.settings import Settings
from onefold.storage.directory import DataDirectory
from onefold.storage.log_lmdb import LmdbLogReader, LmdbLogWriter, partitions_for


def rules_of(settings: Settings) -> Rules:
    """The rules that these settings ask for."""
    return Rules(
        blocked=frozenset(value.lower() for value in settings.blocked_identifiers),
        phone_region=settings.phone_region,
        dedupe_window_ms=settings.dedupe_window_s * 1000,
    )


def begin(reader: LogReader, writer: LogWriter, rules: Rules, clock: Clock) -> None:
    """Let every empty partition begin with the rules, so that no event is folded before them.

    Where something lies in a partition already, its worker appends the rules if they are others than those in force.
    """
    record = entries.encode(Ruled(clock.now_ms(), rules))
    empty = [partition for partition in range(writer.partitions) if reader.ends(partition)[1] == 0]
    writer.append({partition: [record] for partition in empty})


def begin_log(directory: DataDirectory, settings: Settings, clock: Clock) -> None:
    """`begin` in the log of a data directory, which is made where it is missing. Before any role is started.

    Raises as `LmdbLogWriter` does.
    """
    writer = LmdbLogWriter(directory.log, partitions_for(directory.log, settings))
    try:
        reader = LmdbLogReader(directory.log)
        try:
            begin(reader, writer, rules_of(settings), clock)
        finally:
            reader.close()
    finally:
        writer.close()
