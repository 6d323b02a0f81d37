"""Why a profile has a trait's value, or is in an audience or not: a tree that follows the expression."""

from collections.abc import Iterator
from typing import Any, Literal

from msgspec import Struct

Reason = Literal[
    "counted_since", "window_in_panes", "sample", "oldest_let_go", "events_missing", "unexplained", "account"
]  # fmt: skip
"""Why what the state says and what the events make may differ; or that it is the account's, not the person's own."""


class Ground(Struct, frozen=True):
    """One event that decided something."""

    partition: int
    position: int
    at_ms: int
    received_ms: int
    source: str
    name: str
    value: Any = None
    """Of the field that the aggregate is over; None for a count."""


class Turn(Struct, frozen=True):
    """What time alone will make of a value: at this instant it becomes that, if nothing happens until then."""

    at_ms: int
    value: Any


class Note(Struct, frozen=True):
    """A difference between the state's value and that of the events, or a bound of its exactness, with the reason."""

    reason: Reason
    text: str
    at_ms: int | None = None
    """The instant that it is about."""


class Evidence(Struct, frozen=True):
    """The events behind a part that looks at them."""

    named: int
    """Events of the name, whenever they were."""
    within: int
    """Of these, how many lie in the window."""
    counted: int
    """Of these, how many met the condition and had a value that counts."""
    grounds: tuple[Ground, ...]
    """Those that decided, latest first: they alone give the same value."""
    latest_ms: int | None = None
    """When the latest event of the name was, in the window or not."""
    from_ms: int | None = None
    """The window is what happened after this instant; None: since ever."""
    until_ms: int | None = None
    """And what happened up to this instant; None: until now."""


class Part(Struct, frozen=True):
    """One part of an expression, and what it came to."""

    number: int
    """Counts the parts of its definition, each before its own parts."""
    kind: str
    """Which construct it is, such as `and`, `compare` or `aggregate`."""
    text: str
    column: int
    end: int
    """It stands at these columns of the expression, counted from 0; `end` is behind its last character."""
    value: Any
    """What the state says; None: it has no value."""
    parts: tuple["Part", ...] = ()
    instant: bool = False
    """The values are instants, in milliseconds."""
    turn: Turn | None = None
    evidence: Evidence | None = None
    derived: Any = None
    """What the events make of it, where that is something else than `value`."""
    differs: bool = False
    notes: tuple[Note, ...] = ()
    slot: str = ""
    """Where a state is kept for the part, its key."""
    operator: str = ""
    """Of a comparison or of arithmetic."""
    names: str = ""
    """The trait or audience that the part names."""

    def walk(self) -> Iterator["Part"]:
        """This part and all within it, in the order of their numbers."""
        yield self
        for part in self.parts:
            yield from part.walk()


class Answer(Struct, frozen=True):
    """What became of one definition."""

    name: str
    kind: Literal["trait", "audience"]
    expression: str
    description: str
    value: Any
    """A trait's value; of an audience, whether the profile is in it."""
    whole: Part
    turn: Turn | None = None


class Explanation(Struct, frozen=True):
    """The answer that was asked for, those that it rests on, and the events that decided it."""

    profile: int
    version: int
    """The definitions that the profile was judged under."""
    at_ms: int
    """The instant that all of this is said of."""
    answer: Answer
    rests_on: tuple[Answer, ...]
    """The traits and audiences that it names, directly or not, each once and behind those that name it."""
    grounds: tuple[Ground, ...]
    """The events that decided, latest first."""
    confirmed: bool
    """These alone were folded, and gave the same answer."""
    events: int
    """How many events the profile has had."""
    seen: int
    """How many of these could be looked at; fewer where neither history nor log keeps them all."""
    since_ms: int | None = None
    """When the profile entered the audience; None: it is not in it, or was asked about a trait."""
    late_ms: int | None = None
    """A timer has been due since then and nobody has come: the state is as it was last judged. None: it is present."""
    beyond_ms: int | None = None
    """Nothing is said of what time alone changes after this instant; None: all of it was looked at."""
    kept_out: tuple[str, ...] = ()
    """Limits of identity that have kept something out of the profile: what that did is somebody else's, or nobody's."""
    hot: tuple[str, ...] = ()
    """Identifiers of the profile that join nobody any more."""
