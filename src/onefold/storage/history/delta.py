"""History on Delta tables: Parquet files by day, sorted by person, that any engine of the format reads, too.

`events` holds the admitted events, `merges` who became whom, `moves` who entered and left audiences, `recasts`
whose events are since people were taken apart, `names` what events name. Each flush is one
commit of each of these, where there are any, and then one of `events`, which carries the cursor: history
has what `events` says. What was written before a crash and whose events were not is not written twice: merges are
recognised by their place, moves by the state's commit; names may be there twice.

Every row has a `part`, the cursor of the flush that wrote it, or, once files have become one, of the newest of these:
so a run of files is named by their parts, and replaced in one commit (`compaction`).
"""

import fcntl
import os
import threading
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date, timedelta
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from onefold.clock import Clock, SystemClock
from onefold.errors import NotFoundError, Superseded
from onefold.limits import DAY_MS, MIB
from onefold.model.delivery import commit_of
from onefold.model.past import EVERYTHING, Extent, Names, Past, PastMerge, PastMove, PastRecast
from onefold.ports import Connection
from onefold.storage.history import (
    arrow,
    audience_moves,
    compaction,
    layout,
    name_pairs,
    recast_events,
    standing,
    views,
)
from onefold.storage.history.audience_moves import BY_AUDIENCE
from onefold.storage.history.compaction import Piece
from onefold.storage.history.layout import EVENTS as EVENT_COLUMNS
from onefold.storage.history.layout import MERGES as MERGE_COLUMNS
from onefold.storage.history.layout import MOVES as MOVE_COLUMNS
from onefold.storage.history.layout import NAMES as NAME_COLUMNS
from onefold.storage.history.layout import RECASTS as RECAST_COLUMNS
from onefold.storage.history.scratch import Kept, Scratch
from onefold.storage.history.standing import Standing
from onefold.storage.history.table import Shape, Table, translated, types_of
from onefold.storage.history.views import quoted

_STORED = {"day": "DATE", "part": "BIGINT"} | EVENT_COLUMNS
_BY_PERSON = Kept(EVENT_COLUMNS, "profile, at_ms, tie")
EVENTS = Shape(
    types_of(_STORED),
    by_day=True,
    measured=("part", "partition", "position", "profile", "at_ms", "received_ms", "name"),
)
MERGES = Shape(types_of(MERGE_COLUMNS), by_day=False, measured=("at_ms",))

_LOCK = "writer.lock"
_RUN = 1_000
"""Events that become columns at once."""
_STANDING_AT_ONCE = 200_000
"""Moves that are written in one commit where moves begin."""
_MERGES_FILES_MAX = 64
_SELDOM_S = 3600.0
"""Between two looks for files that nobody reads any more."""


class Options(NamedTuple):
    """How history is kept."""

    storage: Mapping[str, str] = {}
    """Options of the table library for object storage: credentials, region, endpoint."""
    keep_days: Mapping[str, int] = {}
    """Name of an event → days after which it is forgotten; `*`: all that are not named, and moves."""
    file_bytes: int = 128 * MIB
    """Files are not made larger than this."""
    grace_hours: int = 2
    """Readers may go on reading files for so long after these were replaced."""
    memory: str = "1GB"
    """What DuckDB may use while it writes; it goes on on the disk beyond."""


_DEFAULTS = Options()


class Size(NamedTuple):
    """Of the events."""

    events: int
    files: int
    size_bytes: int


