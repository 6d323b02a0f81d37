"""What every book of deliveries must do: each clause of `ports.Deliveries`, as a test that takes a way to open it.

Subclass `DeliveriesConformance` in a test module and give it a fixture `open_book`: each call of it returns another
handle on one and the same book, as another process would have it. Where a handle's hold can be taken from it, the
fixture `lease_s` says after how long; the suite waits for that, so let it be short.
"""

import os
import select
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Event

import pytest

from onefold.errors import NotFoundError, Superseded
from onefold.limits import NEVER_MS
from onefold.model.delivery import Delivery, Progress, State, sequence
from onefold.ports import Deliveries

OpenBook = Callable[[], Deliveries]

PATIENCE_S = 30.0


def row(commit: int, state: State = "retrying", payload: bytes = b"{}", parked_at_ms: int = 0) -> Delivery:
    """A delivery of that commit."""
    seq = sequence(commit, 0)
    return Delivery(seq, f"k{commit}", 7, "event", payload, state, 1, 5, 500, "http_500", parked_at_ms, since_ms=4)


def progress(low_water: int, pending: list[Delivery], parked: list[Delivery], name: str = "crm") -> Progress:
    """New rows of a destination."""
    counts = {"taken": low_water, "delivered": low_water}
    return Progress(name, low_water, counts, {r.seq: r for r in pending}, {r.seq: r for r in parked})


def held(book: Deliveries) -> Deliveries:
    """The book, with its hold."""
    assert book.try_hold()
    return book


def until(true: Callable[[], bool], patience_s: float = PATIENCE_S) -> None:
    """Ask again and again until it is so; a test that waits in vain fails."""
    deadline_s = time.monotonic() + patience_s
    while not true():
        assert time.monotonic() < deadline_s
        Event().wait(0.02)


