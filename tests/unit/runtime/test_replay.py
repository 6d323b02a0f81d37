"""Replay: the same state again, at a cost that grows with the log and not with its square."""

import msgspec

from onefold.model.entry import Outgoing, encode
from onefold.ports import Record
from onefold.runtime.folding import Folding
from onefold.runtime.programs import Programs
from onefold.runtime.replay import replay
from onefold.runtime.worker import rules_of
from onefold.settings import Settings
from onefold.testing.memory_log import MemoryLog
from onefold.testing.memory_state import MemoryState
from onefold.testing.world import define, track

PARTITIONS = 2
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


def test_a_replay_of_turns_reads_each_record_a_few_times() -> None:
    """Where partitions took turns, a replay takes the same turns, and does not read all the rest of the log at each."""
    log, live, again = CountingLog(PARTITIONS), MemoryState(), MemoryState()
    programs = Programs(lambda _version: define({}))
    folding = Folding(log, live, programs, rules_of(Settings()))
    for n in range(RECORDS):
        for partition in range(PARTITIONS):
            event = track("Seen", user=f"u{n}", message=f"m{partition}.{n}", properties={"padding": PADDING})
            log.append({partition: [encode(Outgoing("web", 1_000 + n, [msgspec.Raw(msgspec.json.encode(event))]))]})
            assert folding.advance(partition) == 1
    log.read_bytes = 0
    assert replay(log, live, again, Settings(), lambda _done, _all: None) == PARTITIONS * RECORDS
    assert again.digest() == live.digest()
    assert log.read_bytes < 15 * PARTITIONS * RECORDS * len(PADDING)
