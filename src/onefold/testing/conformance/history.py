"""What every history must do: each clause of `ports.History`, as a test that takes a way to open it.

Subclass `HistoryConformance` in a test module and give it a fixture `open_history`: each call of it returns another
handle on one and the same history, as another process would have it.
"""

import random
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from typing import Any

import duckdb
import pytest

from onefold.limits import DAY_MS
from onefold.model.delivery import sequence
from onefold.model.event import Event
from onefold.model.past import (
    EVERYTHING,
    NAMES_COMPLETE,
    NAMES_UNREAD,
    STANDING,
    Extent,
    Names,
    Past,
    PastMerge,
    PastMove,
    PastRecast,
    beginning,
    signed,
)
from onefold.ports import History, HistoryReader
from onefold.storage.history import name_pairs, recast_events
from onefold.storage.history.layout import EVENTS, MERGES, MOVES, NAMES, RECASTS

OpenHistory = Callable[[], History]

T0 = 1_767_225_600_000
"""2026-01-01."""
FAR = 200 << 56 | 77
"""A profile at home in a partition past 127: its id has the first of its 64 bits set."""


def past(position: int, profile: int = 1, at_ms: int = T0, event: Event | None = None, **more: Any) -> Past:
    """An event of that place."""
    event = event or Event(type="track", messageId=f"m{position}", userId=f"u{profile}", event="Viewed")
    name = event.event if event.type == "track" and event.event is not None else event.type
    tie = position.to_bytes(16, "big")
    return Past(0, position, profile, at_ms, at_ms + 5, tie, "web", name, event, **more)


def move(seq: int, profile: int = 1, at_ms: int = T0, audience: str = "buyers", **more: Any) -> PastMove:
    """Somebody's entering an audience, by the commit and effect of that `seq`."""
    row = PastMove(profile, audience, True, at_ms, seq, 0, seq & 0xFFFF, "event", True, 3)
    return row._replace(**more)


def recast(seq: int, profile: int, former: int, position: int) -> PastRecast:
    """The event at this place is another's from then on."""
    return PastRecast(profile, former, 0, position, T0 + 50, seq, 0, 900)


def odd() -> list[Past]:
    """Events that are hard to keep as they came."""
    nested = {"a": [1, 2.5, -0.0, True, None, {"b": "ü\u2028'\"\\"}], "big": 1 << 62, "tiny": 5e-324, "": {}}
    at = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
    events = [
        Event(type="track", messageId="1", userId=42, event="Order \u0000 'Completed'", properties=nested),
        Event(type="track", messageId="2", anonymousId="a"),
        Event(type="track", messageId="3", anonymousId=7, event=""),
        Event(type="page", messageId=None, userId="u", event="odd", name="Home", category="c", properties={}),
        Event(type="identify", userId="42", traits={"email": "a@b.c"}, context={"ip": "1.2.3.4"}, timestamp=at),
        Event(type="group", userId="u", groupId=9, traits={}, integrations=False, sentAt=at, originalTimestamp=at),
        Event(type="alias", userId="u", previousId="p", integrations={"All": True}),
    ]
    found = [past(n, event=event) for n, event in enumerate(events, 1)]
    return [*found, past(90, extra={"channel": "web", "_metadata": {"x": [1]}, "select": None}), past(91, profile=FAR)]


def contents(history: HistoryReader) -> list[Past]:
    """All that it has, by place."""
    return by_place(one for some in history.scan() for one in some)


def by_place(pasts: Iterable[Past]) -> list[Past]:
    """In the order of places."""
    return sorted(pasts, key=lambda one: (one.partition, one.position))


def named(history: HistoryReader, *hashes: int) -> list[int]:
    """Who names one of these, by their ids."""
    with closing(history.connect()) as connection:
        return sorted(name_pairs.profiles(connection, hashes, 100))


def complete_to(history: HistoryReader, reading: int) -> int | None:
    """As a reader knows it."""
    with closing(history.connect()) as connection:
        return name_pairs.complete_to(connection, reading)


