"""What SQL cannot say exactly, in the stream's own Python, for an engine to register as functions.

Values that may be of any kind come and go as JSON text. None of them is called with a missing value.
"""

from collections.abc import Callable
from fractions import Fraction
from typing import Any, NamedTuple

import msgspec
import xxhash

from onefold.language import values
from onefold.language.instants import parse_instant
from onefold.language.keeping.quantiles import percentile
from onefold.language.keeping.spread import STDDEV
from onefold.language.scalars import dates, lists
from onefold.language.sql import windows, zones
from onefold.limits import UNIQUE_VALUES_MAX

_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder().encode

FRACTION_BITS = 62
"""Sums are kept as whole parts, and fractions in units of 2^-62, both in integers."""


class SqlFunction(NamedTuple):
    """A function with the SQL types of its parameters and its result."""

    call: Callable[..., Any]
    parameters: tuple[str, ...]
    result: str
    missing: bool = False
    """It is called with missing values, too."""


def _compare(op: str, a: str, b: str) -> bool:
    x, y = _decode(a), _decode(b)
    return values.same(x, y) if op == "==" else values.compare(op, x, y)


def _arithmetic(op: str, a: str, b: str) -> float | None:
    found = values.arithmetic(op, _decode(a), _decode(b))
    return None if found is None else float(found)


def _contains(whole: str, part: str) -> bool:
    return lists.contains(_decode(whole), _decode(part))


def _storable(value: str) -> str | None:
    found = values.storable(_decode(value))
    return None if found is None else _encode(found).decode()


def _sum(whole: int, fractions: int, odd: list[float]) -> float:
    """The sum of whole + fractions · 2^-62 + all of `odd`, rounded once."""
    exact = Fraction((whole << FRACTION_BITS) + fractions, 1 << FRACTION_BITS)
    return float(sum(map(Fraction, odd), exact))


def _stddev(numbers: list[float]) -> float | None:
    """What the stream gives, in the numbers' own order: sums are exact."""
    found: float | None = STDDEV.result(STDDEV.total([STDDEV.lift(number, 0, b"") for number in numbers]))
    return found


def _percentile(numbers: list[float], percentage: float) -> float | None:
    monoid = percentile(percentage)
    found = monoid.result(monoid.total([monoid.lift(number, 0, b"") for number in numbers]))
    return None if found is None else float(found)


def _dated(at_ms: int) -> str:
    """An instant as an output has it."""
    return _encode(dates.dated(at_ms)).decode()


def _hash(key: str) -> int:
    return xxhash.xxh3_64_intdigest(key.encode())


def _estimate(largest: int) -> float:
    """How many different values there are, from the largest hash of a full sample."""
    return float(round((UNIQUE_VALUES_MAX - 1) * (1 << 64) / largest))


def _key(kind: int, number: float, text: str) -> int:
    """The hash that decides which values a sample keeps, of one value as a tally has it."""
    if kind == 0:
        return _hash(f"b{int(number)}")
    if kind == 2:
        return _hash("s" + text)
    whole = number.is_integer() and abs(number) < 1 << 53
    return _hash(f"n{int(number) if whole else number!r}")


FUNCTIONS: dict[str, SqlFunction] = {
    "onefold_compare": SqlFunction(_compare, ("VARCHAR", "VARCHAR", "VARCHAR"), "BOOLEAN"),
    "onefold_arithmetic": SqlFunction(_arithmetic, ("VARCHAR", "VARCHAR", "VARCHAR"), "DOUBLE"),
    "onefold_contains": SqlFunction(_contains, ("VARCHAR", "VARCHAR"), "BOOLEAN"),
    "onefold_storable": SqlFunction(_storable, ("VARCHAR",), "VARCHAR"),
    "onefold_instant": SqlFunction(parse_instant, ("VARCHAR",), "BIGINT"),
    "onefold_lower": SqlFunction(str.lower, ("VARCHAR",), "VARCHAR"),
    "onefold_upper": SqlFunction(str.upper, ("VARCHAR",), "VARCHAR"),
    "onefold_dated": SqlFunction(_dated, ("BIGINT",), "VARCHAR"),
    "onefold_part": SqlFunction(zones.part_in_python, ("VARCHAR", "VARCHAR", "BIGINT"), "DOUBLE"),
    "onefold_period": SqlFunction(zones.period_in_python, ("VARCHAR", "VARCHAR", "BIGINT"), "BIGINT"),
    "onefold_span": SqlFunction(
        windows.person_span, ("VARCHAR", "VARCHAR", "VARCHAR", "VARCHAR", "BIGINT"), "BIGINT[]"
    ),
    "onefold_stddev": SqlFunction(_stddev, ("DOUBLE[]",), "DOUBLE"),
    "onefold_percentile": SqlFunction(_percentile, ("DOUBLE[]", "DOUBLE"), "DOUBLE"),
    "onefold_sum": SqlFunction(_sum, ("HUGEINT", "HUGEINT", "DOUBLE[]"), "DOUBLE"),
    "onefold_hash": SqlFunction(_key, ("INTEGER", "DOUBLE", "VARCHAR"), "UBIGINT"),
    "onefold_estimate": SqlFunction(_estimate, ("UBIGINT",), "DOUBLE"),
}
"""Name in SQL → function."""
