"""Sessions as a monoid: stretches of activity that a gap of inactivity ends. Late events extend, begin and join them.

The state is `[settled, settled_ms, horizon_ms, begin, end, begin, end, ...]`: the latest SESSIONS_MAX sessions in
order. Older ones are settled: counted, with their lengths together; what happened up to `horizon_ms` is in them, and an
event that comes later than that changes nothing any more.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

from onefold.language.keeping.aggregates import Monoid, Put
from onefold.limits import SESSIONS_MAX

State = list[int]

_NEVER = -(1 << 62)
_HEAD = 3


def _lift(_value: Any, at_ms: int, _tie: bytes) -> State:
    return [0, 0, _NEVER, at_ms, at_ms]


def _combiner(gap_ms: int) -> Callable[[State, State], State]:
    def combine(a: State, b: State) -> State:
        """Both in one; the first is reused. Mostly `b` is one instant, after all or within the last session of `a`."""
        at_ms = b[_HEAD]
        one = len(b) == _HEAD + 2 and b[2] == _NEVER and b[_HEAD + 1] == at_ms
        if one and at_ms >= a[-2]:
            if at_ms < a[-1] + gap_ms:
                a[-1] = max(a[-1], at_ms)
            else:
                a += (at_ms, at_ms)
        elif not one or at_ms > a[2]:
            a[:] = _joined(a, b, gap_ms)
        _settle(a)
        return a

    return combine


def _putter(gap_ms: int, combine: Callable[[State, State], State], *, counting: bool) -> Put:
    """`counting`: a session that becomes longer is no other value."""

    def put(slots: dict[str, State], key: str, value: Any, at_ms: int, tie: bytes) -> bool:
        state = slots.get(key)
        if state is None:
            slots[key] = _lift(value, at_ms, tie)
            return True
        begin, end = state[-2:]
        if begin <= at_ms < end + gap_ms:
            if at_ms <= end:
                return False
            state[-1] = at_ms
            return not counting
        slots[key] = combine(state, _lift(value, at_ms, tie))
        return True

    return put


def _joined(a: State, b: State, gap_ms: int) -> State:
    """Both in one; what of either lies before the other's horizon is settled with it."""
    horizon_ms = max(a[2], b[2])
    settled, settled_ms = a[0] + b[0], a[1] + b[1]
    sessions: list[int] = []
    for begin, end in sorted((*_sessions(a), *_sessions(b))):
        if end <= horizon_ms:
            settled, settled_ms = settled + 1, settled_ms + end - begin
        elif sessions and begin < sessions[-1] + gap_ms:
            sessions[-1] = max(sessions[-1], end)
        else:
            sessions += (begin, end)
    return [settled, settled_ms, horizon_ms, *sessions]


def _sessions(state: State) -> list[tuple[int, int]]:
    return list(zip(state[_HEAD::2], state[_HEAD + 1 :: 2], strict=True))


def _settle(state: State) -> None:
    """The oldest sessions are too many."""
    while len(state) > _HEAD + 2 * SESSIONS_MAX:
        begin, end = state[_HEAD : _HEAD + 2]
        state[:_HEAD] = state[0] + 1, state[1] + end - begin, end
        del state[_HEAD : _HEAD + 2]


def _totaler(combine: Callable[[State, State], State]) -> Callable[[Sequence[State]], State | None]:
    def total(states: Sequence[State]) -> State | None:
        if not states:
            return None
        whole = list(states[0])
        for state in states[1:]:
            combine(whole, state)
        return whole

    return total


def _count(state: State | None) -> int:
    return 0 if state is None else state[0] + (len(state) - _HEAD) // 2


def _whole_ms(state: State) -> int:
    return state[1] + sum(state[_HEAD + 1 :: 2]) - sum(state[_HEAD::2])


def _time(state: State | None) -> float:
    return 0 if state is None else _whole_ms(state) / 1000


def _length(state: State | None) -> float | None:
    return None if state is None else _whole_ms(state) / (1000 * _count(state))


_RESULTS: dict[str, Callable[[State | None], Any]] = {
    "session_count": _count,
    "session_length": _length,
    "session_time": _time,
}


@lru_cache(maxsize=1024)
def sessions(function: str, gap_ms: int) -> Monoid:
    """How many sessions (`session_count`), their average (`session_length`) or whole length (`session_time`), in s.

    Two events less than `gap_ms` apart are of one session.
    """
    combine = _combiner(gap_ms)
    put = _putter(gap_ms, combine, counting=function == "session_count")
    return Monoid(_lift, combine, _RESULTS[function], _totaler(combine), put=put)
