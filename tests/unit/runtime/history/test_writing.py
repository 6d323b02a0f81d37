"""Writing history where the log does not have what effects tell of, or not just now."""

import msgspec

from onefold.errors import Unavailable
from onefold.model import entry as entries
from onefold.model.effect import Admitted, Recast
from onefold.model.past import PastRecast
from onefold.model.recast import Recasting
from onefold.runtime.history.writing import Historian, Sources
from onefold.testing.clock import ManualClock
from onefold.testing.conformance.state import commit
from onefold.testing.memory.history import MemoryHistory
from onefold.testing.memory.log import MemoryLog
from onefold.testing.memory.state import MemoryState
from onefold.testing.world import START_MS, track

ANN, BEN = 1, 2


class Platform:
    """An event of Ann's, and one commit that tells of it and of a recast at this offset, by which it is Ben's."""

    def __init__(self, offset: int) -> None:
        self.state, self.log, self.history = MemoryState(), MemoryLog(), MemoryHistory()
        body = msgspec.msgpack.encode(Recasting({}, [], {}, events={BEN: {ANN: [0]}}))
        received = entries.Received("web", START_MS, [track("Bought", user="ann")])
        self.log.append({0: [entries.encode(received), entries.encode(entries.Recast(START_MS, "me", "so", body))]})
        recast = Recast(ANN, offset << 16, 0, START_MS, "me", "so", applied=True)
        commit(self.state, effects=[Admitted(ANN, 0, 0, START_MS, "Bought"), recast])
        self.historian = Historian(Sources(self.state, self.log), self.history, ManualClock(), flush_s=0)

    def write(self) -> list[PastRecast]:
        """Write what there is; the event is there once."""
        self.historian.turn()
        self.historian.stop()
        assert [past.event.event for past in self.history.of_profiles([ANN, BEN])] == ["Bought"]
        assert self.history.cursor() == 1
        return self.history.recasts()


def test_a_recast_tells_whose_events_are_whose() -> None:
    """As its entry says."""
    (told,) = Platform(1).write()
    assert (told.profile, told.former, told.event_partition, told.event_position) == (BEN, ANN, 0, 0)


def test_a_recast_whose_entry_is_lost_holds_nothing_up() -> None:
    """A cluster has lost the end of its log, or another record is there: the rest is written, and the role goes on."""
    assert Platform(0).write() == []
    assert Platform(7).write() == []


def test_a_log_that_is_away_in_the_middle_of_a_commit_doubles_nothing() -> None:
    """What was taken of a commit is not taken again with it."""
    platform = Platform(1)
    platform.log.fail_next(read=Unavailable("away"))
    try:
        platform.historian.turn()
    except Unavailable:
        assert len(platform.write()) == 1
    else:
        raise AssertionError("nothing was read")
