"""What every log engine must do: each clause of `ports.LogWriter` and `ports.LogReader`, and of trimming.

Subclass `LogConformance` in a test module and give it a fixture `log`: an `AnyLog`, which opens any number of
handles on one and the same log, as other processes would have them.
"""

import os
import select
import threading
from itertools import count
from typing import Protocol

import pytest

from onefold.errors import NotFoundError, SettingsError
from onefold.limits import RECORD_MAX_BYTES
from onefold.ports import LogReader, Record, Retention, TrimmingWriter
from onefold.testing.clock import ManualClock

EVERYTHING = 1 << 30


class AnyLog(Protocol):
    """One log, and ways to open it; what it opened it also closes."""

    clock: ManualClock

    def writer(self, partitions: int = 1) -> TrimmingWriter:
        """Another writer on the log."""
        ...

    def reader(self) -> LogReader:
        """Another reader on the log."""
        ...


def records(*names: str) -> list[bytes]:
    """Records that say their names."""
    return [name.encode() for name in names]


def named(found: list[Record]) -> list[str]:
    """The names of records, each checked to stand at the offset after the last."""
    assert [r.offset for r in found] == list(range(found[0].offset, found[0].offset + len(found))) if found else True
    return [record.data.decode() for record in found]


class LogConformance:
    """The ports' promises."""

    def test_an_empty_log_has_nothing_to_read(self, log: AnyLog) -> None:
        """Before the first append a partition begins and ends at 0, and reading gives nothing."""
        log.writer(3)
        reader = log.reader()
        assert reader.partitions == 3
        assert [reader.ends(partition) for partition in range(3)] == [(0, 0)] * 3
        assert reader.read(1, 0, EVERYTHING) == []

    def test_what_was_appended_is_read_in_order(self, log: AnyLog) -> None:
        """Every byte comes back, also zero bytes, none at all, and all that are no text."""
        sent = [b"first", b"", b"\x00\x00", bytes(range(256)), "jä".encode(), b"last"]
        assert log.writer().append({0: sent}) == {0: 5}
        assert log.reader().read(0, 0, EVERYTHING) == [Record(i, data) for i, data in enumerate(sent)]

    def test_a_watch_tells_of_appends(self, log: AnyLog) -> None:
        """A watch can be read from after another handle's append to one of its partitions; an engine may have none."""
        writer = log.writer(3)
        reader = log.reader()
        watch = reader.watch([0, 2])
        if watch is None:
            return
        writer.append({2: records("a")})
        readable, _, _ = select.select([watch], [], [], 60)
        assert readable
        assert named(reader.read(2, 0, EVERYTHING)) == ["a"]
        os.close(watch)

    def test_whoever_watches_can_see_what_has_come_without_a_read(self, log: AnyLog) -> None:
        """After a sign at the latest a record is said to have come, and never before it was appended there."""
        writer = log.writer(2)
        writer.append({0: records("a")})
        reader = log.reader()
        watch = reader.watch([0, 1])
        assert named(reader.read(0, 0, EVERYTHING)) == ["a"]
        assert reader.read(1, 0, EVERYTHING) == []
        assert [reader.has_come(0, 1), reader.has_come(1, 0)] == [False, False]
        writer.append({0: records("b")})
        while not reader.has_come(0, 1):
            assert watch is not None
            readable, _, _ = select.select([watch], [], [], 60)
            assert readable
            os.read(watch, 4096)
        assert not reader.has_come(1, 0)
        assert named(reader.read(0, 1, EVERYTHING)) == ["b"]
        assert not reader.has_come(0, 2)
        if watch is not None:
            os.close(watch)

    def test_an_append_answers_with_the_last_offset_of_each_partition(self, log: AnyLog) -> None:
        """Partitions count for themselves; a partition without records is not in the answer."""
        writer = log.writer(3)
        assert writer.append({0: records("a", "b"), 2: records("c"), 1: []}) == {0: 1, 2: 0}
        assert writer.append({2: records("d"), 0: records("e")}) == {2: 1, 0: 2}
        assert writer.append({}) == {}
        reader = log.reader()
        assert [named(reader.read(p, 0, EVERYTHING)) for p in range(3)] == [["a", "b", "e"], [], ["c", "d"]]

    def test_a_read_starts_anywhere_and_goes_on_over_appends(self, log: AnyLog) -> None:
        """From each offset on, all that follows is given, wherever one append ended and the next began."""
        writer = log.writer()
        for names in ("abc", "d", "ef", "ghij"):
            writer.append({0: records(*names)})
        reader = log.reader()
        for offset in range(10):
            assert "".join(named(reader.read(0, offset, EVERYTHING))) == "abcdefghij"[offset:]
        assert reader.read(0, 10, EVERYTHING) == reader.read(0, 99, EVERYTHING) == []

    @pytest.mark.parametrize(("max_bytes", "expected"), [(0, 1), (9, 1), (10, 1), (19, 1), (20, 2), (79, 7), (80, 8)])
    def test_a_read_gives_what_fits_and_at_least_one(self, log: AnyLog, max_bytes: int, expected: int) -> None:
        """Neither a partition's end nor an append's end makes a read give more, or no, records."""
        writer = log.writer()
        writer.append({0: [b"0123456789"] * 3})
        writer.append({0: [b"0123456789"] * 5})
        assert len(log.reader().read(0, 0, max_bytes)) == expected

    def test_reading_in_steps_gives_each_record_once(self, log: AnyLog) -> None:
        """A reader that goes on after its last record sees all of them, whatever its step."""
        writer = log.writer()
        for first in range(0, 100, 20):
            writer.append({0: records(*(f"{n:04}" for n in range(first, first + 20)))})
        reader = log.reader()
        for max_bytes in (1, 7, 64, 90, 1000):
            found: list[Record] = []
            while more := reader.read(0, len(found), max_bytes):
                found += more
            assert named(found) == [f"{n:04}" for n in range(100)]

    def test_a_record_may_be_huge(self, log: AnyLog) -> None:
        """The largest record comes back whole, and its neighbours too."""
        huge = bytes(range(256)) * (RECORD_MAX_BYTES // 256)
        log.writer().append({0: [b"before", huge, b"after"]})
        reader = log.reader()
        assert [r.data for r in reader.read(0, 0, EVERYTHING)] == [b"before", huge, b"after"]
        assert reader.read(0, 1, 10) == [Record(1, huge)]

    def test_writers_take_turns(self, log: AnyLog) -> None:
        """Appends of several writers do not overlap, and each writer's records keep their order."""
        one, two = log.writer(), log.writer()
        offsets = [writer.append({0: records(name, name)})[0] for writer, name in [(one, "a"), (two, "b"), (one, "c")]]
        assert offsets == [1, 3, 5]
        assert named(log.reader().read(0, 0, EVERYTHING)) == list("aabbcc")

    def test_threads_may_append_side_by_side(self, log: AnyLog) -> None:
        """No record is lost, doubled or split off from those appended with it."""
        writer = log.writer()

        def work(name: str) -> None:
            for n in range(10):
                writer.append({0: records(f"{name}{n}", f"{name}{n}'")})

        threads = [threading.Thread(target=work, args=(name,)) for name in "abcd"]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        found = named(log.reader().read(0, 0, EVERYTHING))
        assert found[1::2] == [name + "'" for name in found[::2]]
        assert sorted(found[::2]) == sorted(f"{name}{n}" for name in "abcd" for n in range(10))
        assert all([x for x in found[::2] if x[0] == name] == [f"{name}{n}" for n in range(10)] for name in "abcd")

    def test_a_reader_sees_appends_that_came_after_it(self, log: AnyLog) -> None:
        """A reader is opened once and follows the log; at the end it gets nothing rather than waiting."""
        writer, reader = log.writer(), log.reader()
        for n in range(5):
            assert reader.read(0, n, EVERYTHING) == []
            writer.append({0: records(str(n))})
            assert named(reader.read(0, n, EVERYTHING)) == [str(n)]
            assert reader.ends(0) == (0, n + 1)

    def test_readers_never_see_half_an_append(self, log: AnyLog) -> None:
        """While a writer appends ten at a time, readers see multiples of ten."""
        writer, reader = log.writer(), log.reader()
        seen: list[int] = []
        done = threading.Event()

        def follow() -> None:
            while not done.is_set():
                seen.append(len(reader.read(0, 0, EVERYTHING)))

        thread = threading.Thread(target=follow)
        thread.start()
        for n in range(30):
            writer.append({0: records(*([str(n)] * 10))})
        done.set()
        thread.join()
        assert all(length % 10 == 0 for length in seen)
        assert seen == sorted(seen)

    def test_a_log_that_is_opened_again_goes_on(self, log: AnyLog) -> None:
        """Closing loses nothing; offsets continue."""
        writer = log.writer(2)
        writer.append({0: records("a"), 1: records("x", "y")})
        writer.close()
        assert log.writer(2).append({0: records("b"), 1: records("z")}) == {0: 1, 1: 2}
        assert named(log.reader().read(1, 0, EVERYTHING)) == ["x", "y", "z"]

    def test_another_number_of_partitions_is_refused(self, log: AnyLog) -> None:
        """The number is fixed when the log is made, and the error says what to do."""
        log.writer(2).close()
        with pytest.raises(SettingsError, match=r"set `partitions` to 2"):
            log.writer(3)

    def test_trimming_by_age_keeps_what_is_young(self, log: AnyLog) -> None:
        """Only what was written longer ago than the age goes, whole appends at a time."""
        writer, reader = log.writer(), log.reader()
        for name in "abc":
            writer.append({0: records(name, name)})
            log.clock.advance(1000)
        assert writer.trim(0, 6, Retention(age_ms=3000)) == 0
        assert writer.trim(0, 6, Retention(age_ms=1500)) == 4
        assert reader.ends(0) == (4, 6)
        assert named(reader.read(0, 4, EVERYTHING)) == ["c", "c"]

    def test_trimming_never_passes_the_safe_offset(self, log: AnyLog) -> None:
        """What somebody has yet to read stays, however old it is, and so does the append that it is part of."""
        writer, reader = log.writer(), log.reader()
        for name in "abc":
            writer.append({0: records(name, name)})
        log.clock.advance(1000)
        assert [writer.trim(0, safe, Retention(age_ms=0, size_bytes=0)) for safe in (0, 1, 2, 3)] == [0, 0, 2, 0]
        assert reader.ends(0) == (2, 6)

    def test_trimming_without_a_limit_keeps_everything(self, log: AnyLog) -> None:
        """Retention that sets neither age nor size removes nothing."""
        writer = log.writer()
        writer.append({0: records("a")})
        log.clock.advance(1000)
        assert writer.trim(0, 1, Retention()) == 0

    def test_trimming_by_size_removes_the_oldest(self, log: AnyLog) -> None:
        """It stops as soon as the partition is within its size."""
        writer, reader = log.writer(2), log.reader()
        for _ in range(20):
            writer.append({0: [bytes(100_000)], 1: [b"other"]})
        assert writer.trim(0, 20, Retention(size_bytes=1_000_000)) > 0
        first, end = reader.ends(0)
        assert end == 20
        assert 9 <= end - first <= 10
        assert reader.ends(1) == (0, 20)

    def test_what_was_removed_is_not_found(self, log: AnyLog) -> None:
        """A reader that comes too late is told, rather than given later records."""
        writer, reader = log.writer(), log.reader()
        writer.append({0: records("a")})
        writer.append({0: records("b")})
        log.clock.advance(1)
        assert writer.trim(0, 1, Retention(age_ms=0)) == 1
        with pytest.raises(NotFoundError):
            reader.read(0, 0, EVERYTHING)
        assert named(reader.read(0, 1, EVERYTHING)) == ["b"]

    def test_offsets_go_on_after_everything_was_removed(self, log: AnyLog) -> None:
        """An offset is never used twice, also over closing and opening."""
        writer = log.writer()
        writer.append({0: records("a", "b")})
        log.clock.advance(1)
        assert writer.trim(0, 2, Retention(age_ms=0)) == 2
        reader = log.reader()
        assert reader.ends(0) == (2, 2)
        assert reader.read(0, 2, EVERYTHING) == []
        with pytest.raises(NotFoundError):
            reader.read(0, 1, EVERYTHING)
        writer.close()
        assert log.writer().append({0: records("c")}) == {0: 2}
        assert named(log.reader().read(0, 2, EVERYTHING)) == ["c"]

    def test_trimming_while_others_append_and_read(self, log: AnyLog) -> None:
        """Each record is read once and whole although those before it are being removed."""
        writer, trimmer, reader = log.writer(), log.writer(), log.reader()
        expected = count()
        offset = 0
        for n in range(50):
            writer.append({0: records(*(str(n * 3 + i) for i in range(3)))})
            found = reader.read(0, offset, EVERYTHING)
            assert named(found) == [str(next(expected)) for _ in found]
            offset = found[-1].offset + 1
            log.clock.advance(1)
            trimmer.trim(0, offset, Retention(age_ms=0))
        assert (offset, reader.ends(0)[1]) == (150, 150)
