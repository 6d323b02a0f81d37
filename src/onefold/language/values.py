"""What values mean: the few total functions that generated code calls where a type is known only at run time.

Missing is None. Numbers compare with numbers, strings with strings, booleans with booleans (for equality only),
instants (milliseconds) with instants and with RFC 3339 strings; a boolean is never a number.
"""

import sys
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from onefold.language.instants import parse_instant

NUMBERS = frozenset((int, float))
SCALARS = frozenset((int, float, str, bool))
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
_EXACT = 1 << 53
_INSTANT_MAX_CHARS = 64
_DOUBLE_MAX = int(sys.float_info.max)


def milliseconds(instant: datetime) -> int:
    """Whole milliseconds since 1970 UTC; a time without zone is UTC."""
    if instant.tzinfo is None:
        instant = instant.replace(tzinfo=UTC)
    return (instant - _EPOCH) // _MILLISECOND


def instant(value: Any) -> int | None:
    """The instant that an RFC 3339 string names."""
    return parse_instant(value) if type(value) is str and len(value) <= _INSTANT_MAX_CHARS else None


def dig(value: Any, *path: str | int) -> Any:
    """The value at a path into nested objects and lists."""
    for step in path:
        if type(value) is dict:
            value = value.get(step)
        elif type(value) is list and type(step) is int and step < len(value):
            value = value[step]
        else:
            return None
    return value


def number(value: Any) -> Any:
    """A number that every store keeps: integers past 2^53 become doubles; past all doubles, as others, None."""
    if type(value) is int:
        return value if -_EXACT <= value <= _EXACT else _nearest(value)
    return value if type(value) is float else None


def _nearest(value: int) -> float | None:
    return float(value) if -_DOUBLE_MAX <= value <= _DOUBLE_MAX else None


def storable(value: Any) -> Any:
    """Any JSON value with its integers within 64 bits, so that every store can hold it; past all doubles None."""
    kind = type(value)
    if kind is str or value is None or kind is bool or kind is float:
        return value
    if kind is int:
        return value if -(1 << 63) <= value < 1 << 63 else _nearest(value)
    if kind is dict:
        return {key: storable(item) for key, item in value.items()}
    return [storable(item) for item in value]


def identical(a: Any, b: Any) -> bool:
    """Equal and of the same types throughout: `1`, `1.0` and `true` are three values, also inside lists and objects."""
    if type(a) is not type(b):
        return False
    if type(a) is list:
        return len(a) == len(b) and all(map(identical, a, b))
    if type(a) is dict:
        return a.keys() == b.keys() and all(identical(value, b[key]) for key, value in a.items())
    return bool(a == b)


def same(a: Any, b: Any) -> bool:
    """Equal numbers, strings or booleans; a missing value, a list or an object equals nothing."""
    if type(a) in NUMBERS:
        return type(b) in NUMBERS and bool(a == b)
    return type(a) is type(b) and type(a) in SCALARS and bool(a == b)


def compare(op: str, a: Any, b: Any) -> bool:
    """Order of two numbers or two strings; of anything else, false."""
    if not (type(a) in NUMBERS and type(b) in NUMBERS) and not (type(a) is str and type(b) is str):
        return False
    if op == "<":
        return bool(a < b)
    if op == "<=":
        return bool(a <= b)
    if op == ">":
        return bool(a > b)
    return bool(a >= b)


def arithmetic(op: str, a: Any, b: Any) -> Any:
    """Arithmetic of two numbers; of anything else, by zero, or past what a double holds: missing."""
    if type(a) not in NUMBERS or type(b) not in NUMBERS:
        return None
    try:
        return number(_ARITHMETIC[op](a, b))
    except (ZeroDivisionError, OverflowError):
        return None


_ARITHMETIC: Mapping[str, Any] = {
    "+": lambda a, b: _finite(a + b),
    "-": lambda a, b: _finite(a - b),
    "*": lambda a, b: _finite(a * b),
    "/": lambda a, b: _finite(a / b),
    "%": lambda a, b: a % b,
}


def _finite(value: float) -> float:
    if value in (float("inf"), float("-inf")):
        raise OverflowError
    return value


def negate(value: Any) -> Any:
    """The number with its sign turned."""
    return -value if type(value) in NUMBERS else None
