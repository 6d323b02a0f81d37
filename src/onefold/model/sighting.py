"""What events show of identity: sightings; and what is made of it: bonds of one person, hindrances between two."""

from typing import Literal

from msgspec import Struct

Place = tuple[int, int]
"""Partition, position."""


class Sighting(Struct, frozen=True):
    """An admitted event, as far as it says who somebody is."""

    partition: int
    position: int
    at_ms: int
    """When it happened."""
    received_ms: int
    source: str
    type: str
    name: str
    message: str
    """Its `messageId`; empty: it came without."""
    identifiers: tuple[str, ...]
    """By priority, under the rules in force now."""
    blocked: tuple[str, ...] = ()
    """What would be identifiers if no rule said that these values identify nobody."""
    times: int = 1
    """How many events it stands for, of which it is the first: all of the same identifiers."""
    until_ms: int = 0
    """When the latest of these happened, where there are several."""

    @property
    def latest_ms(self) -> int:
        """When the latest of these happened."""
        return max(self.at_ms, self.until_ms)

    @property
    def place(self) -> Place:
        """Where it is in the log."""
        return self.partition, self.position


class Bond(Struct, frozen=True):
    """Two identifiers of one person that are tied together, and by what."""

    a: str
    b: str
    rule: str
    partition: int
    position: int
    at_ms: int
    """Log time."""
    absorbed: int = 0
    """The profile that ended by it; 0: none did."""
    by: str = ""
    """Who has said it; empty: nobody."""
    events: int = 0
    """How many of the events that are kept have both."""
    latest_ms: int = 0
    """When the latest of these happened; 0: there is none."""

    @property
    def place(self) -> Place:
        """Where in the log it was made."""
        return self.partition, self.position


Kind = Literal["never", "undone", "refused", "hot", "moved", "alias", "third", "blocked"]
"""Why two are two:

- `never`: somebody has said so. `undone`: somebody has undone the link.
- `refused`: an event had identifiers of both, and a rule kept them apart. `hot`: the same, and one of them joins nobody
  any more. `moved`: what they shared has changed hands.
- `alias`: an alias named a user id as the previous id, which is that of an anonymous visitor.
- `third`: both have been seen with what is somebody else's, or nobody's. `blocked`: both have a value that identifies
  nobody.
"""


class Hindrance(Struct, frozen=True):
    """Something that two people share, or that was said of them, and why it does not make them one."""

    kind: Kind
    rule: str
    """By which it was kept apart, as the effect told it then; else as the rules have it now."""
    a: str
    """Of the first person: what takes part in it; empty: nothing of theirs alone."""
    b: str
    shared: str = ""
    """The value that both have come with, where it is neither's alone."""
    told: bool = False
    """`rule` is what was told then."""
    now: str = ""
    """The rule that would keep them apart today, if such an event came; empty: none would, or it is not asked."""
    would_join: bool = False
    """The rules in force would join them, if such an event came today."""
    by: str = ""
    at_ms: int = 0
    """When it was said, moved, or seen first (log time); 0: not known."""
    events: int = 0
    """How many of the events that are kept show it."""
    latest_ms: int = 0
    sighting: Sighting | None = None
    """The first of these events."""
