"""Somebody in a simulation who has links undone, and what must have come of it: who there would be without them."""

from collections.abc import Iterable, Iterator, Mapping
from random import Random
from typing import Any

from onefold.clock import Clock
from onefold.errors import InvalidRequest, NotFoundError, Overloaded, Unavailable
from onefold.model import entry as entries
from onefold.model import position
from onefold.model import profile as profiles
from onefold.model import recast as bodies
from onefold.model.effect import Recast
from onefold.runtime.identity.recasting import Sources
from onefold.runtime.identity.unmerge import Link, planned
from onefold.runtime.past.counting_since import Versions
from onefold.runtime.past.profile_then import PastDefinitions
from onefold.testing.memory.state import MemoryState
from onefold.testing.simulation.faults import FaultyLog, FaultyState
from onefold.testing.simulation.history import FaultyHistory

_EVERYTHING = 1 << 40
_OFTEN = 0.6
_USER, _DEVICE = "user_id:", "anonymous_id:"


class Undoer:
    """A process that now and then has two identifiers of somebody taken apart, as the command does it."""

    def __init__(
        self, log: FaultyLog, state: FaultyState, catalog: Versions, history: FaultyHistory, world: tuple[Clock, Random]
    ) -> None:
        self._log = log
        self._state = state
        self._clock, self._chance = world
        self._sources = Sources(history, log, state, catalog, PastDefinitions(catalog))

    def turn(self, *, open_: bool) -> bool:
        """Have something undone, or not; nothing waits for it. `open_`: it is the hour for it."""
        if not open_ or self._chance.random() > _OFTEN or not (links := sorted(self._links())):
            return False
        wish = Link(*self._chance.choice(links))
        try:
            undoing, found = planned(self._sources, wish)
        except (InvalidRequest, NotFoundError, Overloaded, Unavailable):
            return False
        entry = entries.Recast(self._clock.now_ms(), "somebody", undoing.said, bodies.encode(found.body))
        home = position.home(min(found.before)) % self._log.partitions
        self._log.append({home: [entries.encode(entry)]})
        return True

    def _links(self) -> Iterator[tuple[str, str]]:
        for home in range(self._log.partitions):
            for one in self._state.profile_ids(home, 0, _EVERYTHING):
                names = profiles.decode(self._state.profile(one) or b"").identifiers
                users = [name for name in names if name.startswith(_USER)]
                yield from ((user, name) for user in users for name in names if name.startswith(_DEVICE))


def undone(state: MemoryState) -> set[tuple[str, str]]:
    """User ids and anonymous ids whose links were undone, as the effects tell."""
    found: set[tuple[str, str]] = set()
    for _, _, batch in state.effects(0, _EVERYTHING):
        for each in batch:
            if isinstance(each, Recast) and each.applied:
                user, device = each.why.split(" ")[2:4]
                found.add((user.removeprefix(_USER), device.removeprefix(_DEVICE)))
    return found


def without(event: Mapping[str, Any], pairs: Iterable[tuple[str, str]]) -> dict[str, Any]:
    """The event as if it did not have the device that is not its user's."""
    gone = {device for user, device in pairs if event.get("userId") == user}
    kept = {name: value for name, value in event.items() if name != "anonymousId" or value not in gone}
    if kept.get("type") == "alias" and kept.get("previousId") in gone:
        del kept["previousId"]
    return kept
