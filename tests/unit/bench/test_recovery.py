"""When a cluster has recovered is read from samples of how far each partition is."""

import math
from collections.abc import Callable

import pytest

from bench.recovery import Sample, fresh_s, full_rate_s, stalest_s

RATE = 100
"""Records a second and partition."""


def samples(*folded: Callable[[float], float]) -> list[Sample]:
    """Ten seconds of partitions that grow evenly; `folded`: how far each is by then, in seconds of growth."""
    instants = [n / 10 for n in range(100)]
    return [
        Sample(at_s, [round(RATE * at_s)] * len(folded), [round(RATE * max(0.0, each(at_s))) for each in folded])
        for at_s in instants
    ]


def steady(at_s: float) -> float:
    """A fifth of a second behind, always."""
    return at_s - 0.2


def killed(at_s: float) -> float:
    """Stands still for four seconds, then is folded at twice the rate at which it grows."""
    return min(at_s, max(0.0, 2 * (at_s - 4)))


def late(at_s: float) -> float:
    """Stands still for four seconds, then is folded just as fast as it grows."""
    return max(0.0, at_s - 4)


def test_where_nobody_died_there_is_nothing_to_recover_from() -> None:
    """A partition that is as late as ever is at its full rate."""
    found = samples(steady, steady)
    assert (full_rate_s(found), fresh_s(found)) == (0, 0)
    assert stalest_s(found) == pytest.approx(0.2, abs=0.11)


def test_the_full_rate_is_back_when_the_backlog_is_longest() -> None:
    """The partition that stood still counts, however well the others went on."""
    assert full_rate_s(samples(steady, killed, steady)) == pytest.approx(4, abs=0.11)


def test_events_are_fresh_once_the_backlog_is_nearly_gone() -> None:
    """Folded at twice its rate it has caught up to a second after three more."""
    assert fresh_s(samples(killed)) == pytest.approx(7, abs=0.3)


def test_a_backlog_that_stays_is_never_fresh() -> None:
    """Folding as fast as events come leaves them late: who is so in the end has not recovered."""
    assert fresh_s(samples(late)) == math.inf


def test_a_partition_that_stands_still_has_not_recovered() -> None:
    """What was watched for 15 s and is furthest behind in the end took no 15 s to recover."""
    assert full_rate_s(samples(steady, lambda at_s: min(at_s, 1))) == math.inf
