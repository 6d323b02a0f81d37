"""History on Delta tables: what other than the port's promises is promised of its files."""

import random
import shutil
from collections.abc import Iterator, Sequence
from contextlib import closing
from itertools import pairwise
from pathlib import Path

import duckdb
import pytest

from onefold.errors import NotFoundError, StorageError
from onefold.limits import DAY_MS
from onefold.model.delivery import sequence
from onefold.model.event import Event
from onefold.model.past import STANDING, PastMerge, PastMove, beginning
from onefold.storage.history import copying, standing
from onefold.storage.history.delta import DeltaHistory, Options, forgettings
from onefold.testing.clock import ManualClock
from onefold.testing.conformance.history import FAR, T0, by_place, contents, move, past


@pytest.fixture
def clock() -> ManualClock:
    """Ten days after the first event."""
    return ManualClock(T0 + 10 * DAY_MS)


@pytest.fixture
def history(tmp_path: Path, clock: ManualClock) -> Iterator[DeltaHistory]:
    """One that forgets pages after three days, and all else after eight."""
    options = Options(keep_days={"page": 3, "*": 8, "it's kept": 100})
    with closing(DeltaHistory(tmp_path / "history", options=options, clock=clock)) as opened:
        assert opened.try_hold()
        yield opened


def test_a_tidied_file_is_sorted_by_person(tmp_path: Path) -> None:
    """The row groups of a file that was made of many hold one range of profiles each, so that few are read for one."""
    chance = random.Random(3)
    with closing(DeltaHistory(tmp_path / "history")) as history:
        assert history.try_hold()
        for n in range(8):
            history.append([past(n * 9_000 + i, chance.randrange(1, 5_000), T0 + i) for i in range(9_000)], [], n + 1)
        while history.tidy():
            pass
        (file,) = history.uris()
    groups = duckdb.execute(
        "SELECT stats_min_value::BIGINT, stats_max_value::BIGINT FROM parquet_metadata(?)"
        " WHERE path_in_schema = 'profile' ORDER BY row_group_id",
        [file],
    ).fetchall()
    assert len(groups) > 3
    assert all(before[1] <= after[0] for before, after in pairwise(groups))
    rows = duckdb.execute("SELECT profile, at_ms, tie FROM read_parquet(?)", [file]).fetchall()
    assert rows == sorted(rows)


def test_what_is_past_its_days_is_forgotten(history: DeltaHistory, clock: ManualClock) -> None:
    """By name, by whole days of event time; a name of its own is not among all others; once a day is enough."""
    page, kept = Event(type="page", userId="u"), Event(type="track", userId="u", event="it's kept")
    days = range(10)
    everything = [past(day, 1, T0 + day * DAY_MS) for day in days]
    everything += [past(100 + day, 1, T0 + day * DAY_MS, page) for day in days]
    everything += [past(200 + day, 1, T0 + day * DAY_MS, kept) for day in days]
    history.append(everything, [], 1)
    while history.tidy():
        pass
    found = {one.position for one in contents(history)}
    assert found == {*range(2, 10), *range(107, 110), *range(200, 210)}
    assert history.cursor() == 1
    clock.advance(DAY_MS)
    while history.tidy():
        pass
    assert {one.position for one in contents(history)} == {*range(3, 10), *range(108, 110), *range(200, 210)}


def test_moves_past_their_days_leave_who_was_in(history: DeltaHistory, clock: ManualClock) -> None:
    """Of what is forgotten, the last entering of whoever was in stays; and it says since when all moves are there."""
    history.begin_moves([move(0, 7, T0 - 5 * DAY_MS, reason=STANDING), beginning(T0)])
    moves = [
        move(sequence(1, 1), 1, T0),
        move(sequence(1, 2), 2, T0),
        move(sequence(1, 3), 2, T0 + DAY_MS, entered=False),
        move(sequence(1, 4), 3, T0 + DAY_MS, "others", reason="merge"),
        move(sequence(1, 5), 1, T0 + 3 * DAY_MS, entered=False),
        move(sequence(1, 6), 2, T0 + 4 * DAY_MS),
    ]
    history.append([], [], 1, moves)
    for _ in range(2):
        while history.tidy():
            pass
        standing = move(0, 7, T0 - 5 * DAY_MS, reason=STANDING)
        assert history.moves_of([1, 2, 3, 7]) == [standing, moves[0], *moves[3:]]
        assert history.moves_since() == T0 + 2 * DAY_MS
    clock.advance(2 * DAY_MS)
    while history.tidy():
        pass
    assert history.moves_of([1, 2, 3, 7]) == [standing, moves[3], moves[5]]
    assert (history.moves_since(), history.cursor()) == (T0 + 4 * DAY_MS, 1)


def test_a_history_of_before_moves_goes_on(tmp_path: Path, history: DeltaHistory) -> None:
    """Where there is no such table it is read as it is; whoever writes next makes it, and readers see that."""
    history.append([past(1)], [], 1)
    history.close()
    shutil.rmtree(tmp_path / "history" / "moves")
    copying.copy(tmp_path / "history", tmp_path / "copy")
    with closing(DeltaHistory(tmp_path / "copy", readonly=True)) as copy:
        assert (contents(copy), copy.moves_since()) == ([past(1)], None)
    with closing(DeltaHistory(tmp_path / "history", readonly=True)) as reader:
        assert (reader.moves_since(), reader.moves_of([1])) == (None, [])
        with closing(DeltaHistory(tmp_path / "history")) as again:
            assert again.try_hold()
            again.begin_moves([beginning(T0)])
            again.append([past(2)], [], 2, [move(sequence(2, 0))])
        assert (reader.moves_since(), reader.moves_of([1])) == (T0, [move(sequence(2, 0))])


