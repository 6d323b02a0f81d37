"""Sequences: who did one thing after another, in time, with nothing unwanted between.

Of each event that is a step, the profile keeps a record: when it was, of which steps (a bit each), the value that
must be the same in all, and whether it completes the sequence. The state is `[records, settled, live, past, front]`:
records packed in order of time, how many completions have left them, how many they hold, what is left of the records
that had to go because there were more than SEQUENCE_EVENTS_MAX (None: none had to), and how far a walk over the
records has come already. A set of events, and so the same in any order, until then.

One walk in order of time finds the completions. For each step it knows the latest event that ends a chain up to there,
and the latest possible beginning of that chain. No other chain needs to be looked at: of two that end at the same step,
the one that ends later also begins no earlier, so it leaves more room before negated steps, gaps and the total window.
"""

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from struct import Struct
from typing import Any, NamedTuple

import xxhash

from onefold.language import nodes as n
from onefold.language.keeping.aggregates import tally_of
from onefold.limits import NEVER_MS, SEQUENCE_EVENTS_MAX

_RECORD = Struct(">QQHB")
_SIZE = _RECORD.size
_TIME = Struct(">Q")
_SAME_AT = _TIME.size
_BIAS = 1 << 62
"""Added to times, so that packed records are in order of time. Times below are biased, but for arguments in `_ms`."""
_TOO_MANY = SEQUENCE_EVENTS_MAX + SEQUENCE_EVENTS_MAX // 4
"""Records go a quarter at a time, so that most events need not let any go."""
_NEVER = 0
"""A time before all others."""

State = list[Any]
Record = tuple[int, int, int, int]
"""(time, hash of the value that must be the same, bits of its steps, 1 where it completes the sequence)."""


def same_key(value: Any) -> int | None:
    """What stands for a value that must be the same in all steps; None for a list, an object or nothing."""
    tally = tally_of(value, 0, b"")
    return None if tally is None else xxhash.xxh3_64_intdigest(next(iter(tally)).encode(errors="surrogatepass"))


class _Stage(NamedTuple):
    """A step that is not negated."""

    bit: int
    unwanted: int
    """Bits of the negated steps between the one before and this."""
    within_ms: int
    """It comes sooner than this after the one before."""


class _Plan(NamedTuple):
    """A sequence as its walk needs it."""

    stages: tuple[_Stage, ...]
    within_ms: int
    silent: int
    """Bits of the negated steps at the end."""
    silent_ms: int


def _plan(sequence: n.Sequence) -> _Plan:
    stages: list[_Stage] = []
    unwanted = 0
    for number, step in enumerate(sequence.steps):
        if step.negated:
            unwanted |= 1 << number
        else:
            stages.append(_Stage(1 << number, unwanted, step.within_ms or NEVER_MS))
            unwanted = 0
    silent_ms = (sequence.steps[-1].within_ms or 0) if unwanted else 0
    return _Plan(tuple(stages), sequence.within_ms or NEVER_MS, unwanted, silent_ms)


