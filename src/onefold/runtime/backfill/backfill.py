"""Backfill: definitions that are to come are computed over history, and join the live stream at one log position.

`Definitions.coming` says what is to be in force next. From the entry on that put such a version into force, each
partition gathers the new aggregates from its events, and nobody is judged by them. What happened before that entry is
in history: it is computed here, person by person, and written into the log (`Backfilled`), so that folding the log
again gives the same state without any history. When every partition has all of it, the definitions that were to come
are put into force as the next version.

Where it stands lies in the cursors alone: whoever goes on after a crash goes on from there.
"""

from collections.abc import Iterable, Iterator
from itertools import groupby
from operator import itemgetter
from typing import NamedTuple, Protocol

import structlog

from onefold.clock import Clock
from onefold.core.gather import Gathered, add_past, gather
from onefold.core.identity.identifiers import Finder
from onefold.errors import Conflict, StorageError
from onefold.language.reading.check import Checked
from onefold.language.stream.compile import compile_definitions
from onefold.language.stream.program import Program
from onefold.limits import BACKFILL_AHEAD, BACKFILL_MAX_ACCOUNTS, BACKFILL_MAX_BYTES, BACKFILL_MAX_PROFILES
from onefold.model import entry as entries
from onefold.model.account import LINK
from onefold.model.catalog import VersionRow
from onefold.model.changes import Cursor
from onefold.model.definitions import Definitions
from onefold.model.entry import PROFILE_ID_MAX, AccountPasts, Backfilled, States
from onefold.model.position import position, show
from onefold.ports import HistoryReader, LogWriter, State
from onefold.runtime.backfill.past import people, wanted
from onefold.runtime.backfill.plan import missing

log = structlog.get_logger("backfill")


class Versions(Protocol):
    """What a backfill asks of the catalog (`ports.Catalog`)."""

    def generation(self) -> int:
        """A number that changes whenever anything has changed."""
        ...

    def definitions(self, version: int | None = None) -> Definitions:
        """The definitions of a version; None: the latest."""
        ...

    def versions(self) -> list[VersionRow]:
        """Who saved which version."""
        ...

    def save_definitions(self, definitions: Definitions, author: str, *, base: int | None = None) -> Definitions:
        """Keep a new version; `Conflict` where the latest is not `base`."""
        ...

    def backfill_paused(self) -> bool:
        """Whether somebody has asked that nothing be computed for now."""
        ...


class Engines(NamedTuple):
    """What a backfill joins."""

    writer: LogWriter
    state: State
    catalog: Versions
    history: HistoryReader


class Backfill:
    """Does what there is to do for the definitions that are to come; a turn is short."""

    def __init__(self, engines: Engines, clock: Clock, *, at_once: int = BACKFILL_MAX_PROFILES) -> None:
        """`at_once`: so many people at the most are brought by one entry."""
        self._writer, self._state, self._catalog, self._history = engines
        self._clock = clock
        self._at_once = at_once
        self._generation = -1
        self._definitions = Definitions()
        self._work: _Work | None = None

    @property
    def coming(self) -> bool:
        """Whether definitions are to come."""
        return self._definitions.coming is not None

    @property
    def wanted(self) -> int:
        """The commit that history must have before anything can be computed; 0: none."""
        return self._work.needs if self._work else 0

    def turn(self) -> bool:
        """Compute a little; whether there was anything to do."""
        definitions = self._latest()
        if definitions.coming is None:
            self._work = None
            return False
        cursors = [self._state.cursor(partition) for partition in range(self._writer.partitions)]
        if self._catalog.backfill_paused() or any(cursor.version != definitions.version for cursor in cursors):
            return False
        if self._work is None or self._work.version != definitions.version:
            rules = self._state.rules(cursors[0].rules)
            self._work = _Work(definitions, cursors, self._state.newest(), Finder(rules))
        if not self._has_all(self._work.needs):
            return False
        if all(cursor.filled < 0 for cursor in cursors):
            self._put_into_force(definitions)
            return True
        work, lacking = self._work, [home for home, cursor in enumerate(cursors) if cursor.filled >= 0]
        return sum(self._fill(work, home, cursors[home]) for home in lacking) > 0

    def _has_all(self, newest: int) -> bool:
        """Whether history has what commits up to this one have admitted; many of them have admitted nothing."""
        left = self._state.commits(self._history.cursor(), 1)
        return not left or left[0].number > newest

    def _latest(self) -> Definitions:
        generation = self._catalog.generation()
        if generation != self._generation:
            self._definitions = self._catalog.definitions()
            self._generation = generation
        return self._definitions

    def _fill(self, work: "_Work", home: int, cursor: Cursor) -> bool:
        """Write the next people of one partition, as far as it keeps up; whether anything was written."""
        line = work.lines.get(home)
        if line is None or line.lost(cursor):
            line = work.lines[home] = _Line(work, self._history, home, cursor, self._at_once)
        if not line.may_write(cursor):
            return False
        try:
            after, upto, states, accounts = next(line.chunks)
        except StorageError:
            del work.lines[home]  # It has nothing more: the next attempt begins anew where the cursor stands.
            raise
        entry = Backfilled(self._clock.now_ms(), work.version, after, upto, entries.encode_states(states))
        if accounts:
            entry.accounts = entries.encode_accounts(accounts)
        line.wrote(self._writer.append({home: [entries.encode(entry)]})[home], upto)
        return True

    def _put_into_force(self, definitions: Definitions) -> None:
        assert definitions.coming is not None
        author = next(row.author for row in self._catalog.versions() if row.version == definitions.version)
        try:
            saved = self._catalog.save_definitions(definitions.coming, author, base=definitions.version)
        except Conflict:
            return  # Somebody has called it off.
        log.info("definitions are computed over history and in force now", version=saved.version)


