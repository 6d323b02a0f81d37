"""Memory is put into large pages where the system can, and stays what it was."""

import ctypes
import mmap
import re
from pathlib import Path

import pytest

from onefold.limits import MIB
from onefold.runtime.large_pages import LARGE_BYTES, in_large_pages, put_into_large_pages


def _large_kib() -> int:
    return _kib("AnonHugePages")


def _resident_kib() -> int:
    return _kib("Rss")


def _kib(what: str) -> int:
    found = re.search(rf"{what}:\s+(\d+)", Path("/proc/self/smaps_rollup").read_text())
    assert found
    return int(found[1])


@pytest.fixture
def filled() -> "mmap.mmap":
    """Memory in small pages, all in use."""
    memory = mmap.mmap(-1, 16 * MIB, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    if hasattr(mmap, "MADV_NOHUGEPAGE"):
        memory.madvise(mmap.MADV_NOHUGEPAGE)
    for at in range(0, len(memory), 4096):
        memory[at] = at // 4096 % 251
    memory.madvise(mmap.MADV_HUGEPAGE)
    return memory


def test_memory_that_is_in_use_comes_to_lie_in_large_pages(filled: "mmap.mmap") -> None:
    """The kernel says so afterwards, and every byte is what it was."""
    before = _large_kib()
    there: set[int] = set()
    put_into_large_pages(there)
    if not there:
        pytest.skip("this system has no large pages for us")
    assert _large_kib() >= before + 12 * 1024
    assert all(filled[at] == at // 4096 % 251 for at in range(0, len(filled), 4096))


def test_what_is_known_to_lie_in_large_pages_is_not_looked_at_again(filled: "mmap.mmap") -> None:
    """Nothing is asked about it; where it is not known, it is found."""
    begin = ctypes.addressof(ctypes.c_char.from_buffer(filled)) // LARGE_BYTES * LARGE_BYTES
    known = set(range(begin, begin + len(filled) + LARGE_BYTES, LARGE_BYTES))
    before = set(known)
    put_into_large_pages(known)
    if known == before:
        pytest.skip("this system has no large pages for us")
    without = _large_kib()
    put_into_large_pages(set())
    assert _large_kib() >= without + 12 * 1024


def test_memory_that_is_not_in_use_stays_away() -> None:
    """What a process has only reserved does not become resident."""
    reserved = mmap.mmap(-1, 64 * MIB, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    reserved[0] = 1
    put_into_large_pages(set())
    before = _resident_kib()
    reserved[4 * LARGE_BYTES] = 1
    put_into_large_pages(set())
    assert _resident_kib() - before < len(reserved) // 1024 // 2
    reserved.close()


def test_it_can_be_ended_at_any_time() -> None:
    """Who leaves does not wait for a look through all memory."""
    with in_large_pages():
        pass