def test_forgetting_is_said_in_days() -> None:
    """A day goes when all of it has been kept for long enough."""
    assert forgettings({"*": 1}, 20_455) == ["day < '2026-01-01'"]
    assert forgettings({"a'b": 2}, 20_456) == ["day < '2026-01-01' AND name = 'a''b'"]


@pytest.mark.parametrize("grace_hours", [0, 2])
def test_replaced_files_stay_for_readers_and_then_go(tmp_path: Path, grace_hours: int) -> None:
    """A connection that is open goes on reading while files are replaced; once the grace is over they are removed."""
    with closing(DeltaHistory(tmp_path, options=Options(grace_hours=grace_hours))) as history:
        assert history.try_hold()
        for n in range(1, 20):
            history.append([past(n, n % 3 + 1)], [], n)
        connection = history.connect()
        while history.tidy():
            pass
        there, named = len(list(tmp_path.rglob("day=*/*.parquet"))), len(history.uris())
        assert (there == named) == (grace_hours == 0)
        if grace_hours:
            assert connection.execute("SELECT count(*) FROM events").fetchall() == [(19,)]
        connection.close()
        assert len(contents(history)) == 19


def test_one_writes_and_others_stand_by(tmp_path: Path, history: DeltaHistory) -> None:
    """While one holds the writing nobody else can; what it leaves, the next goes on with."""
    history.append([past(1)], [], 7)
    with closing(DeltaHistory(tmp_path / "history")) as other:
        assert not other.try_hold()
        assert other.cursor() == 7
        history.close()
        assert other.try_hold()
        other.append([past(2)], [], 8)
        assert contents(other) == by_place([past(1), past(2)])


def test_readers_see_what_comes(tmp_path: Path, history: DeltaHistory) -> None:
    """A reader that stays open sees every later append, and says so where there is no history at all."""
    with closing(DeltaHistory(tmp_path / "history", readonly=True)) as reader:
        for n in range(1, 4):
            history.append([past(n, FAR)], [], n)
            assert [one.position for one in reader.of_profiles([FAR])] == list(range(1, n + 1))
    with pytest.raises(NotFoundError):
        DeltaHistory(tmp_path / "elsewhere", readonly=True)


def test_merges_of_a_write_that_was_cut_short_are_not_doubled(tmp_path: Path, history: DeltaHistory) -> None:
    """Where the merges were written and the events were not, the next write takes only those that are missing."""
    history.append([past(1)], [], 1)
    history.close()
    merges = [PastMerge(absorbed, 1, 0, absorbed, T0) for absorbed in range(5, 9)]
    _cut_short(tmp_path / "history", merges[:2])
    with closing(DeltaHistory(tmp_path / "history")) as again:
        assert again.try_hold()
        assert again.cursor() == 1
        again.append([past(2)], merges, 3)
        assert again.merges() == merges
        assert contents(again) == [past(1), past(2)]


def test_moves_of_a_write_that_was_cut_short_are_not_doubled(tmp_path: Path, history: DeltaHistory) -> None:
    """Where the moves were written and the events were not, the next write takes only those of later commits."""
    history.begin_moves([beginning(0)])
    history.append([past(1)], [], 1)
    history.close()
    moves = [move(sequence(commit, 4)) for commit in (2, 3, 4)]
    _cut_short(tmp_path / "history", [], moves[:1])
    with closing(DeltaHistory(tmp_path / "history")) as again:
        assert again.try_hold()
        assert again.cursor() == 1
        again.append([past(2)], [], 4, moves)
        assert again.moves_of([1]) == moves


def _cut_short(directory: Path, merges: list[PastMerge], moves: Sequence[PastMove] = ()) -> None:
    """An append of merges and moves whose events never came: of a copy, only their tables are taken over."""
    events = {path: path.read_bytes() for path in (directory / "events").rglob("*") if path.is_file()}
    there = standing.read(directory)
    with closing(DeltaHistory(directory)) as other:
        assert other.try_hold()
        other.append([], merges, 2, moves)
    for path in (directory / "events").rglob("*"):
        if path.is_file() and path not in events:
            path.unlink()
    standing.write(directory, there)


def test_a_copy_opens_and_goes_on(tmp_path: Path, history: DeltaHistory) -> None:
    """A copy that was taken between appends has all up to its cursor, also past the table's own summaries."""
    for n in range(1, 120):
        history.append([past(n)], [PastMerge(n, 1, 0, n, T0)] if n % 50 == 0 else [], n)
    history.begin_moves([beginning(0)])
    history.append([], [], 119, [move(sequence(119, 0))])
    copying.copy(tmp_path / "history", tmp_path / "copy")
    history.append([past(900)], [], 900, [move(sequence(900, 0))])
    assert standing.read(tmp_path / "copy").cursor == 119
    with closing(DeltaHistory(tmp_path / "copy")) as copy:
        assert copy.try_hold()
        assert [one.position for one in contents(copy)] == list(range(1, 120))
        assert len(copy.merges()) == 2
        assert copy.moves_of([1]) == [move(sequence(119, 0))]
        copy.append([past(121)], [], 121)
        assert len(contents(copy)) == 120


def test_a_missing_file_is_an_error_of_storage(tmp_path: Path, history: DeltaHistory) -> None:
    """Nothing is answered where a file of the snapshot is gone."""
    history.append([past(1)], [], 1)
    Path(history.uris()[0]).unlink()
    with pytest.raises(StorageError):
        history.of_profiles([1])
