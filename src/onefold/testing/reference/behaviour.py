"""What people did, in the slowest and plainest way: windows, days, sessions and sequences over the whole history.

Like `reference`, of which it is a part, it shares no code with what it is held against but the tree.
"""

import statistics
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, date, datetime, timedelta
from fractions import Fraction
from typing import Any, Protocol
from zoneinfo import ZoneInfo

from onefold.language import nodes as n

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MS = timedelta(milliseconds=1)
_DAY = timedelta(days=1)
_SESSION_GAP_MS = 30 * 60 * 1000
_DAY_MS = 24 * 60 * 60 * 1000
_SQUARED_MAX = 1e140


class Happened(Protocol):
    """An event, as far as its time matters."""

    @property
    def at_ms(self) -> int:
        """When it happened."""
        ...

    @property
    def name(self) -> str:
        """The name that definitions give it."""
        ...


# --- windows -----------------------------------------------------------------------------------------------
def in_window(node: n.Aggregate, at_ms: int, now_ms: int, zone: str) -> bool:
    """Whether an event of this time is in the aggregate's window at an instant. `zone`: whose calendar it is."""
    if at_ms > now_ms:
        return False
    if node.calendar is not None:
        kind, ago = n.CALENDARS[node.calendar]
        wanted = period(kind, now_ms, zone)
        if ago:
            wanted = before(kind, wanted)
        return period(kind, at_ms, zone) == wanted
    return (node.within_ms is None or at_ms > now_ms - node.within_ms) and at_ms <= now_ms - (node.until_ms or 0)


def day(at_ms: int, zone: str) -> date:
    """The local date of an instant."""
    return (_EPOCH + at_ms * _MS).astimezone(ZoneInfo(zone)).date()


def period(kind: str, at_ms: int, zone: str) -> date:
    """The first day of the period that an instant lies in."""
    return first_day(kind, day(at_ms, zone))


def first_day(kind: str, of: date) -> date:
    """The first day of the period that a day lies in."""
    match kind:
        case "day":
            return of
        case "week":
            return of - of.weekday() * _DAY
        case "month":
            return of.replace(day=1)
        case "quarter":
            return of.replace(month=of.month - (of.month - 1) % 3, day=1)
    return of.replace(month=1, day=1)


def before(kind: str, first: date) -> date:
    """The first day of the period before the one that begins on this day."""
    return first_day(kind, first - _DAY)


# --- aggregates --------------------------------------------------------------------------------------------
def active(node: n.Aggregate, times_ms: Iterable[int], now_ms: int, zone: str) -> int:
    """`days_active`, `streak` and `longest_streak`."""
    kind = node.per or "day"
    found = {period(kind, at_ms, zone) for at_ms in times_ms}
    if node.function == "days_active":
        return len(found)
    if node.function == "longest_streak":
        return max((_run(kind, first, found) for first in found), default=0)
    today = period(kind, now_ms, zone)
    return _run(kind, today, found) or _run(kind, before(kind, today), found)


def _run(kind: str, last: date, found: set[date]) -> int:
    """How many periods in a row up to this one."""
    length = 0
    while last in found:
        length += 1
        last = before(kind, last)
    return length


def sessions(node: n.Aggregate, times_ms: Iterable[int]) -> Any:
    """`session_count`, `session_length` and `session_time`."""
    found: list[list[int]] = []
    for at_ms in sorted(times_ms):
        if found and at_ms - found[-1][-1] < (node.every_ms or _SESSION_GAP_MS):
            found[-1].append(at_ms)
        else:
            found.append([at_ms])
    whole_ms = sum(each[-1] - each[0] for each in found)
    match node.function:
        case "session_count":
            return len(found)
        case "session_time":
            return whole_ms / 1000
    return whole_ms / (1000 * len(found)) if found else None


def time_since(node: n.Aggregate, times_ms: Sequence[int], now_ms: int) -> int | None:
    """Whole units since the latest."""
    return (now_ms - max(times_ms)) // (node.every_ms or _DAY_MS) if times_ms else None


def percentile(numbers: list[Any], percentage: float) -> Any:
    """The smallest number that so many percent of all do not exceed."""
    wanted = Fraction(str(percentage)) * len(numbers) / 100
    return next((x for x in sorted(numbers) if sum(y <= x for y in numbers) >= wanted), None)


def stddev(numbers: list[Any]) -> float | None:
    """Of the population, correctly rounded."""
    counted = [number for number in numbers if abs(number) <= _SQUARED_MAX]
    return statistics.pstdev(counted) if counted else None


# --- sequences ---------------------------------------------------------------------------------------------
Is = Callable[[n.Step, Any], bool]
"""Whether an event is this step, by its name and `where=`."""


def completions(node: n.Sequence, events: Iterable[tuple[Happened, Any]], now_ms: int, is_step: Is) -> int:
    """How many events complete the sequence. Each event comes with its value of `same=`, None for one that has none."""
    looked_at = [
        (event, same)
        for event, same in events
        if event.at_ms <= now_ms
        and (node.during_ms is None or event.at_ms > now_ms - node.during_ms)
        and (node.same is None or same is not None)
    ]
    groups: dict[Any, list[Happened]] = {}
    for event, same in looked_at:
        groups.setdefault(None if node.same is None else same, []).append(event)
    return sum(_Brute(node, group, now_ms, is_step).count() for group in groups.values())


class _Brute:
    """Tries every choice of events."""

    def __init__(self, node: n.Sequence, events: list[Happened], now_ms: int, is_step: Is) -> None:
        self.node, self.events, self.now_ms, self.is_step = node, events, now_ms, is_step
        last = max(i for i, step in enumerate(node.steps) if not step.negated)
        self.steps, self.silent = node.steps[: last + 1], node.steps[last + 1 :]

    def count(self) -> int:
        return sum(self._completes(event) for event in self.events)

    def _completes(self, event: Happened) -> bool:
        if not self.is_step(self.steps[-1], event):
            return False
        for step in self.silent:
            over_ms = event.at_ms + (step.within_ms or 0)
            if self.now_ms < over_ms or self._any(step, event.at_ms, over_ms):
                return False
        return any(
            self.node.within_ms is None or event.at_ms - begin_ms < self.node.within_ms
            for begin_ms in self._begins(len(self.steps) - 1, event)
        )

    def _begins(self, number: int, event: Happened) -> Iterable[int]:
        """When the chains begin that end with this event as the step of this number."""
        if number == 0:
            yield event.at_ms
            return
        previous = max(i for i in range(number) if not self.steps[i].negated)
        unwanted, within_ms = self.steps[previous + 1 : number], self.steps[number].within_ms
        for earlier in self.events:
            if not earlier.at_ms < event.at_ms or not self.is_step(self.steps[previous], earlier):
                continue
            if within_ms is not None and event.at_ms - earlier.at_ms >= within_ms:
                continue
            if not any(self._any(step, earlier.at_ms, event.at_ms) for step in unwanted):
                yield from self._begins(previous, earlier)

    def _any(self, step: n.Step, after_ms: int, before_ms: int) -> bool:
        return any(after_ms < event.at_ms < before_ms and self.is_step(step, event) for event in self.events)
