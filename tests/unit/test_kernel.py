"""The kernel is found where it is installed, and left out where it is not wanted."""

import os
import shutil

import pytest

from onefold import kernel


def test_off_leaves_it_out() -> None:
    """`ONEFOLD_KERNEL=off`, however it is written, means Python alone, and is nothing amiss."""
    for word in ("off", "OFF", " Off "):
        module, standing, is_amiss = kernel.find(word)
        assert module is None
        assert "ONEFOLD_KERNEL=off" in standing
        assert not is_amiss


def test_whoever_can_build_it_uses_it() -> None:
    """`make venv` builds the kernel where there is cargo: a test that compares with it is not passed over unnoticed."""
    if shutil.which("cargo") is None or os.environ.get(kernel.VARIABLE):
        pytest.skip("there is no cargo, or the kernel is not wanted")
    assert kernel.native is not None, kernel.found.standing
    assert kernel.native.API == kernel.API
    assert kernel.found.standing == f"in use, version {kernel.native.__version__}"
