"""What a change of definitions asks of the past: whether there is any, and when all of it is in force."""

from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import pytest

from onefold.clock import SystemClock
from onefold.model import entry as entries
from onefold.model.definitions import Definitions
from onefold.model.entry import Outgoing, Tick
from onefold.runtime.backfill.plan import has_past, in_force
from onefold.runtime.folding.fold import Folding
from onefold.runtime.folding.programs import Programs
from onefold.runtime.ruling import begin_log
from onefold.settings import Settings
from onefold.storage.place import Place
from onefold.testing.world import World, define, track

ORDERS = {"orders": 'count("Order Completed")'}


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """A platform that was made, and never served."""
    opened = Place.open(Settings(data=tmp_path / "data", partitions=2, disk_reserve_bytes=1))
    begin_log(opened, SystemClock())
    return opened


def append(place: Place, entry: Outgoing | Tick) -> None:
    """Let this come into the second partition of its log."""
    with closing(place.log_writer()) as writer:
        writer.append({1: [entries.encode(entry)]})


def received(*events: Mapping[str, Any]) -> Outgoing:
    """What collect has taken."""
    return Outgoing("web", 1, [msgspec.Raw(msgspec.json.encode(event)) for event in events])


def test_nothing_has_happened_where_the_log_has_no_events(place: Place) -> None:
    """Rules and ticks are no past: what is applied first is in force at once."""
    append(place, Tick(1))
    assert not has_past(place)


def test_events_that_nobody_has_folded_are_a_past(place: Place) -> None:
    """They come before the definitions in the log, and so would never count by themselves."""
    append(place, Tick(1))
    append(place, received(track("Order Completed", user="u1")))
    assert has_past(place)
    with closing(place.state()):
        assert has_past(place)


def test_what_was_folded_and_admitted_nobody_is_no_past(place: Place) -> None:
    """Events of nobody are in quarantine, and history never has them."""
    append(place, received({"type": "track", "event": "Order Completed"}))
    with closing(place.state()) as state, closing(place.log_reader()) as log:
        folding = Folding(log, state, Programs(lambda _: Definitions()))
        while folding.advance_all((0, 1)):
            pass
    assert not has_past(place)


def test_definitions_are_in_force_once_every_partition_has_them() -> None:
    """A partition that is behind does not count by them yet."""
    world = World(partitions=2)
    assert in_force(0, world.state, 2)
    world.define(define(ORDERS))
    world.folding.advance(0)
    assert not in_force(1, world.state, 2)
    world.fold()
    assert in_force(1, world.state, 2)
