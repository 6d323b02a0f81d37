"""A full disk, a failed sync and a full map: nothing half written, and the log goes on as soon as it can."""

import os
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from onefold.errors import StorageError
from onefold.storage.embedded import log_partition
from onefold.storage.embedded.log import LmdbLogReader, LmdbLogWriter
from onefold.storage.embedded.log_partition import Identity, Partition
from onefold.testing import crash_trace

EVERYTHING = 1 << 30

FULL_DISK = """
import resource, signal, sys
from pathlib import Path
from onefold.errors import StorageFull
from onefold.storage.embedded.log import LmdbLogReader, LmdbLogWriter
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
writer, reader = LmdbLogWriter(Path(sys.argv[1]), 1), LmdbLogReader(Path(sys.argv[1]))
resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, resource.RLIM_INFINITY))
acked = 0
try:
    while True:
        writer.append({0: [acked.to_bytes(4, "big") + bytes(30_000)] * 2})
        acked += 2
except StorageFull:
    pass
assert 20 < acked < 40, acked
for _ in range(3):
    try:
        writer.append({0: [bytes(30_000)] * 2})
        sys.exit("a full disk took more")
    except StorageFull:
        pass
assert reader.ends(0) == (0, acked)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
assert writer.append({0: [b"and on"]}) == {0: acked}
assert len(reader.read(0, 0, 1 << 30)) == acked + 1
"""

FAILING_SYNCS = """
import sys
from pathlib import Path
from onefold.errors import StorageError
from onefold.storage.embedded.log import LmdbLogWriter
writer = LmdbLogWriter(Path(sys.argv[1]), 1)
for n in range(30):
    try:
        writer.append({0: [b"%d" % n]})
        print(n)
    except StorageError:
        print("failed", n)
"""

FOLLOWER = """
import sys
from pathlib import Path
from onefold.storage.embedded import log_partition
from onefold.storage.embedded.log_partition import Identity, Partition
partition = Partition(Path(sys.argv[1]), Identity(0, 1))
print("open", flush=True)
for line in sys.stdin:
    print(len(partition.read(int(line), 1 << 30)), partition.append([[b"child"]], 0), flush=True)
"""


def run(script: str, log: Path, *before: str) -> str:
    """What a process that runs this script says; it must end well."""
    command = [*before, sys.executable, "-c", script, str(log)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_full_disk_refuses_and_loses_nothing(tmp_path: Path) -> None:
    """While there is no room every append is refused whole, reading goes on, and with room so does writing."""
    run(FULL_DISK, tmp_path / "log")


@pytest.mark.strace
@pytest.mark.parametrize("error", ["EIO", "ENOSPC"])
@pytest.mark.parametrize("call", ["fdatasync", "pwrite64", "writev"])
def test_a_write_or_sync_that_fails_is_not_acknowledged(tmp_path: Path, call: str, error: str) -> None:
    """Every seventh call fails; each append that was acknowledged is there, in order, and none that was not twice."""
    if reason := crash_trace.unavailable():
        pytest.skip(reason)
    log = tmp_path / "log"
    LmdbLogWriter(log, 1).close()
    strace = ["strace", "-qq", "-o", os.devnull, "-e", f"trace={call}", "-e", f"inject={call}:error={error}:when=3+7"]
    said = run(FAILING_SYNCS, log, *strace).split("\n")
    acked = [line for line in said if line.isdecimal()]
    assert any(line.startswith("failed") for line in said)
    with closing(LmdbLogReader(log)) as reader:
        found = [record.data.decode() for record in reader.read(0, 0, EVERYTHING)]
    assert [name for name in found if name in acked] == acked
    assert sorted(set(found), key=int) == found


def test_the_map_grows_with_the_log(tmp_path: Path) -> None:
    """A log outgrows the map that it was opened with, while readers in the same process go on."""
    path = tmp_path / "0"
    options = log_partition.OPTIONS._replace(map_bytes=1 << 16)
    Partition.make(path, Identity(0, 1))
    with closing(Partition(path, Identity(0, 1), options)) as partition:
        for n in range(50):
            assert partition.append([[bytes(20_000)] * 5], 0) == n * 5
            assert len(partition.read(0, EVERYTHING)) == n * 5 + 5


def test_a_map_that_another_process_has_outgrown_is_followed(tmp_path: Path) -> None:
    """A reader and writer with the map of yesterday reads and appends after another process has grown the file."""
    path = tmp_path / "0"
    Partition.make(path, Identity(0, 1))
    small = FOLLOWER.replace("Identity(0, 1))", "Identity(0, 1), log_partition.OPTIONS._replace(map_bytes=1 << 16))")
    command = [sys.executable, "-c", small, str(path)]
    with (
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1) as child,
        closing(Partition(path, Identity(0, 1))) as partition,
    ):
        assert child.stdin
        assert child.stdout
        assert child.stdout.readline() == "open\n"
        expected = 0
        for _ in range(5):
            partition.append([[bytes(100_000)] * 9], 0)
            expected += 9
            child.stdin.write("0\n")
            assert child.stdout.readline() == f"{expected} {expected}\n"
            expected += 1
        child.stdin.close()
    assert child.returncode == 0


def test_a_failed_append_may_have_written_earlier_partitions(tmp_path: Path) -> None:
    """Partitions are committed one after the other: those before the failure stay, those after it get nothing."""
    with closing(LmdbLogWriter(tmp_path / "log", 2)) as writer:
        writer._partitions[1].close()
        with pytest.raises(StorageError):
            writer.append({0: [b"a"], 1: [b"b"]})
        reader = LmdbLogReader(tmp_path / "log")
        assert reader.ends(0) == (0, 1)
        assert reader.ends(1) == (0, 0)
        assert writer.append({1: [b"c"]}) == {1: 0}
        reader.close()
