"""Which files become one: every event is rewritten only a few times, and few files are left."""

import random

from onefold.storage.history.compaction import FILES_MIN, DataFile, choose

TODAY = "2026-01-01"


def file(part: int, size: int = 100, day: str = "2026-01-01", path: str = "") -> DataFile:
    """A file of that part."""
    return DataFile(path or f"{day}/{part}", day, size, size, part)


def test_few_files_are_left_alone() -> None:
    """Nothing is rewritten before there are enough files in one day."""
    files = [file(part, day=f"2026-01-0{1 + part % 3}") for part in range(FILES_MIN)]
    assert choose(files, 1_000_000, TODAY) is None
    assert choose([], 1_000_000, TODAY) is None


def test_the_newest_files_of_a_day_become_one() -> None:
    """Many small files are taken, a much larger one before them is not."""
    files = [file(1, 100_000), *(file(part) for part in range(2, 2 + FILES_MIN))]
    piece = choose(files, 1_000_000, TODAY)
    assert piece is not None
    assert (piece.day, piece.since, piece.until, piece.files) == ("2026-01-01", 2, 1 + FILES_MIN, FILES_MIN)
    assert [one.part for one in files if piece.has(one)] == list(range(2, 2 + FILES_MIN))


def test_a_day_that_is_over_is_brought_together() -> None:
    """Of days before today two files are enough, but a large one is not rewritten for a late event."""
    piece = choose([file(1), file(2)], 1_000_000, "2026-01-02")
    assert piece is not None
    assert piece.files == 2
    assert choose([file(1, 100_000), file(2)], 1_000_000, "2026-01-02") is None
    piece = choose([file(1, 1_000), file(2, 1_000), file(3, 10)], 1_000_000, "2026-01-02")
    assert piece is not None
    assert (piece.since, piece.until) == (1, 2)


def test_files_of_one_part_stay_together() -> None:
    """A part that was written as several files is taken whole, or not at all."""
    files = [file(1, 700, path="a"), file(1, 700, path="b"), *(file(part) for part in range(2, 2 + FILES_MIN))]
    piece = choose(files, 1_000_000, TODAY)
    assert piece is not None
    assert piece.files == FILES_MIN + 2
    piece = choose(files, 2_000, TODAY)
    assert piece is not None
    assert piece.since == 2


def test_a_long_day_is_rewritten_a_few_times() -> None:
    """Of a thousand flushes each byte is written some times the logarithm at most, and a few dozen files are left."""
    chance, files, flushed, written = random.Random(1), list[DataFile](), 0, 0
    for part in range(1, 1_001):
        size = chance.randrange(50, 150)
        files.append(file(part, size))
        flushed += size
        while (piece := choose(files, 20_000, TODAY)) is not None:
            taken = [one for one in files if piece.has(one)]
            assert len(taken) >= FILES_MIN
            assert piece.size_bytes == sum(one.size_bytes for one in taken) <= 20_000
            written += piece.size_bytes
            files = [one for one in files if not piece.has(one)] + [file(piece.until, piece.size_bytes)]
        assert len(files) < 40
    assert written < 5 * flushed
