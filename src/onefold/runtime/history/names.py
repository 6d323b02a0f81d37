"""Names of events as history keeps them: of those that are written, and behind these of the past, day by day.

They are read under the rules that are in force now, as are identifiers that somebody looks for. Where rules come that
read identifiers otherwise, or a history is older than its names, all of it is read once more in the background; until
that is done who looks for an identifier looks through the events themselves (`runtime.identity.relatives`).
"""

from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from typing import Any

from onefold.core.identity.naming import Naming
from onefold.limits import DAY_MS
from onefold.model.past import NAMES_COMPLETE, NAMES_UNREAD, Names, Past
from onefold.model.rules import Rules
from onefold.ports import Connection, History, State
from onefold.storage.history import layout, recast_events
from onefold.storage.history.asking import asking, bounded

_MEMORY = "256MB"
_AT_ONCE = 5_000
"""Events of the past that are read in one turn: some tenths of a second."""
_KEPT_AT_ONCE = 200_000
"""Names that are in memory before they are written."""


class NamesKept:
    """Names what is written, and brings what was written before under the same reading."""

    def __init__(self, state: State, history: History) -> None:
        """`history` is held."""
        self._state = state
        self._history = history
        self._rules: Rules | None = None
        self._naming = Naming(Rules())
        self._pairs: set[tuple[int, int]] = set()
        self._past: _PastNames | None = None
        """None: all of the past is read."""

    def begin(self) -> None:
        """Read as the rules of now say; what was gathered is gathered again."""
        self._pairs = set()
        rules = self._state.rules(self._state.cursor(0).rules)
        if rules == self._rules:
            return
        naming = Naming(rules)
        day = self._history.named_to(naming.reading)
        if day is None:
            day = NAMES_UNREAD if self._history.cursor() else NAMES_COMPLETE
            self._history.keep_names(Names(naming.reading, ()), day, anew=True)
        if self._past is not None:
            self._past.close()
        self._past = None if day == NAMES_COMPLETE else _PastNames(self._history, naming, day)
        self._naming, self._rules = naming, rules

    def noting(self, pasts: Iterable[Past]) -> Iterator[Past]:
        """The same events; what each names is noted as it goes by."""
        of, add = self._naming.of, self._pairs.add
        for past in pasts:
            for name in of(past.event):
                add((name, past.profile))
            yield past

    def noted(self) -> Names:
        """What went by since it began."""
        return Names(self._naming.reading, self._pairs)

    def turn(self) -> bool:
        """Read some of the past, where there is any to be read; whether there was."""
        if self._rules is None:
            self.begin()
        if self._past is None:
            return False
        if not self._past.turn():
            self._past = None
        return True


class _PastNames:
    """Reads history from a day on. A day that was not read to its end is read again."""

    def __init__(self, history: History, naming: Naming, day: int) -> None:
        self._history = history
        self._naming = naming
        self._day = day
        self._pairs: set[tuple[int, int]] = set()
        self._open = ExitStack()
        self._reading: Connection | None = None

    def turn(self) -> bool:
        """Read some events; False: none are left, and that is noted. After an error the day is read again."""
        try:
            with asking():
                return self._turn()
        except BaseException:
            self.close()
            raise

    def _turn(self) -> bool:
        if self._reading is None and not self._begin():
            self._history.keep_names(Names(self._naming.reading, ()), NAMES_COMPLETE)
            return False
        assert self._reading is not None
        rows = self._reading.fetchmany(_AT_ONCE)
        for row in rows:
            past = layout.past(row)
            self._pairs.update((name, past.profile) for name in self._naming.of(past.event))
        if not rows:
            self._day += 1
            self.close()
        if not rows or len(self._pairs) >= _KEPT_AT_ONCE:
            self._history.keep_names(Names(self._naming.reading, self._pairs), self._day)
            self._pairs = set()
        return True

    def close(self) -> None:
        """Let go of what is being read."""
        self._open.close()
        self._reading = None

    def _begin(self) -> bool:
        """Begin with the next day that has events; False: there is none."""
        connection = self._open.enter_context(bounded(self._history, _MEMORY, 1))
        events, where = recast_events.stored_events(connection), f"at_ms >= {self._day * DAY_MS}"
        first_ms: Any = connection.execute(f"SELECT min(at_ms) FROM {events} WHERE {where}").fetchall()[0][0]  # noqa: S608
        if first_ms is None:
            self.close()
            return False
        self._day = first_ms // DAY_MS
        columns = ", ".join(f'"{name}"' for name in layout.EVENTS)
        connection.execute(
            f"SELECT {columns} FROM {events}"  # noqa: S608 (names and numbers of ours)
            f" WHERE at_ms >= {self._day * DAY_MS} AND at_ms < {(self._day + 1) * DAY_MS}"
        )
        self._reading = connection
        return True
