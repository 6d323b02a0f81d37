"""Tallies of more values than they keep: a sample that depends on the values alone, at a bounded cost."""

import random
from collections import Counter
from functools import reduce
from itertools import pairwise

import pytest
import xxhash

from onefold.language.keeping.aggregates import MONOIDS
from onefold.limits import UNIQUE_VALUES_MAX

TALLY = MONOIDS["unique_count"]


def tally(values: list[int]) -> dict[str, int]:
    """The values, one by one."""
    states = [state for value in values if (state := TALLY.lift(value, 0, b"")) is not None]
    return dict(reduce(TALLY.combine, states, {}))


def sample(values: list[int]) -> dict[str, int]:
    """What should be kept: the values of the smallest hashes, each with all its occurrences."""
    kept = sorted(set(values), key=lambda value: xxhash.xxh3_64_intdigest(f"n{value}".encode()))[:UNIQUE_VALUES_MAX]
    counts = Counter(values)
    return {f"n{value}": counts[value] for value in kept}


def counts(state: dict[str, int] | None) -> dict[str, int]:
    """A tally without its mark of an overflow."""
    return {key: n for key, n in (state or {}).items() if key}


@pytest.mark.parametrize("distinct", [10, 999, 1_000, 1_001, 1_500, 6_000])
@pytest.mark.parametrize("seed", range(4))
def test_the_sample_does_not_depend_on_order_or_grouping(distinct: int, seed: int) -> None:
    """One by one, as a sum of many, or merged in halves: always the values of the smallest hashes, fully counted."""
    chance = random.Random(seed)
    values = [*range(distinct), *(chance.randrange(distinct) for _ in range(distinct // 2))]
    chance.shuffle(values)
    cuts = sorted({0, len(values), *(chance.randrange(len(values)) for _ in range(20))})
    parts = [tally(values[a:b]) for a, b in pairwise(cuts)]
    whole = tally(values)
    total = TALLY.total(parts)
    assert counts(whole) == counts(total) == counts(reduce(TALLY.combine, reversed(parts), {})) == sample(values)
    assert whole == total
    assert ("" in whole) == (distinct > UNIQUE_VALUES_MAX)


def test_an_estimate_is_near() -> None:
    """Past the exact values the number of distinct ones is estimated, within a few percent."""
    assert TALLY.result(tally(list(range(900)))) == 900
    assert abs(TALLY.result(tally(list(range(20_000)))) - 20_000) < 2_000


@pytest.mark.parametrize("distinct", [5, 1_000, 1_200])
@pytest.mark.parametrize("seed", range(4))
def test_the_most_frequent_is_that_of_the_whole_sample(distinct: int, seed: int) -> None:
    """Kept up event by event, also while the sample drops values, it is the first of all that are left."""
    chance = random.Random(seed)
    values = [chance.randrange(distinct) for _ in range(3 * distinct)]
    favour = MONOIDS["most_frequent"]
    states = [state for value in values if (state := favour.lift(value, 0, b"")) is not None]
    kept = counts(tally(values))
    best = max(kept, key=lambda key: (kept[key], -int(key[1:])))
    assert favour.result(reduce(favour.combine, states)) == int(best[1:])
    assert favour.result(favour.total([favour.lift(value, 0, b"") for value in values])) == int(best[1:])
