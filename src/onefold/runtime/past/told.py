"""What was told: who was in which audience at an instant, by the moves that there were, not by what is known now.

An instant is one of log time: a move belongs to it that carries an instant up to it. Nothing is computed anew, so later
definitions, late events and events that are no longer kept change no answer. What history does not have yet is read
from the state's effects.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import groupby
from typing import Any, NamedTuple

from onefold.errors import NotInHistory
from onefold.language.instants import show_instant
from onefold.limits import NEVER_MS
from onefold.model.past import PastMerge, PastMove, signed, unsigned
from onefold.ports import Connection, HistoryReader, State
from onefold.runtime.past.late_effects import Late, late_effects
from onefold.storage.history import layout, views
from onefold.storage.history.asking import bounded

_MEMORY = "1GB"
_THREADS = 2

_WERE_IN = (
    "SELECT * FROM (SELECT audience, profile, max_by(entered, seq) AS entered, max_by(at_ms, seq) AS entered_ms"
    " FROM then_moves WHERE {} GROUP BY audience, profile) AS latest WHERE entered AND NOT EXISTS"
    " (SELECT 1 FROM then_merges WHERE absorbed = latest.profile AND at_ms >= latest.entered_ms)"
)
"""Of each profile the last move in an audience; in it is who entered, and was not absorbed since."""

Member = tuple[int, int]
"""Profile as it was, and when it entered."""


class Engines(NamedTuple):
    """What is asked."""

    history: HistoryReader
    state: State


def known_since(history: HistoryReader, at_ms: int) -> int:
    """From when on moves are known. Raises `NotInHistory` where they are not at this instant."""
    since_ms = history.moves_since()
    if since_ms is None:
        raise NotInHistory("history keeps no memberships here yet: they are kept since the role that writes it runs")
    if at_ms < since_ms:
        raise NotInHistory(f"history knows memberships from {show_instant(since_ms)} on, and not of before")
    return since_ms


class Audiences:
    """Who was in audiences at one instant; over one snapshot of history."""

    def __init__(self, connection: Connection, at_ms: int, late: Late) -> None:
        self._connection = connection
        self._made: str | None = None
        merges, moves = layout.merge_columns(late.merges), layout.move_columns(late.moves)
        views.declare(connection, "late_merges", layout.MERGES, merges if late.merges else ())
        views.declare(connection, "late_moves", layout.MOVES, moves if late.moves else ())
        both = "SELECT * FROM moves UNION ALL SELECT * FROM late_moves"
        connection.execute(f"CREATE VIEW then_moves AS SELECT * FROM ({both}) WHERE at_ms <= {at_ms}")  # noqa: S608
        columns = ", ".join(layout.MERGES)
        held = f"at_ms <= {at_ms} AND (undone_ms > {at_ms} OR undone_ms = {NEVER_MS})"
        ends = views.listed(late.ends(at_ms))
        known = f"SELECT {columns} FROM told_merges WHERE {held}" + (f" AND absorbed NOT IN ({ends})" if ends else "")  # noqa: S608
        query = f"{known} UNION ALL SELECT * FROM late_merges WHERE at_ms <= {at_ms}"  # noqa: S608 (names of ours)
        connection.execute(f"CREATE TEMP TABLE then_merges AS {query}")

    def size(self, audience: str) -> int:
        """How many were in it."""
        self._make(audience)
        ((count,),) = self._connection.execute("SELECT count(*) FROM were_in").fetchall()
        return int(count)

    def sizes(self) -> dict[str, int]:
        """How many were in each audience that had any."""
        rows = self._connection.execute(
            f"SELECT audience, count(*) FROM ({_WERE_IN.format('true')}) GROUP BY audience"  # noqa: S608
        ).fetchall()
        return dict(rows)

    def members(self, audience: str, after: int, limit: int) -> list[Member]:
        """Those with id > `after` (-1: from the first on), ascending."""
        self._make(audience)
        rows = self._connection.execute(
            "SELECT profile, entered_ms FROM were_in WHERE place > ? ORDER BY place LIMIT ?", [after, limit]
        ).fetchall()
        found = {unsigned(profile): entered_ms for profile, entered_ms in rows}
        return list((found | self._carried(audience, found)).items())

    def _make(self, audience: str) -> None:
        """Let the table be of this audience."""
        if self._made == audience:
            return
        self._connection.execute(
            "CREATE OR REPLACE TEMP TABLE were_in AS SELECT profile, entered_ms, profile::HUGEINT"  # noqa: S608
            " + CASE WHEN profile < 0 THEN 18446744073709551616 ELSE 0 END AS place"
            f" FROM ({_WERE_IN.format('audience = ?')})",
            [audience],
        )
        self._connection.execute(
            "CREATE OR REPLACE TEMP TABLE merged_moves AS SELECT * FROM then_moves WHERE audience = ? AND profile IN"
            " (SELECT absorbed FROM then_merges UNION ALL SELECT survivor FROM then_merges)",
            [audience],
        )
        self._made = audience

    def _carried(self, audience: str, found: Mapping[int, int]) -> dict[int, int]:
        """Of those who have absorbed others: since when they are in, who may have been in before them."""
        merges = list(self._merges_into(found))
        if not merges:
            return {}
        people = {person for merge in merges for person in (merge.absorbed, merge.survivor)}
        moves = views.moves_of(self._connection, people, relation="merged_moves")
        folded = memberships(moves, merges)
        return {person: folded[person][audience] for person in found if audience in folded.get(person, ())}

    def _merges_into(self, survivors: Collection[int]) -> Iterator[PastMerge]:
        """How others became these, through any number of merges."""
        wanted: set[int] = set(survivors)
        while wanted:
            rows: list[Any] = self._connection.execute(
                "SELECT absorbed, survivor, partition, position, at_ms FROM then_merges"
                " WHERE survivor IN (SELECT unnest(?::BIGINT[]))",
                [[signed(one) for one in wanted]],
            ).fetchall()
            found = [layout.past_merge(row) for row in rows]
            yield from found
            wanted = {merge.absorbed for merge in found}


@contextmanager
def audiences(engines: Engines, at_ms: int) -> Iterator[Audiences]:
    """Who was in audiences at this instant (log time). Raises `NotInHistory`, `StorageError`."""
    known_since(engines.history, at_ms)
    late = late_effects(engines.state, engines.history.cursor(), at_ms)
    with bounded(engines.history, _MEMORY, _THREADS) as connection:
        yield Audiences(connection, at_ms, late)


def audiences_of(engines: Engines, profile: int, merges: Iterable[PastMerge], at_ms: int) -> dict[str, int]:
    """The audiences that a profile of then was in, and when it entered each; with the merges by then of others into it.

    Raises `NotInHistory`.
    """
    known_since(engines.history, at_ms)
    into = list(merges)
    people = {profile, *(merge.absorbed for merge in into)}
    late = late_effects(engines.state, engines.history.cursor(), at_ms)
    mine = [move for move in (*engines.history.moves_of(people), *late.moves) if move.profile in people]
    return memberships((move for move in mine if move.at_ms <= at_ms), into).get(profile, {})


def memberships(moves: Iterable[PastMove], merges: Sequence[PastMerge]) -> dict[int, dict[str, int]]:
    """Profile → audience → since when it is in, after all of these; a move that is given twice is one.

    Who absorbs another takes over the earlier of both instants, as the step does.
    """
    folding = _Memberships()
    waiting = _in_order(merges)[::-1]
    for move in sorted(moves, key=lambda each: each.seq):
        while waiting and _comes_first(waiting[-1], move):
            folding.absorb(waiting.pop())
        folding.move(move)
    for merge in reversed(waiting):
        folding.absorb(merge)
    return folding.found


def _in_order(merges: Sequence[PastMerge]) -> list[PastMerge]:
    """By log time; of those that one event made, whoever absorbs does so before they are absorbed themselves."""
    by_place = groupby(sorted(merges, key=_when), key=_when)
    return [merge for _, same in by_place for merge in _rising(list(same))]


def _when(merge: PastMerge) -> tuple[int, int, int]:
    return merge.at_ms, merge.partition, merge.position


def _rising(left: list[PastMerge]) -> Iterator[PastMerge]:
    while left:
        absorbing = {merge.survivor for merge in left}
        ready = [merge for merge in left if merge.absorbed not in absorbing]
        yield from ready or left
        left = [merge for merge in left if merge.absorbed in absorbing] if ready else []


class _Memberships:
    """What the step does to memberships, over again."""

    def __init__(self) -> None:
        self.found: defaultdict[int, dict[str, int]] = defaultdict(dict)
        self._carried: dict[tuple[int, int, int], dict[str, int]] = {}
        """By survivor and place: what it has taken over by an event there, for moves that the same event makes."""

    def absorb(self, merge: PastMerge) -> None:
        """Whoever is in by now, and was in as the other, has been in since the earlier time."""
        place = merge.partition, merge.position
        gone, mine = self.found.pop(merge.absorbed, {}), self.found[merge.survivor]
        carried = self._carried.setdefault((merge.survivor, *place), {})
        for audience, since_ms in (*self._carried.get((merge.absorbed, *place), {}).items(), *gone.items()):
            carried[audience] = min(since_ms, carried.get(audience, since_ms))
        for audience, since_ms in gone.items():
            if audience in mine:
                mine[audience] = min(mine[audience], since_ms)

    def move(self, move: PastMove) -> None:
        """Enter or leave; who enters by a merge has been in since the other was."""
        if not move.entered:
            self.found[move.profile].pop(move.audience, None)
            return
        place = move.profile, move.partition, move.position
        carried = self._carried.get(place, {}) if move.reason == "merge" else {}
        self.found[move.profile][move.audience] = min(move.at_ms, carried.get(move.audience, move.at_ms))


def _comes_first(merge: PastMerge, move: PastMove) -> bool:
    """Within a partition by their places, else by log time."""
    if merge.partition == move.partition and move.seq:
        return merge.position <= move.position
    return merge.at_ms < move.at_ms
