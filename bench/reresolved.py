"""A world's past brought under its rules, as `onefold identity reresolve` does it: history, and entries of the log."""

from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path

from onefold.clock import SystemClock
from onefold.model import profile as profiles
from onefold.model.catalog import VersionRow
from onefold.model.definitions import Definitions
from onefold.runtime.history.writing import Historian
from onefold.runtime.history.writing import Sources as Followed
from onefold.runtime.identity.past import Sources
from onefold.runtime.identity.reresolving import Engines, Outcome, Reresolving
from onefold.storage.history.delta import DeltaHistory
from onefold.testing.world import World as Platform

_ROUNDS = 5
_AT_ONCE = 10_000


class _OneVersion:
    """A catalog with one version, in force from the beginning."""

    def __init__(self, definitions: Definitions) -> None:
        self._definitions = definitions

    def definitions(self, version: int | None = None) -> Definitions:
        """It."""
        assert version in (None, 0, self._definitions.version)
        return self._definitions

    def versions(self) -> list[VersionRow]:
        """It."""
        return [VersionRow(self._definitions.version, "bench", 0)]


def reresolve(platform: Platform, definitions: Definitions, location: Path) -> dict[int, int]:
    """Let the rules hold for the past until nobody differs; place of each event → the profile that has it then.

    `location`: where history is kept meanwhile. Raises `AssertionError` where anybody is left as they were.
    """
    with closing(DeltaHistory(location)) as history:
        assert history.try_hold()
        historian = Historian(Followed(platform.state, platform.reader), history, SystemClock(), 0)
        _follow(historian, platform)
        engines = Engines(Sources(history, platform.reader, platform.state), platform.writer, _OneVersion(definitions))
        for _ in range(_ROUNDS):
            found = _round(engines, platform)
            _follow(historian, platform)
            if not found.done:
                break
        assert not found.left, found.left
        return dict(_owners(history, platform))


def _round(engines: Engines, platform: Platform) -> Outcome:
    rules = platform.state.rules(platform.state.cursor(0).rules)
    made = Reresolving(engines, rules, "bench", lambda *_: None)
    return made.run(lambda *_: platform.fold(), lambda _: None, lambda: platform.now_ms)


def _follow(historian: Historian, platform: Platform) -> None:
    """Let history have everything."""
    while historian.turn(platform.state.newest()):
        pass
    historian.stop()


def _owners(history: DeltaHistory, platform: Platform) -> Iterator[tuple[int, int]]:
    whose = {past.position: past.profile for some in history.scan() for past in some}
    alive = _survivors(platform, sorted(set(whose.values())))
    return ((place, alive[profile]) for place, profile in whose.items())


def _survivors(platform: Platform, ids: list[int]) -> Mapping[int, int]:
    found: dict[int, int] = {}
    for n in range(0, len(ids), _AT_ONCE):
        stored = platform.state.survivors(ids[n : n + _AT_ONCE])
        found |= {one: profiles.decode_known(data).id for one, data in stored.items()}
    return found
