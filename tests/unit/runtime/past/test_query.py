"""Queries: what the relations show, and what a query may not do."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from onefold.errors import InvalidRequest
from onefold.model.position import show
from onefold.runtime.history.writing import Historian
from onefold.runtime.history.writing import Sources as Read
from onefold.runtime.past.query import Sources, ask
from onefold.storage.history.delta import DeltaHistory
from onefold.testing.clock import ManualClock
from onefold.testing.world import START_MS, World, define, group, identify, track
from tests.unit.core.test_accounts import DEFINITIONS as ACCOUNTS
from tests.unit.core.test_accounts import used


@pytest.fixture
def sources(tmp_path: Path) -> Iterator[Sources]:
    """Ann on two devices that became one, and somebody who only looked."""
    world = World(define({"views": 'count("Viewed")'}, {"lookers": "views > 0"}), partitions=2)
    world.send(track("Viewed", anonymous="a1", properties={"sku": "s1", "price": 2.5}, message="1"))
    world.now_ms += 1000
    world.send(track("Viewed", anonymous="a2", message="2"), track("Viewed", anonymous="a3", message="3"), partition=1)
    world.now_ms += 1000
    world.send(identify(anonymous="a1", user="ann", traits={"plan": "pro"}, message="4"))
    world.fold()
    world.send(identify(anonymous="a2", user="ann", message="5"), partition=1)
    world.fold()
    history = DeltaHistory(tmp_path / "it's")
    assert history.try_hold()
    Historian(Read(world.state, world.reader), history, ManualClock(), 1).turn()
    historian = Historian(Read(world.state, world.reader), history, ManualClock(), 1)
    historian.turn()
    historian.stop()
    yield Sources(history, world.state, world.partitions)
    history.close()


def rows(sources: Sources, sql: str) -> list[tuple[Any, ...]]:
    """All rows of the answer."""
    with ask(sources, sql) as answer:
        return list(answer.rows)


def test_events_are_shown_with_who_has_them_now(sources: Sources) -> None:
    """The events of both devices are Ann's; names, times and JSON can be asked for."""
    ann = sources.state.lookup("user_id:ann")
    assert ann is not None
    counts = rows(sources, "SELECT profile, count(*) FROM events GROUP BY profile ORDER BY 2 DESC")
    assert counts[0] == (show(ann), 4)
    assert [count for _, count in counts] == [4, 1]
    found = rows(sources, "SELECT epoch_ms(time), (properties->>'price')::DOUBLE FROM events WHERE message_id = '1'")
    assert found == [(START_MS, 2.5)]
    absorbed = rows(sources, "SELECT survivor FROM merges")
    assert absorbed == [(show(ann),)]


def test_people_are_shown_as_they_are(sources: Sources) -> None:
    """Profiles, identifiers and memberships come from the state, and join with events."""
    joined = rows(sources, "SELECT declared->>'plan', computed->>'views' FROM events JOIN profiles USING (profile)")
    assert sorted(set(joined), key=str) == [("pro", "2"), (None, "1")]
    names = rows(sources, "SELECT namespace, value FROM identifiers JOIN merges ON survivor = profile ORDER BY ALL")
    assert names == [("anonymous_id", "a1"), ("anonymous_id", "a2"), ("user_id", "ann")]
    assert rows(sources, "SELECT audience, count(*) FROM memberships GROUP BY ALL") == [("lookers", 2)]


@pytest.mark.parametrize(
    "sql",
    [
        "", "SELECT 1; SELECT 2", "CREATE TABLE x (y INT)", "DROP VIEW events", "PRAGMA version", "SELEC",
        "COPY (SELECT 1) TO '/tmp/onefold-x.csv'", "SET threads = 1", "ATTACH '/tmp/onefold-x.db'", "INSTALL httpfs",
        "SELECT nothing FROM events",
        "SELECT * FROM read_csv('/etc/passwd')", "SELECT * FROM '/etc/passwd'", "SELECT * FROM glob('/*')",
        "SELECT * FROM sources", "SELECT * FROM connection", "EXPLAIN ANALYZE COPY (SELECT 1) TO '/tmp/onefold-x.csv'",
    ],
)  # fmt: skip
def test_a_query_only_reads(sources: Sources, sql: str) -> None:
    """Whatever writes, reaches a file, changes a setting, or is no query, is refused with what is wrong."""
    with pytest.raises(InvalidRequest):
        rows(sources, sql)
    assert not list(Path("/tmp").glob("onefold-x.*"))


def test_a_query_cannot_overwrite_history(sources: Sources) -> None:
    """The files that a query may read it may not write."""
    assert isinstance(sources.history, DeltaHistory)
    file = sources.history.uris()[0]
    copy = f"COPY (SELECT 1) TO '{file.replace(chr(39), chr(39) * 2)}'"
    for sql in (copy, f"EXPLAIN ANALYZE {copy}"):
        with pytest.raises(InvalidRequest):
            rows(sources, sql)
    assert len(rows(sources, "SELECT * FROM events")) == 5


def test_accounts_are_no_people(tmp_path: Path) -> None:
    """They have a relation of their own, with how many members they have; people are in theirs, and members too."""
    world = World(ACCOUNTS)
    world.send(group("acme", user="ann", traits={"plan": "pro"}), used("bob"), used("bob", 7))
    world.pass_time(0)
    history = DeltaHistory(tmp_path / "history")
    assert history.try_hold()
    Historian(Read(world.state, world.reader), history, ManualClock(), 1).turn()
    sources = Sources(history, world.state, world.partitions)
    found = rows(
        sources, "SELECT account, events, members, declared->>'plan', computed->>'uses_1h' FROM accounts ORDER BY 1"
    )
    assert found == [("7", 1, 1, None, "1"), ("acme", 2, 1, "pro", "1")]
    assert rows(sources, "SELECT count(*) FROM profiles") == [(2,)]
    assert rows(sources, "SELECT DISTINCT audience FROM memberships") == [("lively",)]
    history.close()
