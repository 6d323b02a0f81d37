"""Results are told as they are: percentiles by nearest rank, verdicts by the median, one table."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.report import Bound, Row, percentile, table


@pytest.mark.parametrize(
    ("share", "expected"), [(0.0, 1.0), (0.01, 1.0), (0.5, 50.0), (0.99, 99.0), (0.991, 100.0), (1.0, 100.0)]
)
def test_percentile_is_the_nearest_rank(share: float, expected: float) -> None:
    """Of 1 to 100, the value that this share of them does not exceed."""
    assert percentile([float(n) for n in range(100, 0, -1)], share) == expected


def test_percentile_of_nothing_is_zero() -> None:
    """No values, no latency."""
    assert percentile([], 0.99) == 0


@given(st.lists(st.floats(0, 1e6), min_size=1), st.floats(0.001, 1))
def test_at_least_that_share_is_not_above_the_percentile(values: list[float], share: float) -> None:
    """The definition of a percentile, for any values."""
    found = percentile(values, share)
    assert found in values
    assert sum(value <= found for value in values) >= share * len(values)


@pytest.mark.parametrize(
    ("runs", "bound", "verdict"),
    [
        ([5.0, 7.0, 99.0], Bound(12, 7), "aim"),
        ([5.0, 8.0, 9.0], Bound(12, 7), "must"),
        ([13.0], Bound(12, 7), "MISSED"),
        ([1.9], Bound(1.4, 1.8, most=False), "aim"),
        ([1.5], Bound(1.4, 1.8, most=False), "must"),
        ([1.3], Bound(1.4, 1.8, most=False), "MISSED"),
        ([1.3], None, ""),
    ],
)
def test_the_median_decides(runs: list[float], bound: Bound | None, verdict: str) -> None:
    """Neither the best run nor the worst says whether a claim is met."""
    assert Row("x", "ms", runs, bound).verdict() == verdict


def test_the_table_shows_median_range_and_runs() -> None:
    """Nothing is hidden behind a single number."""
    shown = table([Row("a claim", "ms", [3.0, 1.0, 2.0], Bound(10, 5), "2 % of it")])
    assert "| a claim, ms | ≤ 10.0 | ≤ 5.00 | 2.00 (1.00 - 3.00, n=3)" in shown
    assert "| aim     | 2 % of it" in shown
    assert len({len(line) for line in shown.splitlines()}) == 1
