"""The collector of cycles is off while a log is folded.

A step makes no cycles (`tests/property/test_heap.py`), so that nothing is left to be found; looking for some reads the
memory of every person that is remembered, which costs time all along and, now and then, much of it at once.
"""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def seldom_collected() -> Iterator[None]:
    """Inside, what is there already is never looked at, what is new not often: for who makes many and drops them."""
    before = gc.get_threshold()
    gc.collect()
    gc.freeze()
    gc.set_threshold(200_000, 50, 100)
    try:
        yield
    finally:
        gc.set_threshold(*before)


@contextmanager
def without_collector() -> Iterator[None]:
    """Off inside; what is there already is never looked at again."""
    was_on = gc.isenabled()
    gc.collect()
    gc.freeze()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
