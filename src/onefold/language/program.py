"""Compiled definitions: what the step calls. Made by `compile_python`, readable as source."""

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from msgspec import Struct

from onefold.language.aggregates import Monoid
from onefold.language.excerpt import Reader
from onefold.model.entry import Entry

Trigger = str
"""What a definition depends on: a slot's key, `traits.<name>` (declared), a built-in's name, `now` (moving time)."""

FIRST_SEEN = "first_seen"
LAST_SEEN = "last_seen"
SEEN: tuple[Trigger, ...] = (FIRST_SEEN, LAST_SEEN, "events")
NOW = "now"

Put = Callable[[Any, Any, int, bytes, int], None]
"""(profile, event, event time, tie, now): put an event into the slots of its profile."""

On = Callable[[Any, Any, int, bytes, int, int, dict[str, Any], list[tuple[str, bool]]], None]
"""(profile, event, event time, tie, now, seen, changed, moves): put an event into the slots and judge what it changed.

`seen` says which built-ins it changed: 1 for `first_seen`, 2 for `last_seen`, 3 for both; `events` always does.
"""

Judge = Callable[[Any, int, dict[str, Any], list[tuple[str, bool]]], None]
"""(profile, now, changed, moves): recompute traits into `changed`, memberships into `moves` (audience, entered)."""


class Slot(Struct, frozen=True):
    """How the state of one aggregate is kept."""

    monoid: Monoid
    within_ms: int | None


class Handler(NamedTuple):
    """What to run for an event of one name."""

    put: Put | None
    on: On | None
    """Puts and judges; declared traits must not have changed with the event."""
    triggers: tuple[Trigger, ...]
    """What the event may change; to be judged after `put`."""


class Program(Struct):
    """The definitions of one version, ready to run."""

    version: int
    slots: dict[str, Slot]
    handlers: dict[str, Handler]
    """Event name → its handler; `*` for every other name."""
    dependents: dict[Trigger, list[int]]
    """Trigger → numbers of the definitions that it may change, traits before audiences, in dependency order."""
    judges: list[Judge]
    """Definition number → its own judge."""
    judge_all: Judge
    """Every definition, whatever its cause."""
    blank_traits: dict[str, Any]
    """Traits of a profile that has nothing yet."""
    blank_audiences: tuple[str, ...]
    """Audiences that such a profile is in."""
    names: list[str]
    """Definition number → its name."""
    trait_names: frozenset[str]
    audience_names: frozenset[str]
    decode: Callable[[bytes], Entry]
    """Reads an entry of the log; of its events just what these definitions use."""
    read: Reader
    """Reads an event that history keeps, as `decode` reads those of the log."""
    source: str
    """The generated Python, for people to read."""
    gathered: frozenset[str] = frozenset()
    """Slots that are kept although no definition in force mentions them."""
    quiet: frozenset[str] = frozenset()
    """`Definitions.quiet`."""
    has_shadow: bool = False
    """Some of the definitions run in shadow: what becomes of them is told to nobody."""

    def judge_some(
        self,
        triggers: Iterable[Trigger],
        profile: Any,
        now_ms: int,
        changed: dict[str, Any],
        moves: list[tuple[str, bool]],
    ) -> None:
        """Judge just what these triggers may have changed."""
        numbers: set[int] = set()
        for trigger in triggers:
            numbers.update(self.dependents.get(trigger, ()))
        judges = self.judges
        for n in sorted(numbers):
            judges[n](profile, now_ms, changed, moves)
