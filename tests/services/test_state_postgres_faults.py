"""What happens to the state when PostgreSQL dies, stands still, refuses, or ends connections, with the real server."""

import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, suppress

import psycopg
import pytest

from onefold.errors import Conflict, Unavailable
from onefold.model.changes import Cursor
from onefold.model.position import profile_id
from onefold.runtime.folding.fold import Folding
from onefold.storage.postgres import migration
from onefold.storage.postgres.driver import Timeouts
from onefold.storage.postgres.state import Options, PostgresState
from onefold.testing.conformance.state import NOW_MS, admitted, changes, commit, message
from onefold.testing.memory.state import MemoryState
from onefold.testing.servers.postgres import PostgresServer
from tests.services.conftest import SCHEMA
from tests.services.test_state_postgres_folding import PARTITIONS, side_by_side, world_of

pytestmark = pytest.mark.services
PEOPLE = [profile_id(0, n << 16) for n in range(12)]
QUICK = Options(timeouts=Timeouts(connect_s=2, statement_s=5, lock_s=0.5, answer_s=1))
LIMIT_S = 60.0


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    """A server to break."""
    with PostgresServer() as mine:
        yield mine


@pytest.fixture
def url(server: PostgresServer) -> Iterator[str]:
    """A database of the test's own on it."""
    made = server.create_database()
    migration.migrate(made, SCHEMA)
    yield made
    server.drop_database(made)


class Writer:
    """Adds one to some people's counters, commit by commit, as a worker would; remembers what was acknowledged."""

    def __init__(self, url: str, partition: int) -> None:
        self.url, self.partition = url, partition
        self.acknowledged: list[tuple[int, int, int]] = []
        """Number, partition, offset of each commit that was."""
        self.unsure = 0
        self.stopped = threading.Event()

    def run(self) -> None:
        """Until stopped; where the server is away, go on when it is back, from what the cursor says."""
        state: PostgresState | None = None
        try:
            while not self.stopped.is_set():
                try:
                    state = state or PostgresState(self.url, options=QUICK)
                    self.acknowledged.append(self._step(state))
                except Conflict:
                    continue
                except Unavailable:
                    self.unsure += 1
                    self.stopped.wait(0.02)
        finally:
            if state is not None:
                state.close()

    def _step(self, state: PostgresState) -> tuple[int, int, int]:
        offset = state.cursor(self.partition).offset
        wanted = [PEOPLE[(offset * (self.partition + 3)) % len(PEOPLE)], PEOPLE[(offset * 5 + 1) % len(PEOPLE)]]
        fingerprint = message(self.partition << 32 | offset)
        loaded = state.load((), wanted, [fingerprint])
        if state.cursor(self.partition).offset == offset:
            assert not loaded.seen, "a message is there, and the cursor of its commit is not"
        encoded = {p: str(int(loaded.profiles.get(p, b"0")) + 1).encode() for p in dict.fromkeys(wanted)}
        made = changes(
            self.partition, profiles=encoded, messages={fingerprint: NOW_MS}, effects=[admitted(offset)],
            cursor=Cursor(offset + 1, NOW_MS), counts={"added": len(encoded)},
        )  # fmt: skip
        return state.commit([made], loaded, encoded), self.partition, offset


