"""Percentiles as a monoid: exact up to PERCENTILE_VALUES_MAX different numbers, then a histogram of bounded error.

The state is `[level, {key: how many}]`. At level -1 the keys are the numbers themselves. At level n they are buckets:
the upper bits of the double's own bit pattern, all but 46 + n of them, which in every power of two makes 64 / 2^n
buckets of equal width. So a bucket's middle is off by 2^-7 (0.8 %) of the number at level 0, and by twice as much at
each level more; a level is left when its keys are too many. Levels depend on nothing but the set of numbers, so the
value does not depend on the order of events or merges: the idea of uniform collapse (Epicoco et al., "UDDSketch",
2020) with the buckets of HdrHistogram instead of logarithms, whose last bit is not the same on every machine.
"""

import sys
from bisect import bisect_left
from collections.abc import Callable, Sequence
from fractions import Fraction
from functools import lru_cache
from itertools import accumulate
from struct import Struct
from typing import Any

from onefold.language.keeping.aggregates import Monoid
from onefold.language.values import number
from onefold.limits import PERCENTILE_VALUES_MAX

_EXACT = -1
_BITS_LEFT_OUT = 46
_DOUBLE, _INTEGER = Struct("<d"), Struct("<q")
_WHOLE = 1 << 53
_LARGEST: int = _INTEGER.unpack(_DOUBLE.pack(sys.float_info.max))[0]

State = list[Any]


def _key(value: Any) -> Any:
    """The number as a key of its own; None for what is none."""
    value = number(value)
    if type(value) is float and value.is_integer() and abs(value) < _WHOLE:
        return int(value)
    return value


def _lift(value: Any, _at_ms: int, _tie: bytes) -> State | None:
    value = _key(value)
    return None if value is None else [_EXACT, {value: 1}]


def _combine(a: State, b: State) -> State:
    """Both in one; the first is reused."""
    while a[0] < b[0]:
        _rise(a)
    level, mine = a
    steps, exact = level - b[0], b[0] == _EXACT
    for key, n in b[1].items():
        if steps:
            key = bucket(key, level) if exact else key >> steps  # noqa: PLW2901 - its name at our level
        mine[key] = mine.get(key, 0) + n
    while len(a[1]) > PERCENTILE_VALUES_MAX:
        _rise(a)
    return a


def _put(slots: dict[str, State], key: str, value: Any, _at_ms: int, _tie: bytes) -> bool:
    value = _key(value)
    if value is None:
        return False
    state = slots.get(key)
    if state is None:
        slots[key] = [_EXACT, {value: 1}]
        return True
    level, keys = state
    name = value if level == _EXACT else bucket(value, level)
    n = keys[name] = keys.get(name, 0) + 1
    while n == 1 and len(state[1]) > PERCENTILE_VALUES_MAX:
        _rise(state)
    return True


def _rise(state: State) -> None:
    """To the next level: of numbers buckets, of two buckets one."""
    level, keys = state
    risen: dict[int, int] = {}
    for key, n in keys.items():
        higher = bucket(key, 0) if level == _EXACT else key >> 1
        risen[higher] = risen.get(higher, 0) + n
    state[:] = level + 1, risen


def bucket(value: float, level: int) -> int:
    """The bucket of a number at a level; buckets are ordered as their numbers are."""
    bits: int = _INTEGER.unpack(_DOUBLE.pack(abs(value)))[0]
    key = bits >> _BITS_LEFT_OUT + level
    return key if value >= 0 else ~key


def middle(key: int, level: int) -> float:
    """The number that stands for a bucket."""
    size = key if key >= 0 else ~key
    if size == 0:
        return 0
    shift = _BITS_LEFT_OUT + level
    low: float = _DOUBLE.unpack(_INTEGER.pack(size << shift))[0]
    high: float = _DOUBLE.unpack(_INTEGER.pack(min((size + 1 << shift) - 1, _LARGEST)))[0]
    return low / 2 + high / 2 if key >= 0 else -(low / 2 + high / 2)


def _total(states: Sequence[State]) -> State | None:
    if not states:
        return None
    total: State = [_EXACT, {}]
    for state in states:
        _combine(total, state)
    return total


def nearest_rank(n: int, percentage: float) -> int:
    """Which of n numbers in order, counted from 1, is the percentile: the first that so many percent do not exceed."""
    return _rank(n, Fraction(str(percentage)) / 100)


def _rank(n: int, share: Fraction) -> int:
    return max(1, -(-n * share.numerator // share.denominator))


def _result(percentage: float) -> Callable[[State | None], Any]:
    share = Fraction(str(percentage)) / 100

    def result(state: State | None) -> Any:
        if state is None:
            return None
        level, keys = state
        if level == _EXACT and len(keys) == 1:
            return next(iter(keys))
        ordered = sorted(keys)
        reached = list(accumulate(map(keys.__getitem__, ordered)))
        key = ordered[bisect_left(reached, _rank(reached[-1], share))]
        return key if level == _EXACT else middle(key, level)

    return result


@lru_cache(maxsize=256)
def percentile(percentage: float) -> Monoid:
    """The monoid of a percentile, 0 to 100, by nearest rank: always a number that came, not one between two."""
    return Monoid(_lift, _combine, _result(percentage), _total, put=_put)
