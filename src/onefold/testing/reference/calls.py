"""What scalar functions and comparisons mean, in the plainest way; the part of `reference` that knows no history."""

import hashlib
import math
import re
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from msgspec import Struct

from onefold.language.instants import parse_instant

_EXACT = 1 << 53
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FIRST, _LAST = datetime(1, 1, 3, tzinfo=UTC), datetime(9999, 12, 29, tzinfo=UTC)
_BLANK = " \t\r\n"
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_LONGEST = 32 * 1024


class Instant(Struct, frozen=True, order=True):
    """An instant, so that nobody takes it for a number."""

    ms: int


# --- values ------------------------------------------------------------------------------------------------------
def rank(value: Any) -> tuple[str, Any]:
    """Order of scalars of all kinds: by the kind's name, then by value."""
    return kind(value), value


def kind(value: Any) -> str:
    """What can be compared with what."""
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int | float):
        return "number"
    if isinstance(value, str):
        return "string"
    return "instant" if isinstance(value, Instant) else "other"


def is_number(value: Any) -> bool:
    """A boolean is never a number."""
    return kind(value) == "number"


def stored(value: Any) -> Any:
    """Whole numbers past 2^53 are kept as the nearest double."""
    return float(value) if isinstance(value, int) and abs(value) > _EXACT else value


def compare(op: str, a: Any, b: Any) -> bool:
    """Like with like; anything else is unequal and has no order."""
    if kind(a) == "instant" and isinstance(b, str):
        b = _instant(b)
    if kind(b) == "instant" and isinstance(a, str):
        a = _instant(a)
    alike = kind(a) == kind(b) != "other"
    if op == "==":
        return alike and bool(a == b)
    if op == "!=":
        return not (alike and a == b)
    return alike and kind(a) != "boolean" and bool(_ORDER[op](a, b))


def _instant(value: Any) -> Instant | None:
    if isinstance(value, Instant):
        return value
    ms = parse_instant(value) if isinstance(value, str) else None
    return None if ms is None else Instant(ms)


_ORDER: dict[str, Callable[[Any, Any], Any]] = {
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
}


# --- functions ---------------------------------------------------------------------------------------------------
def call(function: str, args: Sequence[Any], now_ms: int, timezone: str) -> Any:
    """A scalar function; of the wrong kind of values it has no value, or is false."""
    if function in _OF_MOMENTS:
        return _calendar(function, args, now_ms, timezone)
    if function in _ANY:
        return _ANY[function](*args)
    kinds, give = _TYPED[function]
    fits = [kind(value) in one for value, one in zip(args, kinds, strict=False)]
    if all(fits):
        return give(*args)
    return False if function in _YES_OR_NO else None


def _contains(whole: Any, *parts: Any) -> bool:
    if isinstance(whole, str):
        return any(isinstance(part, str) and part in whole for part in parts)
    return isinstance(whole, list) and any(compare("==", item, part) for item in whole for part in parts)


def _like(text: str, pattern: str) -> bool:
    if not pattern:
        return not text
    if pattern[0] == "%":
        return any(_like(text[at:], pattern[1:]) for at in range(len(text) + 1))
    return bool(text) and pattern[0] in (text[0], "_") and _like(text[1:], pattern[1:])


def _natural(value: Any) -> bool:
    return is_number(value) and value >= 0 and value == math.floor(value)


def _substring(text: str, start: Any, size: Any = math.inf) -> str | None:
    if not _natural(start) or not (size == math.inf or _natural(size)):
        return None
    return "".join(c for at, c in enumerate(text) if start <= at < start + size)


def _right(text: str, size: Any) -> str | None:
    return text[::-1][: int(size)][::-1] if _natural(size) else None


def _concat(*parts: Any) -> str | None:
    whole = "".join(parts) if all(isinstance(part, str) for part in parts) else None
    return None if whole is None or len(whole) > _LONGEST else whole


def _replace(text: str, old: str, new: str) -> str | None:
    whole = new.join(text.split(old)) if old else text
    return None if len(whole) > max(_LONGEST, len(text)) else whole


def _element(items: Any, at: Any) -> Any:
    if not isinstance(items, list) or not _natural(at) or at >= len(items):
        return None
    return items[int(at)]


def _to_number(value: Any) -> Any:
    if is_number(value):
        return stored(value)
    text = value.strip(_BLANK) if isinstance(value, str) else ""
    if not re.fullmatch(r"[+-]?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?", text):
        return None
    found = stored(int(text)) if text.lstrip("+-").isdigit() else float(text)
    return found if math.isfinite(found) else None


def _to_string(value: Any) -> str | None:
    if kind(value) == "boolean":
        return str(value).lower()
    if is_number(value):
        return str(int(value)) if value == math.floor(value) and abs(value) <= _EXACT else repr(value)
    return value if isinstance(value, str) else None


def _round(value: Any, digits: int = 0) -> Any:
    if isinstance(value, float) and digits and abs(value) <= _EXACT:
        return _round(value * 10.0**digits) / 10.0**digits
    return stored(int(Decimal(value).to_integral_value("ROUND_HALF_UP")))


def _power(base: Any, exponent: Any) -> Any:
    try:
        return math.pow(base, exponent)
    except (ValueError, OverflowError):
        return None


def _distance(*degrees: Any) -> float | None:
    if any(abs(value) > most for value, most in zip(degrees, (90, 180, 90, 180), strict=True)):
        return None
    a, x, b, y = map(math.radians, degrees)
    h = math.sin((b - a) / 2) ** 2 + math.cos(a) * math.cos(b) * math.sin((y - x) / 2) ** 2
    return 2 * 6371.0088 * math.asin(min(1.0, math.sqrt(h)))


