"""The book of deliveries on a real PostgreSQL: the port's promises, also where its holder or its server breaks off."""

import itertools
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path

import pytest

from onefold.errors import NotFoundError, StorageError, Superseded, Unavailable
from onefold.storage.postgres import driver
from onefold.storage.postgres.deliveries import Options, PostgresDeliveries
from onefold.storage.postgres.driver import Address
from onefold.testing.conformance.deliveries import DeliveriesConformance, OpenBook, held, progress, row, until
from onefold.testing.servers.postgres import PostgresServer
from tests.services.conftest import SCHEMA

pytestmark = pytest.mark.services

LEASE_S = 1.0
CHILD = Path(__file__).parent / "deliveries_child.py"
ROOT = Path(__file__).parents[2]


def opened(url: str, lease_s: float = LEASE_S) -> PostgresDeliveries:
    """A handle on the book."""
    return PostgresDeliveries(url, options=Options(lease_s=lease_s))


class Child:
    """A holder of the book in a process of its own."""

    def __init__(self, what: str, url: str) -> None:
        command = [sys.executable, str(CHILD), what, url, str(LEASE_S)]
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
        assert self.word() == "held"

    def word(self) -> str:
        """The next word that it says."""
        assert self.process.stdout
        return self.process.stdout.readline().strip()

    def last_words(self) -> list[str]:
        """All that it says until its end."""
        assert self.process.stdout
        return self.process.stdout.read().split()

    def signal(self, number: signal.Signals) -> None:
        """Stop it, or let it go on."""
        self.process.send_signal(number)


@contextmanager
def child(what: str, url: str) -> Iterator[Child]:
    """A holder that is gone at the end."""
    holder = Child(what, url)
    with holder.process as process:
        try:
            yield holder
        finally:
            process.kill()


class TestPostgresDeliveries(DeliveriesConformance):
    @pytest.fixture
    def lease_s(self) -> float | None:
        return LEASE_S

    @pytest.fixture
    def open_book(self, postgres_url: str) -> Iterator[OpenBook]:
        with ExitStack() as stack:
            yield lambda: stack.enter_context(closing(opened(postgres_url)))

    def test_who_never_held_the_book_writes_nothing(self, open_book: OpenBook) -> None:
        """Though nobody else keeps it: what this handle knows may be old."""
        book = open_book()
        with pytest.raises(Superseded):
            book.write([progress(1, [row(1)], [])], 1, [])
        with pytest.raises(Superseded):
            book.renew()
        assert (book.mark(), book.counts()) == (0, {})

    def test_who_only_reads_writes_nothing(self, postgres_url: str) -> None:
        """A handle for reading finds what there is, makes no schema, and can neither keep the book nor ask."""
        with closing(PostgresDeliveries(postgres_url, readonly=True)) as reader:
            assert (reader.counts(), reader.low_water()) == ({}, 0)
            for write in (lambda: reader.replay("crm", None), reader.try_hold, lambda: reader.write([], 1, [])):
                with pytest.raises(StorageError):
                    write()
        with pytest.raises(NotFoundError):
            PostgresDeliveries(postgres_url, "other", readonly=True)


@pytest.mark.parametrize("what", ["write", "renew"])
def test_a_holder_that_was_paused_ends(postgres_url: str, what: str) -> None:
    """While a process stands still, another takes the book over; what the first goes on with is refused."""
    with closing(opened(postgres_url)) as book, child(what, postgres_url) as paused:
        assert not book.try_hold()
        for _ in range(5):
            assert paused.word() not in {"superseded", ""}
        paused.signal(signal.SIGSTOP)
        until(book.try_hold)
        before = (book.mark(), book.counts(), [each.key for each in book.pending("crm", 1_000_000)])
        paused.signal(signal.SIGCONT)
        said = paused.last_words()
        assert said[-1] == "superseded"
        assert (book.mark(), book.counts(), [each.key for each in book.pending("crm", 1_000_000)]) == before
        book.write([progress(1_000_000, [], [])], 1_000_000, ["crm"])
        if what == "write":
            acknowledged = max((int(word) for word in said if word.isdecimal()), default=0)
            assert before[0] >= acknowledged


def test_a_holder_that_was_paused_in_the_midst_of_a_write_leaves_nothing(postgres_url: str) -> None:
    """Its transaction keeps nobody waiting for longer than the lease, and what it had changed is undone."""
    with closing(opened(postgres_url)) as book, child("midway", postgres_url) as paused:
        assert paused.word() == "midway"
        began_s = time.monotonic()
        until(book.try_hold)
        assert time.monotonic() - began_s < 5 * LEASE_S
        book.write([progress(1, [], [])], 5, [])
        paused.signal(signal.SIGCONT)
        assert paused.last_words() == ["unavailable", "superseded"]
        assert book.mark() == 5