class _Walk:
    """A walk over events in order of time: where chains up to each stage end and begin, and what came between.

    How far it has come is a list, `[time, bits, end …, begin …, unwanted …]`: the latest instant with the bits of all
    its events, and of each stage, as of before that instant, the latest event that ends a chain up to there, the latest
    beginning of that chain, and the latest event that is not wanted before the stage.
    """

    def __init__(self, plan: _Plan) -> None:
        self._count = count = len(plan.stages)
        self._whole_ms = plan.within_ms
        self._down = [(i, stage.bit, stage.unwanted, stage.within_ms) for i, stage in enumerate(plan.stages)][::-1]
        self.start = [_NEVER, 0, *[_NEVER] * (3 * count)]
        """Before any event."""

    def go(self, front: list[int], at: int, bits: int) -> None:
        """One more event, which is no earlier than those before."""
        if at > front[0]:
            if front[1]:
                self.take(front, front[0], front[1])
            front[0], front[1] = at, bits
        else:
            front[1] |= bits

    def take(self, front: list[int], at: int, bits: int) -> bool:
        """All events of one instant, later than those before; True where its last steps complete a chain.

        Stages are gone through from the last to the first, so that none sees what this instant changes.
        """
        done = False
        for i, bit, unwanted, within_ms in self._down:
            if bits & bit and (not i or self._fits(front, i, at, within_ms)):
                front[2 + i] = at
                front[2 + self._count + i] = front[1 + self._count + i] if i else at
                done = done or i == self._count - 1
            if bits & unwanted:
                front[2 + 2 * self._count + i] = at
        return done

    def _fits(self, front: list[int], i: int, at: int, within_ms: int) -> bool:
        """Whether an event of this instant goes on with the chain that ends at the stage before."""
        end = front[1 + i]
        if not front[2 + 2 * self._count + i] <= end < at or at - end >= within_ms:
            return False
        return at - front[1 + self._count + i] < self._whole_ms

    def completes(self, front: list[int], at: int) -> bool:
        """Whether a last step at the front's own instant would complete a chain."""
        i, _, _, within_ms = self._down[0]
        return not i or self._fits(front, i, at, within_ms)


