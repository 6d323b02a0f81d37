"""How much a commit may fold while others commit to the same state: as much as comes through.

The larger a commit is, the longer it takes to make, and again to mend, and the more people others may touch meanwhile.
One that they outpace time and again would never come through, however often it is tried: it is given up and
made half as large. Whoever has a backlog beside a worker that commits little and often is held up no longer than that.
"""

from onefold.limits import STEP_MAX_EVENTS

MOST_EVENTS = 16_000
"""The more, the more people a commit has in common with others' commits."""
LEAST_EVENTS = 200
"""Commits of this size are made and mended about as fast as those that are folded as events come."""
MENDS = 2
"""After so many in vain a commit is given up."""
COMMITS = 10
"""For so many commits after a conflict another one is expected."""
LARGE_EVENTS = 1_000
"""A commit of so many is too dear to be made ready in vain, or to be folded again as a whole."""


class Contention:
    """What one fold has seen of others' commits."""

    def __init__(self, *, alone: bool) -> None:
        """`alone`: nobody else is expected to commit."""
        self.alone = alone
        self._expected_commits = 0 if alone else COMMITS
        self._most_events = MOST_EVENTS
        self.conflicts = 0

    @property
    def expected(self) -> bool:
        """Whether others may be faster."""
        return self._expected_commits > 0 or not self.alone

    def is_dear(self, events: int) -> bool:
        """Whether a commit of so many events should not be refused, when others may be faster."""
        return self.expected and events >= LARGE_EVENTS

    def is_awaited(self, events: int) -> bool:
        """Whether a commit of so many events is waited for: it can be mended while nothing is folded on it."""
        return self._expected_commits > 0 or self.is_dear(events)

    def most_events(self) -> int:
        """What the next commit may fold."""
        return self._most_events if self.expected else STEP_MAX_EVENTS

    def overtaken(self) -> None:
        """Others were faster."""
        self.conflicts += 1
        self._expected_commits = COMMITS

    def outpaced(self, events: int, mends: int) -> bool:
        """Whether a commit of so many events, mended so often in vain, is given up; the next is smaller then."""
        if mends < MENDS or events <= LEAST_EVENTS:
            return False
        self._most_events = max(LEAST_EVENTS, events // 2)
        return True

    def committed(self, events: int, mends: int) -> None:
        """A commit came through. One that was as large as it might be, and never overtaken, may be larger now."""
        if not mends and 2 * events >= self._most_events:
            self._most_events = min(MOST_EVENTS, 2 * self._most_events)

    def folded(self) -> None:
        """One more went well."""
        self._expected_commits = max(0, self._expected_commits - 1)
