"""Which effects may be forgotten: those that every follower has taken."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from onefold.runtime.retention import taken_by_all
from onefold.settings import Settings
from onefold.storage.place import Place


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
