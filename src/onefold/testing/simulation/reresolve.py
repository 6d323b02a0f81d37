"""Somebody in a simulation who brings the past under the rules in force, while all else goes on and falls over.

What must have come of it: everybody is who, and is what, a fold of all events under the last rules makes of them.
"""

from collections.abc import Callable
from random import Random
from typing import Protocol

from msgspec.structs import replace

from onefold.clock import Clock
from onefold.errors import NotFoundError, Unavailable
from onefold.model.catalog import VersionRow
from onefold.model.definitions import Definitions
from onefold.runtime.identity.past import Sources
from onefold.runtime.identity.reresolving import Engines, Outcome, Reresolving
from onefold.testing.rules import random_identity
from onefold.testing.simulation.faults import FaultyLog, FaultyState
from onefold.testing.simulation.history import FaultyHistory

_OFTEN = 0.4
_TURNS_MAX = 400
"""Of others, until somebody must have folded what was written."""


class Versions(Protocol):
    """What is asked of the catalog."""

    def definitions(self, version: int | None = None) -> Definitions:
        """The definitions of a version; None: the latest."""
        ...

    def versions(self) -> list[VersionRow]:
        """All of them."""
        ...


def other_rules(definitions: Definitions, chance: Random) -> Definitions:
    """The definitions under rules of identity that a seed draws."""
    drawn = random_identity(chance.randrange(10_000), blocking=False, traits=chance.random() < 0.2)
    return replace(definitions, identity=drawn)


class Reresolver:
    """A process that does now and then what the command does, once through the past."""

    def __init__(
        self,
        log: FaultyLog,
        state: FaultyState,
        catalog: Versions,
        history: FaultyHistory,
        world: tuple[Clock, Random, Callable[[], None]],
    ) -> None:
        """`world`: the clock, the seed's draws, and how others have a turn."""
        self._state, self._catalog, self._partitions = state, catalog, range(log.partitions)
        self._clock, self._chance, self._others = world
        self._engines = Engines(Sources(history, log, state), log, catalog)

    def turn(self, *, open_: bool) -> bool:
        """Go through the past, or not; nothing waits for it. `open_`: it is the hour for it."""
        if not open_ or self._chance.random() > _OFTEN:
            return False
        try:
            self.once()
        except (Unavailable, NotFoundError):
            return False
        return True

    def once(self) -> Outcome:
        """Go through the past once. Raises `Unavailable` where the rules are not in force everywhere."""
        latest = self._catalog.definitions().version
        if any(self._state.cursor(each).version != latest for each in self._partitions):
            raise Unavailable("the rules are not in force everywhere")
        rules = self._state.rules(self._state.cursor(0).rules)
        made = Reresolving(self._engines, rules, "somebody", lambda *_: None)
        return made.run(self._folded, lambda _: None, self._clock.now_ms)

    def _folded(self, partition: int, offset: int) -> None:
        for _ in range(_TURNS_MAX):
            if self._state.cursor(partition).offset > offset:
                return
            self._others()
        raise Unavailable("nobody folds what was written")
