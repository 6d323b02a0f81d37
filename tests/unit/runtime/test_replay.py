"""Replaying and catching up cost what the log is long, and not its square."""

import msgspec

from onefold.model.entry import Outgoing, Tick, encode
from onefold.ports import Record
from onefold.runtime.folding import Folding
from onefold.runtime.programs import Programs
from onefold.runtime.replay import replay
from onefold.testing.memory_log import MemoryLog
from onefold.testing.memory_state import MemoryState
from onefold.testing.world import define, track

RECORDS = 150
PADDING = "x" * 8_000


class CountingLog(MemoryLog):
    """Knows how much was read from it."""

    read_bytes = 0

    def read(self, partition: int, offset: int, max_bytes: int) -> list[Record]:
        """As `LogReader.read`."""
        records = super().read(partition, offset, max_bytes)
        self.read_bytes += sum(len(record.data) for record in records)
        return records


def appended(log: MemoryLog, partition: int, n: int) -> None:
    """One large event, in a record of its own."""
    event = track("Seen", user=f"u{n}", message=f"m{partition}.{n}", properties={"padding": PADDING})
    log.append({partition: [encode(Outgoing("web", 1_000 + n, [msgspec.Raw(msgspec.json.encode(event))]))]})


def test_a_replay_of_turns_reads_each_record_a_few_times() -> None:
    """Where partitions took turns, a replay takes the same turns, and does not read all the rest of the log at each."""
    log, live, again = CountingLog(2), MemoryState(), MemoryState()
    folding = Folding(log, live, Programs(lambda _version: define({})))
    for n in range(RECORDS):
        for partition in range(2):
            appended(log, partition, n)
            assert folding.advance(partition) == 1
    log.read_bytes = 0
    assert replay(log, live, again, lambda _done, _all: None) == 2 * RECORDS
    assert again.digest() == live.digest()
    assert log.read_bytes < 5 * 2 * RECORDS * len(PADDING)


def test_what_is_folded_alone_does_not_have_the_rest_read_again() -> None:
    """A tick ends a commit; however many there are in a backlog, each record is read once."""
    log, live = CountingLog(1), MemoryState()
    folding = Folding(log, live, Programs(lambda _version: define({})))
    for n in range(RECORDS):
        appended(log, 0, n)
        log.append({0: [encode(Tick(1_000 + n))]})
    while folding.advance(0):
        pass
    assert live.cursor(0).offset == 2 * RECORDS
    assert live.counts()["admitted"] == RECORDS
    assert log.read_bytes < 2 * RECORDS * len(PADDING)
