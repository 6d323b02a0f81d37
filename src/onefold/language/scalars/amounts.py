"""Numbers. What is not defined, or past what a double holds, is missing."""

import math
from typing import Any

from onefold.language.values import NUMBERS, number


def absolute(value: Any) -> Any:
    """The number without its sign."""
    return abs(value) if type(value) in NUMBERS else None


def rounded(value: Any, digits: int = 0) -> Any:
    """The nearest number with so many decimal places; of two equally near the one farther from 0.

    With places it is `rounded(value * 10^digits) / 10^digits`, in doubles; past 2^53 every number is whole.
    """
    if type(value) not in NUMBERS:
        return None
    if not digits or type(value) is int or abs(value) > 1 << 53:
        return _nearest(value)
    scale = float(10**digits)
    return _nearest(value * scale) / scale


def _nearest(value: Any) -> Any:
    whole = math.floor(abs(value))
    if abs(value) - whole >= 0.5:
        whole += 1
    return number(whole if value >= 0 else -whole)


def floor(value: Any) -> Any:
    """The largest whole number that is not larger."""
    return number(math.floor(value)) if type(value) in NUMBERS else None


def ceil(value: Any) -> Any:
    """The smallest whole number that is not smaller."""
    return number(math.ceil(value)) if type(value) in NUMBERS else None


def root(value: Any) -> Any:
    """The square root; of a negative number missing."""
    return math.sqrt(value) if type(value) in NUMBERS and value >= 0 else None


def power(base: Any, exponent: Any) -> Any:
    """`base` to the power of `exponent`, as a double."""
    if type(base) not in NUMBERS or type(exponent) not in NUMBERS:
        return None
    try:
        return math.pow(base, exponent)
    except (ValueError, OverflowError):
        return None


def least(*values: Any) -> Any:
    """The smallest of those that are numbers."""
    return min((value for value in values if type(value) in NUMBERS), default=None)


def greatest(*values: Any) -> Any:
    """The largest of those that are numbers."""
    return max((value for value in values if type(value) in NUMBERS), default=None)
