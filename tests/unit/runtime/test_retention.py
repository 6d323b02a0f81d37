"""Which effects may be forgotten: those that every follower has taken."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from onefold.ports import Commit
from onefold.runtime.retention import Retention, taken_by_all
from onefold.settings import Settings
from onefold.storage.place import Place
from onefold.testing.clock import ManualClock
from onefold.testing.conformance.state import admitted, commit
from onefold.testing.memory.log import MemoryLog
from onefold.testing.memory.state import MemoryState


@pytest.mark.parametrize(
    ("delivered", "others", "taken"),
    [(7, (), 7), (7, (None, None), 7), (7, (5, None), 5), (7, (9, 3), 3), (2, (9, 3), 2), (7, (0, None), 0)],
)
def test_the_slowest_follower_says(delivered: int, others: tuple[int | None, ...], taken: int) -> None:
    """Whoever follows no effects has no say."""
    deliveries: Any = SimpleNamespace(low_water=lambda: delivered)
    assert taken_by_all(deliveries, *(lambda commit=commit: commit for commit in others)) == taken


def test_effects_wait_for_matching(tmp_path: Path) -> None:
    """While it is on, and once it has begun: before, everybody is matched anyway."""
    place = Place.open(Settings(data=tmp_path / "data", matching=True))
    assert place.matched() is None
    proposals = place.proposals()
    proposals.put([], set(), 41)
    proposals.close()
    assert place.matched() == 41
    assert Place.open(Settings(data=tmp_path / "data")).matched() is None


class Hurried(MemoryState):
    """A state into which a worker commits the log's record just after somebody has found no effects in it, twice."""

    looks = 0

    def commits(self, after: int, max_bytes: int) -> list[Commit]:
        """As `State.commits`."""
        found = super().commits(after, max_bytes)
        self.looks += 1
        if self.looks == 2:
            commit(self, effects=[admitted(0)])
        return found


def test_what_is_folded_while_retention_looks_stays_in_the_log(tmp_path: Path) -> None:
    """A record is asked for by an effect that was not there yet when the effects were looked through."""
    clock = ManualClock()
    log = MemoryLog(1)
    log.append({0: [b"record"]})
    state = Hurried()
    settings = Settings(data=tmp_path, log_retention_bytes=0)
    retention = Retention(settings, log, state, lambda: 0, clock)
    retention.trim()
    assert (state.newest(), log.ends(0)) == (1, (0, 1))
