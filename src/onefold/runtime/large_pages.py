"""The memory of a process that folds lies in large pages, where the system has them.

What costs a fold most is memory that is cold (docs/decisions/0004): some sixty small objects a person, all over
hundreds of megabytes. In pages of 4 KiB nearly each of them is sought in the page tables first, on a virtual machine
in those of both systems; in pages of 2 MiB that nearly vanishes. Python's allocator asks the system for pieces that
are too small for large pages, so pages are brought together afterwards: `madvise(MADV_COLLAPSE)`, which Linux has
since 6.1. The contents stay where they are, and only where most is in use already, so that little memory is added.
"""

import ctypes
import mmap
import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from onefold.limits import MIB

LARGE_BYTES = 2 * MIB
"""A large page on most machines; where they are larger there are none for us."""
EVERY_S = 1.0
"""So often is looked whether the process has grown."""
GROWN_BYTES = 8 * MIB
"""Since the last time; less is not worth looking through all memory, which takes milliseconds."""
_MADV_COLLAPSE = 25
_IN_CORE_OF_EACH = int.from_bytes(b"\1" * (LARGE_BYTES // mmap.PAGESIZE), "little")
"""The bit of each page's mark that says so; the others are undefined."""
_ADVICE = Path("/sys/kernel/mm/transparent_hugepage/enabled")
_USED_SHARE = 0.75
"""Of a large page that must be in use by now."""


class _System(NamedTuple):
    """What is asked of the C library."""

    madvise: Callable[[int, int, int], int]
    mincore: Callable[[int, int, ctypes.Array[ctypes.c_char]], int]
    page_bytes: int


@contextmanager
def in_large_pages() -> Iterator[None]:
    """Inside, a thread follows the growth of this process and puts its memory into large pages."""
    stopped = threading.Event()
    thread = threading.Thread(target=_follow, args=(stopped,), name="large-pages", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stopped.set()
        thread.join()


def put_into_large_pages(there: set[int], stopped: Callable[[], bool] = lambda: False) -> None:
    """Put all memory of this process into large pages that is worth it; where these begin is added to those `there`.

    Takes a processor up to some milliseconds for each that is new. Where the system cannot, or was told never to,
    nothing happens.
    """
    system = _system()
    if system is None:
        return
    marks = ctypes.create_string_buffer(LARGE_BYTES // system.page_bytes)
    for begin in _places():
        if stopped():
            return
        if begin in there or not _is_used(system, begin, marks):
            continue
        if system.madvise(begin, LARGE_BYTES, _MADV_COLLAPSE) == 0:
            there.add(begin)


def _follow(stopped: threading.Event) -> None:
    known = 0
    there: set[int] = set()
    while not stopped.wait(EVERY_S):
        resident = _resident_bytes()
        if abs(resident - known) < GROWN_BYTES:
            continue
        if resident < known:
            there.clear()  # What comes in place of what was given back comes in small pages.
        put_into_large_pages(there, stopped.is_set)
        if not there:
            return
        known = resident


def _is_used(system: _System, begin: int, marks: ctypes.Array[ctypes.c_char]) -> bool:
    if system.mincore(begin, LARGE_BYTES, marks):
        return False
    in_core = int.from_bytes(marks.raw, "little") & _IN_CORE_OF_EACH
    return in_core.bit_count() >= _USED_SHARE * len(marks)


def _places() -> Iterator[int]:
    """Where large pages could begin in memory that is the process's own and no file's."""
    for line in Path("/proc/self/maps").read_text().splitlines():
        span, mode, _, _, _, *name = line.split(maxsplit=5)
        if mode == "rw-p" and (not name or name == ["[heap]"]):
            begin, end = (int(edge, 16) for edge in span.split("-"))
            yield from range(-(-begin // LARGE_BYTES) * LARGE_BYTES, end - LARGE_BYTES + 1, LARGE_BYTES)


def _resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def _system() -> _System | None:
    if sys.platform != "linux" or not _ADVICE.exists() or "[never]" in _ADVICE.read_text():
        return None
    library = ctypes.CDLL(None)
    library.madvise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
    library.mincore.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_char_p)
    return _System(library.madvise, library.mincore, os.sysconf("SC_PAGE_SIZE"))