class DeliveriesConformance:
    """The port's promises."""

    @pytest.fixture
    def lease_s(self) -> float | None:
        """After how long without `renew` another may take the book; None: only when its holder has ended."""
        return None

    # --- what is kept --------------------------------------------------------------------------------------
    def test_an_empty_book_answers_everything_with_nothing(self, open_book: OpenBook) -> None:
        """Before the first write every question has an empty answer."""
        book = open_book()
        assert (book.counts(), book.standings(), book.lag(9), book.low_water(), book.mark()) == ({}, {}, {}, 0, 0)
        assert (book.pending("crm", 9), book.parked("crm", 0, 9), book.requests()) == ([], [], {})
        assert book.parked_before("crm", NEVER_MS, 9) == []
        assert book.load("crm").standing is None
        assert book.replay(None, None) == 0

    def test_what_is_written_is_there_for_others(self, open_book: OpenBook) -> None:
        """Standing, rows in order, payloads; parked rows ahead of the low-water mark stand out."""
        book = held(open_book())
        book.write([progress(5, [row(9), row(3)], [row(4, "parked"), row(8, "parked")])], 6, ["crm"])
        book.close()
        book = open_book()
        kept = book.load("crm")
        assert kept.standing
        assert (kept.standing.low_water, kept.standing.following, kept.standing.off) == (5, True, "")
        assert kept.standing.counts == {"taken": 5, "delivered": 5}
        assert kept.pending == [row(3, payload=b""), row(9, payload=b"")]
        assert kept.parked_ahead == [row(8, "parked", payload=b"")]
        assert book.pending("crm", 1) == [row(3)]
        assert book.parked("crm", row(4).seq, 10) == [row(8, "parked")]
        assert book.parked("crm", 0, 1) == [row(4, "parked")]
        assert (book.mark(), book.load("other").standing) == (6, None)

    def test_any_text_and_any_bytes_are_kept(self, open_book: OpenBook) -> None:
        """Names, reasons and URLs of any letters, payloads that are no text, the largest numbers."""
        book, name = held(open_book()), 'Ünï\'cøde "名" %s'
        delivery = row((1 << 39) - 1, payload=bytes(range(256)))
        delivery.reason, delivery.profile, delivery.due_ms = "nul\0 ü %s", (1 << 64) - 1, NEVER_MS
        change = progress((1 << 39) - 1, [delivery], [], name)
        change.off = "https://x.example/?q='%s"
        change.counts = {"taken": 1 << 52, "filtered.ü": 1 << 52}
        book.write([change], 1 << 39, [name])
        assert book.pending(name, 9) == [delivery]
        standing = book.standings()[name]
        assert (standing.counts, standing.off, standing.low_water) == (change.counts, change.off, (1 << 39) - 1)
        assert book.mark() == 1 << 39

    def test_a_write_again_changes_nothing(self, open_book: OpenBook) -> None:
        """Who did not hear that it was written, as the answer was lost, writes the same again."""
        book = held(open_book())
        first = progress(5, [row(3), row(9)], [row(4, "parked")])
        second = progress(6, [], [row(9, "parked", payload=b"")])
        second.pending[row(9).seq] = None
        for change in (first, first, second, second):
            book.write([change], 6, ["crm"])
        assert book.counts() == {"crm": {"taken": 6, "delivered": 6}}
        assert book.pending("crm", 9) == [row(3)]
        assert book.parked("crm", 0, 9) == [row(4, "parked"), row(9, "parked")]

    def test_a_write_has_the_last_word_for_each_row(self, open_book: OpenBook) -> None:
        """Several progresses of one destination in one write are written in their order."""
        book = held(open_book())
        later = progress(2, [], [row(3, "parked", payload=b"")])
        later.pending[row(3).seq] = None
        latest = progress(3, [], [row(4, "parked")])
        latest.parked[row(3).seq] = None
        book.write([progress(1, [row(3)], []), later, latest, progress(1, [row(7)], [], "ads")], 1, ["crm"])
        assert (book.pending("crm", 9), book.parked("crm", 0, 9)) == ([], [row(4, "parked")])
        assert book.standings()["crm"].low_water == 3
        assert book.pending("ads", 9) == [row(7)]

    def test_a_payload_lives_as_long_as_its_row(self, open_book: OpenBook) -> None:
        """It outlasts updates and parking without being written again, and goes with the last row."""
        book = held(open_book())
        seq = row(3).seq
        book.write([progress(1, [row(3, payload=b"body")], [])], 1, ["crm"])
        book.write([progress(1, [row(3, payload=b"")], [])], 1, ["crm"])
        parks = progress(1, [], [row(3, "parked", payload=b"")])
        parks.pending[seq] = None
        book.write([parks], 1, ["crm"])
        assert book.payload("crm", seq) == b"body"
        assert (book.pending("crm", 9), [r.payload for r in book.parked("crm", 0, 9)]) == ([], [b"body"])
        goes = progress(1, [], [])
        goes.parked[seq] = None
        book.write([goes], 1, ["crm"])
        with pytest.raises(AssertionError):
            book.payload("crm", seq)

    def test_parked_rows_of_long_ago(self, open_book: OpenBook) -> None:
        """The oldest come first, as far as they were parked before an instant."""
        book = held(open_book())
        rows = [row(n, "parked", parked_at_ms=n * 100) for n in (1, 2, 3, 4)]
        book.write([progress(9, [], rows), progress(9, [], [row(1, "parked")], "crm2")], 9, ["crm"])
        assert [r.key for r in book.parked_before("crm", 300, 9)] == ["k1", "k2"]
        assert book.parked_before("crm", 999, 1) == [row(1, "parked", b"", 100)]
        assert [r.key for r in book.parked_before("crm", 999, 3)] == ["k1", "k2", "k3"]
        assert book.parked_before("none", 999, 3) == []

    def test_destinations_do_not_mix(self, open_book: OpenBook) -> None:
        """Rows of `a` and `ab` stay apart though one name begins with the other."""
        book = held(open_book())
        book.write([progress(1, [row(3)], [], "a"), progress(1, [row(4)], [], "ab")], 1, ["a", "ab"])
        assert [[r.key for r in book.pending(name, 9)] for name in ("a", "ab")] == [["k3"], ["k4"]]

    def test_low_water_is_that_of_the_slowest_that_is_followed(self, open_book: OpenBook) -> None:
        """Destinations that are not followed hold up nothing; those to come begin after the mark."""
        book = held(open_book())
        assert book.low_water() == 0
        both = [progress(5, [], [], "a"), progress(8, [], [], "b")]
        book.write(both, 9, ["a", "b"])
        assert (book.low_water(), book.lag(10)) == (5, {"a": 5, "b": 2})
        book.write([], 9, ["b"])
        assert (book.low_water(), book.lag(10)) == (8, {"b": 2})
        book.write([], 9, [])
        assert (book.low_water(), book.lag(10)) == (9, {})
        assert book.standings()["a"].low_water == 5

    def test_a_write_of_many_rows_is_one(self, open_book: OpenBook) -> None:
        """As many rows as a destination may keep in memory, at once."""
        book = held(open_book())
        book.write([progress(1, [row(n) for n in range(10_000)], [])], 1, ["crm"])
        assert len(book.pending("crm", 10_001)) == 10_000
        goes = progress(1, [], [])
        goes.pending = {row(n).seq: None for n in range(1, 10_000)}
        book.write([goes], 1, ["crm"])
        assert book.pending("crm", 9) == [row(0)]

    # --- replays -------------------------------------------------------------------------------------------
    def test_replays_are_a_queue(self, open_book: OpenBook) -> None:
        """A request says how many it means, waits until it is finished, and does not mean what parks later."""
        book = held(open_book())
        parked = [row(n, "parked", parked_at_ms=n * 300) for n in (1, 2, 3)]
        book.write([progress(9, [], [*parked, row(4, "parked", parked_at_ms=NEVER_MS)])], 9, ["crm"])
        assert book.replay("crm", None) == 3
        assert book.replay(None, ["k2", "k4", "none"]) == 1
        first, second = book.requests().items()
        assert (first[1].destination, first[1].keys) == ("crm", None)
        assert (second[1].destination, second[1].keys) == (None, frozenset({"k2", "k4", "none"}))
        assert [r.key for r in book.parked_rows("crm", first[1], -1, 2)] == ["k1", "k2"]
        assert book.parked_rows("crm", first[1], parked[1].seq, 2) == [row(3, "parked", b"", 900)]
        assert [r.key for r in book.parked_rows("crm", second[1], -1, 9)] == ["k2"]
        book.finish(first[0])
        book.finish(first[0])
        assert book.requests() == dict([second])
        with pytest.raises(NotFoundError):
            book.replay("unknown", None)

    def test_a_watch_tells_of_a_replay(self, open_book: OpenBook) -> None:
        """It can be read from once another handle has asked for one; an engine may have none."""
        book, other = held(open_book()), open_book()
        book.write([progress(1, [], [row(1, "parked")])], 1, ["crm"])
        if (watch := book.watch()) is None:
            return
        try:
            for known in range(1, 4):
                other.replay("crm", None)
                assert select.select([watch], [], [], PATIENCE_S)[0]
                os.read(watch, 4096)
                until(lambda: len(book.requests()) == known)  # noqa: B023 - asked within the turn
        finally:
            os.close(watch)

    # --- one keeps it --------------------------------------------------------------------------------------
    def test_one_keeps_the_book_at_a_time(self, open_book: OpenBook) -> None:
        """Another can neither take it nor write, but reads, and asks for replays; with `close` it is the next one's."""
        book, other = held(open_book()), open_book()
        book.write([progress(1, [row(3)], [row(4, "parked")])], 1, ["crm"])
        assert (book.try_hold(), other.try_hold()) == (True, False)
        with pytest.raises(Superseded):
            other.write([progress(2, [row(3)], [])], 2, [])
        with pytest.raises(Superseded):
            other.renew()
        assert other.replay("crm", None) == 1
        with pytest.raises(Superseded):
            other.finish(next(iter(other.requests())))
        assert (other.counts()["crm"]["taken"], other.mark(), len(other.requests())) == (1, 1, 1)
        book.renew()
        book.close()
        held(other).write([progress(2, [], [])], 2, [])
        other.finish(next(iter(other.requests())))
        assert (other.mark(), other.requests()) == (2, {})

    def test_of_many_who_stand_in_line_one_gets_the_book(self, open_book: OpenBook) -> None:
        """However many ask in the moment in which it becomes free."""
        books = [open_book() for _ in range(6)]
        held(books.pop()).close()
        with ThreadPoolExecutor(5) as pool:
            while books:
                got = list(pool.map(lambda book: book.try_hold(), books))
                assert sum(got) == 1
                holder = books[got.index(True)]
                holder.write([progress(1, [row(1)], [])], 1, [])
                holder.close()
                books.remove(holder)

    def test_who_renews_keeps_the_book(self, open_book: OpenBook, lease_s: float | None) -> None:
        """For as long as it says that it is there, nobody takes it."""
        book, other = held(open_book()), open_book()
        ends_s = time.monotonic() + 2.5 * (lease_s or 0)
        while time.monotonic() < ends_s:
            book.renew()
            assert not other.try_hold()
            Event().wait((lease_s or 0) / 5)
        book.write([progress(1, [], [])], 1, ["crm"])

    def test_who_is_silent_loses_the_book_and_writes_nothing(self, open_book: OpenBook, lease_s: float | None) -> None:
        """After the lease another takes it; the former one can write and finish nothing, until it holds it again."""
        if lease_s is None:
            return
        book, other = held(open_book()), open_book()
        book.write([progress(1, [row(3)], [row(4, "parked")])], 1, ["crm"])
        book.replay("crm", None)
        until(other.try_hold, 5 * lease_s)
        late: tuple[Callable[[], None], ...] = (
            lambda: book.write([progress(7, [row(5)], [])], 7, []),
            book.renew,
            lambda: book.finish(next(iter(book.requests()))),
        )
        for call in late:
            with pytest.raises(Superseded):
                call()
        assert not book.try_hold()
        assert (other.mark(), other.pending("crm", 9), len(other.requests())) == (1, [row(3)], 1)
        other.write([progress(2, [], [])], 2, ["crm"])
        other.close()
        held(book).write([progress(3, [], [])], 3, ["crm"])
        assert book.counts()["crm"]["taken"] == 3

    def test_who_was_silent_alone_goes_on(self, open_book: OpenBook, lease_s: float | None) -> None:
        """Where nobody has taken the book meanwhile, its holder may write as before."""
        book = held(open_book())
        Event().wait(1.2 * (lease_s or 0))
        book.write([progress(1, [], [])], 1, ["crm"])
        assert not open_book().try_hold()
