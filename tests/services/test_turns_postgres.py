"""Turns of dear commits on PostgreSQL: one after the other, and never in anybody's way for long."""

import threading
from contextlib import closing

from onefold.storage.postgres.driver import Timeouts
from onefold.storage.postgres.state import Options, PostgresState

A_MOMENT_S = 0.25
HASTY = Options(timeouts=Timeouts(lock_s=0.5))


def test_turns_are_taken_one_after_the_other(postgres_url: str) -> None:
    """Who asks for a turn waits for whoever is within theirs; of another workspace nobody is."""
    with (
        closing(PostgresState(postgres_url)) as one,
        closing(PostgresState(postgres_url)) as other,
        closing(PostgresState(postgres_url, "elsewhere")) as elsewhere,
    ):
        order: list[str] = []

        def take() -> None:
            with other.turn():
                order.append("other")

        waiting = threading.Thread(target=take)
        with one.turn(), elsewhere.turn():
            waiting.start()
            waiting.join(A_MOMENT_S)
            order.append("one")
        waiting.join()
        assert order == ["one", "other"]


def test_who_waits_too_long_goes_on(postgres_url: str) -> None:
    """Somebody who stands still in their turn holds up nobody for ever; later turns are taken as ever."""
    with (
        closing(PostgresState(postgres_url, options=HASTY)) as one,
        closing(PostgresState(postgres_url, options=HASTY)) as other,
    ):
        with one.turn(), other.turn():
            pass
        with other.turn(), one.turn():
            pass


def test_a_turn_that_is_lost_is_taken_again(postgres_url: str) -> None:
    """A connection that broke costs one turn, in which one goes on without."""
    with closing(PostgresState(postgres_url)) as one, closing(PostgresState(postgres_url)) as other:
        order: list[str] = []

        def take() -> None:
            with other.turn():
                order.append("other")

        take()
        with one.turn():
            _end_all(other)
        with one.turn():  # It is lost: nobody is kept waiting.
            take()
        waiting = threading.Thread(target=take)
        with one.turn():
            waiting.start()
            waiting.join(A_MOMENT_S)
            order.append("one")
        waiting.join()
        assert order == ["other", "other", "one", "other"]


def _end_all(state: PostgresState) -> None:
    """Have the server end every other connection of the database."""
    state._readers.run(
        lambda connection: connection.execute(
            b"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND usename = user"
        )
    )
