"""The history role of a simulation: the real historian and backfill over tables in memory that fail on command.

What was appended stays when the process dies; what it had gathered does not.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence

from onefold.clock import Clock
from onefold.model.past import EVERYTHING, Extent, Names, Past, PastMerge, PastMove, PastRecast
from onefold.ports import Connection
from onefold.runtime.backfill.backfill import Backfill, Engines, Versions
from onefold.runtime.history.writing import Historian, Sources
from onefold.testing.memory.history import MemoryHistory
from onefold.testing.simulation.faults import Fate, FaultyLog, FaultyState

_FLUSH_S = 0.5
"""Some turns, so that a crash loses something that was gathered."""
_AT_ONCE = 2
"""People that one entry brings: few, so that there are many entries to crash between."""


class FaultyHistory:
    """One process's handle on the tables that outlive it; `ports.History`."""

    def __init__(self, tables: MemoryHistory, fate: Fate, who: str) -> None:
        self._tables = tables
        self._fate = fate
        self._who = who

    def try_hold(self) -> bool:
        """There is one role of this kind."""
        return self._tables.try_hold()

    def cursor(self) -> int:
        """As `HistoryReader.cursor`."""
        return self._tables.cursor()

    def settled(self) -> int:
        """As `History.settled`."""
        return self._tables.settled()

    def begin_moves(self, standing: Iterable[PastMove]) -> None:
        """As `History.begin_moves`."""
        where = f"{self._who}: begin moves"
        gathered = list(standing)
        self._fate.disturb(where)
        self._tables.begin_moves(gathered)
        self._fate.disturb(where + " done")

    def append(  # noqa: PLR0913, PLR0917 - what one commit carries
        self,
        pasts: Iterable[Past],
        merges: Sequence[PastMerge],
        cursor: int,
        moves: Sequence[PastMove] = (),
        recasts: Sequence[PastRecast] = (),
        names: Names | None = None,
    ) -> None:
        """As `History.append`: all of it and the cursor, or nothing."""
        where = f"{self._who}: append to history"
        gathered = list(pasts)
        self._fate.disturb(where)
        self._fate.before_write(where)
        self._tables.append(gathered, merges, cursor, moves, recasts, names)
        self._fate.disturb(where + " done")

    def named_to(self, reading: int) -> int | None:
        """As `History.named_to`."""
        return self._tables.named_to(reading)

    def keep_names(self, names: Names, day: int, *, anew: bool = False) -> None:
        """As `History.keep_names`: all of it, or nothing."""
        where = f"{self._who}: keep names"
        self._fate.disturb(where)
        self._tables.keep_names(names, day, anew=anew)
        self._fate.disturb(where + " done")

    def of_profiles(self, profiles: Collection[int]) -> list[Past]:
        """As `HistoryReader.of_profiles`."""
        return self._tables.of_profiles(profiles)

    def scan(self, extent: Extent = EVERYTHING) -> Iterator[list[Past]]:
        """As `HistoryReader.scan`."""
        return self._tables.scan(extent)

    def merges(self, absorbed: Collection[int] | None = None) -> list[PastMerge]:
        """As `HistoryReader.merges`."""
        return self._tables.merges(absorbed)

    def recasts(self) -> list[PastRecast]:
        """As `HistoryReader.recasts`."""
        return self._tables.recasts()

    def moves_since(self) -> int | None:
        """As `HistoryReader.moves_since`."""
        return self._tables.moves_since()

    def moves_of(self, profiles: Collection[int]) -> list[PastMove]:
        """As `HistoryReader.moves_of`."""
        return self._tables.moves_of(profiles)

    def connect(self, spill: str = "") -> Connection:
        """As `HistoryReader.connect`."""
        self._fate.disturb(f"{self._who}: ask history")
        return self._tables.connect(spill)

    def tidy(self) -> bool:
        """Nothing to tidy."""
        return self._tables.tidy()

    def close(self) -> None:
        """Nothing to let go of."""


class Chronicle:
    """The role as a process."""

    def __init__(
        self, log: FaultyLog, state: FaultyState, catalog: Versions, history: FaultyHistory, clock: Clock
    ) -> None:
        self._historian = Historian(Sources(state, log), history, clock, _FLUSH_S)
        self._backfill = Backfill(Engines(log, state, catalog, history), clock, at_once=_AT_ONCE)

    def turn(self) -> bool:
        """As the role's own loop; whether there was anything to do."""
        more = self._historian.turn(self._backfill.wanted)
        return self._backfill.turn() or more
