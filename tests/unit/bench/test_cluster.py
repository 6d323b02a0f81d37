"""A figure for many workers is only told where all of them have worked."""

import pytest

from bench.cluster import is_shared


@pytest.mark.parametrize(
    ("shares", "expected"),
    [
        ({"kafka": 7.0, "postgres": 17.0, "worker-0": 32.0}, True),
        ({"kafka": 8.0, "postgres": 33.0, "worker-0": 23.0, "worker-1": 22.0}, True),
        ({"kafka": 7.0, "postgres": 16.0, "worker-0": 2.0, "worker-1": 31.0}, False),
        ({"worker-0": 11.0, "worker-1": 11.0, "worker-2": 13.0, "worker-3": 10.0}, True),
        ({"worker-0": 16.0, "worker-1": 14.0, "worker-2": 15.0, "worker-3": 1.0}, False),
    ],
)
def test_one_who_hardly_worked_is_noticed(shares: dict[str, float], expected: bool) -> None:  # noqa: FBT001 - a case
    """Servers do not count, and one worker alone shares with nobody."""
    assert is_shared(shares) is expected
