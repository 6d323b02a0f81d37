"""Sequences: who did one thing after another, in time, with nothing unwanted between.

Of each event that is a step, the profile keeps a record: when it was, of which steps (a bit each), the value that
must be the same in all, and whether it completes the sequence. The state is `[records, settled, live, past, front]`:
records packed in order of time, how many completions have left them, how many they hold, what is left of the records
that had to go because there were more than SEQUENCE_EVENTS_MAX (None: none had to), and how far a walk over the
records has come already (`walks`; None: nobody has asked since). A set of events, and so the same in any order, until
then.

One walk in order of time finds the completions. An event in order moves its front; a late one is walked on from only
until it makes no difference any more.
"""

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from struct import Struct
from typing import Any

import xxhash

from onefold.language import nodes as n
from onefold.language.keeping.aggregates import tally_of
from onefold.language.keeping.walks import (
    NEVER,
    Events,
    Front,
    behind,
    first_of_instant,
    plan_of,
    putter_of,
    shift,
    walk_of,
)
from onefold.limits import NEVER_MS, SEQUENCE_EVENTS_MAX, SEQUENCE_STEPS_MAX

_RECORD = Struct(">QQHB")
_pack = _RECORD.pack
_SIZE = _RECORD.size
_TIME = Struct(">Q")
_time_at = _TIME.unpack_from
_SAME_AT = _TIME.size
_BITS_AT = _SIZE - 2
"""The lower byte, which has all bits there are."""
_FLAG_AT = _SIZE - 1
_BIAS = 1 << 62
"""Added to times, so that packed records are in order of time. Times below are biased, but for arguments in `_ms`."""
_FEW = 16
"""So few records are quicker searched for a value than for a step."""
_TOO_MANY = SEQUENCE_EVENTS_MAX + SEQUENCE_EVENTS_MAX // 4
"""Records go a quarter at a time, so that most events need not let any go."""

State = list[Any]
Record = tuple[int, int, int, int]
"""(time, hash of the value that must be the same, bits of its steps, 1 where it completes the sequence)."""

assert SEQUENCE_STEPS_MAX <= 8


def same_key(value: Any) -> int | None:
    """What stands for a value that must be the same in all steps; None for a list, an object or nothing."""
    if type(value) is str:
        return xxhash.xxh3_64_intdigest(f"s{value}".encode(errors="surrogatepass"))
    tally = tally_of(value, 0, b"")
    return None if tally is None else xxhash.xxh3_64_intdigest(next(iter(tally)).encode(errors="surrogatepass"))


