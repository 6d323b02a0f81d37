"""Retention: now and then, forget log records and effects that are old and that nobody needs any more.

A record may go once it is folded, delivered and in history; a commit's effects once every destination, history and
matching have taken them. Of the effects hardly more is read than the first of each commit: within a partition instants
and positions of effects ascend.
"""

from collections.abc import Callable, Iterator
from itertools import islice

import structlog

from onefold.clock import Clock
from onefold.errors import StorageError
from onefold.model import effect
from onefold.model.position import split
from onefold.ports import Commit, Deliveries, State, TrimmingWriter
from onefold.ports import Retention as LogRetention
from onefold.settings import Settings

_EVERY_S = 10.0
_LOOK_BYTES = 256 * 1024
_LOOK_COMMITS = 64
"""So many commits are looked through for the first of each partition."""

log = structlog.get_logger("retention")


def taken_by_all(deliveries: Deliveries, *followers: Callable[[], int | None]) -> int:
    """No destination, and none of these, needs effects of commits up to this one again; None: it follows no effects."""
    taken = (follower() for follower in followers)
    return min([deliveries.low_water(), *(commit for commit in taken if commit is not None)])


class Retention:
    """Runs in the worker of the first partition, which writes log and state anyway."""

    def __init__(
        self, settings: Settings, writer: TrimmingWriter, state: State, taken: Callable[[], int], clock: Clock
    ) -> None:
        """`taken`: nobody needs effects of commits up to this one again."""
        self._settings = settings
        self._writer = writer
        self._state = state
        self._taken = taken
        self._clock = clock
        self._next_s = clock.monotonic_s() + _EVERY_S

    def now_and_then(self) -> None:
        """Trim if it is time to; trouble is logged, since folding must go on."""
        now_s = self._clock.monotonic_s()
        if now_s < self._next_s:
            return
        self._next_s = now_s + _EVERY_S
        try:
            self.trim()
        except StorageError as error:
            log.warning("could not trim", error=str(error))

    def trim(self) -> None:
        """Remove what is past its time and needed by nobody."""
        self._trim_effects()
        needed = self._first_needed()
        retention = LogRetention(self._settings.log_retention_s * 1000, self._settings.log_retention_bytes)
        for partition, offset in needed.items():
            self._writer.trim(partition, offset, retention)

    def _trim_effects(self) -> None:
        """Forget the effects of commits that are old and that every destination has taken."""
        before = self._first_kept(self._clock.now_ms() - self._settings.effects_retention_s * 1000, self._taken())
        if before:
            self._state.trim_effects(before)

    def _first_kept(self, old_ms: int, taken: int) -> int:
        """No commit below this number is needed, or has an effect younger than that; 0: there is none."""
        before = 0
        latest: dict[int, Commit] = {}
        for commit in self._look():
            if commit.number > taken or effect.first(commit.effects).at_ms > old_ms:
                break
            latest[commit.partition] = commit
            before = commit.number + 1
        # What comes before another commit of its partition is as old as that one's first effect, or older.
        return min([before, *(one.number for one in latest.values() if effect.decode(one.effects)[-1].at_ms > old_ms)])

    def _look(self) -> Iterator[Commit]:
        after = 0
        while commits := self._state.commits(after, _LOOK_BYTES):
            yield from commits
            after = commits[-1].number

    def _first_needed(self) -> dict[int, int]:
        """Partition → offset of the first record that an effect still points to, or that is not folded yet.

        Effects follow their partition's order, so the first commit of a partition that is kept has the oldest ones.
        A partition that is not among the first commits is left alone this time.
        """
        # These first: what is folded while effects are looked through has effects that were not seen.
        cursors = {p: self._state.cursor(p).offset for p in range(self._writer.partitions)}
        first: dict[int, int] = {}
        for commit in islice(self._look(), _LOOK_COMMITS):
            if commit.partition not in first:
                first[commit.partition] = split(effect.first(commit.effects).position)[0]
            if len(first) == self._writer.partitions:
                break
        return {p: min(offset, cursors[p]) for p, offset in first.items()} if first else cursors
