"""A process of its own that keeps a book of deliveries: run as `python deliveries_child.py WHAT URL LEASE_S`.

It prints a word a line: what it has done, and at the end why it ended.
"""

import itertools
import os
import signal
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

from onefold.errors import Superseded, Unavailable
from onefold.storage.postgres.deliveries import Options, PostgresDeliveries
from onefold.testing.conformance.deliveries import progress, row


def say(word: object) -> None:
    """Tell the test that started this process."""
    print(word, flush=True)  # noqa: T201 - its standard output is the test's


def insist(work: Callable[[], None]) -> None:
    """As a role does: the same again where nobody knows whether it was done."""
    while True:
        try:
            work()
        except Unavailable:
            say("unavailable")
        else:
            return


def write(book: PostgresDeliveries) -> None:
    """Write one progress after the other, and tell of each that was acknowledged."""
    for n in itertools.count(1):
        insist(partial(book.write, [progress(n, [row(n)], [])], n, ["crm"]))
        say(n)


def stop_midway(book: PostgresDeliveries) -> None:
    """Stop in the midst of a write, after its check and before its commit, and go on when told to."""

    def body(connection: Any) -> None:
        connection.execute("UPDATE delivery_book SET mark = 4711 WHERE one")
        say("midway")
        os.kill(os.getpid(), signal.SIGSTOP)

    insist(partial(book._lease.keeping, book._pool, body))
    say("written")


def renew(book: PostgresDeliveries) -> None:
    """Only say that it is there."""
    while True:
        insist(book.renew)
        say("renewed")


def main() -> None:
    """Keep the book, do what the first argument says, and tell of being superseded."""
    what, url, lease_s = sys.argv[1:]
    book = PostgresDeliveries(url, options=Options(lease_s=float(lease_s)))
    assert book.try_hold()
    say("held")
    try:
        {"write": write, "midway": stop_midway, "renew": renew}[what](book)
    except Superseded:
        say("superseded")
    book.close()


if __name__ == "__main__":
    main()