class Follower:
    """Reads the effects as they come, as the deliver role does."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.numbers: list[int] = []
        self.done_at: int | None = None

    def run(self) -> None:
        """Until the commit `done_at` was seen."""
        with ExitStack() as stack:
            state: PostgresState | None = None
            while self.done_at is None or (self.numbers or [0])[-1] < self.done_at:
                with suppress(Unavailable):
                    state = state or stack.enter_context(closing(PostgresState(self.url, options=QUICK)))
                    after = self.numbers[-1] if self.numbers else 0
                    self.numbers += [number for number, _, _ in state.commits(after, 1 << 16)]


def until(holds: Callable[[], bool]) -> None:
    """Wait for something, not for ever."""
    deadline = time.monotonic() + LIMIT_S
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def under_load(url: str, ordeal: Callable[[list[Writer]], None], writers: int = 3) -> tuple[list[Writer], Follower]:
    """Writers and a follower at work while `ordeal` runs in a thread of its own; then all come to rest."""
    crew, follower = [Writer(url, partition) for partition in range(writers)], Follower(url)

    def run() -> None:
        try:
            ordeal(crew)
        finally:
            for writer in crew:
                writer.stopped.set()

    follows = threading.Thread(target=follower.run)
    follows.start()
    side_by_side([run, *(writer.run for writer in crew)])
    with closing(PostgresState(url)) as state:
        follower.done_at = state.newest()
    follows.join(LIMIT_S)
    assert not follows.is_alive()
    return crew, follower


def reckon(url: str, crew: list[Writer], follower: Follower) -> None:
    """Whatever has happened, everything agrees, and nothing acknowledged is lost."""
    with closing(PostgresState(url)) as state:
        newest = state.newest()
        rows = state.effects(0, 1 << 30)
        numbers = [number for number, _, _ in rows]
        assert numbers == list(range(1, newest + 1)) == follower.numbers
        there = {(number, partition, effect.position) for number, partition, effects in rows for effect in effects}
        assert {each for writer in crew for each in writer.acknowledged} <= there
        commits = Counter(partition for _, partition, _ in rows)
        assert all(state.cursor(writer.partition).offset == commits[writer.partition] for writer in crew)
        assert [effect.position for _, p, effects in rows if p == 0 for effect in effects] == list(range(commits[0]))
        sums = sum(int(data) for data in state.load((), PEOPLE, ()).profiles.values())
        assert sums == state.counts()["added"]
        messages = [message(p << 32 | offset) for p, many in commits.items() for offset in range(many)]
        assert len(state.load((), (), messages).seen) == len(messages)


def test_kill_9_in_the_middle_of_commits_loses_nothing(server: PostgresServer, url: str) -> None:
    """What was acknowledged is there after kill -9 of every process of the server; numbers have no gap (I1, I3).

    Also in a database whose commits are not durable unless somebody asks for it.
    """
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"ALTER DATABASE {url.rpartition('/')[2]} SET synchronous_commit = off".encode())

    def ordeal(crew: list[Writer]) -> None:
        for n in range(4):
            goal = [len(writer.acknowledged) + 5 * n + 5 for writer in crew]
            until(lambda goal=goal: all(len(w.acknowledged) >= g for w, g in zip(crew, goal, strict=True)))  # type: ignore[misc]
            server.kill()
            server.start()
        goal = [len(writer.acknowledged) + 5 for writer in crew]
        until(lambda: all(len(w.acknowledged) >= g for w, g in zip(crew, goal, strict=True)))

    crew, follower = under_load(url, ordeal)
    assert sum(writer.unsure for writer in crew) >= 4
    reckon(url, crew, follower)


def test_a_follower_sees_every_commit_once_and_in_order(url: str) -> None:
    """While several writers commit at once, a follower misses no number and sees none twice."""
    crew, follower = under_load(url, lambda crew: until(lambda: all(len(w.acknowledged) > 40 for w in crew)))
    assert not any(writer.unsure for writer in crew)
    reckon(url, crew, follower)


def test_connections_that_are_ended_at_any_moment_cost_nothing_but_a_retry(server: PostgresServer, url: str) -> None:
    """pg_terminate_backend on whoever is at work: everything agrees, as after a kill."""
    chance = random.Random(1)

    def ordeal(crew: list[Writer]) -> None:
        with psycopg.connect(server.url, autocommit=True) as connection:
            for _ in range(60):
                before = sum(len(writer.acknowledged) for writer in crew)
                until(lambda before=before: sum(len(w.acknowledged) for w in crew) > before)  # type: ignore[misc]
                time.sleep(chance.random() * 0.005)
                connection.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'onefold' "
                    "AND application_name = 'onefold state' ORDER BY random() LIMIT 2"
                )

    crew, follower = under_load(url, ordeal)
    reckon(url, crew, follower)


def disturb_each_commit_once(url: str, how: str, *, at_its_end: bool) -> None:
    """Have the server do this the first time that a commit's number is tried."""
    with psycopg.connect(url, options=f"-c search_path={SCHEMA}") as connection:
        connection.execute("CREATE SEQUENCE tried MINVALUE 0")
        connection.execute(
            "CREATE FUNCTION disturb() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
            "IF NEW.number > (SELECT last_value FROM tried) THEN PERFORM setval('tried', NEW.number); "
            f"{how}; END IF; RETURN NULL; END $$".encode()
        )
        connection.execute(
            f"CREATE CONSTRAINT TRIGGER disturb AFTER INSERT ON touched "
            f"{'DEFERRABLE INITIALLY DEFERRED' if at_its_end else ''} FOR EACH ROW EXECUTE FUNCTION disturb()".encode()
        )


