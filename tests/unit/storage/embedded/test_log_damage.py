"""Damage of every kind in a log's files is named, never served and never kills the process.

Damaged files are opened in child processes: what is promised is that these end by themselves.
"""

import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from random import Random

import lmdb
import pytest

from onefold.errors import Damaged, SettingsError, TooNew
from onefold.storage.embedded import lmdb_file
from onefold.storage.embedded.log import LmdbLogReader, LmdbLogWriter
from onefold.testing.clock import ManualClock

OPEN_AND_READ = """
import sys
from pathlib import Path
from onefold.errors import Damaged
from onefold.storage.embedded.log import LmdbLogReader
try:
    reader = LmdbLogReader(Path(sys.argv[1]))
    first, end = reader.ends(0)
    offset = first
    while found := reader.read(0, offset, 1 << 20):
        assert all(r.data == bytes([r.offset % 251]) * (r.offset * 97 % 5000) for r in found), "served damage"
        offset = found[-1].offset + 1
    print("whole" if offset == end == 300 else "short")
except Damaged as error:
    print("damaged", error)
"""


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """The data file of partition 0 of a closed log with 300 records."""
    with closing(LmdbLogWriter(tmp_path / "log", 1, ManualClock())) as writer:
        for n in range(0, 300, 3):
            writer.append({0: [bytes([i % 251]) * (i * 97 % 5000) for i in range(n, n + 3)]})
    return tmp_path / "log" / "0" / "data.mdb"


def opened(data: Path) -> str:
    """What a process that opens and reads this log has to say."""
    command = [sys.executable, "-c", OPEN_AND_READ, str(data.parent.parent)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, f"{done.returncode}: {done.stderr[-500:]}"
    return done.stdout


def change(data: Path, edit: Callable[[bytearray], None]) -> None:
    """Edit the file in place."""
    content = bytearray(data.read_bytes())
    edit(content)
    data.write_bytes(content)


def put(data: Path, at: int, new: bytes) -> None:
    """Overwrite bytes of the file in place."""

    def edit(content: bytearray) -> None:
        content[at : at + len(new)] = new

    change(data, edit)


def test_an_undamaged_log_is_whole(data: Path) -> None:
    """The child that the other tests rely on tells a whole log from others."""
    assert opened(data) == "whole\n"


@pytest.mark.parametrize("left", [0.0, 0.001, 0.01, 0.3, 0.9, 0.999])
def test_a_file_that_was_cut_short_is_damaged(data: Path, left: float) -> None:
    """However short, it is refused before LMDB maps it, which would kill the process."""
    os.truncate(data, int(data.stat().st_size * left))
    assert opened(data).startswith("damaged ")


@pytest.mark.parametrize("garbage", [b"", b"\xff", b"\x00" * 8192, b"garbage " * 4096])
def test_a_file_that_is_garbage_is_damaged(data: Path, garbage: bytes) -> None:
    """A file that is no database at all is damage, not a new log."""
    data.write_bytes(garbage)
    assert opened(data).startswith("damaged ")


def test_a_file_that_is_missing_is_damaged(data: Path) -> None:
    """The log knows how many partitions it has; one that is not there is not made anew."""
    data.unlink()
    assert opened(data).startswith("damaged ")


def test_a_flipped_bit_is_never_served(data: Path) -> None:
    """A bit anywhere in the file is either in a place that nothing uses or found; records are right or refused."""
    random = Random(7)
    whole = data.read_bytes()
    answers = set()
    for _ in range(20):
        data.write_bytes(whole)
        bit = random.randrange(8192 * 8, len(whole) * 8)
        put(data, bit // 8, bytes([whole[bit // 8] ^ 1 << bit % 8]))
        answers.add(opened(data).split()[0])
    assert "damaged" in answers
    assert answers <= {"damaged", "whole"}


def test_a_zeroed_page_is_never_served(data: Path) -> None:
    """A page that the disk lost is either unused or found."""
    whole = data.read_bytes()
    for page in Random(8).sample(range(2, len(whole) // 4096), 12):
        data.write_bytes(whole)
        put(data, page * 4096, bytes(4096))
        assert opened(data).split()[0] in {"damaged", "whole"}


def test_damage_in_the_last_chunk_is_found_on_opening(data: Path) -> None:
    """LMDB accepted it, so it was committed, so it may have been acknowledged: it is not cut off but reported."""
    last = bytes([299 % 251]) * 100

    def edit(content: bytearray) -> None:
        content[content.rindex(last)] ^= 1

    change(data, edit)
    with pytest.raises(Damaged, match=r"partition 0, offset 297"):
        LmdbLogReader(data.parent.parent)
    with pytest.raises(Damaged, match=r"partition 0, offset 297"):
        LmdbLogWriter(data.parent.parent, 1)


def test_damage_in_one_chunk_leaves_the_others_readable(data: Path) -> None:
    """The error names partition and offset, and what does not touch the damaged chunk is served."""
    damaged = bytes([100]) * (100 * 97 % 5000)
    put(data, data.read_bytes().index(damaged), b"?")
    with closing(LmdbLogReader(data.parent.parent)) as reader:
        with pytest.raises(Damaged, match=r"partition 0, offset 99"):
            reader.read(0, 100, 1)
        assert len(reader.read(0, 102, 1 << 30)) == 198
        assert len(reader.read(0, 96, 1)) == 1


def test_a_missing_chunk_is_found(data: Path) -> None:
    """Offsets have no holes: a chunk that is gone from the middle is damage, though every other one is whole."""
    with lmdb.open(str(data.parent)) as env, env.begin(write=True) as txn:
        txn.delete((150).to_bytes(8, "big"))
    with closing(LmdbLogReader(data.parent.parent)) as reader:
        with pytest.raises(Damaged, match=r"offsets 150 to 153"):
            reader.read(0, 0, 1 << 30)
        with pytest.raises(Damaged, match=r"150"):
            reader.read(0, 151, 1)


def test_a_newer_format_is_refused(data: Path) -> None:
    """A database of another LMDB format is not touched."""
    for page in (0, 1):
        put(data, page * 4096 + 16 + 4, b"\x03")
    with pytest.raises(TooNew):
        lmdb_file.check(data.parent)


def test_a_partition_of_another_log_is_refused(tmp_path: Path) -> None:
    """Files that were put together from different logs are not read as one."""
    for name, partitions in (("two", 2), ("three", 3)):
        LmdbLogWriter(tmp_path / name, partitions).close()
    (tmp_path / "two" / "1").rename(tmp_path / "gone")
    (tmp_path / "three" / "1").rename(tmp_path / "two" / "1")
    with pytest.raises(SettingsError, match="partition 1 of 3"):
        LmdbLogReader(tmp_path / "two")


def test_a_log_that_was_half_made_is_made(tmp_path: Path) -> None:
    """A crash at any step of making a log leaves drafts that the next opening replaces."""
    log = tmp_path / "log"
    LmdbLogWriter(log, 2).close()
    (log / "partitions").unlink()
    (log / "1").rename(log / "1.new")
    (log / "1.new" / "data.mdb").write_bytes(b"half")
    with closing(LmdbLogWriter(log, 2)) as writer:
        assert writer.append({0: [b"a"], 1: [b"b"]}) == {0: 0, 1: 0}
