"""Taking: every effect of a commit is either made a delivery or counted, whatever happens in the middle of it."""

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from onefold.errors import StorageError
from onefold.model.definitions import Destination
from onefold.model.effect import Admitted, AnyEffect, Created, Entered
from onefold.ports import Outcome
from onefold.runtime.delivering.payload import Payloads
from onefold.runtime.delivering.runner import _AT_ONCE, Patience, Runner, Sources
from onefold.runtime.delivering.tail import Tail
from onefold.storage.embedded.deliveries import DeliveryStore
from onefold.testing.clock import ManualClock
from onefold.testing.conformance.state import commit
from onefold.testing.memory.log import MemoryLog
from onefold.testing.memory.state import MemoryState

CRM = Destination("crm", audiences=("vip",))
NOW_MS = 5
PATIENCE = Patience(pending_ms=1_000, parked_ms=10_000)


class Sink:
    """A destination that takes everything."""

    async def send(self, key: str, payload: Mapping[str, Any]) -> Outcome:  # noqa: ARG002 - as the port says
        return Outcome(delivered=True, status=200)

    async def close(self) -> None:
        pass


def entered(n: int, audience: str = "vip", at_ms: int = NOW_MS) -> AnyEffect:
    """Person n enters."""
    return Entered(n + 1, n << 16, 0, at_ms, audience)


class Deliver:
    """One runner over a state in memory; call within an event loop."""

    def __init__(self, path: Path) -> None:
        self.state = MemoryState()
        self.tail = Tail(self.state)
        log = MemoryLog(1)
        self.store = DeliveryStore(path)
        self.clock = ManualClock(NOW_MS)
        sources = Sources(self.tail, Payloads(self.state, log), self.store, self.clock, PATIENCE)
        self.runner = Runner("crm", sources, 0)
        self.runner.update(CRM, Sink())

    def commit(self, *found: AnyEffect) -> None:
        """These happen."""
        commit(self.state, effects=list(found))
        self.tail.poll()

    def books(self) -> dict[str, int]:
        """What the destination's ledger says, which must close."""
        counts = dict(self.runner.line.ledger.counts())
        assert counts.get("taken", 0) == sum(n for name, n in counts.items() if name != "taken")
        return {name: n for name, n in counts.items() if n}


def test_what_is_not_wanted_is_counted_unseen(tmp_path: Path) -> None:
    """A commit with nothing for a destination is passed over, one with something is not; the books close."""

    async def run() -> None:
        deliver = Deliver(tmp_path)
        deliver.commit(Created(1, 1, 0, 5), entered(1, "other"), Admitted(1, 1, 1, 5, "vip"))
        deliver.commit(Created(2, 2, 0, 5), entered(2))
        while deliver.runner._take():
            pass
        assert deliver.books() == {"taken": 5, "filtered.unsubscribed": 4, "waiting": 1}
        assert deliver.runner.line.ledger.low_water == 1
        await deliver.runner.stop(0)

    asyncio.run(run())


def test_a_state_that_cannot_be_read_loses_nothing(tmp_path: Path) -> None:
    """Where people cannot be read, what was to be taken is taken later."""

    async def run() -> None:
        deliver = Deliver(tmp_path)
        deliver.commit(entered(1), entered(2, "other"), entered(3))
        deliver.state.fail_next("survivors", StorageError("no"))
        with pytest.raises(StorageError):
            deliver.runner._take()
        assert deliver.runner._take()
        assert deliver.books() == {"taken": 3, "filtered.unsubscribed": 1, "waiting": 2}
        await deliver.runner.stop(0)

    asyncio.run(run())


def test_a_narrower_choice_holds_at_once(tmp_path: Path) -> None:
    """What was chosen of a large commit and not yet taken is asked for again when the subscription has changed."""

    async def run() -> None:
        deliver = Deliver(tmp_path)
        deliver.commit(*(entered(n) for n in range(_AT_ONCE + 50)))
        assert deliver.runner._take()
        assert deliver.books()["waiting"] == _AT_ONCE
        deliver.runner.update(replace(CRM, audiences=("other",)), Sink())
        while deliver.runner._take():
            pass
        assert deliver.books() == {"taken": _AT_ONCE + 50, "filtered.unsubscribed": 50, "waiting": _AT_ONCE}
        await deliver.runner.stop(0)

    asyncio.run(run())


def test_what_is_too_old_needs_no_room(tmp_path: Path) -> None:
    """A destination that can take nothing stands still, until what it would take is too old: that is counted."""

    async def run() -> None:
        deliver = Deliver(tmp_path)
        deliver.runner.update(CRM, None)
        deliver.commit(Created(1, 1, 0, NOW_MS), *(entered(n) for n in range(_AT_ONCE + 50)), entered(0, "other"))
        deliver.commit(entered(1), entered(2, "other"), entered(3, at_ms=NOW_MS + 500))
        deliver.commit(entered(1, at_ms=NOW_MS + 500))
        deliver.clock.advance(PATIENCE.pending_ms)
        assert not deliver.runner._take()
        assert deliver.books() == {}
        deliver.clock.advance(1)
        assert deliver.runner._take()
        assert not deliver.runner._take()
        books = {"taken": _AT_ONCE + 54, "filtered.unsubscribed": 3, "filtered.expired": _AT_ONCE + 51}
        assert deliver.books() == books
        assert deliver.runner.line.ledger.low_water == 1
        deliver.runner.update(CRM, Sink())
        assert deliver.runner._take()
        assert deliver.books()["waiting"] == 2
        await deliver.runner.stop(0)

    asyncio.run(run())


def test_without_followers_nothing_is_read(tmp_path: Path) -> None:
    """The tail moves by the number of the newest commit alone, and who comes then finds what comes then."""

    async def run() -> None:
        deliver = Deliver(tmp_path)
        await deliver.runner.stop(0)
        deliver.state.fail_next("commits", AssertionError("was read"))
        deliver.commit(entered(1))
        assert (deliver.tail.newest, deliver.tail.poll()) == (1, False)
        deliver.tail.follow(CRM)
        with pytest.raises(AssertionError, match="was read"):
            deliver.tail.poll()
        deliver.commit(entered(2))
        assert [one.number for one in deliver.tail.after(1)] == [2]
        assert [one.number for one in deliver.tail.after(0)] == [1, 2]

    asyncio.run(run())