class Chain:
    """How the state of one sequence is kept (`keeping.Keeping`), and what it stands for."""

    def __init__(self, sequence: n.Sequence, *, counted: bool = True) -> None:
        """`counted`: somebody asks how often it was completed, and not only whether it ever was."""
        self._counted = counted
        self._plan = plan = plan_of(sequence)
        self._walk = walk_of(plan)
        self._advance = self._walk.advance
        self._same = sequence.same is not None
        self._during_ms = sequence.during_ms
        self.expires = sequence.during_ms is not None
        self._last = plan.last
        self._silent = plan.silent
        self._silent_ms = plan.silent_ms
        self._negated = plan.negated
        self._carries = len(plan.stages) > 1 and not self._same
        """The state keeps a front: each event goes on from the one before."""

    # --- events ----------------------------------------------------------------------------------------------
    def put(self, slots: dict[str, Any], key: str, at_ms: int, bits: int, same: int = 0) -> bool:
        """Take one event into the slot of this key; True where that may have changed the value.

        Where only whether it was ever completed is asked, that is the first time that it is.
        """
        at = at_ms + _BIAS
        state = slots.get(key)
        if state is None:
            front = [at, bits, *self._walk.start[2:]] if self._carries else None
            completes = front is None and self._completes_alone(bits)
            slots[key] = [_pack(at, same, bits, completes), 0, int(completes), None, front]
            return completes
        if state[3] is not None and at <= state[3][0]:
            return False
        front = state[4]
        if front is not None and at >= front[0] and not bits & self._silent:  # most events, at no more cost than this
            changed = self._advance(front, at, bits)
            state[0] += _pack(at, same, bits, changed)
            if changed:
                changed = self._counted or not (state[1] or state[2])
                state[2] += 1
        elif at >= _latest(state[0]):
            changed = self._append(state, at, bits, same)
        else:
            changed = self._insert(state, at, bits, same)
        if len(state[0]) > _TOO_MANY * _SIZE:
            self._evict(state)
            return True
        return changed

    def putter(self, bits: int) -> Callable[[dict[str, Any], str, int], bool]:
        """`put` for events of just these steps (`is_written_out`): (slots, key, time) → as `put` says."""
        make = putter_of(self._plan, bits)
        put: Callable[[dict[str, Any], str, int], bool] = make(
            self.put, self._evict, self._counted, _pack, _BIAS, _TOO_MANY * _SIZE
        )
        return put

    def _completes_alone(self, bits: int) -> bool:
        """Whether an event completes a chain that has no other."""
        return len(self._plan.stages) == 1 and bits & self._last != 0

    def _append(self, state: State, at: int, bits: int, same: int) -> bool:
        """An event that no other is later than; True where completions have changed."""
        broken = bits & self._silent != 0 and state[2] > 0 and self._break(state, (at, same), len(state[0]) // _SIZE)
        if self._carries:
            front = state[4]
            if front is None:
                front = state[4] = self._front(state)
            completes = self._advance(front, at, bits)
        else:
            completes = bits & self._last != 0 and self._completes_alike(state, at, same)
        changed = broken or (completes and (self._counted or not (state[1] or state[2])))
        state[0] += _pack(at, same, bits, completes)
        state[2] += completes
        return changed

    def _front(self, state: State) -> Front:
        """The front after all records."""
        records, gone = state[0], state[3] or self._walk.start
        if not records:
            return list(gone)
        events = _events(records)
        first = first_of_instant(events, len(events.bits) - 1)
        front = behind(self._plan, events, first, gone)
        front[0] = _latest(records)
        for bits in events.bits[first:]:
            front[1] |= bits
        return front

    def _completes_alike(self, state: State, at: int, same: int) -> bool:
        """Whether an event that no other is later than completes a chain among those with its value."""
        if len(self._plan.stages) == 1:
            return True
        found = [(when, bits) for _, when, bits in _alike(state[0], same)]
        if not found:
            return False
        events = Events([when for when, _ in found].__getitem__, [bits for _, bits in found])
        until = bisect_right(found, (at - 1, 1 << SEQUENCE_STEPS_MAX))
        return self._walk.completes(behind(self._plan, events, until, state[3] or self._walk.start), at)

    def _insert(self, state: State, at: int, bits: int, same: int) -> bool:
        """A late event, which may complete a chain, let later ones do so, or keep them from it: True where it does."""
        records = state[0]
        place = _after(records, at)
        state[0] = records = records[: place * _SIZE] + _pack(at, same, bits, 0) + records[place * _SIZE :]
        events, new = _events(records), place
        places: Sequence[int] = range(len(records) // _SIZE)
        if self._same:
            found = list(_alike(records, same))
            events = Events([when for _, when, _ in found].__getitem__, [each for _, _, each in found])
            places = [each for each, _, _ in found]
            new = places.index(place)
        first = first_of_instant(events, new)
        before = behind(self._plan, events, first, state[3] or self._walk.start)
        done, front = shift(self._walk, events, (before, list(before)), (first, new))
        flags = {i: int(yes and not self._broken(events, i)) for i, yes in done.items() if events.bits[i] & self._last}
        changed = self._mark(state, {places[i]: flag for i, flag in flags.items()})
        if bits & self._silent and state[2]:
            changed = self._break(state, (at, same), places[first]) or changed
        if front is not None and self._carries:
            state[4] = front
        return changed

    def _broken(self, events: Events, place: int) -> bool:
        """Whether an event that must not comes too soon after this one."""
        if not self._silent:
            return False
        at, bits = events.at(place), events.bits
        for later in range(place + 1, len(bits)):
            if bits[later] & self._silent and (when := events.at(later)) > at:
                return when < at + self._plan.silent_ms
        return False

    def _break(self, state: State, event: tuple[int, int], until: int) -> bool:
        """An event that must not come after a chain has come: those that it comes too soon after are not completed.

        They are among the records before this one. True where there are any.
        """
        (at, same), records = event, state[0]
        flags, broken = records[_FLAG_AT : until * _SIZE : _SIZE], {}
        i = flags.rfind(1)
        while i >= 0:
            before, of, _, _ = _RECORD.unpack_from(records, i * _SIZE)
            if before <= at - self._plan.silent_ms:
                break
            if of == same and before < at:
                broken[i] = 0
            i = flags.rfind(1, 0, i)
        return bool(broken) and self._mark(state, broken)

    def _mark(self, state: State, flags: Mapping[int, int]) -> bool:
        """These records complete the sequence (1) or do not; True where one did not say so yet."""
        records = state[0]
        changed = {i: flag for i, flag in flags.items() if records[i * _SIZE + _FLAG_AT] != flag}
        if changed:
            marked = bytearray(records)
            for i, flag in changed.items():
                marked[i * _SIZE + _FLAG_AT] = flag
                state[2] += 1 if flag else -1
            state[0] = bytes(marked)
        return bool(changed)

    def _look_again(self, state: State) -> None:
        """Find all completions anew, the front on the way. Where records are gone, what they completed stays so."""
        records, past = list(_RECORD.iter_unpack(state[0])), state[3]
        flags = dict(enumerate(self._flags(records, past or self._walk.start)))
        if past is not None and not self._negated:
            flags |= {i: 1 for i, each in enumerate(records) if each[3]}
        self._mark(state, flags)
        state[4] = None

    def _flags(self, records: list[Record], front: Sequence[int]) -> list[int]:
        """For each of the records, in order, 1 where it completes the sequence. The walk begins at this front."""
        flags = [0] * len(records)
        if not self._same:
            self._flag(list(front), list(enumerate(records)), flags)
            return flags
        groups: dict[int, list[tuple[int, Record]]] = {}
        for place, record in enumerate(records):
            groups.setdefault(record[1], []).append((place, record))
        for group in groups.values():
            if len(group) >= len(self._plan.stages):  # fewer complete nothing: each stage is later than the one before
                self._flag(list(self._walk.start), group, flags)
        return flags

    def _flag(self, front: list[int], group: list[tuple[int, Record]], flags: list[int]) -> None:
        """Flag the records of a group, each with its place, that complete a chain of the group."""
        done, silent = set(), []
        for at, bits in _instants((at, bits) for _, (at, _, bits, _) in group):
            if self._walk.take(front, at, bits):
                done.add(at)
            if bits & self._silent:
                silent.append(at)
        for place, (at, _, bits, _) in group:
            if at in done and bits & self._last and not _within(silent, at, self._plan.silent_ms):
                flags[place] = 1

    def _evict(self, state: State) -> None:
        """More than are kept: the oldest go. What they completed is settled; chains may go on from where they were."""
        over, front = len(state[0]) - SEQUENCE_EVENTS_MAX * _SIZE, state[3] or self._walk.start
        gone = state[0][:over]
        completed = sum(gone[_FLAG_AT::_SIZE])
        if not self._same and self._during_ms is None:
            front = behind(self._plan, _events(gone), over // _SIZE, front)
        state[3] = [_time_at(gone, over - _SIZE)[0], 0, *front[2:]]
        state[0] = state[0][over:]
        state[1] += completed if self._during_ms is None else 0
        state[2] -= completed

    # --- profiles and time ---------------------------------------------------------------------------------------
    def merge(self, a: State, b: State) -> State:
        """The state of the events of both."""
        merged = [b"".join(sorted(_split(a[0]) + _split(b[0]))), a[1] + b[1], a[2] + b[2], _merged(a[3], b[3]), None]
        self._look_again(merged)
        if len(merged[0]) > SEQUENCE_EVENTS_MAX * _SIZE:
            self._evict(merged)
        return merged

    def expire(self, state: State, now_ms: int) -> bool:
        """Drop the events that are no longer looked at."""
        assert self._during_ms is not None
        gone = _after(state[0], now_ms - self._during_ms + _BIAS)
        if gone and self._same:
            state[0] = state[0][gone * _SIZE :]
            state[2] = sum(state[0][_FLAG_AT::_SIZE])
            self._mark(state, dict(enumerate(self._flags(list(_RECORD.iter_unpack(state[0])), self._walk.start))))
        elif gone:
            self._forget(state, gone)
        return gone > 0

    def _forget(self, state: State, gone: int) -> None:
        """Drop so many of the oldest events, of which none has an instant in common with one that stays."""
        before = behind(self._plan, _events(state[0]), gone, state[3] or self._walk.start)
        state[0] = state[0][gone * _SIZE :]
        state[2] = sum(state[0][_FLAG_AT::_SIZE])
        if not state[0]:
            state[4] = None
            return
        events = _events(state[0])
        done, front = shift(self._walk, events, (before, list(self._walk.start)), (0, -1))
        flags = {i: int(yes and not self._broken(events, i)) for i, yes in done.items() if events.bits[i] & self._last}
        self._mark(state, flags)
        if front is not None and self._carries:
            state[4] = front

    def is_empty(self, state: State) -> bool:
        """No event is left."""
        return not state[0] and not state[1]

    def due_ms(self, state: State) -> int:
        """When the oldest event is no longer looked at."""
        assert self._during_ms is not None
        return _time_at(state[0])[0] - _BIAS + self._during_ms if state[0] else NEVER_MS

    # --- value -----------------------------------------------------------------------------------------------
    def count(self, state: State | None, now_ms: int, profile: Any) -> int:
        """How often the sequence was completed; arms the profile for when the next negated step's time is over."""
        if state is None:
            return 0
        done: int = state[1] + state[2]
        if not self._silent or not state[2]:
            return done
        records, silent_ms = state[0], self._plan.silent_ms
        flags = records[_FLAG_AT::_SIZE]
        i, began = flags.rfind(1), now_ms - silent_ms + _BIAS
        while i >= 0 and (at := _time_at(records, i * _SIZE)[0]) > began:
            done -= 1
            profile.due_ms = min(profile.due_ms, at - _BIAS + silent_ms)
            i = flags.rfind(1, 0, i)
        return done

    def happened(self, state: State | None, now_ms: int, profile: Any) -> bool:
        """Whether the sequence was ever completed; arms the profile for when it first will have been."""
        if state is None:
            return False
        if not self._silent or state[1] or not state[2]:
            return bool(state[1] + state[2])
        records = state[0]
        first = 0 if records[_FLAG_AT] else records[_FLAG_AT::_SIZE].index(1)
        over_ms: int = _time_at(records, first * _SIZE)[0] - _BIAS + self._silent_ms
        if over_ms <= now_ms:
            return True
        if over_ms < profile.due_ms:  # noqa: PLR1730 - a call less for each event
            profile.due_ms = over_ms
        return False


class Alike(Chain):
    """A sequence of several steps with a value that must be the same: few events have that of one before."""

    def __init__(self, sequence: n.Sequence, *, counted: bool = True) -> None:
        """As `Chain`."""
        super().__init__(sequence, counted=counted)
        before = self._plan.stages[-2].bit
        self._elsewhere = bytes(bits for bits in range(256) if not bits & before)
        """Bits of whatever is not the step before the last one."""

    def put(self, slots: dict[str, Any], key: str, at_ms: int, bits: int, same: int = 0) -> bool:
        """As `Chain.put`; chains are looked for where the value has come before."""
        at = at_ms + _BIAS
        state = slots.get(key)
        if state is None:
            slots[key] = [_pack(at, same, bits, 0), 0, 0, None, None]
            return False
        records = state[0]
        size = len(records)
        if bits & self._silent or (at < _time_at(records, size - _SIZE)[0] if size else state[3] is not None):
            return super().put(slots, key, at_ms, bits, same)
        completes = bits & self._last and self._is_begun(records, same) and self._completes_alike(state, at, same)
        state[0] = records + _pack(at, same, bits, 1 if completes else 0)
        if completes:
            state[2] += 1
        if size >= _TOO_MANY * _SIZE:
            self._evict(state)
            return True
        return bool(completes) and (self._counted or state[1] + state[2] == 1)

    def _is_begun(self, records: bytes, same: int) -> bool:
        """Whether any record can be the step before the last one of a chain with this value; mostly none can."""
        if len(records) > _FEW * _SIZE and not records[_BITS_AT::_SIZE].translate(None, self._elsewhere):
            return False
        return _TIME.pack(same) in records


class Lone(Chain):
    """A sequence of one step, and of what must not come after it: each event of that step completes it until then."""

    def put(self, slots: dict[str, Any], key: str, at_ms: int, bits: int, same: int = 0) -> bool:
        """As `Chain.put`; no event needs to know of those before it but one that must not come."""
        at = at_ms + _BIAS
        state = slots.get(key)
        if state is None:
            state = slots[key] = [b"", 0, 0, None, None]
        records = state[0]
        size = len(records)
        if at < _time_at(records, size - _SIZE)[0] if size else state[3] is not None:
            return super().put(slots, key, at_ms, bits, same)
        completes, changed = bits & self._last, False
        if bits & self._silent and state[2] and (broken := self._broken_by(records, at)):
            marked = bytearray(records)
            for place in broken:
                marked[place] = 0
            state[0] = bytes(marked + _pack(at, same, bits, 1 if completes else 0))
            state[2] -= len(broken)
            changed = True
        else:
            state[0] = records + _pack(at, same, bits, 1 if completes else 0)
        if completes:
            changed = changed or self._counted or not (state[1] or state[2])
            state[2] += 1
        if size >= _TOO_MANY * _SIZE:
            self._evict(state)
            return True
        return changed

    def _broken_by(self, records: bytes, at: int) -> list[int]:
        """Where the flags of those completions lie that an event which must not come comes too soon after."""
        flags, since, found = records[_FLAG_AT::_SIZE], at - self._silent_ms, []
        i = flags.rfind(1)
        while i >= 0 and (before := _time_at(records, i * _SIZE)[0]) > since:
            if before < at:
                found.append(i * _SIZE + _FLAG_AT)
            i = flags.rfind(1, 0, i)
        return found


def is_written_out(sequence: n.Sequence, bits: int) -> bool:
    """Whether a function of its own puts events of these steps (`Chain.putter`)."""
    plan = plan_of(sequence)
    return sequence.same is None and len(plan.stages) > 1 and not bits & plan.silent


def chain_of(sequence: n.Sequence, *, counted: bool = True) -> Chain:
    """How the state of a sequence is kept; see `Chain`."""
    one, same = len(plan_of(sequence).stages) == 1, sequence.same is not None
    kind = Chain if one == same else Lone if one else Alike
    return kind(sequence, counted=counted)


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


def _latest(records: bytes) -> int:
    """When the last one was; NEVER without any."""
    return int(_time_at(records, len(records) - _SIZE)[0]) if records else NEVER


def _events(records: bytes) -> Events:
    """Packed records, read where they are looked at."""
    unpack = _time_at
    return Events(lambda i: unpack(records, i * _SIZE)[0], records[_BITS_AT::_SIZE])


def _alike(records: bytes, same: int) -> Iterator[tuple[int, int, int]]:
    """(place, time, bits) of the records with this value, in order."""
    key = _TIME.pack(same)
    found = records.find(key)
    while found >= 0:
        if found % _SIZE == _SAME_AT:
            at, _, bits, _ = _RECORD.unpack_from(records, found - _SAME_AT)
            yield found // _SIZE, at, bits
            found += _SIZE - 1
        found = records.find(key, found + 1)


def _within(times: Sequence[int], at: int, within_ms: int) -> bool:
    """Whether one of the times, which are in order, is later than `at` by less than this."""
    i = bisect_right(times, at)
    return i < len(times) and times[i] < at + within_ms


def _split(records: bytes) -> list[bytes]:
    return [records[i : i + _SIZE] for i in range(0, len(records), _SIZE)]


def _after(records: bytes, at: int) -> int:
    """The number of the first record that is later than this; how many there are, where none is."""
    unpack = _time_at
    return bisect_right(range(len(records) // _SIZE), at, key=lambda i: unpack(records, i * _SIZE)[0])


def _merged(a: list[int] | None, b: list[int] | None) -> list[int] | None:
    """What is left of the events that both had to let go of."""
    if a is None or b is None:
        return a if b is None else b
    return list(map(max, a, b))
