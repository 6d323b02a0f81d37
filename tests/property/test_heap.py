"""What lets the collector of cycles be off while a log is folded."""

import gc
from types import CellType, FunctionType

import pytest

from onefold.runtime.heap import without_collector
from tests.property.test_mending import interleaved
from tests.property.test_step import life, lived

_OF_COMPILING = (CellType, FunctionType, tuple)
"""Compiling definitions leaves a few closures behind, once a version."""


@pytest.mark.parametrize("seed", range(5))
def test_folding_makes_no_cycles(seed: int) -> None:
    """Merges, windows, conflicts and all: whatever a fold lets go of is gone at once."""
    with without_collector():
        kept = lived(life(seed, 60), batch=7), interleaved(seed, 0.2)
        gc.set_debug(gc.DEBUG_SAVEALL)
        try:
            gc.collect()
            left = [type(each).__name__ for each in gc.garbage if type(each) not in _OF_COMPILING]
        finally:
            gc.set_debug(0)
            gc.garbage.clear()
    gc.unfreeze()
    assert kept
    assert left == []


def test_the_collector_is_as_before() -> None:
    """It is on again afterwards, if it was."""
    assert gc.isenabled()
    with without_collector():
        assert not gc.isenabled()
    assert gc.isenabled()