@pytest.mark.parametrize("code", ["40001", "40P01"])
@pytest.mark.parametrize("at_its_end", [False, True], ids=["writing", "committing"])
def test_a_serialisation_failure_in_every_batch_is_a_conflict(url: str, code: str, at_its_end: bool) -> None:  # noqa: FBT001 - a case
    """A database that refuses each commit once gets every batch folded again, to the same end."""
    disturb_each_commit_once(url, f"RAISE EXCEPTION 'not now' USING ERRCODE = '{code}'", at_its_end=at_its_end)
    expected = world_of(5, MemoryState(), 60)
    expected.fold(5)
    with closing(PostgresState(url)) as state:
        world = world_of(5, state, 60)
        world.fold(5)
        assert state.digest() == expected.state.digest()
        assert world.folding.conflicts == state.newest() == expected.state.newest()


@pytest.mark.parametrize("at_its_end", [False, True], ids=["writing", "committing"])
def test_folding_goes_on_over_a_connection_that_breaks_in_every_commit(url: str, at_its_end: bool) -> None:  # noqa: FBT001 - a case
    """While it writes, a commit is tried again unasked; at its end the worker is told, and reads what has happened."""
    expected = world_of(6, MemoryState(), 60)
    with closing(PostgresState(url)) as state:
        world = world_of(6, state, 60)
        disturb_each_commit_once(url, "PERFORM pg_terminate_backend(pg_backend_pid())", at_its_end=at_its_end)
        before = state.newest()
        lost = sum(_patiently(world.folding, partition) for partition in range(PARTITIONS))
        for partition in range(PARTITIONS):
            _patiently(expected.folding, partition)
        assert state.digest() == expected.state.digest()
        assert lost == (state.newest() - before if at_its_end else 0)


def _patiently(folding: Folding, partition: int) -> int:
    """Fold a partition to its end; how often the state was not there."""
    lost = 0
    while True:
        try:
            if not folding.advance(partition, 7):
                return lost
        except Unavailable:
            lost += 1


def test_who_was_alone_for_long_notices_that_somebody_has_come(url: str) -> None:
    """A commit that hopes to be alone is made all the same where it is not, or refused where it must be."""
    with closing(PostgresState(url)) as mine, closing(PostgresState(url)) as other:
        for offset in range(1, 30):
            commit(mine, offset=offset, profiles=[PEOPLE[0]], effects=[admitted(offset)])
        loaded = mine.load((), PEOPLE[:2], ())
        assert commit(other, partition=1, profiles=[PEOPLE[2]], effects=[admitted(1)]) == 30
        assert commit(mine, loaded, offset=30, profiles=[PEOPLE[0]], effects=[admitted(30)]) == 31
        for offset in range(31, 60):
            commit(mine, offset=offset, profiles=[PEOPLE[0]], effects=[admitted(offset)])
        loaded = mine.load((), PEOPLE[:2], ())
        commit(other, partition=1, offset=2, profiles=[PEOPLE[0]])
        with pytest.raises(Conflict):
            commit(mine, loaded, offset=60, profiles=[PEOPLE[0]])
        assert mine.cursor(0).offset == 59
        assert [number for number, _, _ in mine.effects(0, 100)] == [*range(1, 61)]


