"""Aggregates as commutative monoids: events and profiles may come in any order and the value is the same.

Each aggregate says how one event becomes a state, how two states become one, and what value a state stands for.
States are made of what msgpack keeps. Sums are exact: the value is the correctly rounded sum of all numbers
(Shewchuk, "Adaptive Precision Floating-Point Arithmetic", 1997), so it does not depend on their order.
"""

from collections.abc import Callable, Sequence
from functools import reduce
from math import fsum
from typing import Any, NamedTuple

import xxhash

from onefold.language.values import NUMBERS, number, storable
from onefold.limits import UNIQUE_VALUES_MAX

State = Any
Tally = dict[str, int]
Put = Callable[[dict[str, State], str, Any, int, bytes], bool]
"""(slots, key, value, event time, tie): put one event into the state of this key; True where its value may change."""
_INT_MAX = 1 << 62
_SUMMABLE_MAX = 1e290
"""A larger number does not count in a sum, so that no sum of any number of events can overflow a double."""
_OVERFLOWED = ""
"""The key of a tally that says: there were more values than it keeps."""


class Monoid(NamedTuple):
    """One aggregate function."""

    lift: Callable[[Any, int, bytes], State | None]
    """(value, event time, tie) → state; None: the event does not count."""
    combine: Callable[[State, State], State]
    """Two states as one; may reuse the first."""
    result: Callable[[State | None], Any]
    """The value of a state; of None, the value over nothing."""
    total: Callable[[Sequence[State]], State | None]
    """All states as one, leaving them unchanged; None where there are none."""
    remove: Callable[[State, State], State] | None = None
    """Takes the second state out of the first, where that is possible: then a window keeps a running total."""
    at: Callable[[State | None, int, Any], Any] | None = None
    """(state, now, profile) → its value, where that moves with time: it arms the profile for when it does."""
    put: Put | None = None
    """What `lift` and `combine` do for one event, without a state between. None: there is no quicker way."""
    absorb: Callable[[State, Any], State | None] | None = None
    """(state, value) → the state with one event more, reused; None where it does not count. As `put` otherwise."""


# --- count -------------------------------------------------------------------------------------------------
def _one(_value: Any, _at: int, _tie: bytes) -> int:
    return 1


def _plus(a: int, b: int) -> int:
    return a + b


def _minus(a: int, b: int) -> int:
    return a - b


def _one_more(state: int, _value: Any) -> int:
    return state + 1


def _or_zero(state: int | None) -> int:
    return state or 0


# --- sum, avg: [how many, sum of integers, non-overlapping partial sums of floats ...] ---------------------------
def lift_total(value: Any, _at: int, _tie: bytes) -> list[Any] | None:
    """One number as a total."""
    value = number(value)
    if value is None or not -_SUMMABLE_MAX <= value <= _SUMMABLE_MAX:
        return None
    return [1, value] if type(value) is int else [1, 0, value]


def combine_totals(a: list[Any], b: list[Any]) -> list[Any]:
    """Two totals as one; the first is reused."""
    a[0] += b[0]
    for x in b[2:]:
        _grow(a, x)
    if b[1]:
        a[1] += b[1]
        if not -_INT_MAX < a[1] < _INT_MAX:
            high = float(a[1])
            low = float(a[1] - int(high))
            a[1] = 0
            _grow(a, high)
            _grow(a, low)
    return a


def _put_total(slots: dict[str, State], key: str, value: Any, at: int, tie: bytes) -> bool:
    state = slots.get(key)
    if state is not None:
        return _absorb_number(state, value) is not None
    state = lift_total(value, at, tie)
    if state is None:
        return False
    slots[key] = state
    return True


def _absorb_number(total: list[Any], value: Any) -> list[Any] | None:
    if type(value) is not float or not -_SUMMABLE_MAX <= value <= _SUMMABLE_MAX:
        lifted = lift_total(value, 0, b"")
        return None if lifted is None else combine_totals(total, lifted)
    total[0] += 1
    _grow(total, value)
    return total


def _remove_total(a: list[Any], b: list[Any]) -> list[Any]:
    return combine_totals(a, [-x for x in b])


def _grow(total: list[Any], x: float) -> None:
    """Add a float exactly: Shewchuk's GROW-EXPANSION over the partial sums from index 2 on.

    One or two partial sums, which are all that most totals have, are taken by themselves (Knuth's TWO-SUM).
    """
    kept = len(total)
    if kept == 3:
        y = total[2]
        high = x + y
        other = high - y
        low = (y - (high - other)) + (x - other)
        total[2] = high
        if low:
            total.insert(2, low)
        return
    if kept == 4:
        _, _, y, z = total
        middle = x + y
        other = middle - y
        low = (y - (middle - other)) + (x - other)
        high = middle + z
        other = high - z
        middle = (z - (high - other)) + (middle - other)
        total[2:] = (low, middle, high) if low and middle else (low or middle, high) if low or middle else (high,)
        return
    kept = 2
    for i in range(2, len(total)):
        y = total[i]
        if abs(x) < abs(y):
            x, y = y, x
        high = x + y
        low = y - (high - x)
        if low:
            total[kept] = low
            kept += 1
        x = high
    total[kept:] = [x]


