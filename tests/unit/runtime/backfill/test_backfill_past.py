"""What a backfill reads of history."""

from pathlib import Path

import pytest

from onefold.model.event import Event
from onefold.model.past import Past
from onefold.ports import Connection
from onefold.runtime.backfill.past import Wanted, people
from onefold.testing.memory.history import MemoryHistory

WANTED = Wanted({0: 1 << 40}, frozenset({"Order"}), frozenset({"properties"}))


class Watched(MemoryHistory):
    """Keeps how it was connected to."""

    def connect(self, spill: str = "") -> Connection:
        self.spill = Path(spill) if spill else None
        self.connection = super().connect(spill)
        return self.connection


def history(count: int) -> Watched:
    """So many events of seven people."""
    event = Event("track", event="Order", properties={"revenue": 5})
    return Watched(
        Past(0, n << 16, n % 7 + 1, n, n, n.to_bytes(16, "big"), "web", "Order", event) for n in range(count)
    )


def test_people_come_one_after_the_other() -> None:
    """By ascending id, from the one behind `after`, with what is asked for of each event and nothing else."""
    found = list(people(history(21), 0, 2, WANTED))
    assert [profile for profile, _ in found] == [profile for profile in range(3, 8) for _ in range(3)]
    assert {(event.properties, event.context, event.traits) for _, event in found} == {('{"revenue":5}', None, None)}


@pytest.mark.parametrize("taken", [1, 21])
def test_memory_is_bounded(taken: int) -> None:
    """What does not fit the memory that it may have is sorted on disk, and nothing is left there, read whole or not."""
    asked = history(21)
    found = people(asked, 0, 0, WANTED)
    for _ in range(taken):
        next(found)
    assert asked.spill is not None
    assert asked.spill.is_dir()
    (limit,) = asked.connection.execute("SELECT current_setting('memory_limit')").fetchall()[0]
    assert limit.endswith("MiB")
    found.close()
    assert not asked.spill.exists()
