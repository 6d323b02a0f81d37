"""Rules from settings into the log: settings say what the platform is to do, the log what it does."""

from onefold.clock import Clock
from onefold.model import entry as entries
from onefold.model.entry import Ruled
from onefold.model.rules import Rules
from onefold.ports import LogReader, LogWriter
from onefold.settings import Settings
from onefold.storage.place import Place


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


def begin_log(place: Place, clock: Clock) -> None:
    """`begin` in the log of this place, which is made where it is missing. Before anything is appended.

    Raises as `Place.log_writer` does.
    """
    writer = place.log_writer(clock)
    try:
        reader = place.log_reader()
        try:
            begin(reader, writer, rules_of(place.settings), clock)
        finally:
            reader.close()
    finally:
        writer.close()