def test_a_server_that_stands_still_is_unavailable_in_seconds(server: PostgresServer, url: str) -> None:
    """Load, commit, reads and new connections give up after the time-out; when it goes on, so do they."""
    with closing(PostgresState(url, options=QUICK)) as state:
        commit(state, profiles=PEOPLE[:1])
        loaded = state.load((), (), ())
        server.pause()
        try:
            for call in (
                lambda: state.load((), (), ()),
                lambda: commit(state, loaded, offset=2),
                lambda: state.profile(PEOPLE[0]),
            ):
                began_s = time.monotonic()
                with pytest.raises(Unavailable):
                    call()
                assert time.monotonic() - began_s < 10
        finally:
            server.resume()
        assert state.load((), (), ()).snapshot == 1
        assert commit(state, offset=2) == 2


@pytest.mark.parametrize("hopeful_commits", [20, 0], ids=["in_turn", "at_once"])
def test_a_restart_between_two_calls_is_not_noticed(server: PostgresServer, url: str, hopeful_commits: int) -> None:
    """Connections that rested through a restart are replaced: no call fails, of the writer or of a reader."""
    with closing(PostgresState(url, options=Options(hopeful_commits=hopeful_commits))) as state:
        loaded = state.load((), (), ())
        calls: list[Callable[[], object]] = [
            lambda: commit(state, loaded, profiles=PEOPLE[:1]),
            lambda: state.load((), PEOPLE, ()),
            lambda: state.touched_since(1),
            lambda: state.profile(PEOPLE[0]),
            lambda: commit(state, loaded._replace(snapshot=1), offset=2, profiles=PEOPLE[1:2]),
        ]
        for call in calls:
            server.restart()
            assert call() is not None
        assert state.newest() == 2


def test_who_waits_too_long_for_the_head_gives_up_and_has_written_nothing(server: PostgresServer, url: str) -> None:
    """A commit behind another that does not end is `Unavailable` after the lock's time-out."""
    with closing(PostgresState(url, options=QUICK)) as state:
        loaded = state.load((), (), ())
        with psycopg.connect(url, options=f"-c search_path={SCHEMA}") as other:
            other.execute("UPDATE head SET number = number")
            with pytest.raises(Unavailable):
                commit(state, loaded, profiles=PEOPLE[:1])
            other.rollback()
        assert (state.newest(), state.profile(PEOPLE[0])) == (0, None)
        assert commit(state, loaded, profiles=PEOPLE[:1]) == 1


def test_a_writer_that_vanishes_lets_go_of_the_head(url: str) -> None:
    """A process that is gone, or stands still, in the middle of a commit is rolled back by the server in time."""
    impatient = Options(timeouts=Timeouts(idle_s=0.5))
    with ExitStack() as stack:
        gone = stack.enter_context(closing(PostgresState(url, options=impatient)))
        other = stack.enter_context(closing(PostgresState(url)))
        standing = stack.enter_context(closing(gone._connect()))
        standing.execute("BEGIN; UPDATE head SET number = number + 1")
        assert commit(other, profiles=PEOPLE[:1]) == 1


def test_the_answer_to_a_commit_that_is_lost_is_unavailable_and_the_commit_another_s(url: str) -> None:
    """Whether it has happened is read from the cursor; `touched_since` tells of it as of somebody else's commit."""
    with psycopg.connect(url, options=f"-c search_path={SCHEMA}") as connection:
        connection.execute(
            "CREATE FUNCTION late() RETURNS trigger LANGUAGE plpgsql "
            "AS $$ BEGIN PERFORM pg_sleep(2); RETURN NULL; END $$"
        )
        connection.execute(
            "CREATE CONSTRAINT TRIGGER late AFTER INSERT ON touched DEFERRABLE INITIALLY DEFERRED "
            "FOR EACH ROW EXECUTE FUNCTION late()"
        )
    with closing(PostgresState(url, options=QUICK)) as state:
        with pytest.raises(Unavailable):
            commit(state, profiles=PEOPLE[:1])
        until(lambda: state.newest() == 1)
        assert state.cursor(0).offset == 1
        assert state.touched_since(0) == (1, ({PEOPLE[0]}, set()))