def written_as(history: HistoryReader, *profiles: int) -> set[tuple[int, int]]:
    """The events of what was written as these: position, and whose it is."""
    with closing(history.connect()) as connection:
        relation = recast_events.written_as(connection, profiles)
        return set(connection.execute(f"SELECT position, profile FROM {relation}").fetchall())  # noqa: S608


def held(history: History) -> History:
    """The history, for writing."""
    assert history.try_hold()
    return history


class HistoryConformance:
    """The port's promises."""

    @pytest.fixture
    def history(self, open_history: OpenHistory) -> Iterator[History]:
        """One that is empty, held."""
        opened = held(open_history())
        yield opened
        opened.close()

    def test_a_new_one_is_empty(self, history: History) -> None:
        """At first there is nothing, and the cursor is 0."""
        assert (history.cursor(), history.settled(), contents(history), history.merges()) == (0, 0, [], [])
        assert history.of_profiles([1]) == []

    def test_what_was_appended_comes_back_as_it_was(self, history: History) -> None:
        """Every field of an event survives, also those that fit no column, and those that the spec does not name."""
        history.append(odd(), [], 3)
        assert contents(history) == by_place(odd())
        assert (history.cursor(), history.settled()) == (3, 3)

    def test_appends_add_up_and_move_the_cursor(self, history: History, open_history: OpenHistory) -> None:
        """Each append adds its events and merges; one of nothing moves the cursor alone; others see all of it."""
        merge = PastMerge(FAR, 1, 0, 3, T0 + 9)
        history.append([past(1), past(2)], [], 5)
        history.append([past(3)], [merge], 8)
        history.append([], [], 11)
        history.append([], [PastMerge(4, 1, 0, 4, T0 + 8)], 12)
        for each in (history, open_history()):
            assert each.cursor() == 12
            assert contents(each) == [past(1), past(2), past(3)]
            assert each.merges() == [PastMerge(4, 1, 0, 4, T0 + 8), merge]

    def test_merges_are_found_by_who_ended(self, history: History) -> None:
        """Those of the profiles that were asked for."""
        merges = [PastMerge(one, 1, 0, one, T0 + one) for one in (5, 6, 7)]
        history.append([], [*merges, PastMerge(FAR, 2, 0, 9, T0 + 9)], 4)
        assert history.merges([6, FAR, 99]) == [merges[1], PastMerge(FAR, 2, 0, 9, T0 + 9)]
        assert history.merges([]) == []

    def test_moves_begin_once_with_who_is_in(self, history: History, open_history: OpenHistory) -> None:
        """Until they begin none are known; then those are there that stood, and since when all are."""
        history.append([past(1)], [], 5)
        assert history.moves_since() is None
        standing = [move(0, FAR, T0 - 7, reason=STANDING), move(0, 2, T0 - 9, reason=STANDING)]
        history.begin_moves(iter([*standing, beginning(T0)]))
        for each in (history, open_history()):
            assert each.moves_since() == T0
            assert each.moves_of([FAR, 3]) == standing[:1]
            assert each.cursor() == 5

    def test_a_beginning_that_was_cut_short_begins_again(self, history: History) -> None:
        """What fails on the way has not begun; what it has written is not there twice."""

        def broken() -> Iterator[PastMove]:
            yield move(0, 2, reason=STANDING)
            raise RuntimeError("the state is away")

        with pytest.raises(RuntimeError):
            history.begin_moves(broken())
        assert history.moves_since() is None
        history.begin_moves(iter([move(0, 2, reason=STANDING), beginning(0)]))
        assert (history.moves_since(), history.moves_of([2])) == (0, [move(0, 2, reason=STANDING)])

    def test_moves_come_back_in_their_order(self, history: History, open_history: OpenHistory) -> None:
        """Those of the profiles that were asked for, by the order in which they happened, as they were."""
        history.begin_moves(iter([beginning(0)]))
        mine = [
            move(sequence(1, 3), FAR, T0 + 5),
            move(sequence(1, 4), 1, T0 + 4, entered=False, reason="time", told=False, version=0),
            move(sequence(2, 0), FAR, T0, "it's", partition=200, position=1 << 55),
        ]
        history.append([], [], 1, [mine[1], mine[0]])
        history.append([], [], 2, [mine[2], move(sequence(2, 1), 9)])
        for each in (history, open_history()):
            assert each.moves_of([1, FAR]) == mine
            assert each.moves_of([]) == each.moves_of([77]) == []

    def test_a_persons_events_are_found_in_their_order(self, history: History) -> None:
        """Those of the profiles that were asked for, by event time and then by tie, whatever order they came in."""
        mine = [past(1, at_ms=T0 + 50), past(9, at_ms=T0 + 50), past(2, at_ms=T0), past(3, FAR, T0 + 20)]
        history.append([mine[1], past(4, 5), mine[0]], [], 1)
        history.append([mine[3], past(5, 6), mine[2]], [], 2)
        assert history.of_profiles([1, FAR]) == [mine[2], mine[3], mine[0], mine[1]]
        assert history.of_profiles([FAR]) == [mine[3]]
        assert history.of_profiles([]) == history.of_profiles([99]) == []

    def test_events_are_whose_a_recast_says(self, history: History, open_history: OpenHistory) -> None:
        """People's events, scans and SQL show whose each is since the last recast of it, wherever it lies."""
        history.append([past(1, 1), past(2, FAR), past(3, 1), past(4, 5)], [PastMerge(FAR, 1, 0, 2, T0 + 2)], 1)
        history.append([], [], 2, recasts=[recast(sequence(2, 0), 6, 1, 1), recast(sequence(2, 0), 6, 1, 3)])
        history.append(
            [past(7, 6)], [], 3, recasts=[recast(sequence(3, 0), FAR, 6, 3), recast(sequence(3, 0), 1, 5, 4)]
        )
        for each in (history, open_history()):
            assert {one.position: one.profile for one in contents(each)} == {1: 6, 2: FAR, 3: FAR, 4: 1, 7: 6}
            assert [one.position for one in each.of_profiles([6])] == [1, 7]
            assert [one.position for one in each.of_profiles([FAR, 1])] == [2, 3, 4]
            assert each.of_profiles([5]) == each.of_profiles([]) == []
            assert [one.seq for one in each.recasts()] == [sequence(2, 0)] * 2 + [sequence(3, 0)] * 2
            connection = each.connect()
            rows = connection.execute("SELECT position, profile FROM events ORDER BY position").fetchall()
            assert dict(rows) == {1: 6, 2: signed(FAR), 3: signed(FAR), 4: 1, 7: 6}
            connection.close()

    def test_merges_that_were_undone_say_since_when(self, history: History, open_history: OpenHistory) -> None:
        """A merge holds until the profile is there again, or is another's; SQL shows those that hold, and all."""
        merges = [PastMerge(4, 1, 0, 10, T0), PastMerge(FAR, 1, 0, 11, T0 + 1), PastMerge(6, 1, 0, 12, T0 + 2)]
        history.append([past(1)], merges, 1)
        again = [PastMerge(FAR, 2, 0, 30, T0 + 9), PastMerge(6, FAR, 0, 20, T0 + 5)]
        back = PastRecast(FAR, FAR, -1, -1, T0 + 5, sequence(2, 1), 0, 20)
        history.append([], again, 2, recasts=[back])
        told = [
            merges[0],
            merges[1]._replace(undone_ms=T0 + 5),
            merges[2]._replace(undone_ms=T0 + 5),
            again[1],
            again[0],
        ]
        for each in (history, open_history()):
            assert each.merges() == told
            assert each.merges([6]) == [told[2], told[3]]
            assert each.recasts() == [back]
            connection = each.connect()
            rows = connection.execute("SELECT absorbed, survivor FROM merges ORDER BY at_ms").fetchall()
            assert rows == [(4, 1), (6, signed(FAR)), (signed(FAR), 2)]
            rows = connection.execute("SELECT absorbed FROM told_merges WHERE undone_ms = ?", [T0 + 5]).fetchall()
            assert sorted(rows) == [(signed(FAR),), (6,)]
            connection.close()

    def test_names_are_there_with_their_events(self, history: History, open_history: OpenHistory) -> None:
        """Whose events name something is found by its hash, as they were admitted; each pair once, others not."""
        assert history.named_to(7) is None
        history.append([past(1), past(2, FAR)], [], 1, names=Names(7, [(-5, 1), (-5, FAR), (9, 1), (9, 1)]))
        history.append([past(3, 2)], [], 2, names=Names(7, iter([(-5, 2)])))
        history.append([past(4, 3)], [], 3)
        for each in (history, open_history()):
            assert named(each, -5) == [1, 2, FAR]
            assert named(each, 9) == [1]
            assert named(each, 9, -5) == [1, 2, FAR]
            assert named(each, 8) == named(each) == []
            assert contents(each) == [past(1), past(2, FAR), past(3, 2), past(4, 3)]

    def test_names_say_how_far_they_are(self, history: History, open_history: OpenHistory) -> None:
        """What is read later comes to what is there, and ends; another reading begins anew."""
        history.append([past(1)], [], 1, names=Names(7, [(5, 1)]))
        history.keep_names(Names(7, ()), NAMES_UNREAD, anew=True)
        assert (history.named_to(7), history.named_to(8), named(history, 5)) == (NAMES_UNREAD, None, [])
        history.append([past(2, 2)], [], 2, names=Names(7, [(5, 2)]))
        history.keep_names(Names(7, [(5, 1), (7, 9)]), 20_455)
        assert (history.named_to(7), named(history, 5), named(history, 7)) == (20_455, [1, 2], [9])
        history.keep_names(Names(7, ()), NAMES_COMPLETE)
        for each in (history, open_history()):
            assert (complete_to(each, 7), complete_to(each, 5)) == (NAMES_COMPLETE, None)
        history.keep_names(Names(-8, ()), NAMES_UNREAD, anew=True)
        assert (history.named_to(7), history.named_to(-8), named(history, 5)) == (None, NAMES_UNREAD, [])
        assert history.cursor() == 2

    def test_people_who_name_something_are_read_alone(self, history: History) -> None:
        """Of the profiles that events were written as, whosever they are now; not what is nobody's."""
        history.append([past(1), past(2, FAR), past(3, 2), past(4, 3)], [], 1)
        assert written_as(history, 1, FAR) == {(1, 1), (2, signed(FAR))}
        history.append([], [], 2, recasts=[recast(sequence(2, 0), 9, 1, 1), recast(sequence(2, 0), 0, 2, 3)])
        assert written_as(history, 1, FAR, 2) == {(1, 9), (2, signed(FAR))}
        assert written_as(history, 9) == set()

    def test_tidying_keeps_names(self, history: History, open_history: OpenHistory) -> None:
        """Many small appends say the same of everybody after any tidying, and how far they are."""
        history.keep_names(Names(7, ()), NAMES_UNREAD, anew=True)
        for n in range(1, 30):
            history.append([past(n, n)], [], n, names=Names(7, [(n % 3, n), (77, 1)]))
            if n % 9 == 0:
                history.keep_names(Names(7, [(5, n)]), n)
                history.tidy()
        while history.tidy():
            pass
        for each in (history, open_history()):
            assert [named(each, n) for n in range(3)] == [[*range(n or 3, 30, 3)] for n in range(3)]
            assert (named(each, 5), named(each, 77), complete_to(each, 7)) == ([9, 18, 27], [1], 27)

    def test_an_extent_is_scanned(self, history: History) -> None:
        """Names, times and places limit a scan; people come one after the other, each in order."""
        page = Event(type="page", userId="u")
        rows = [past(1, 2), past(2, 1, T0 + 1), past(3, 1, T0), past(4, 2, T0 + DAY_MS, page)]
        history.append(rows, [], 1)

        def found(extent: Extent) -> list[int]:
            return [one.position for some in history.scan(extent) for one in some]

        assert found(EVERYTHING) == [3, 2, 1, 4]
        assert found(Extent(names=["page"])) == [4]
        assert found(Extent(names=())) == []
        assert found(Extent(since_ms=T0 + 1, until_ms=T0 + DAY_MS)) == [2]
        assert found(Extent(before={0: 3})) == [2, 1]
        assert found(Extent(before={1: 3})) == []

    def test_what_a_recast_makes_nobodys_is_shown_nowhere(self, history: History, open_history: OpenHistory) -> None:
        """Neither by person, nor in scans, nor in SQL; the other events of whose it was stay."""
        history.append([past(1, 1), past(2, 1)], [], 1)
        history.append([], [], 2, recasts=[recast(sequence(2, 0), 0, 1, 1)])
        for each in (history, open_history()):
            assert [one.position for one in each.of_profiles([1])] == [2]
            assert [one.position for one in contents(each)] == [2]
            connection = each.connect()
            assert connection.execute("SELECT position FROM events").fetchall() == [(2,)]
            connection.close()

    def test_sql_sees_the_agreed_columns(self, history: History) -> None:
        """Every relation has its columns and types, empty and full; ids are signed."""
        for cursor in (1, 2):
            connection = history.connect()
            relations = {"events": EVENTS, "merges": MERGES, "moves": MOVES, "recasts": RECASTS, "names": NAMES}
            for relation, columns in relations.items():
                described = connection.execute(f"DESCRIBE {relation}").fetchall()
                assert {row[0]: row[1] for row in described} == columns
            connection.close()
            history.append([past(1, FAR)], [PastMerge(FAR, 1, 0, 2, T0)], cursor, [move(sequence(cursor, 1), FAR)])
        connection = history.connect()
        assert connection.execute("SELECT DISTINCT profile, name FROM events").fetchall() == [(signed(FAR), "Viewed")]
        assert connection.execute("SELECT DISTINCT absorbed, survivor FROM merges").fetchall() == [(signed(FAR), 1)]
        connection.close()

    def test_sql_reaches_nothing_else(self, history: History) -> None:
        """A connection can neither read nor write files beside history's."""
        history.append([past(1)], [], 1)
        connection = history.connect()
        for statement in (
            "SELECT * FROM read_text('/etc/hostname')",
            "COPY (SELECT 1) TO '/tmp/onefold-should-not-be.csv'",
            "ATTACH '/tmp/onefold-should-not-be.db'",
            "SET enable_external_access = true",
        ):
            with pytest.raises(duckdb.Error):
                connection.execute(statement)
        connection.close()

    def test_tidying_changes_nothing_that_is_read(self, history: History, open_history: OpenHistory) -> None:
        """Many small appends over some days, late ones among them, are the same after any tidying, which ends."""
        chance = random.Random(7)  # noqa: S311 - a test's, which repeats itself
        everything: list[Past] = []
        merges: list[PastMerge] = []
        moves: list[PastMove] = []
        reader = open_history()
        history.begin_moves(iter([beginning(0)]))
        for n in range(24):
            at = [T0 + chance.randrange(3) * DAY_MS + chance.randrange(DAY_MS) for _ in range(5)]
            fresh = [past(n * 10 + i, chance.randrange(1, 5), at_ms) for i, at_ms in enumerate(at)]
            joined = [PastMerge(1_000 + n, 1, 0, n * 10 + 9, T0 + n)] if n % 7 == 0 else []
            moved = [move(sequence(n + 1, i), chance.randrange(1, 5), at_ms) for i, at_ms in enumerate(at)]
            history.append(fresh, joined, n + 1, moved)
            everything += fresh
            merges += joined
            moves += moved
            if n % 9 == 0:
                history.tidy()
            assert len(contents(history)) == len(everything)
        rounds = 0
        while history.tidy():
            rounds += 1
            assert rounds < 100
        for each in (history, reader):
            assert contents(each) == by_place(everything)
            assert each.merges() == merges
            assert each.moves_of(range(1, 5)) == moves
            assert each.cursor() == 24
