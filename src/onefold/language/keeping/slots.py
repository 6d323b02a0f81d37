"""How a profile keeps what definitions need of its events: how two states become one, and what time does to them."""

from typing import Any, Protocol

from onefold.language import nodes as n
from onefold.language.keeping import windows
from onefold.language.keeping.aggregates import Monoid
from onefold.language.keeping.calendars import Calendar, calendar_of
from onefold.language.keeping.monoids import monoid_of
from onefold.language.keeping.sequences import chain_of
from onefold.language.keeping.stretches import Between
from onefold.limits import NEVER_MS

State = Any


class Keeping(Protocol):
    """The state of one slot. Merging is commutative and associative, within the bounds of each kind of state."""

    expires: bool
    """Whether time takes something out of the state."""

    def merge(self, a: State, b: State) -> State:
        """The state of both; they may be reused, and must not be used again."""
        ...

    def expire(self, state: State, now_ms: int) -> bool:
        """Drop what time has taken out by now; True where that may have changed the value. Only if `expires`."""
        ...

    def is_empty(self, state: State) -> bool:
        """Nothing is left of it: the slot can go."""
        ...

    def due_ms(self, state: State) -> int:
        """No later than when `expire` next drops something; NEVER_MS where values arm their profile themselves."""
        ...


class Lifetime:
    """An aggregate over all events."""

    expires = False

    def __init__(self, monoid: Monoid) -> None:
        self.monoid = monoid
        self.merge = monoid.combine

    def expire(self, state: State, now_ms: int) -> bool:  # noqa: ARG002 - as the protocol says
        """Nothing ever leaves."""
        return False

    def is_empty(self, state: State) -> bool:  # noqa: ARG002 - as the protocol says
        """It never is."""
        return False

    def due_ms(self, state: State) -> int:  # noqa: ARG002 - as the protocol says
        """Never."""
        return NEVER_MS


class Sliding:
    """An aggregate over the events of the last `within_ms`."""

    expires = True

    def __init__(self, monoid: Monoid, within_ms: int) -> None:
        self.monoid = monoid
        self.within_ms = within_ms

    def merge(self, a: State, b: State) -> State:
        """One window over the events of both."""
        return windows.merge(a, b, self.monoid, self.within_ms)

    def expire(self, state: State, now_ms: int) -> bool:
        """Drop the panes that have left."""
        return windows.expire(state, now_ms, self.within_ms, self.monoid)

    def is_empty(self, state: State) -> bool:
        """No pane is left."""
        return not windows.size(state)

    def due_ms(self, state: State) -> int:
        """When the oldest pane leaves."""
        return windows.next_expiry_ms(state, self.within_ms)


class ByCalendar:
    """An aggregate over the events of a calendar period."""

    expires = True

    def __init__(self, calendar: Calendar) -> None:
        self.calendar = calendar
        self.merge = calendar.merge

    def expire(self, state: State, now_ms: int) -> bool:
        """Drop what is older than any window to come; the value is judged with whatever moves with time."""
        self.calendar.expire(state, now_ms)
        return False

    def is_empty(self, state: State) -> bool:
        """Nothing is left."""
        return self.calendar.is_empty(state)

    def due_ms(self, state: State) -> int:  # noqa: ARG002 - as the protocol says
        """The value arms the profile."""
        return NEVER_MS


def keeping_of(kept: n.Kept, workspace_zone: str, *, counted: bool = True) -> Keeping:
    """How the state of a checked node is kept. `counted`: of a sequence, somebody asks how often it was completed."""
    if isinstance(kept, n.Sequence):
        return chain_of(kept, counted=counted)
    monoid = monoid_of(kept)
    if kept.calendar is not None:
        return ByCalendar(calendar_of(kept, monoid, workspace_zone))
    if kept.within_ms is None:
        return Lifetime(monoid)
    return Sliding(monoid, kept.within_ms) if kept.until_ms is None else Between(monoid, kept.within_ms, kept.until_ms)