class Chain:
    """How the state of one sequence is kept (`keeping.Keeping`), and what it stands for."""

    def __init__(self, sequence: n.Sequence) -> None:
        self._plan = plan = _plan(sequence)
        self._walk = _Walk(plan)
        self._same = sequence.same is not None
        self._during_ms = sequence.during_ms
        self.expires = sequence.during_ms is not None
        gaps_ms = sum(stage.within_ms for stage in plan.stages[1:])
        self._reach_ms = min(plan.within_ms, gaps_ms) + plan.silent_ms
        """An event that far before another has nothing to do with it."""
        self._last = plan.stages[-1].bit
        self._negated = plan.silent
        for stage in plan.stages:
            self._negated |= stage.unwanted

    # --- events ----------------------------------------------------------------------------------------------
    def put(self, slots: dict[str, Any], key: str, at_ms: int, bits: int, same: int = 0) -> bool:
        """Take one event into the slot of this key; True where that may have changed the value."""
        at = at_ms + _BIAS
        state = slots.get(key)
        if state is None:
            state = slots[key] = [b"", 0, 0, None, None]
        records, settled, live, past, _ = state
        if past is not None and at <= past[0]:
            return False
        if not records or at >= _TIME.unpack_from(records, len(records) - _SIZE)[0]:
            if bits & self._plan.silent and live:
                self._break(state, at, same)
            completes = self._completes(state, at, bits, same)
            state[0] += _RECORD.pack(at, same, bits, completes)
            state[2] += completes
        else:
            place = _SIZE * bisect_right(_Times(records), at)
            state[0] = records[:place] + _RECORD.pack(at, same, bits, 0) + records[place:]
            self._look_again(state, at, keep=not bits & self._negated)
        if len(state[0]) > _TOO_MANY * _SIZE:
            self._evict(state)
        return self._plan.silent != 0 or settled + live != state[1] + state[2]

    def _completes(self, state: State, at: int, bits: int, same: int) -> bool:
        """Whether an event that no other is later than completes a chain."""
        if self._same or len(self._plan.stages) == 1:
            return bits & self._last != 0 and self._completes_alike(state[0], at, same)
        front = state[4]
        if front is None:
            front = state[4] = list(state[3] or self._walk.start)
            for before, _, of, _ in _RECORD.iter_unpack(state[0]):
                self._walk.go(front, before, of)
        self._walk.go(front, at, bits)
        return bits & self._last != 0 and self._walk.completes(front, at)

    def _completes_alike(self, records: bytes, at: int, same: int) -> bool:
        """The same among the events with this value."""
        front = list(self._walk.start)
        if len(self._plan.stages) > 1:
            for before, of in _alike(records, same):
                self._walk.go(front, before, of)
        self._walk.go(front, at, 0)
        return self._walk.completes(front, at)

    def _break(self, state: State, at: int, same: int) -> None:
        """An event that must not come after a chain has come: those that it comes too soon after are not completed."""
        flags, marked = state[0][_SIZE - 1 :: _SIZE], bytearray(state[0])
        i = flags.rfind(1)
        while i >= 0:
            before, of, _, _ = _RECORD.unpack_from(marked, i * _SIZE)
            if before <= at - self._plan.silent_ms:
                break
            if of == same and before < at:
                marked[i * _SIZE + _SIZE - 1] = 0
                state[2] -= 1
            i = flags.rfind(1, 0, i)
        state[0] = bytes(marked)

    def _look_again(self, state: State, at: int | None = None, *, keep: bool) -> None:
        """Find the completions anew: all, or those that an event at this time can have to do with.

        With `keep` the event has undone none, not even where records are gone.
        """
        records, past, first, last = state[0], state[3], 0, len(state[0]) // _SIZE
        if at is not None and self._reach_ms < NEVER_MS:
            first, last = (bisect_right(_Times(records), at + way * 2 * self._reach_ms) for way in (-1, 1))
        around = list(_RECORD.iter_unpack(records[first * _SIZE : last * _SIZE]))
        flags = self._completing(around, past if past and not first else self._walk.start)
        for i, (each, _, _, flag) in enumerate(around):
            far = at is not None and abs(each - at) > self._reach_ms
            if far or (keep and past is not None and flag):
                flags[i] = flag
        self._mark(state, first, around, flags)

    def _mark(self, state: State, first: int, records: list[Record], flags: list[int]) -> None:
        """The flags of these records, which begin at a place among all, are others."""
        marked = bytearray(state[0])
        marked[(first + 1) * _SIZE - 1 : (first + len(records)) * _SIZE : _SIZE] = bytes(flags)
        state[0] = bytes(marked)
        state[2] += sum(flags) - sum(each[3] for each in records)
        state[4] = None

    def _completing(self, records: list[Record], front: Sequence[int]) -> list[int]:
        """For each of the records, in order, 1 where it completes the sequence. The walk begins at this front."""
        flags = [0] * len(records)
        if not self._same:
            self._flag(list(front), list(enumerate(records)), flags)
            return flags
        groups: dict[int, list[tuple[int, Record]]] = {}
        for place, record in enumerate(records):
            groups.setdefault(record[1], []).append((place, record))
        for group in groups.values():
            self._flag(list(self._walk.start), group, flags)
        return flags

    def _flag(self, front: list[int], group: list[tuple[int, Record]], flags: list[int]) -> None:
        """Flag the records of a group, each with its place, that complete a chain of the group."""
        done, silent = set(), []
        for at, bits in _instants((at, bits) for _, (at, _, bits, _) in group):
            if self._walk.take(front, at, bits):
                done.add(at)
            if bits & self._plan.silent:
                silent.append(at)
        for place, (at, _, bits, _) in group:
            if at in done and bits & self._last and not _within(silent, at, self._plan.silent_ms):
                flags[place] = 1

    def _evict(self, state: State) -> None:
        """More than are kept: the oldest go. What they completed is settled; chains may go on from where they were."""
        over = len(state[0]) - SEQUENCE_EVENTS_MAX * _SIZE
        gone, front = list(_RECORD.iter_unpack(state[0][:over])), list(state[3] or self._walk.start)
        completed = sum(each[3] for each in gone)
        if not self._same and self._during_ms is None:
            for at, bits in _instants((at, bits) for at, _, bits, _ in gone):
                self._walk.take(front, at, bits)
        state[3] = [gone[-1][0], 0, *front[2:]]
        state[0] = state[0][over:]
        state[1] += completed if self._during_ms is None else 0
        state[2] -= completed

    # --- profiles and time ---------------------------------------------------------------------------------------
    def merge(self, a: State, b: State) -> State:
        """The state of the events of both."""
        merged = [b"".join(sorted(_split(a[0]) + _split(b[0]))), a[1] + b[1], a[2] + b[2], _merged(a[3], b[3]), None]
        self._look_again(merged, keep=not self._negated)
        if len(merged[0]) > SEQUENCE_EVENTS_MAX * _SIZE:
            self._evict(merged)
        return merged

    def expire(self, state: State, now_ms: int) -> bool:
        """Drop the events that are no longer looked at."""
        assert self._during_ms is not None
        gone = bisect_right(_Times(state[0]), now_ms - self._during_ms + _BIAS)
        if gone:
            state[0] = state[0][gone * _SIZE :]
            records = list(_RECORD.iter_unpack(state[0]))
            state[2] = sum(each[3] for each in records)
            self._mark(state, 0, records, self._completing(records, self._walk.start))
        return gone > 0

    def is_empty(self, state: State) -> bool:
        """No event is left."""
        return not state[0] and not state[1]

    def due_ms(self, state: State) -> int:
        """When the oldest event is no longer looked at."""
        assert self._during_ms is not None
        return _TIME.unpack_from(state[0])[0] - _BIAS + self._during_ms if state[0] else NEVER_MS

    # --- value -----------------------------------------------------------------------------------------------
    def count(self, state: State | None, now_ms: int, profile: Any) -> int:
        """How often the sequence was completed; arms the profile for when the next negated step's time is over."""
        if state is None:
            return 0
        done: int = state[1] + state[2]
        if not self._plan.silent or not state[2]:
            return done
        records, silent_ms = state[0], self._plan.silent_ms
        flags = records[_SIZE - 1 :: _SIZE]
        i, began = flags.rfind(1), now_ms - silent_ms + _BIAS
        while i >= 0 and (at := _TIME.unpack_from(records, i * _SIZE)[0]) > began:
            done -= 1
            profile.due_ms = min(profile.due_ms, at - _BIAS + silent_ms)
            i = flags.rfind(1, 0, i)
        return done

    def happened(self, state: State | None, now_ms: int, profile: Any) -> bool:
        """Whether the sequence was ever completed."""
        return self.count(state, now_ms, profile) > 0


