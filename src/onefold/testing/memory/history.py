"""History in memory: lists of what was appended, which SQL sees in a DuckDB that is made anew for each who connects."""

from collections.abc import Collection, Iterable, Iterator, Sequence

from msgspec import structs

from onefold.model.past import EVERYTHING, Extent, Names, Past, PastMerge, PastMove, PastRecast, ended, signed
from onefold.ports import Connection
from onefold.storage.history import layout, name_pairs, recast_events, views


class MemoryHistory:
    """`ports.History`; every event and merge may also be given at once."""

    def __init__(self, pasts: Iterable[Past] = (), merges: Iterable[PastMerge] = (), cursor: int = 0) -> None:
        self._pasts = list(pasts)
        self._merges = list(merges)
        self._moves: list[PastMove] = []
        self._recasts: list[PastRecast] = []
        self._names: list[name_pairs.Row] = []
        self._cursor = cursor

    def try_hold(self) -> bool:
        """Nobody else can reach it."""
        return True

    def cursor(self) -> int:
        """The number of the commit up to which all is here."""
        return self._cursor

    def settled(self) -> int:
        """The same: there is no power to lose."""
        return self._cursor

    def begin_moves(self, standing: Iterable[PastMove]) -> None:
        """Keep moves from now on."""
        self._moves = list(standing)

    def append(  # noqa: PLR0913, PLR0917 - what one commit carries
        self,
        pasts: Iterable[Past],
        merges: Sequence[PastMerge],
        cursor: int,
        moves: Sequence[PastMove] = (),
        recasts: Sequence[PastRecast] = (),
        names: Names | None = None,
    ) -> None:
        """Keep these events, merges, moves and recasts."""
        self._pasts += list(pasts)
        self._merges += merges
        self._moves += moves
        self._recasts += recasts
        self._names += [] if names is None else name_pairs.rows(names)
        self._cursor = cursor

    def named_to(self, reading: int) -> int | None:
        """Before which day all events' names are there, read in this way; None: none were ever read so."""
        days = (day for each, profile, day in self._names if day is not None and (each, profile) == (reading, 0))
        return max(days, default=None)

    def keep_names(self, names: Names, day: int, *, anew: bool = False) -> None:
        """Add names of events that are there, and note from which day on they are still to be read."""
        self._names = [*([] if anew else self._names), *name_pairs.rows(names, day)]

    def of_profiles(self, profiles: Collection[int]) -> list[Past]:
        """Events that were these profiles' when they were admitted, in the order in which they happened."""
        wanted = frozenset(profiles)
        return sorted((past for past in self._owned() if past.profile in wanted), key=lambda past: past.order)

    def _owned(self) -> Iterator[Past]:
        """All events, each with whose it is since the last recast of it."""
        recasts = sorted(self._recasts, key=lambda each: each.seq)
        owners = {(each.event_partition, each.event_position): each.profile for each in recasts}
        for past in self._pasts:
            owner = owners.get((past.partition, past.position), past.profile)
            if owner:  # Others have become nobody's.
                yield structs.replace(past, profile=owner)

    def scan(self, extent: Extent = EVERYTHING) -> Iterator[list[Past]]:
        """The extent's events, by profile and then in the order in which they happened."""
        found = [past for past in self._owned() if _within(past, extent)]
        if found:
            yield sorted(found, key=lambda past: (signed(past.profile), *past.order))

    def merges(self, absorbed: Collection[int] | None = None) -> list[PastMerge]:
        """All merges, or those by which these profiles ended, in the order of log time."""
        found = [merge for merge in self._merges if absorbed is None or merge.absorbed in absorbed]
        found = ended(found, self._recasts)
        return sorted(found, key=lambda merge: (merge.at_ms, merge.partition, merge.position, merge.absorbed))

    def recasts(self) -> list[PastRecast]:
        """All of them, in the order in which they happened."""
        return sorted(self._recasts, key=lambda each: (each.seq, each.event_partition, each.event_position))

    def moves_since(self) -> int | None:
        """The log time from which on all moves are here; None: none are."""
        return max((move.at_ms for move in self._moves if not move.profile), default=None)

    def moves_of(self, profiles: Collection[int]) -> list[PastMove]:
        """The moves of these profiles, in the order in which they happened."""
        return sorted((move for move in self._moves if move.profile in profiles), key=lambda move: move.seq)

    def connect(self, spill: str = "") -> Connection:
        """A DuckDB in memory with all relations as of now."""
        recast = bool(self._recasts)
        events, merges = recast_events.names(recast=recast)
        connection = views.opened(spill)
        views.declare(connection, events, layout.EVENTS, layout.columns(self._pasts))
        views.declare(connection, merges, layout.MERGES, layout.merge_columns(self._merges))
        views.declare(connection, "moves", layout.MOVES, layout.move_columns(self._moves))
        views.declare(connection, "names", layout.NAMES, name_pairs.columns(self._names))
        rows = layout.recast_columns(self._recasts)
        views.declare(connection, "recasts", layout.RECASTS, rows if recast else ())
        recast_events.show(connection, recast=recast)
        views.seal(connection, ())
        return connection

    def tidy(self) -> bool:
        """Nothing to tidy."""
        return False

    def close(self) -> None:
        """Nothing to let go of; what was appended stays readable."""


def _within(past: Past, extent: Extent) -> bool:
    named = extent.names is None or past.name in extent.names
    placed = extent.before is None or past.position < extent.before.get(past.partition, -1)
    return named and placed and extent.since_ms <= past.at_ms < extent.until_ms
