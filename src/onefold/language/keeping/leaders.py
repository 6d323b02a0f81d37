"""The k most frequent values as a monoid, most frequent first; of equally frequent ones, the smallest first.

The state is `[leaders, tally]`: one more value can only put itself among the leaders, so that most events cost no sort.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

from onefold.language.keeping.aggregates import (
    Monoid,
    Put,
    Tally,
    add_tallies,
    before,
    rank_of,
    sum_tallies,
    tally_of,
    text_of,
    value_of,
)

State = list[Any]


def _lift(value: Any, at_ms: int, tie: bytes) -> State | None:
    tally = tally_of(value, at_ms, tie)
    return None if tally is None else [list(tally), tally]


def _leaders(tally: Tally, k: int) -> list[str]:
    return sorted((key for key in tally if key), key=lambda key: (-tally[key], rank_of(key)))[:k]


def _combiner(k: int) -> Callable[[State, State], State]:
    def combine(a: State, b: State) -> State:
        """Both in one; the first is reused."""
        leaders, tally = a
        add_tallies(tally, b[1])
        if len(b[1]) > 1 or any(key not in tally for key in leaders):
            a[0] = _leaders(tally, k)
        elif b[0][0] in tally:
            _promote(leaders, tally, b[0][0], k)
        return a

    return combine


def _putter(k: int, combine: Callable[[State, State], State]) -> Put:
    def put(slots: dict[str, State], key: str, value: Any, _at_ms: int, _tie: bytes) -> bool:
        text, state = text_of(value), slots.get(key)
        if text is None:
            return False
        if state is None or text not in state[1]:
            lifted = [[text], {text: 1}]
            slots[key] = lifted if state is None else combine(state, lifted)
            return True
        leaders, tally = state
        tally[text] += 1
        _promote(leaders, tally, text, k)
        return True

    return put


def _promote(leaders: list[str], tally: Tally, key: str, k: int) -> None:
    """One value has become more frequent."""
    if key not in leaders:
        if len(leaders) < k:
            leaders.append(key)
        elif before(tally, key, leaders[-1]):
            leaders[-1] = key
        else:
            return
    place = leaders.index(key)
    while place and before(tally, key, leaders[place - 1]):
        leaders[place], leaders[place - 1] = leaders[place - 1], key
        place -= 1


def _totaler(k: int) -> Callable[[Sequence[State]], State | None]:
    def total(states: Sequence[State]) -> State | None:
        tally = sum_tallies([state[1] for state in states])
        return None if tally is None else [_leaders(tally, k), tally]

    return total


def _result(state: State | None) -> list[Any] | None:
    return None if state is None else [value_of(key) for key in state[0]]


@lru_cache(maxsize=128)
def top(k: int) -> Monoid:
    """The list of the k most frequent values; missing over nothing."""
    combine = _combiner(k)
    return Monoid(_lift, combine, _result, _totaler(k), put=_putter(k, combine))