class DeltaHistory:
    """`ports.History`. Reading may be done by many threads, each call one after the other."""

    def __init__(
        self,
        location: str | Path,
        *,
        readonly: bool = False,
        options: Options = _DEFAULTS,
        clock: Clock | None = None,
    ) -> None:
        """Raises `NotFoundError` where there is no history yet and it is only to be read."""
        self._location = str(location)
        self._disk = None if "://" in self._location else Path(self._location)
        self._options = options
        self._clock = clock or SystemClock()
        self._lock = threading.RLock()
        self._writing: _Writing | None = None
        self._tables: _Tables | None = _Tables.open(self._location, options.storage) if readonly else None
        self._reading: tuple[tuple[int, ...], Connection] | None = None
        self._since: tuple[int, int | None] = (-1, None)
        """Of which snapshot of the moves it was asked since when they are there, and that."""
        self._vacuumed_s = -_SELDOM_S
        self._forgotten_day = 0

    # --- reading -------------------------------------------------------------------------------------------
    def cursor(self) -> int:
        """The number of the state's commit up to which all is here; 0: nothing yet."""
        with self._lock:
            return self._newest().events.cursor

    def of_profiles(self, profiles: Collection[int]) -> list[Past]:
        """Events that were these profiles' when they were admitted, in the order in which they happened."""
        with self._shown() as connection:
            read = recast_events.of_profiles if self._newest().recast else views.of_profiles
            return read(connection, profiles) if profiles else []

    def scan(self, extent: Extent = EVERYTHING) -> Iterator[list[Past]]:
        """The extent's events, by profile and then in the order in which they happened, some thousand at a time."""
        connection = self.connect()
        try:
            with translated(self._location):
                yield from views.scan(connection, extent)
        finally:
            connection.close()

    def merges(self, absorbed: Collection[int] | None = None) -> list[PastMerge]:
        """All merges, or those by which these profiles ended, in the order of log time."""
        with self._shown() as connection:
            return views.merges(connection, absorbed)

    def recasts(self) -> list[PastRecast]:
        """All of them, in the order in which they happened."""
        with self._shown() as connection:
            return views.recasts(connection)

    def moves_since(self) -> int | None:
        """The log time from which on all moves are here; None: none are."""
        with self._shown() as connection:
            moves = self._tables.moves if self._tables is not None else None
            if moves is None:
                return None
            if self._since[0] != moves.version:
                self._since = moves.version, views.moves_since(connection)
            return self._since[1]

    def moves_of(self, profiles: Collection[int]) -> list[PastMove]:
        """The moves of these profiles, in the order in which they happened."""
        with self._shown() as connection:
            return views.moves_of(connection, profiles)

    def connect(self, spill: str = "") -> Connection:
        """A DuckDB connection of one's own with `events`, `merges` and `moves` as of now."""
        with self._lock, translated(self._location):
            return self._newest().shown(spill)

    def uris(self) -> list[str]:
        """Where the files of the events lie."""
        with self._lock, translated(self._location):
            return self._newest().events.uris()

    def size(self) -> Size:
        """How much of it there is."""
        with self._lock, translated(self._location):
            files = self._newest().events.files()
            return Size(sum(file.rows for file in files), len(files), sum(file.size_bytes for file in files))

    def close(self) -> None:
        """Let go of files and connections, and of the writing."""
        with self._lock:
            if self._reading is not None:
                self._reading[1].close()
            if self._writing is not None:
                self._writing.close()
            self._reading = self._writing = self._tables = None

    # --- writing -------------------------------------------------------------------------------------------
    def try_hold(self) -> bool:
        """Be the one who writes. Object storage keeps nobody away: a second writer there fails at its next commit."""
        with self._lock:
            if self._writing is not None:
                return True
            lock = _locked(self._disk) if self._disk is not None else None
            if self._disk is not None and lock is None:
                return False
            self._tables = _Tables.open(self._location, self._options.storage, create=True)
            cursor = self._tables.events.cursor
            self._writing = _Writing(lock, Scratch(self._options.memory, self._disk, self._options.storage), cursor)
            self._stand(cursor)
            return True

    def begin_moves(self, standing: Iterable[PastMove]) -> None:
        """Write who is in which audience, as rows of today, in some commits of which the last says that it is all."""
        today = self._clock.now_ms() // DAY_MS
        with self._lock, translated(self._location):
            writing, tables = self._held()
            moves, left = tables.moves_there, iter(standing)
            begun = False
            while some := list(islice(left, _STANDING_AT_ONCE)):
                with writing.scratch.sorted(audience_moves.rows(some, writing.cursor, today), BY_AUDIENCE) as rows:
                    moves.add(rows) if begun else moves.replace(rows)
                begun = True

    def append(  # noqa: PLR0913, PLR0917 - what one commit carries
        self,
        pasts: Iterable[Past],
        merges: Sequence[PastMerge],
        cursor: int,
        moves: Sequence[PastMove] = (),
        recasts: Sequence[PastRecast] = (),
        names: Names | None = None,
    ) -> None:
        """Write these, exactly once, and go on to `cursor`."""
        with self._lock, translated(self._location):
            writing, tables = self._held()
            fresh = arrow.joined(_STORED, _runs(pasts, cursor))
            self._append_merges(merges, cursor)
            self._append_moves(moves, cursor)
            self._append_recasts(recasts, cursor)
            if names is not None and (found := name_pairs.rows(names)):
                tables.names_there.append(name_pairs.stored(found, cursor), cursor)
            with writing.scratch.sorted(fresh, _BY_PERSON) as rows:
                tables.events.append(rows, cursor)
            writing.cursor = cursor
            self._stand(cursor)

    def named_to(self, reading: int) -> int | None:
        """Before which day all events' names are there, read in this way; None: none were ever read so."""
        with self._shown() as connection:
            return name_pairs.complete_to(connection, reading)

    def keep_names(self, names: Names, day: int, *, anew: bool = False) -> None:
        """Add names of events that are there, and note from which day on they are still to be read."""
        with self._lock, translated(self._location):
            writing, tables = self._held()
            rows = name_pairs.stored(name_pairs.rows(names, day), writing.cursor)
            tables.names_there.replace(rows) if anew else tables.names_there.add(rows)

    def settled(self) -> int:
        """The cursor that no loss of power takes back."""
        return standing.read(self._disk).cursor if self._disk is not None else self.cursor()

    def tidy(self) -> bool:
        """Make one large file of many small ones, or forget what is past its time, or remove files nobody reads."""
        with self._lock, translated(self._location):
            _, tables = self._held()
            today = _day(self._clock.now_ms() // DAY_MS)
            for table, kept in ((tables.events, _BY_PERSON), (tables.moves_there, BY_AUDIENCE)):
                piece = compaction.choose(table.files(), self._options.file_bytes, today)
                if piece is not None:
                    self._rewrite(table, piece, kept)
                    return True
            piece = compaction.choose(tables.names_there.files(), self._options.file_bytes, "")
            if piece is not None:
                self._rewrite_names(tables.names_there, piece)
                return True
            if len(tables.merges.files()) > _MERGES_FILES_MAX:
                tables.merges.replace(arrow.table(MERGE_COLUMNS, layout.merge_columns(self.merges())))
                return True
            if len(tables.recasts_there.files()) > _MERGES_FILES_MAX:
                tables.recasts_there.replace(recast_events.rows(self.recasts()))
                return True
            return self._forget() or self._vacuum()

    def _append_merges(self, merges: Sequence[PastMerge], cursor: int) -> None:
        """Beyond the events' cursor merges may lie there from before a crash."""
        writing, tables = self._held()
        if merges and tables.merges.cursor > writing.cursor:
            there = {_place(merge) for merge in self.merges()}
            merges = [merge for merge in merges if _place(merge) not in there]
        if merges:
            tables.merges.append(arrow.table(MERGE_COLUMNS, layout.merge_columns(merges)), cursor)

    def _append_moves(self, moves: Sequence[PastMove], cursor: int) -> None:
        """All moves of a flush are one commit of their table: those up to its cursor are there from before a crash."""
        writing, tables = self._held()
        there = tables.moves_there.cursor
        fresh = [move for move in moves if commit_of(move.seq) > there]
        if fresh:
            with writing.scratch.sorted(audience_moves.rows(fresh, cursor), BY_AUDIENCE) as rows:
                tables.moves_there.append(rows, cursor)

    def _append_recasts(self, recasts: Sequence[PastRecast], cursor: int) -> None:
        """As moves: those up to the cursor of their table are there from before a crash."""
        _, tables = self._held()
        fresh = [recast for recast in recasts if commit_of(recast.seq) > tables.recasts_there.cursor]
        if fresh:
            tables.recasts_there.append(recast_events.rows(fresh), cursor)

    def _rewrite(self, table: Table, piece: Piece, kept: Kept) -> None:
        """Sort the rows of these files into as few as they fit."""
        writing, _ = self._held()
        rows = writing.scratch.merged(_of_piece(table, piece), piece.day, piece.until, kept)
        table.replace(rows, f"day = '{piece.day}' AND part >= {piece.since} AND part <= {piece.until}")

    def _rewrite_names(self, table: Table, piece: Piece) -> None:
        writing, _ = self._held()
        rows = writing.scratch.asked(name_pairs.merged(_of_piece(table, piece), piece.until))
        table.replace(rows, f"part >= {piece.since} AND part <= {piece.until}")

    def _forget(self) -> bool:
        """Once a day: remove what has been kept for long enough, by days of event time, and of log time for moves."""
        today = self._clock.now_ms() // DAY_MS
        if not self._options.keep_days or today == self._forgotten_day:
            return False
        self._forgotten_day = today
        _, tables = self._held()
        gone = [tables.events.delete(where) for where in forgettings(self._options.keep_days, today)]
        if any(gone):
            self._forget_names()
        if (kept := self._options.keep_days.get("*")) is not None:
            gone.append(self._forget_moves(today - kept))
        return any(gone)

    def _forget_moves(self, first_day: int) -> bool:
        """Remove what is before this day (since 1970), but for who was in then; whether there was anything."""
        since_ms, first_ms = self.moves_since(), first_day * DAY_MS
        if since_ms is None or since_ms >= first_ms:
            return False
        writing, tables = self._held()
        moves, first = tables.moves_there, _day(first_day)
        files = [uri for uri, file in moves.located() if file.day < first]
        stays = audience_moves.standing(files, first_ms, _day(first_day - 1), writing.cursor)
        moves.replace(writing.scratch.asked(stays), f"day < '{first}'")
        return True

    def _forget_names(self) -> None:
        """Remove the names of those who have no events any more."""
        writing, tables = self._held()
        if files := tables.names_there.uris():
            rows = name_pairs.remaining(files, tables.events.uris(), writing.cursor)
            tables.names_there.replace(writing.scratch.asked(rows))

    def _vacuum(self) -> bool:
        now_s = self._clock.monotonic_s()
        if now_s - self._vacuumed_s < _SELDOM_S:
            return False
        self._vacuumed_s = now_s
        _, tables = self._held()
        grace_hours = self._options.grace_hours
        gone = [table.vacuum(grace_hours) for table in tables.all()]
        return any(gone)

    # --- what is open --------------------------------------------------------------------------------------
    def _held(self) -> "tuple[_Writing, _Tables]":
        assert self._writing is not None, "try_hold comes first"
        assert self._tables is not None
        if self._disk is None and self._tables.events.refresh() and self._tables.events.cursor != self._writing.cursor:
            raise Superseded(f"another process writes history at {self._location}")
        return self._writing, self._tables

    def _newest(self) -> "_Tables":
        if self._tables is None:
            self._tables = _Tables.open(self._location, self._options.storage)
        if self._writing is None:
            self._tables = self._tables.newest()
        return self._tables

    def _stand(self, cursor: int) -> None:
        if self._disk is not None:
            standing.write(self._disk, Standing(cursor))

    @contextmanager
    def _shown(self) -> Iterator[Connection]:
        """The relations of now, on a connection that is kept until they have changed."""
        with self._lock, translated(self._location):
            tables = self._newest()
            if self._reading is None or self._reading[0] != tables.versions:
                if self._reading is not None:
                    self._reading[1].close()
                self._reading = (tables.versions, tables.shown())
            yield self._reading[1]


class _Tables(NamedTuple):
    """All tables, as of one snapshot each."""

    location: str
    options: Mapping[str, str]
    events: Table
    merges: Table
    moves: Table | None
    """None: an older Onefold has written this, and nobody since."""
    recasts: Table | None
    """The same."""
    names: Table | None
    """The same."""

    @classmethod
    def open(cls, location: str, options: Mapping[str, str], *, create: bool = False) -> "_Tables":
        events = Table(f"{location}/events", EVENTS, options, create=create)
        merges = Table(f"{location}/merges", MERGES, options, create=create)
        moves = _later("moves", audience_moves.SHAPE, location, options, create=create)
        recasts = _later("recasts", recast_events.SHAPE, location, options, create=create)
        names = _later("names", name_pairs.SHAPE, location, options, create=create)
        return cls(location, options, events, merges, moves, recasts, names)

    @property
    def moves_there(self) -> Table:
        """For who writes."""
        assert self.moves is not None
        return self.moves

    @property
    def recasts_there(self) -> Table:
        """For who writes."""
        assert self.recasts is not None
        return self.recasts

    @property
    def names_there(self) -> Table:
        """For who writes."""
        assert self.names is not None
        return self.names

    @property
    def recast(self) -> bool:
        """Whether anybody was ever taken apart."""
        return self.recasts is not None and self.recasts.cursor > 0

    @property
    def versions(self) -> tuple[int, ...]:
        return tuple(table.version for table in self.all())

    def all(self) -> list[Table]:
        tables = (self.events, self.merges, self.moves, self.recasts, self.names)
        return [table for table in tables if table is not None]

    def newest(self) -> "_Tables":
        """The newest snapshot; events first, so that nothing is missing of an event that is there."""
        for table in self.all():
            table.refresh()
        if self.moves is not None and self.recasts is not None and self.names is not None:
            return self
        return _Tables.open(self.location, self.options)

    def shown(self, spill: str = "") -> Connection:
        """A DuckDB that shows them."""
        connection = views.opened(spill)
        if "://" in self.location:
            views.reach(connection, self.options)
        files: list[str] = []
        events, merges = recast_events.names(recast=self.recast)
        for name, columns, table in (
            (events, EVENT_COLUMNS, self.events),
            (merges, MERGE_COLUMNS, self.merges),
            ("moves", MOVE_COLUMNS, self.moves),
            ("recasts", RECAST_COLUMNS, self.recasts),
            ("names", NAME_COLUMNS, self.names),
        ):
            uris = [] if table is None else table.uris()
            views.show(connection, name, columns, uris)
            files += uris
        recast_events.show(connection, recast=self.recast)
        views.seal(connection, files)
        return connection


def _later(name: str, shape: Shape, location: str, options: Mapping[str, str], *, create: bool) -> Table | None:
    """A table that older Onefolds did not have."""
    try:
        return Table(f"{location}/{name}", shape, options, create=create)
    except NotFoundError:
        return None


class _Writing:
    """What the one who writes has."""

    def __init__(self, lock: int | None, scratch: Scratch, cursor: int) -> None:
        self.scratch = scratch
        self.cursor = cursor
        self._lock = lock

    def close(self) -> None:
        self.scratch.close()
        if self._lock is not None:
            os.close(self._lock)


def _runs(pasts: Iterable[Past], part: int) -> Iterator[list[list[Any]]]:
    """Events as the table keeps them, in columns, a run at a time: each is touched while it is near, and let go of."""
    left = iter(pasts)
    while some := list(islice(left, _RUN)):
        days = [past.at_ms // DAY_MS for past in some]
        yield [days, [part] * len(some), *layout.columns(some)]


def forgettings(keep_days: Mapping[str, int], today: int) -> list[str]:
    """The conditions under which events are forgotten today (days since 1970): whole days of event time."""
    days = {name: days for name, days in keep_days.items() if name != "*"}
    conditions = [f"day < '{_day(today - kept)}' AND name = {quoted(name)}" for name, kept in days.items()]
    if (kept := keep_days.get("*")) is not None:
        others = "".join(f" AND name <> {quoted(name)}" for name in days)
        conditions.append(f"day < '{_day(today - kept)}'{others}")
    return conditions


def _day(day: int) -> str:
    return (date(1970, 1, 1) + timedelta(days=day)).isoformat()


def _of_piece(table: Table, piece: Piece) -> list[str]:
    """Where its files lie."""
    return [uri for uri, file in table.located() if piece.has(file)]


def _place(merge: PastMerge) -> tuple[int, int, int]:
    return merge.partition, merge.position, merge.absorbed


def _locked(directory: Path) -> int | None:
    """The lock of the directory, to be closed; None: another process has it."""
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    descriptor = os.open(directory / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor
