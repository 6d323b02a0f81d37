"""The open engines that the API answers from, in one value that every route is given."""

import math
from collections.abc import Callable

from litestar.di import NamedDependency
from litestar.params import SkipValidation
from msgspec import Struct

from onefold.clock import Clock
from onefold.errors import StorageError
from onefold.model.rules import Rules
from onefold.ports import Catalog, Deliveries, HistoryReader, LogReader, LogWriter, Proposals, State
from onefold.settings import Settings
from onefold.storage.place import Place


class Engines(Struct, frozen=True):
    """Opened by `app.run`, closed by it; tests hand in engines of their own."""

    settings: Settings
    clock: Clock
    place: Place
    catalog: Catalog
    log: LogReader
    state: State
    deliveries: Deliveries | None = None
    """The delivery store; None where this process could not open one."""
    writer: LogWriter | None = None
    """Appends to the log; None where this process only reads."""
    history: Callable[[], HistoryReader | None] = lambda: None
    """Opens history when it is first asked for; None where none is kept."""

    proposals: Callable[[], Proposals] | None = None
    """Opens proposed links when they are first asked for."""

    def proposed(self) -> Proposals:
        """Proposed links. Raises `StorageError` where they cannot be opened."""
        if self.proposals is None:
            raise StorageError("this process knows nothing of proposed links")
        return self.proposals()

    def rules(self, partition: int = 0) -> Rules:
        """The rules in force in a partition; but for the moments after a start with others, they are so in all."""
        return self.state.rules(self.state.cursor(partition).rules)


class InForce:
    """The rules in force, for the hot route: it looks once a second, as they change in the moments after a start."""

    def __init__(self, engines: Engines) -> None:
        self._engines = engines
        self._rules = Rules()
        self._until_s = -math.inf

    def rules(self) -> Rules:
        """As `Engines.rules`, or as it was a moment ago."""
        now_s = self._engines.clock.monotonic_s()
        if now_s >= self._until_s:
            self._rules, self._until_s = self._engines.rules(), now_s + _RULES_POLL_S
        return self._rules


_RULES_POLL_S = 1.0

Given = NamedDependency[SkipValidation[Engines]]
"""How a route asks for the engines."""
