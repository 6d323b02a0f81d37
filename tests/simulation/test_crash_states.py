"""No power cut loses an acknowledged record: crash states of the log, after the explorer has proved itself on LMDB.

`ONEFOLD_CUTS=10000 make test-services ARGS=tests/simulation/test_crash_states.py` tries more cuts than the usual 300.
"""

import os
import struct
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import lmdb
import pytest

from onefold.clock import SystemClock
from onefold.ports import Retention
from onefold.storage.embedded.log import LmdbLogReader, LmdbLogWriter
from onefold.testing import crash_trace
from onefold.testing.crash_states import Lost, explore
from onefold.testing.crash_trace import Trace, Workload

pytestmark = [pytest.mark.strace, pytest.mark.timeout(1800)]

CUTS = int(os.environ.get("ONEFOLD_CUTS", "300"))
SEED = int(os.environ.get("ONEFOLD_SEED", "0"))
COMMITS = 60
EVERYTHING = 1 << 30
_ACK = struct.Struct("<I")


def durable(directory: Path, ack: Callable[[bytes], None]) -> None:
    """LMDB as the log uses it."""
    _commit_all(directory, ack, sync=True, metasync=True)


def without_metasync(directory: Path, ack: Callable[[bytes], None]) -> None:
    """LMDB that does not wait for its meta page."""
    _commit_all(directory, ack, sync=True, metasync=False)


def without_sync(directory: Path, ack: Callable[[bytes], None]) -> None:
    """LMDB that waits for nothing."""
    _commit_all(directory, ack, sync=False, metasync=True)


def append_and_trim(directory: Path, ack: Callable[[bytes], None]) -> None:
    """A log with two partitions, appends of many sizes, and now and then a trim, so that pages are used again."""
    with closing(LmdbLogWriter(directory / "log", 2, SystemClock())) as log:
        for n in range(COMMITS):
            log.append({partition: [_record(partition, n, i) for i in range(_many(n))] for partition in (0, 1)})
            ack(_ACK.pack(n))
            if n % 7 == 6:
                log.trim(0, _end(n - 3), Retention(size_bytes=0))


def holds_its_commits(image: Path, acks: list[bytes]) -> None:
    """Each commit is there whole or not at all, none is missing in between, and all acknowledged ones are there."""
    if not (image / "data.mdb").exists() or not (image / "data.mdb").stat().st_size:
        return _not_lost(0, acks)
    try:
        env = lmdb.open(str(image), map_size=1 << 26)
    except lmdb.InvalidError:
        # Making an environment is not a commit: until the first one the file may be anything.
        if not acks:
            return None
        raise
    with env, env.begin() as txn:
        found = list(txn.cursor())
        commits = len(found) // 6
        assert found == [_pair(n, i) for n in range(commits) for i in range(6)], "a commit is there in part"
    return _not_lost(commits, acks)


def holds_its_records(image: Path, acks: list[bytes]) -> None:
    """The log opens, has each acknowledged record, no hole and nothing that was never written; and goes on."""
    with closing(LmdbLogWriter(image / "log", 2)) as writer, closing(LmdbLogReader(image / "log")) as reader:
        for partition in (0, 1):
            first, end = reader.ends(partition)
            found = reader.read(partition, first, EVERYTHING)
            commits = next(n for n in range(COMMITS + 1) if _end(n) >= end)
            written = [_record(partition, n, i) for n in range(commits) for i in range(_many(n))]
            assert [record.data for record in found] == written[first:end], "other records than were written"
            assert (_end(commits), first + len(found)) == (end, end), "an append is there in part"
            assert partition == 0 or first == 0
            _not_lost(commits, acks)
            assert writer.append({partition: [b"and on"]}) == {partition: end}
            assert [record.data for record in reader.read(partition, end, 1)] == [b"and on"]


def recorded(workload: Workload, scratch: Path) -> Trace:
    """The workload's trace, of which the last acknowledgement is the last commit's."""
    trace = crash_trace.record(workload, scratch)
    acks = [operation for operation in trace.operations if isinstance(operation, crash_trace.Ack)]
    assert acks[-1].data == _ACK.pack(COMMITS - 1)
    return trace


def test_the_explorer_finds_nothing_wrong_with_lmdb_as_it_should_be_used(scratch: Path) -> None:
    """A known-good mode passes every cut: the explorer has followed every write."""
    report = explore(recorded(durable, scratch), holds_its_commits, scratch, cuts=CUTS, seed=SEED)
    assert not report.failures, report


def test_the_explorer_finds_commits_lost_without_metasync(scratch: Path) -> None:
    """A mode that acknowledges too early, but stays whole, loses commits and nothing worse."""
    report = explore(recorded(without_metasync, scratch), holds_its_commits, scratch, cuts=300, seed=SEED)
    assert report.count("Lost") == len(report.failures) >= 30, report


def test_the_explorer_finds_damage_without_sync(scratch: Path) -> None:
    """A mode that is known to be bad is found out in at least 30 % of the cuts."""
    report = explore(recorded(without_sync, scratch), holds_its_commits, scratch, cuts=300, seed=SEED)
    assert len(report.failures) >= 90, report
    assert report.count("Lost") < len(report.failures), report


def test_no_power_cut_loses_an_acknowledged_record(scratch: Path) -> None:
    """Whatever of the unsynced writes reached the disk, the log opens with every acknowledged record."""
    report = explore(recorded(append_and_trim, scratch), holds_its_records, scratch, cuts=CUTS, seed=SEED)
    assert not report.failures, report


def _commit_all(directory: Path, ack: Callable[[bytes], None], *, sync: bool, metasync: bool) -> None:
    with lmdb.open(str(directory), map_size=1 << 26, sync=sync, metasync=metasync) as env:
        # LMDB leaves the name of its new file to whoever makes it: without this, power loss may take the whole file.
        descriptor = os.open(directory, os.O_RDONLY)
        os.fsync(descriptor)
        os.close(descriptor)
        for n in range(COMMITS):
            with env.begin(write=True) as txn:
                for i in range(6):
                    txn.put(*_pair(n, i))
            ack(_ACK.pack(n))


def _pair(n: int, i: int) -> tuple[bytes, bytes]:
    return b"%04d.%d" % (n, i), bytes([n]) * (n * 37 + i * 401)


def _many(n: int) -> int:
    return 1 + n % 5


def _end(n: int) -> int:
    return sum(map(_many, range(n)))


def _record(partition: int, n: int, i: int) -> bytes:
    return b"%d.%d.%d " % (partition, n, i) + bytes([n]) * (n * 53 % 3000 + i * 401)


def _not_lost(commits: int, acks: list[bytes]) -> None:
    acked = _ACK.unpack(acks[-1])[0] + 1 if acks else 0
    if commits < acked:
        raise Lost(f"{acked} commits were acknowledged, {commits} are there")
