"""Active days as a monoid: which days, weeks or months somebody did something in, how many, how many in a row.

The state is `[first, bits]`: bit n is set where the period `first + n` was active, bytes from the lowest. The latest
ACTIVE_PERIODS_MAX periods up to the latest active one are kept, whatever the order of events and merges.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

from onefold.language.keeping.aggregates import Monoid
from onefold.language.keeping.periods import Periods
from onefold.limits import ACTIVE_PERIODS_MAX

State = list[Any]


def _lift(index: Any, _at_ms: int, _tie: bytes) -> State:
    return [index, b"\x01"]


def _combine(a: State, b: State) -> State:
    """Both in one; mostly `b` is one day that `a` has, and nothing changes."""
    apart = b[0] - a[0]
    if b[1] == b"\x01" and 0 <= apart < 8 * len(a[1]) and a[1][apart >> 3] >> (apart & 7) & 1:
        return a
    first = min(a[0], b[0])
    bits = _bits(a) << a[0] - first | _bits(b) << b[0] - first
    if (over := bits.bit_length() - ACTIVE_PERIODS_MAX) > 0:
        bits >>= over
        unused = (bits & -bits).bit_length() - 1
        bits >>= unused
        first += over + unused
    return [first, bits.to_bytes((bits.bit_length() + 7) // 8, "little")]


def _put(slots: dict[str, State], key: str, index: Any, at_ms: int, tie: bytes) -> bool:
    state = slots.get(key)
    if state is None:
        slots[key] = [index, b"\x01"]
        return True
    first, bits = state
    apart = index - first
    if 0 <= apart < 8 * len(bits) and bits[apart >> 3] >> (apart & 7) & 1:
        return False
    slots[key] = _combine(state, _lift(index, at_ms, tie))
    return True


def _bits(state: State) -> int:
    return int.from_bytes(state[1], "little")


def _total(states: Sequence[State]) -> State | None:
    if not states:
        return None
    total = states[0]
    for state in states[1:]:
        total = _combine(total, state)
    return total


def _count(state: State | None) -> int:
    return 0 if state is None else _bits(state).bit_count()


def _longest(state: State | None) -> int:
    return 0 if state is None else max(map(len, f"{_bits(state):b}".split("0")))


def _current(periods: Periods) -> Callable[[State | None, int, Any], int]:
    def current(state: State | None, now_ms: int, profile: Any) -> int:
        """The run up to this period or the one before; over when a whole period has passed without anything."""
        if state is None:
            return 0
        bits = _bits(state)
        last = state[0] + bits.bit_length() - 1
        if last < periods.index(now_ms) - 1:
            return 0
        profile.due_ms = min(profile.due_ms, periods.start_ms(last + 2))
        return len(f"{bits:b}".split("0", 1)[0])

    return current


DAYS_ACTIVE = Monoid(_lift, _combine, _count, _total, put=_put)
"""How many periods were active."""
LONGEST_STREAK = Monoid(_lift, _combine, _longest, _total, put=_put)
"""The longest run of active periods."""


@lru_cache(maxsize=1024)
def streak(periods: Periods) -> Monoid:
    """The run of active periods that is not over."""
    return Monoid(_lift, _combine, _count, _total, at=_current(periods), put=_put)
