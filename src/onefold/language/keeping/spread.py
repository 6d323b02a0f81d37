"""The standard deviation as a monoid: exact sums of the numbers and of their squares, so that order never matters.

The value is that of the whole population (one number: 0), rounded once: numbers and squares are summed without any
error, and the variance is computed in whole numbers from there.
"""

from collections.abc import Sequence
from math import frexp, isqrt
from typing import Any

from onefold.language.keeping.aggregates import Monoid, combine_totals, lift_total
from onefold.language.values import number

_SQUARED_MAX = 1e140
"""A larger number does not count, so that the sum of the squares of any number of events fits a double."""
_HALVES = 134_217_729.0
"""2^27 + 1: splits a double into two halves of at most 26 bits (Dekker 1971), whose products are exact."""
_SPLIT_MIN = 1e-140
"""The square of a smaller number is below 1e-280, and counts as 0."""

State = list[list[Any]]
"""[total of the numbers, total of their squares], as `aggregates.lift_total` makes them."""


def _lift(value: Any, at_ms: int, tie: bytes) -> State | None:
    value = number(value)
    if value is None or not -_SQUARED_MAX <= value <= _SQUARED_MAX:
        return None
    total = lift_total(value, at_ms, tie)
    assert total is not None
    if type(value) is int:
        square = value * value
        high = float(square)
        low = float(square - int(high))
        return [total, [1, square] if square < 1 << 62 else [1, 0, low, high]]
    return [total, [1, 0, *_square(value)]]


def _square(x: float) -> tuple[float, ...]:
    """Doubles whose exact sum is the square of x (Dekker's product), the smaller first."""
    if abs(x) < _SPLIT_MIN:
        return (0.0,)
    big = _HALVES * x
    high = big - (big - x)
    low = x - high
    square = x * x
    return low * low - ((square - high * high) - 2 * high * low), square


def _combine(a: State, b: State) -> State:
    combine_totals(a[0], b[0])
    combine_totals(a[1], b[1])
    return a


def _remove(a: State, b: State) -> State:
    return _combine(a, [[-x for x in part] for part in b])


def _total(states: Sequence[State]) -> State | None:
    if not states:
        return None
    total = [list(part) for part in states[0]]
    for state in states[1:]:
        _combine(total, state)
    return total


def _result(state: State | None) -> float | None:
    if state is None or state[0][0] <= 0:
        return None
    n = state[0][0]
    (sum_, sum_shift), (squares, squares_shift) = _whole(state[0][1:]), _whole(state[1][1:])
    # n² · variance = n · Σx² - (Σx)², over a common power of two
    shift = max(squares_shift, 2 * sum_shift)
    scaled = (n * squares << shift - squares_shift) - (sum_ * sum_ << shift - 2 * sum_shift)
    return _root(scaled, n * n << shift) if scaled > 0 else 0.0


def _whole(parts: Sequence[float]) -> tuple[int, int]:
    """(m, k) so that the exact sum of the parts is m / 2^k."""
    shift = max((max(0, 53 - frexp(x)[1]) for x in parts[1:] if x), default=0)
    return (int(parts[0]) << shift) + sum(_scaled(x, shift) for x in parts[1:]), shift


def _scaled(x: float, shift: int) -> int:
    top, bottom = x.as_integer_ratio()
    return (top << shift) // bottom


def _root(top: int, bottom: int) -> float:
    """The square root of a fraction, correctly rounded (as `statistics` has it since Python 3.11)."""
    spare = (top.bit_length() - bottom.bit_length() - 109) // 2
    if spare >= 0:
        return float(_whole_root(top, bottom << 2 * spare) << spare)
    return _whole_root(top << -2 * spare, bottom) / (1 << -spare)


def _whole_root(top: int, bottom: int) -> int:
    """The root rounded down, its last bit set where it is not exact."""
    root = isqrt(top // bottom)
    return root | (root * root * bottom != top)


STDDEV = Monoid(_lift, _combine, _result, _total, _remove)