def _sum_totals(states: Sequence[list[Any]]) -> list[Any] | None:
    if not states:
        return None
    total = list(states[0])
    for state in states[1:]:
        total = combine_totals(total, state)
    return total


def _sum(state: list[Any] | None) -> Any:
    if state is None:
        return 0
    if len(state) == 2:
        return number(state[1])
    if not state[1] and len(state) <= 4:
        return state[2] if len(state) == 3 else state[2] + state[3]
    high = float(state[1])
    return fsum((high, state[1] - int(high), *state[2:]))


def _average(state: list[Any] | None) -> Any:
    return None if state is None else _sum(state) / state[0]


# --- min, max ----------------------------------------------------------------------------------------------
def _number(value: Any, _at: int, _tie: bytes) -> Any:
    return number(value)


def _least(a: Any, b: Any) -> Any:
    return b if b < a or (b == a and type(b) is not type(a) is float) else a


def _greatest(a: Any, b: Any) -> Any:
    return b if b > a or (b == a and type(b) is not type(a) is float) else a


def _putter_by(choose: Callable[[Any, Any], Any]) -> Put:
    def put(slots: dict[str, State], key: str, value: Any, _at: int, _tie: bytes) -> bool:
        if type(value) is not float:
            value = number(value)
            if value is None:
                return False
        state = slots.get(key)
        if state is not None and choose(state, value) is state:
            return False
        slots[key] = value
        return True

    return put


def _all_by(choose: Callable[[Any, Any], Any]) -> Callable[[Sequence[Any]], Any]:
    return lambda states: reduce(choose, states) if states else None


def _itself(state: Any) -> Any:
    return state


def _or_none(choose: Callable[[Any], Any]) -> Callable[[Sequence[Any]], Any]:
    return lambda states: choose(states) if states else None


# --- first, last: [event time, tie, value] -----------------------------------------------------------------------
def _moment(value: Any, at: int, tie: bytes) -> list[Any] | None:
    value = storable(value)
    return None if value is None else [at, tie, value]


def _earlier(a: list[Any], b: list[Any]) -> list[Any]:
    return a if (a[0], a[1]) <= (b[0], b[1]) else b


def _later(a: list[Any], b: list[Any]) -> list[Any]:
    return a if (a[0], a[1]) >= (b[0], b[1]) else b


def _when(state: list[Any]) -> tuple[Any, Any]:
    return state[0], state[1]


def _value(state: list[Any] | None) -> Any:
    return None if state is None else state[2]


# --- most_frequent, unique, unique_count: value as text → occurrences; most_frequent knows the first of them -----
def tally_of(value: Any, _at: int, _tie: bytes) -> Tally | None:
    """One value as a tally; None for what is neither a string, a number nor a boolean."""
    text = text_of(value)
    return None if text is None else {text: 1}


def text_of(value: Any) -> str | None:
    """What stands for a value in a tally; None for what is neither a string, a number nor a boolean."""
    if type(value) is str:
        return "s" + value
    if type(value) is bool:
        return "b1" if value else "b0"
    if type(value) is float and value.is_integer() and abs(value) < 1 << 53:
        value = int(value)
    value = number(value)
    return None if value is None else f"n{value!r}"


def _put_tally(slots: dict[str, State], key: str, value: Any, _at: int, _tie: bytes) -> bool:
    """One that has come before makes no other set of values."""
    text = text_of(value)
    if text is None:
        return False
    tally = slots.get(key)
    if tally is None:
        slots[key] = {text: 1}
        return True
    n: int = tally.get(text, 0) + 1
    tally[text] = n
    if n == 1 and len(tally) > UNIQUE_VALUES_MAX:
        _keep_smallest_hashes(tally)
    return n == 1


def value_of(key: str) -> Any:
    """The value that a tally's key stands for."""
    if key[0] == "s":
        return key[1:]
    if key[0] == "b":
        return key == "b1"
    text = key[1:]
    return float(text) if "." in text or "e" in text else int(text)


def add_tallies(a: Tally, b: Tally) -> Tally:
    """Both in one; the first is reused."""
    for key, n in b.items():
        a[key] = a.get(key, 0) + n
    if len(a) > UNIQUE_VALUES_MAX:
        _keep_smallest_hashes(a)
    return a


