"""Proposed links in a small SQL database: what is asked and changed, once for every database.

Profile ids are unsigned and up to 64 bits long, SQL's integers are signed: they are shifted into each other's range.
"""

from collections.abc import Collection, Iterable, Sequence

import sqlalchemy as sa

from onefold.clock import Clock
from onefold.errors import NotFoundError, PreconditionFailed
from onefold.model.proposal import DECIDED, Judgement, KeptProposal, Proposal, Tie
from onefold.storage.catalog_sql import Database
from onefold.storage.proposals_tables import matching, proposals, ties

_AT_ONCE = 500
"""Values in one statement, well below every database's limit."""
_COLUMNS = proposals.c
_TIES = ties.c
_ORDER = (_COLUMNS.score.desc(), _COLUMNS.a, _COLUMNS.b)
_MIDDLE = 1 << 63


class SqlProposals:
    """One workspace's proposals. Any number of processes and threads may use them at once."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    def cursor(self) -> int:
        """The commit of the state up to which changed profiles were scored; -1: nothing was yet."""
        with self._database.reading() as connection:
            found = connection.scalar(sa.select(matching.c.cursor))
        return -1 if found is None else int(found)

    def weights(self) -> bytes | None:
        """The weights that were kept last (`matching.weights`)."""
        with self._database.reading() as connection:
            found = connection.scalar(sa.select(matching.c.weights))
        return None if found is None else bytes(found)

    def keep_weights(self, weights: bytes) -> None:
        """Keep these weights, instead of those that were there."""
        with self._database.changing() as connection:
            _change(connection, weights=weights)

    def put(
        self, proposals: Iterable[Proposal], scored: Collection[int], cursor: int, ties: Iterable[Tie] = ()
    ) -> None:
        """In one transaction: keep all that is now proposed of the profiles that were scored, and move the cursor.

        What else was proposed of them is forgotten. What somebody has decided of a pair stays, whatever it scores now.
        The same with ties, of which nobody decides.
        """
        rows = {(each.a, each.b): each for each in proposals}
        now_ms = self._clock.now_ms()
        with self._database.changing() as connection:
            _change(connection, cursor=cursor)  # first: it keeps other writers waiting until the end
            _forget(connection, [_signed(each) for each in scored])
            decided = _decided(connection, list(rows))
            fresh = [_row(each, now_ms) for pair, each in rows.items() if pair not in decided]
            for n in range(0, len(fresh), _AT_ONCE):
                _replace(connection, fresh[n : n + _AT_ONCE])
            tied = list({(each.a, each.b): _tie_row(each) for each in ties}.values())
            for n in range(0, len(tied), _AT_ONCE):
                _replace_ties(connection, tied[n : n + _AT_ONCE])

    def ties(self, profiles: Collection[int]) -> list[Tie]:
        """The ties of any of these profiles, the surest first, then by ids."""
        wanted = [_signed(each) for each in profiles]
        found: set[Tie] = set()
        with self._database.reading() as connection:
            for n in range(0, len(wanted), _AT_ONCE):
                some = wanted[n : n + _AT_ONCE]
                for column in (_TIES.a, _TIES.b):
                    found.update(_tie(row) for row in connection.execute(sa.select(ties).where(column.in_(some))))
        return sorted(found, key=lambda each: (-each.together, each.a, each.b))

    def tie_page(self, after: tuple[int, int], limit: int) -> list[Tie]:
        """All ties, by ids; `after`: those of the last one seen."""
        a, b = _signed(after[0]), _signed(after[1])
        later = (_TIES.a > a) | ((_TIES.a == a) & (_TIES.b > b))
        wanted = sa.select(ties).where(later).order_by(_TIES.a, _TIES.b).limit(limit)
        with self._database.reading() as connection:
            return [_tie(row) for row in connection.execute(wanted)]

    def page(self, standing: Judgement, after: tuple[float, int, int] | None, limit: int) -> list[KeptProposal]:
        """Those that stand so, the highest score first, then by ids; `after`: score and ids of the last one seen."""
        wanted = sa.select(proposals).where(_COLUMNS.standing == standing).order_by(*_ORDER).limit(limit)
        if after is not None:
            score, a, b = after[0], _signed(after[1]), _signed(after[2])
            later = (_COLUMNS.a > a) | ((_COLUMNS.a == a) & (_COLUMNS.b > b))
            wanted = wanted.where((_COLUMNS.score < score) | ((_COLUMNS.score == score) & later))
        with self._database.reading() as connection:
            return [_kept(row) for row in connection.execute(wanted)]

    def counts(self) -> dict[Judgement, int]:
        """How many stand how; those of which there are none are left out."""
        wanted = sa.select(_COLUMNS.standing, sa.func.count()).group_by(_COLUMNS.standing)
        with self._database.reading() as connection:
            return {row[0]: row[1] for row in connection.execute(wanted)}

    def find(self, a: int, b: int) -> KeptProposal | None:
        """What is kept of this pair; None: nothing is proposed of it."""
        with self._database.reading() as connection:
            row = connection.execute(sa.select(proposals).where(_is(a, b))).one_or_none()
        return None if row is None else _kept(row)

    def decide(self, a: int, b: int, standing: Judgement, by: str, tag: str = "") -> KeptProposal:
        """Accept or refuse, also what was decided before. Raises `NotFoundError` where the pair is not proposed.

        `tag`: that of the proposal which the decision was made from; raises `PreconditionFailed` where it is another
        by now, as somebody has decided meanwhile, or the two score otherwise. Empty: whatever it is.
        """
        pair = _is(a, b)
        values = {"standing": standing, "by": by, "at_ms": self._clock.now_ms()}
        with self._database.changing() as connection:
            if not connection.execute(
                proposals.update().where(pair).values(by=_COLUMNS.by)
            ).rowcount:  # keeps others out
                raise NotFoundError(f"it is not proposed that profiles {a:x} and {b:x} are one person")
            before = _kept(connection.execute(sa.select(proposals).where(pair)).one())
            if tag and tag != before.tag:
                raise PreconditionFailed(f"the proposal is another by now: {before.said}")
            connection.execute(proposals.update().where(pair).values(values))
            return _kept(connection.execute(sa.select(proposals).where(pair)).one())

    def mark(self, pairs: Collection[tuple[int, int]], by: str) -> None:
        """Those of these pairs that stand `sure` are linked."""
        values = {"standing": "linked", "by": by, "at_ms": self._clock.now_ms()}
        with self._database.changing() as connection:
            for a, b in pairs:
                meant = _is(a, b) & (_COLUMNS.standing == "sure")
                connection.execute(proposals.update().where(meant).values(values))

    def close(self) -> None:
        """Let go of files and connections."""
        self._database.close()


def _is(a: int, b: int) -> sa.ColumnElement[bool]:
    """The pair of these two."""
    return (_COLUMNS.a == _signed(min(a, b))) & (_COLUMNS.b == _signed(max(a, b)))


def _change(connection: sa.Connection, **values: int | bytes) -> None:
    if not connection.execute(matching.update().values(values)).rowcount:
        connection.execute(matching.insert().values({"one": 1, "cursor": -1} | values))


def _forget(connection: sa.Connection, profiles: Sequence[int]) -> None:
    undecided = _COLUMNS.standing.not_in(DECIDED)
    for n in range(0, len(profiles), _AT_ONCE):
        some = profiles[n : n + _AT_ONCE]
        for column in (_COLUMNS.a, _COLUMNS.b):
            connection.execute(proposals.delete().where(column.in_(some) & undecided))
        for column in (_TIES.a, _TIES.b):
            connection.execute(ties.delete().where(column.in_(some)))


def _decided(connection: sa.Connection, pairs: Sequence[tuple[int, int]]) -> set[tuple[int, int]]:
    firsts = sorted({_signed(a) for a, _ in pairs})
    found: set[tuple[int, int]] = set()
    for n in range(0, len(firsts), _AT_ONCE):
        wanted = sa.select(_COLUMNS.a, _COLUMNS.b).where(
            _COLUMNS.a.in_(firsts[n : n + _AT_ONCE]) & _COLUMNS.standing.in_(DECIDED)
        )
        found |= {(_unsigned(row.a), _unsigned(row.b)) for row in connection.execute(wanted)}
    return found


def _replace(connection: sa.Connection, rows: Sequence[dict[str, object]]) -> None:
    """Undecided rows of the same pair are gone already where both were scored; else this takes their place."""
    pairs = [(row["a"], row["b"]) for row in rows]
    connection.execute(proposals.delete().where(sa.tuple_(_COLUMNS.a, _COLUMNS.b).in_(pairs)))
    connection.execute(proposals.insert(), rows)


def _replace_ties(connection: sa.Connection, rows: Sequence[dict[str, object]]) -> None:
    pairs = [(row["a"], row["b"]) for row in rows]
    connection.execute(ties.delete().where(sa.tuple_(_TIES.a, _TIES.b).in_(pairs)))
    connection.execute(ties.insert(), rows)


def _tie_row(tie: Tie) -> dict[str, object]:
    return {"a": _signed(tie.a), "b": _signed(tie.b), "together": tie.together}


def _tie(row: sa.Row[tuple[object, ...]]) -> Tie:
    return Tie(_unsigned(row.a), _unsigned(row.b), row.together)


def _row(proposal: Proposal, now_ms: int) -> dict[str, object]:
    return {
        "a": _signed(proposal.a), "b": _signed(proposal.b), "score": proposal.score, "household": proposal.household,
        "standing": "asked" if proposal.ask else "sure", "at_ms": now_ms, "by": "",
    }  # fmt: skip


def _kept(row: sa.Row[tuple[object, ...]]) -> KeptProposal:
    return KeptProposal(_unsigned(row.a), _unsigned(row.b), row.score, row.household, row.standing, row.at_ms, row.by)


def _signed(profile: int) -> int:
    return profile - _MIDDLE


def _unsigned(number: int) -> int:
    return number + _MIDDLE