def _numbers(choose: Callable[..., Any]) -> Callable[..., Any]:
    return lambda *values: choose((value for value in values if is_number(value)), default=None)


_S, _N = ("string",), ("number",)
_ANY: dict[str, Callable[..., Any]] = {
    "exists": lambda value: value is not None,
    "coalesce": lambda *values: next((value for value in values if value is not None), None),
    "contains": _contains,
    "contains_any": _contains,
    "length": lambda value: len(value) if isinstance(value, str | list) else None,
    "concat": _concat,
    "element": _element,
    "to_number": _to_number,
    "to_string": _to_string,
    "to_instant": lambda value: _instant(value) if isinstance(value, str) else None,
    "date_add": lambda value, text: _date_add(_instant(value), text),
    "least": _numbers(min),
    "greatest": _numbers(max),
}
_TYPED: dict[str, tuple[Sequence[Sequence[str]], Callable[..., Any]]] = {
    "lower": ([_S], str.lower),
    "upper": ([_S], str.upper),
    "trim": ([_S], lambda text: text.strip(_BLANK)),
    "starts_with": ([_S, _S], str.startswith),
    "ends_with": ([_S, _S], str.endswith),
    "like": ([_S, _S], _like),
    "matches": ([_S, _S], lambda text, pattern: re.search(pattern, text) is not None),
    "replace": ([_S, _S, _S], _replace),
    "substring": ([_S, _N, _N], _substring),
    "left": ([_S, _N], lambda text, size: _substring(text, 0, size)),
    "right": ([_S, _N], _right),
    "split": ([_S, _S], lambda text, part: text.split(part) if part else None),
    "abs": ([_N], abs),
    "round": ([_N, _N], _round),
    "floor": ([_N], lambda value: stored(math.floor(value))),
    "ceil": ([_N], lambda value: stored(math.ceil(value))),
    "sqrt": ([_N], lambda value: math.sqrt(value) if value >= 0 else None),
    "power": ([_N, _N], _power),
    "geo_distance": ([_N, _N, _N, _N], _distance),
}
_YES_OR_NO = ("starts_with", "ends_with", "like", "matches")


# --- the calendar ------------------------------------------------------------------------------------------------
_OF_MOMENTS = {
    "year": 1, "month": 1, "day": 1, "weekday": 1, "hour": 1, "days_between": 2, "elapsed": 1, "years_since": 1,
    "days_until_anniversary": 1, "is_anniversary": 1,
}  # fmt: skip
"""Function → how many moments it takes; what stands behind them is a time zone, or a unit."""


def _calendar(function: str, args: Sequence[Any], now_ms: int, timezone: str) -> Any:
    moments, rest = args[: _OF_MOMENTS[function]], args[_OF_MOMENTS[function] :]
    if function == "elapsed":
        at, unit = _instant(moments[0]), timedelta(**{_UNITS[rest[0] if rest else "d"]: 1})
        return None if at is None else (now_ms - at.ms) // (unit // timedelta(milliseconds=1))
    try:
        zone = ZoneInfo(rest[0] if rest else timezone)
    except (TypeError, ValueError, OSError, KeyError):
        return False if function == "is_anniversary" else None
    found = [_local(moment, zone) for moment in (*moments, Instant(now_ms))]
    if None in found:
        return False if function == "is_anniversary" else None
    return _PARTS[function](*found)


def _local(moment: Any, zone: ZoneInfo) -> datetime | None:
    """The local time of a moment; a date alone is its midnight."""
    if isinstance(moment, str) and len(moment) == len("2025-01-31"):
        moment = f"{moment}T00:00:00Z"
        zone = ZoneInfo("UTC")
        try:
            return datetime.fromisoformat(moment)
        except ValueError:
            return None
    at = _instant(moment)
    return None if at is None else (_EPOCH + timedelta(milliseconds=at.ms)).astimezone(zone)


def _anniversary(day: date, year: int) -> date:
    leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    return date(year, day.month, 28 if (day.month, day.day) == (2, 29) and not leap else day.day)


def _years(start: datetime, now: datetime) -> int:
    return now.year - start.year - (_anniversary(start, now.year) > now.date())


def _days_until(start: datetime, now: datetime) -> int:
    today = now.date()
    coming = min(day for day in (_anniversary(start, now.year), _anniversary(start, now.year + 1)) if day >= today)
    return (coming - today).days


_PARTS: dict[str, Callable[..., Any]] = {
    "year": lambda at, _: at.year,
    "month": lambda at, _: at.month,
    "day": lambda at, _: at.day,
    "weekday": lambda at, _: at.isoweekday(),
    "hour": lambda at, _: at.hour,
    "days_between": lambda a, b, _: (b.date() - a.date()).days,
    "years_since": _years,
    "days_until_anniversary": _days_until,
    "is_anniversary": lambda at, now: _anniversary(at, now.year) == now.date(),
}


def _date_add(at: Instant | None, text: str) -> Instant | None:
    if at is None:
        return None
    amount = timedelta(**{_UNITS[text[-1]]: int(text[:-1])})
    try:
        then = _EPOCH + timedelta(milliseconds=at.ms) + amount
    except OverflowError:
        return None
    return Instant((then - _EPOCH) // timedelta(milliseconds=1)) if _FIRST <= then <= _LAST else None


def share(identifiers: Sequence[str], salt: str, percent: float) -> bool:
    """The smallest user id, or else the smallest identifier, hashed: its place among all lies in the share."""
    users = [each for each in identifiers if each.startswith("user_id:")]
    who = min(users or identifiers, default="")
    return int(hashlib.sha256(f"{salt}\n{who}".encode()).hexdigest()[:8], 16) / 2**32 < percent / 100