def _keep_smallest_hashes(tally: Tally) -> None:
    """A bottom-k sample of the values (Beyer et al., SIGMOD 2007): the same whatever the order of arrival."""
    keys = sorted((key for key in tally if key), key=_hash)
    if len(keys) > UNIQUE_VALUES_MAX:
        for key in keys[UNIQUE_VALUES_MAX:]:
            del tally[key]
        tally[_OVERFLOWED] = 1


def _hash(key: str) -> int:
    return xxhash.xxh3_64_intdigest(key.encode())


def sum_tallies(states: Sequence[Tally]) -> Tally | None:
    """All in a new one; None where there are none."""
    if not states:
        return None
    total: Tally = {}
    for state in states:
        add_tallies(total, state)
    return total


def rank_of(key: str) -> tuple[str, Any]:
    """Order of a tally's keys: by kind, then by value."""
    value = value_of(key)
    return ("number" if type(value) in NUMBERS else type(value).__name__), value


def _favour(value: Any, at: int, tie: bytes) -> list[Any] | None:
    tally = tally_of(value, at, tie)
    return None if tally is None else [next(iter(tally)), tally]


def _add_favours(a: list[Any], b: list[Any]) -> list[Any]:
    """[most frequent so far, tally]: one more value can only put itself first."""
    best, tally = a
    add_tallies(tally, b[1])
    if len(b[1]) > 1 or best not in tally:
        a[0] = _favourite(tally)
    elif (key := b[0]) in tally and key != best and before(tally, key, best):
        a[0] = key
    return a


def _put_favour(slots: dict[str, State], key: str, value: Any, _at: int, _tie: bytes) -> bool:
    text = text_of(value)
    if text is None:
        return False
    state = slots.get(key)
    if state is None:
        slots[key] = [text, {text: 1}]
        return True
    best, tally = state
    n = tally[text] = tally.get(text, 0) + 1
    if n == 1 and len(tally) > UNIQUE_VALUES_MAX:
        _keep_smallest_hashes(tally)
        if best not in tally:
            state[0] = _favourite(tally)
            return True
    if text == best or n < tally[best] or text not in tally or not before(tally, text, best):
        return False
    state[0] = text
    return True


def before(tally: Tally, key: str, other: str) -> bool:
    """Whether a value is more frequent than another, or as frequent and smaller."""
    n, most = tally[key], tally[other]
    if n != most:
        return n > most
    return key < other if key[0] == other[0] == "s" else rank_of(key) < rank_of(other)


def _favourite(tally: Tally) -> str:
    best = ""
    for key in tally:
        if key and (not best or before(tally, key, best)):
            best = key
    return best


def _sum_favours(states: Sequence[list[Any]]) -> list[Any] | None:
    tally = sum_tallies([state[1] for state in states])
    return None if tally is None else [_favourite(tally), tally]


def _most_frequent(state: list[Any] | None) -> Any:
    return value_of(state[0]) if state else None


def _unique(state: Tally | None) -> Any:
    return [value_of(key) for key in sorted(filter(None, state), key=rank_of)] if state else None


def _unique_count(state: Tally | None) -> int:
    if not state:
        return 0
    if _OVERFLOWED not in state:
        return len(state)
    largest = max(_hash(key) for key in state if key)
    return round((UNIQUE_VALUES_MAX - 1) * (1 << 64) / largest)


_tallies = (tally_of, add_tallies)

MONOIDS: dict[str, Monoid] = {
    "count": Monoid(_one, _plus, _or_zero, sum, _minus, absorb=_one_more),
    "sum": Monoid(lift_total, combine_totals, _sum, _sum_totals, _remove_total, put=_put_total, absorb=_absorb_number),
    "avg": Monoid(
        lift_total, combine_totals, _average, _sum_totals, _remove_total, put=_put_total, absorb=_absorb_number
    ),
    "min": Monoid(_number, _least, _itself, _all_by(_least), put=_putter_by(_least)),
    "max": Monoid(_number, _greatest, _itself, _all_by(_greatest), put=_putter_by(_greatest)),
    "first": Monoid(_moment, _earlier, _value, _or_none(lambda states: min(states, key=_when))),
    "last": Monoid(_moment, _later, _value, _or_none(lambda states: max(states, key=_when))),
    "most_frequent": Monoid(_favour, _add_favours, _most_frequent, _sum_favours, put=_put_favour),
    "unique": Monoid(*_tallies, _unique, sum_tallies, put=_put_tally),
    "unique_count": Monoid(*_tallies, _unique_count, sum_tallies, put=_put_tally),
}
