"""Where the power is cut: in memory, where there is such."""

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from onefold.testing import crash_trace


@pytest.fixture
def scratch(tmp_path: Path) -> Iterator[Path]:
    """A directory for traces and images: thousands of them are written, and only what was recorded counts as synced."""
    if reason := crash_trace.unavailable():
        pytest.skip(reason)
    memory = Path("/dev/shm")
    with TemporaryDirectory(dir=memory if memory.is_dir() else tmp_path) as directory:
        yield Path(directory)