def test_a_killed_holder_is_followed_after_the_lease(postgres_url: str) -> None:
    """Not sooner, as nobody knows that it was killed; and all that it was acknowledged is there."""
    with closing(opened(postgres_url)) as book, child("write", postgres_url) as holder:
        said = [holder.word() for _ in range(20)]
        holder.signal(signal.SIGKILL)
        killed_s = time.monotonic()
        said += holder.last_words()
        until(book.try_hold)
        assert time.monotonic() - killed_s > 0.8 * LEASE_S
        assert book.mark() in {int(said[-1]), int(said[-1]) + 1}
        assert [each.key for each in book.pending("crm", 10_000)] == [f"k{n}" for n in range(1, book.mark() + 1)]


def test_a_server_that_is_killed_loses_nothing(mortal: tuple[PostgresServer, str]) -> None:
    """It is killed between and within writes: each is there whole or not at all, the same once more makes it so."""
    server, url = mortal
    chance = random.Random(7)
    with closing(opened(url, lease_s=30.0)) as book:
        held(book)
        for _ in range(6):
            before = book.mark()
            killer = threading.Timer(chance.uniform(0, 0.05), server.kill)
            killer.start()
            written = wrote_until_killed(book, before)
            killer.join()
            server.start()
            assert book.mark() in {written, written + 1}
            assert len(book.pending("crm", 10_000)) == book.counts().get("crm", {"taken": 0})["taken"] == book.mark()
            book.write([progress(written + 1, [row(k) for k in range(1, written + 2)], [])], written + 1, ["crm"])
            assert [each.key for each in book.pending("crm", 10_000)] == [f"k{k}" for k in range(1, written + 2)]
        book.renew()


def wrote_until_killed(book: PostgresDeliveries, before: int) -> int:
    """The last number whose write was acknowledged, of those after `before`; rows up to it are pending."""
    for n in itertools.count(before + 1):
        try:
            book.write([progress(n, [row(k) for k in range(1, n + 1)], [])], n, ["crm"])
        except Unavailable:
            return n - 1
    raise AssertionError


def test_a_server_that_stands_still_ends_the_hold_in_time(mortal: tuple[PostgresServer, str]) -> None:
    """The holder cannot know who reaches the server, so it ends when its lease does, and stands in line again."""
    server, url = mortal
    with closing(opened(url)) as book:
        held(book)
        server.pause()
        try:
            began_s = time.monotonic()
            with pytest.raises(Superseded, match="may be another's"):
                renew_for_ever(book)
            assert time.monotonic() - began_s < 5 * LEASE_S
        finally:
            server.resume()
        until(lambda: holds_again(book))
        book.write([progress(1, [], [])], 1, [])


def renew_for_ever(book: PostgresDeliveries) -> None:
    """Until the hold has ended."""
    while True:
        with suppress(Unavailable):
            book.renew()


def holds_again(book: PostgresDeliveries) -> bool:
    """Whether the server could be asked, and gave the book."""
    try:
        return book.try_hold()
    except Unavailable:
        return False


def test_a_watch_outlives_its_server(mortal: tuple[PostgresServer, str]) -> None:
    """After a restart of the server a replay is told of as before."""
    server, url = mortal
    with closing(opened(url)) as book, closing(opened(url)) as other:
        held(book).write([progress(1, [], [row(1, "parked")])], 1, ["crm"])
        watch = book.watch()
        assert watch is not None
        server.kill()
        server.start()
        until(lambda: emptied(watch))
        other.replay("crm", None)
        until(lambda: emptied(watch))
        assert len(book.requests()) == 1
        os.close(watch)


def emptied(watch: int) -> bool:
    """Whether there was a sign."""
    try:
        return bool(os.read(watch, 4096))
    except BlockingIOError:
        return False


def test_the_books_row_says_who_keeps_it(postgres_url: str) -> None:
    """An operator finds host and process there."""
    with closing(opened(postgres_url)) as book:
        held(book)
        with driver.connect(Address(postgres_url, SCHEMA)) as connection:
            found = connection.execute("SELECT holder, epoch FROM delivery_book").fetchone()
        assert found is not None
        assert f":{os.getpid()}:" in found[0]
        assert found[1] == 1
