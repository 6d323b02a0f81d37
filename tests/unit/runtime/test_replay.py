"""Replaying and catching up cost what the log is long, and not its square."""

import msgspec

from onefold.model.entry import Outgoing, Tick, encode
from onefold.ports import Record
from onefold.runtime.folding.fold import Folding
from onefold.runtime.folding.programs import Programs
from onefold.runtime.replay import replay
from onefold.testing.memory.log import MemoryLog
from onefold.testing.memory.state import MemoryState
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


def appended(log: MemoryLog, partition: int, n: int, padding: str = PADDING) -> None:
    """One event, large unless told otherwise, in a record of its own."""
    event = track("Seen", user=f"u{n}", message=f"m{partition}.{n}", properties={"padding": padding})
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


def test_a_replay_commits_as_much_at_its_end_as_before() -> None:
    """How few records are left makes no commit smaller than what is left."""
    log, live, again = CountingLog(1), MemoryState(), MemoryState()
    for n in range(RECORDS):
        appended(log, 0, n)
    folding = Folding(log, live, Programs(lambda _version: define({})))
    while folding.advance(0):
        pass
    marks: list[int] = []
    replay(log, live, again, lambda done, _all: marks.append(done))
    assert marks == [0, RECORDS]


def test_what_a_commit_leaves_of_a_read_has_more_read_behind_it() -> None:
    """Of small events more is read than a commit may take: the rest is not a small commit of its own."""
    log, live = CountingLog(1), MemoryState()
    for n in range(RECORDS):
        appended(log, 0, n, padding="x" * 250)
    folding = Folding(log, live, Programs(lambda _version: define({})))
    commits: list[int] = []
    while taken := folding.advance(0, 20):
        commits.append(taken)
    assert min(commits[:-1]) == 20, commits
    assert log.read_bytes < 2 * RECORDS * 500
