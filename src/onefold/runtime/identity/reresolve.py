"""Re-resolve until nobody differs: rounds of `runtime.identity.reresolving`, on a platform that goes on meanwhile.

A round goes through the whole past. Where events that came meanwhile have tied people together whom it parts, or have
been faster than its entries, the next one finds them; mostly the second finds nobody.
"""

from collections.abc import Callable
from typing import NamedTuple

from msgspec import Struct

from onefold.clock import Clock
from onefold.errors import Unavailable
from onefold.limits import RERESOLVE_ROUNDS_MAX
from onefold.model.rules import Rules
from onefold.runtime.identity.regrouping import Progress
from onefold.runtime.identity.reresolving import Engines, Outcome, Reresolving
from onefold.runtime.identity.written import came_true, is_folded

_WAIT_S = 60.0
"""For the next thing that a worker, or the history role, has to do; far more than they ever need."""


class Shows(NamedTuple):
    """Who is told how far it is."""

    going_through: Progress
    bringing: Callable[[Outcome], None]


class Reresolved(Struct):
    """What has come of it."""

    version: int
    """The definitions whose rules the past is under now."""
    rounds: int = 0
    people_before: int = 0
    people_after: int = 0
    """Of those who were others than the rules in force make of them."""
    groups: int = 0
    entries: int = 0
    in_vain: int = 0
    """Entries that came too late, as somebody had changed meanwhile, and were made anew."""
    left: dict[str, int] = {}
    """Why groups of people were left as they are → how many."""


def reresolve(engines: Engines, clock: Clock, by: str, shows: Shows) -> Reresolved:
    """Let the rules in force hold for the past. May be ended at any time: what has been done stays done.

    Raises `Unavailable` where the rules are not in force everywhere, or nobody folds or keeps history; `StorageError`.
    """
    waiting = _Waiting(engines, clock)
    rules = waiting.in_force()
    found = Reresolved(engines.sources.state.cursor(0).version)
    for _ in range(RERESOLVE_ROUNDS_MAX):
        waiting.in_history()
        made = Reresolving(engines, rules, by, shows.going_through)
        made.run(waiting.folded, shows.bringing, clock.now_ms)
        _add(found, made.outcome)
        if made.outcome.done == 0:
            break
    return found


def _add(found: Reresolved, more: Outcome) -> None:
    found.rounds += 1
    found.people_before += more.people_before
    found.people_after += more.people_after
    found.groups += more.done
    found.entries += more.entries
    found.in_vain += more.in_vain
    found.left = more.left


class _Waiting:
    """Waits for what others do."""

    def __init__(self, engines: Engines, clock: Clock) -> None:
        self._engines, self._clock = engines, clock
        self._partitions = range(engines.sources.log.partitions)

    def in_force(self) -> Rules:
        """The rules, once the latest definitions are in force in every partition."""
        state, latest = self._engines.sources.state, self._engines.catalog.definitions()

        def there() -> bool:
            return all(state.cursor(each).version == latest.version for each in self._partitions)

        self._until(there, f"version {latest.version} is not in force in every partition: does a worker run?")
        return state.rules(state.cursor(0).rules)

    def folded(self, partition: int, offset: int) -> None:
        """Wait until a worker has folded this record."""
        if not is_folded(self._engines.sources.state, self._clock, (partition, offset), _WAIT_S):
            raise Unavailable("nobody folds what was written: no worker runs")

    def in_history(self) -> None:
        """Wait until history has all that is committed now; many commits have nothing for it."""
        state, history = self._engines.sources.state, self._engines.sources.history
        newest = state.newest()

        def there() -> bool:
            left = state.commits(history.cursor(), 1)
            return not left or left[0].number > newest

        self._until(there, "history is behind, and does not come nearer: does its role run?")

    def _until(self, there: Callable[[], bool], otherwise: str) -> None:
        if not came_true(self._clock, there, _WAIT_S):
            raise Unavailable(otherwise)
