"""What the LMDB state promises beyond the port: processes side by side, growth, full disks, formats, backups."""

import hashlib
import itertools
import random
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import lmdb
import pytest

from onefold.errors import NotFoundError, StorageError, TooNew
from onefold.limits import DAY_MS
from onefold.model.changes import Cursor
from onefold.model.position import profile_id
from onefold.storage.embedded import lmdb_env, state_tables
from onefold.storage.embedded.state import LmdbState, Options
from onefold.testing import crash_trace
from onefold.testing.conformance.state import NOW_MS, A, B, commit, message

META_MAX_BYTES = 1024
"""What LMDB writes of a meta page is smaller than this, and any other page is larger."""
CHILD = Path(__file__).with_name("state_child.py")
SMALL = Options(map_bytes=1 << 20, move_messages=20)
SHARED = [profile_id(0, n << 16) for n in range(5)]


def child(what: str, path: Path, *numbers: int) -> subprocess.Popen[str]:
    """Start a process that works on the state."""
    command = [sys.executable, str(CHILD), what, str(path), *map(str, numbers)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def line(process: subprocess.Popen[str]) -> str:
    """The next line that a child says."""
    assert process.stdout
    return process.stdout.readline().strip()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the state is to be made."""
    return tmp_path / "state"


@pytest.fixture
def state(path: Path) -> Iterator[LmdbState]:
    """A state with a small map, which moves messages often."""
    with closing(LmdbState(path, options=SMALL)) as opened:
        yield opened


def test_two_processes_that_conflict_end_in_the_right_sum(path: Path) -> None:
    """Commits of two processes to the same profiles take turns: no addition is lost, none is made twice."""
    LmdbState(path, options=SMALL).close()
    writers = [child("write", path, partition, 150) for partition in (0, 1)]
    assert [writer.wait(60) for writer in writers] == [0, 0]
    with closing(LmdbState(path, readonly=True)) as state:
        total = sum(int(data) for data in state.load((), SHARED, ()).profiles.values())
        assert total == state.counts()["added"]
        assert [state.cursor(p).offset for p in (0, 1)] == [150, 150]
        everything = [message(p << 32 | n) for p in (0, 1) for n in range(150)]
        assert len(state.load((), (), everything).seen) == 300
    for writer in writers:
        assert writer.stdout
        writer.stdout.close()


@pytest.mark.parametrize("seed", range(4))
def test_a_killed_process_leaves_whole_commits(path: Path, seed: int) -> None:
    """After kill -9 at random moments every acknowledged commit is there, and cursor and data agree."""
    rng = random.Random(seed)
    LmdbState(path, options=SMALL).close()
    acknowledged = 0
    for _ in range(4):
        writer = child("write", path, 0, 1_000_000)
        assert writer.stdout
        for _ in range(rng.randrange(1, 60)):
            acknowledged = int(line(writer))
        writer.kill()
        said = writer.stdout.read().split()
        acknowledged = int(said[-1]) if said else acknowledged
        writer.stdout.close()
        writer.wait()
        with closing(LmdbState(path, readonly=True)) as state:
            offset = state.cursor(0).offset
            assert offset in {acknowledged, acknowledged + 1}
            assert sum(int(d) for d in state.load((), SHARED, ()).profiles.values()) == state.counts()["added"]
            assert len(state.load((), (), [message(n) for n in range(offset + 5)]).seen) == offset


def test_a_full_disk_loses_nothing_and_passes(path: Path) -> None:
    """Where files cannot grow, commits raise `StorageFull` and leave nothing; with room again they go on."""
    filler = child("fill", path, 3 << 20)
    assert int(line(filler)) > 10
    assert filler.wait(30) == 0
    assert filler.stdout
    filler.stdout.close()
    with closing(LmdbState(path, readonly=True)) as state:
        assert len(state.profile_ids(0, -1, 1_000)) == state.cursor(0).offset


@pytest.mark.strace
@pytest.mark.parametrize("call", ["pwrite64", "fdatasync"])
def test_a_commit_that_fails_on_the_way_to_the_disk_is_survived(tmp_path: Path, call: str) -> None:
    """Where the sync of a commit fails, or its meta page, whereupon LMDB gives the handle up, the process goes on."""
    if reason := crash_trace.unavailable():
        pytest.skip(reason)
    _, calls = under_strace(tmp_path, "calm", call)
    lasts = [n for n, size in enumerate(calls, 1) if size != 1 and size < META_MAX_BYTES]
    said, _ = under_strace(tmp_path, "failing", call, f"--inject={call}:error=EIO:when={lasts[-3]}")
    assert said == ["1", "2", "3", "StorageError", "4", "5", "6"]
    with closing(LmdbState(tmp_path / "failing")) as state, closing(LmdbState(tmp_path / "calm")) as calm:
        assert state.digest() == calm.digest()
        assert state.counts()["commits"] == 6


def under_strace(directory: Path, name: str, call: str, *options: str) -> tuple[list[str], list[int]]:
    """Six commits to a new state of this name: what the process said, and what each such system call returned."""
    LmdbState(directory / name, options=SMALL).close()
    trace = directory / f"{name}.strace"
    command = ["strace", "-qq", "-e", f"trace={call}", *options, "-o", str(trace)]
    child_command = [sys.executable, str(CHILD), "survive", str(directory / name), "6"]
    said = subprocess.run([*command, *child_command], capture_output=True, text=True, check=True).stdout.split()
    return said, [int(returned) for returned in re.findall(r"\) += (-?\d+)", trace.read_text())]


def test_a_killed_reader_is_cleared(path: Path, state: LmdbState) -> None:
    """The slot of a reader that died is freed when the state is opened, so that pages are used again."""
    commit(state, profiles=[A])
    reader = child("hold", path)
    assert line(reader) == "reading"
    commit(state, offset=2, profiles=[A])
    commit(state, offset=3, profiles=[A])
    assert state.stats().environment.oldest_reader_lag >= 2
    reader.kill()
    reader.wait()
    assert reader.stdout
    reader.stdout.close()
    state.close()
    with closing(LmdbState(path, options=SMALL)) as again:
        assert again.stats().environment.oldest_reader_lag == 0


def test_the_map_grows_and_readers_follow(path: Path, state: LmdbState) -> None:
    """A state that outgrows its map goes on, also for another process that had mapped less of it."""
    writer = child("write", path, 1, 1_000_000)
    line(writer)
    for offset in range(1, 41):
        commit(state, offset=offset, data=b"x" * 100_000, profiles=[profile_id(0, offset << 20)])
    before = int(line(writer))
    for _ in range(20):
        assert int(line(writer)) > before
    writer.kill()
    writer.wait()
    assert writer.stdout
    writer.stdout.close()
    assert state.stats().environment.map_bytes > 4 << 20
    assert len(state.profile_ids(0, SHARED[-1], 99)) == 40


def test_growing_waits_for_readers_of_this_process(state: LmdbState) -> None:
    """A thread that reads all the time neither breaks nor is broken by a map that grows."""
    commit(state, profiles=[A])
    stop, wrong = threading.Event(), []

    def read() -> None:
        while not stop.is_set():
            if state.profile(A) != b"data":
                wrong.append("profile")

    threads = [threading.Thread(target=read)]
    for thread in threads:
        thread.start()
    try:
        for offset in range(2, 14):
            commit(state, offset=offset, data=b"x" * 500_000, profiles=[profile_id(1, offset)])
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert not wrong
    assert state.stats().environment.map_bytes >= 6 << 20


def test_a_reader_needs_a_state(path: Path) -> None:
    """Opening for reading makes nothing."""
    with pytest.raises(NotFoundError):
        LmdbState(path, readonly=True)
    assert not path.exists()


def test_a_reader_of_a_state_that_is_being_made_finds_none(path: Path) -> None:
    """Between the making of the tables and the first commit there is nothing yet, rather than an older format."""
    tables = lmdb_env.Options(state_tables.NAMES, map_bytes=SMALL.map_bytes)
    lmdb_env.Environment(path, tables).close()
    with pytest.raises(NotFoundError):
        LmdbState(path, readonly=True)
    LmdbState(path, options=SMALL).close()
    LmdbState(path, readonly=True).close()


def test_a_state_that_another_process_lets_outgrow_the_map_is_opened(path: Path) -> None:
    """Where it grows between the opening of the file and of its tables, the newcomer follows."""
    LmdbState(path, options=SMALL).close()

    grown: list[int] = []

    def grow(_: lmdb.Environment) -> None:
        if not grown:
            with child("grow", path, 4 * SMALL.map_bytes // 50_000) as grower:
                grown.append(grower.wait(60))

    options = lmdb_env.Options(state_tables.NAMES, map_bytes=SMALL.map_bytes, inspect=grow)
    with closing(lmdb_env.Environment(path, options)) as env, env.read() as txn:
        assert txn.stat(env.dbs[state_tables.NAMES.index(b"profiles")])["entries"] > 0
    assert grown == [0]


def test_a_reader_does_not_write(path: Path) -> None:
    """A state that was opened for reading refuses to commit."""
    LmdbState(path, options=SMALL).close()
    with closing(LmdbState(path, readonly=True)) as state, pytest.raises(StorageError):
        commit(state)


def test_a_newer_format_is_refused_untouched(path: Path) -> None:
    """`TooNew`, and not a byte of the file changes."""
    LmdbState(path, options=SMALL).close()
    set_format(path, state_tables.FORMAT + 1)
    before = (path / "data.mdb").read_bytes()
    for readonly in (True, False):
        with pytest.raises(TooNew):
            LmdbState(path, readonly=readonly)
    assert (path / "data.mdb").read_bytes() == before


def test_an_older_format_is_migrated_by_a_writer(path: Path) -> None:
    """Migrations run once, in order, in the opening transaction; a reader does not run them but says what to do."""
    with closing(LmdbState(path, options=SMALL)) as state:
        commit(state, profiles=[A])
    set_format(path, state_tables.FORMAT - 1)
    with pytest.raises(StorageError, match="older format"):
        LmdbState(path, readonly=True)
    ran: list[int] = []
    options = SMALL._replace(migrations={state_tables.FORMAT - 1: lambda _txn, _tables, _slots: ran.append(1)})
    for _ in range(2):
        with closing(LmdbState(path, options=options)) as state:
            assert state.profile(A) == b"data"
    assert ran == [1]


def test_a_format_that_nothing_carries_over_is_refused_untouched(path: Path) -> None:
    """A state from before the first release is left as it was, and the error says what to do."""
    LmdbState(path, options=SMALL).close()
    set_format(path, 1)
    before = (path / "data.mdb").read_bytes()
    with pytest.raises(StorageError, match="begin with a new one"):
        LmdbState(path, options=SMALL)
    assert (path / "data.mdb").read_bytes() == before


def test_no_commit_moves_much_more_than_it_adds(path: Path) -> None:
    """Messages wait for about a round, and go little by little: nowhere does a commit move all of them."""
    with closing(LmdbState(path, options=SMALL._replace(move_messages=5_000))) as state:
        moved = [0]
        for offset in range(100):
            made = {hashlib.blake2b(b"%d %d" % (offset, n), digest_size=16).digest(): NOW_MS for n in range(200)}
            commit(state, offset=offset, messages=made)
            moved.append(state.stats().entries["messages"])
        assert max(after - before for before, after in itertools.pairwise(moved)) < 400
        assert 100 * 200 - moved[-1] < 5_000
        assert state.stats().entries["recent"] <= 2 * 5_000 // 200 + 1


def test_a_backup_is_the_same_state(state: LmdbState, tmp_path: Path) -> None:
    """A backup taken while the state is open has the same digest, and can be opened on its own."""
    for offset in range(1, 5):
        commit(state, offset=offset, profiles=[A, B], messages={message(offset): NOW_MS})
    state.backup(tmp_path / "copy")
    with closing(LmdbState(tmp_path / "copy")) as copy:
        assert copy.digest() == state.digest()
    with pytest.raises(StorageError):
        state.backup(tmp_path / "copy")


def test_moved_messages_are_found_after_opening_again(path: Path) -> None:
    """Messages in memory, in their generation, and left by another process are all found, and no others."""
    asked = [message(n) for n in range(200)]
    for offset in range(10):
        with closing(LmdbState(path, options=SMALL)) as state:
            commit(state, offset=offset, messages={message(offset * 15 + n): NOW_MS + offset for n in range(15)})
            assert set(state.load((), (), asked).seen) == set(asked[: offset * 15 + 15])


def test_old_generations_are_dropped_whole(state: LmdbState) -> None:
    """A generation that every partition has forgotten takes no space."""
    for day in range(6):
        at_ms = NOW_MS + day * DAY_MS
        made = {message(day * 100 + n): at_ms for n in range(100)}
        commit(state, cursor=Cursor(day, at_ms, forgotten_ms=at_ms - DAY_MS), messages=made)
    assert state.stats().entries["messages"] <= 300
    assert state.stats().entries["filters"] <= 3 * state_tables.SLICES


def test_stats_say_what_there_is(state: LmdbState) -> None:
    """Entries by table, the newest commit, and the environment's sizes."""
    commit(state, profiles=[A, B], identifiers={"x:1": A}, messages={message(1): NOW_MS})
    stats = state.stats()
    assert (stats.commit, stats.entries["profiles"], stats.entries["identifiers"]) == (1, 2, 1)
    assert stats.entries["recent"] == 1
    assert 0 < stats.environment.used_bytes <= stats.environment.map_bytes


def set_format(path: Path, number: int) -> None:
    """Make a state look as if another version of Onefold had written it."""
    with lmdb.open(str(path), max_dbs=len(state_tables.NAMES)) as env:
        meta = env.open_db(b"meta")
        with env.begin(write=True) as txn:
            txn.put(b"format", b"%d" % number, db=meta)