def _instants(events: Iterable[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """(time, bits) of events in order → the same of each instant, the bits of all its events together."""
    at = together = 0
    for each, bits in events:
        if each != at:
            if together:
                yield at, together
            at, together = each, bits
        else:
            together |= bits
    if together:
        yield at, together


def _alike(records: bytes, same: int) -> Iterator[tuple[int, int]]:
    """(time, bits) of the records with this value, in order."""
    key = _TIME.pack(same)
    place = records.find(key)
    while place >= 0:
        if place % _SIZE == _SAME_AT:
            at, _, bits, _ = _RECORD.unpack_from(records, place - _SAME_AT)
            yield at, bits
            place += _SIZE - 1
        place = records.find(key, place + 1)


def _within(times: Sequence[int], at: int, within_ms: int) -> bool:
    """Whether one of the times, which are in order, is later than `at` by less than this."""
    i = bisect_right(times, at)
    return i < len(times) and times[i] < at + within_ms


def _split(records: bytes) -> list[bytes]:
    return [records[i : i + _SIZE] for i in range(0, len(records), _SIZE)]


class _Times(Sequence[int]):
    """The times of packed records, read where they are looked at."""

    def __init__(self, records: bytes) -> None:
        self._records = records

    def __len__(self) -> int:
        return len(self._records) // _SIZE

    def __getitem__(self, i: Any) -> Any:
        return _TIME.unpack_from(self._records, i * _SIZE)[0]


def _merged(a: list[int] | None, b: list[int] | None) -> list[int] | None:
    """What is left of the events that both had to let go of."""
    if a is None or b is None:
        return a if b is None else b
    return list(map(max, a, b))
