"""Compiled definitions: what the step calls. Made by `compile_python`, readable as source."""

from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from typing import Any, NamedTuple

from msgspec import Struct

from onefold.language.keeping.slots import Keeping
from onefold.language.stream.excerpt import Reader
from onefold.model.entry import Entry
from onefold.model.identity import NOTHING, Identity

Trigger = str
"""What a definition depends on: a slot's key, `traits.<name>` (declared), a built-in's name, `now` (moving time), or
`identity` (the person's identifiers)."""

FIRST_SEEN = "first_seen"
LAST_SEEN = "last_seen"
SEEN: tuple[Trigger, ...] = (FIRST_SEEN, LAST_SEEN, "events")
NOW = "now"
IDENTITY = "identity"

Put = Callable[[Any, Any, int, bytes, int], None]
"""(profile, event, event time, tie, now): put an event into the slots of its profile."""

On = Callable[[Any, Any, int, bytes, int, int, dict[str, Any], list[tuple[str, bool]]], None]
"""(profile, event, event time, tie, now, seen, changed, moves): put an event into the slots and judge what it changed.

`seen` says which built-ins it changed: 1 for `first_seen`, 2 for `last_seen`, 3 for both; `events` always does.
"""

Wake = Callable[[Any, int, list[Trigger], dict[str, Any], list[tuple[str, bool]]], bool]
"""(profile, now, also, changed, moves): what time does to a profile, all of it, and judge what that and `also` changed.

False: this profile is Python's to wake, and nothing has changed.
"""

Judge = Callable[[Any, int, dict[str, Any], list[tuple[str, bool]]], None]
"""(profile, now, changed, moves): recompute traits into `changed`, memberships into `moves` (audience, entered)."""

JudgeNatively = Callable[[Any, list[int], int, dict[str, Any], list[tuple[str, bool]]], bool]
"""(profile, numbers of definitions, now, changed, moves): judge these. False: Python has to; nothing has changed."""

MergeNatively = Callable[[Any, Any, Callable[[str, bytes, bytes], bytes]], list[Trigger] | None]
"""(profile, another, other): add the other profile's states to the first one's; their keys.

`other(key, state, state)` makes one of two states of a slot, all as bytes, where the kernel does not know how. None:
Python has to do it all; nothing has changed.
"""


class Causes:
    """Triggers, of which the first ones are shared by the events of many names."""

    __slots__ = ("_own", "_shared")

    def __init__(self, shared: tuple[Trigger, ...], own: tuple[Trigger, ...]) -> None:
        self._shared = shared
        self._own = own

    def __iter__(self) -> Iterator[Trigger]:
        return chain(self._shared, self._own)


class Handler(NamedTuple):
    """What to run for an event of one name."""

    put: Put | None
    on: On | None
    """Puts and judges; declared traits must not have changed with the event."""
    triggers: Iterable[Trigger]
    """What the event may change; to be judged after `put`."""


class Program(Struct):
    """The definitions of one version, ready to run."""

    version: int
    slots: dict[str, Keeping]
    """Key of a slot → how its state is kept."""
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
    at_first: tuple[Trigger, ...]
    """What is to be judged with a profile's first event, beside its triggers, before its handler `on` is enough."""
    names: list[str]
    """Definition number → its name."""
    trait_names: frozenset[str]
    audience_names: frozenset[str]
    decode: Callable[[bytes], Entry]
    """Reads an entry of the log; of its events just what these definitions use."""
    records: Any
    """The kernel's reader of records with events (`excerpt.records`); None: `decode` reads them."""
    read: Reader
    """Reads an event that history keeps, as `decode` reads those of the log."""
    source: str
    """The generated Python, for people to read."""
    gathered: frozenset[str] = frozenset()
    """Slots that are kept although no definition in force mentions them."""
    quiet: frozenset[str] = frozenset()
    """`Definitions.quiet`."""
    wake: Wake | None = None
    """The kernel's, where there is one that knows the program."""
    accounts: "Program | None" = None
    """The definitions of accounts' own traits; None: these definitions have to do with no account."""
    of_account: frozenset[str] = frozenset()
    """The account's values that people are judged by (`nodes.OfAccount.name`)."""
    identity: Identity = NOTHING
    """`Definitions.identity`."""
    judge_natively: JudgeNatively | None = None
    """Judges in the native kernel."""
    merge_natively: MergeNatively | None = None
    """Merges states of two profiles in the native kernel."""
    taking: Any = None
    """The kernel's way through the step for ordinary events (`onefold_kernel.Taking`); None: all go Python's."""
    has_shadow: bool = False
    """Some of the definitions run in shadow: what becomes of them is told to nobody."""

    def dependent(self, triggers: Iterable[Trigger]) -> list[int]:
        """The definitions that these triggers may change, in the order in which they are judged."""
        numbers: set[int] = set()
        for trigger in triggers:
            numbers.update(self.dependents.get(trigger, ()))
        return sorted(numbers)

    def judge_some(
        self,
        triggers: Iterable[Trigger],
        profile: Any,
        now_ms: int,
        changed: dict[str, Any],
        moves: list[tuple[str, bool]],
    ) -> None:
        """Judge just what these triggers may have changed."""
        in_order = self.dependent(triggers)
        native = self.judge_natively
        if native is not None and native(profile, in_order, now_ms, changed, moves):
            return
        judges = self.judges
        for n in in_order:
            judges[n](profile, now_ms, changed, moves)