class _Work:
    """What one version has to have computed."""

    def __init__(self, definitions: Definitions, cursors: list[Cursor], newest: int, finder: Finder) -> None:
        assert definitions.coming is not None
        self.version = definitions.version
        self.needs = newest
        """History has all events from before this version once it has this commit."""
        found = missing(definitions)
        before = {home: position(cursor.since, 0) for home, cursor in enumerate(cursors)}
        self.wanted = wanted(found, before)
        nobody = Checked({}, {}, {}, [], definitions.coming.timezone)
        of_accounts = found.of_accounts if found.accounts or found.of_accounts else None
        self.program: Program = compile_definitions(nobody, self.version, found.of_people, of_accounts=of_accounts)
        if not found.accounts:
            self.program.gathered -= {LINK}
        self.finder = finder
        self.lines: dict[int, _Line] = {}


class _Line:
    """The people at home in one partition, one chunk after the other from where its cursor stands."""

    def __init__(self, work: _Work, history: HistoryReader, home: int, cursor: Cursor, at_once: int) -> None:
        events = people(history, home, cursor.filled, work.wanted)
        gathered = (
            (profile, gather(map(itemgetter(1), each), work.program, cursor.now_ms, work.finder))
            for profile, each in groupby(events, itemgetter(0))
        )
        self.chunks = chunks(cursor.filled, gathered, at_once, work.program.accounts)
        self._written: dict[int, int] = {}
        """Offset of an entry that is not folded yet → up to which profile it goes."""
        self._upto = cursor.filled

    def lost(self, cursor: Cursor) -> bool:
        """Whether the partition takes nothing of what was written here any more: entries of another came between."""
        for offset in [offset for offset in self._written if offset < cursor.offset]:
            del self._written[offset]
        return not self._written and cursor.filled != self._upto

    def may_write(self, cursor: Cursor) -> bool:
        """Whether the partition keeps up, and there is more."""
        return self._upto != PROFILE_ID_MAX and len(self._written) < BACKFILL_AHEAD and cursor.filled >= 0

    def wrote(self, offset: int, upto: int) -> None:
        """The next chunk is in the log."""
        self._written[offset] = upto
        self._upto = upto


def chunks(
    after: int, gathered: Iterable[tuple[int, Gathered]], at_once: int, of_accounts: Program | None
) -> Iterator[tuple[int, int, States, AccountPasts]]:
    """(after, upto, states, accounts) of people by ascending id, each small enough for one commit; the last to the end.

    `of_accounts`: the program of accounts, where there is one.
    """
    states: States = {}
    accounts: AccountPasts = {}
    size = 0
    last = after
    for profile, found in gathered:
        if len(states) >= at_once or size >= BACKFILL_MAX_BYTES or len(accounts) >= BACKFILL_MAX_ACCOUNTS:
            yield after, last, states, accounts
            after, states, accounts, size = last, {}, {}, 0
        last = profile
        if found.slots:
            states[profile] = found.slots
            size += len(entries.encode_states(found.slots))
        if found.accounts:
            assert of_accounts is not None
            size += len(entries.encode_accounts(found.accounts))
            for name, past in found.accounts.items():
                if name in accounts:
                    add_past(accounts[name], past, of_accounts)
                else:
                    accounts[name] = past
        if found.passed_over:
            log.warning("a person names too many accounts", profile=show(profile), events=found.passed_over)
    yield after, PROFILE_ID_MAX, states, accounts
