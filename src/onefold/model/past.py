"""What history keeps: every admitted event with its place, its time and whose it was, merges, moves and recasts.

A *move* is somebody's entering or leaving an audience.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from msgspec import Struct

from onefold.limits import NEVER_MS
from onefold.model.event import Event


class Past(Struct, frozen=True, gc=False):
    """One admitted event. `order` puts a person's events into the order in which they happened."""

    partition: int
    position: int
    profile: int
    """Whose it was when it was admitted; merges since then may have made it another's (`PastMerge`)."""
    at_ms: int
    """Event time: by the sender's clock corrected by ours, never after `received_ms`."""
    received_ms: int
    """Log time of its partition."""
    tie: bytes
    """The message's fingerprint, 16 bytes: it decides between equal times, whatever order they came in."""
    source: str
    name: str
    """The track event's name, or `page`, `identify`, … for the others."""
    event: Event
    extra: Mapping[str, Any] = {}
    """Fields of the event that the spec does not name."""

    @property
    def order(self) -> tuple[int, bytes]:
        """Sort key of one person's events."""
        return self.at_ms, self.tie


class PastMerge(NamedTuple):
    """From this place in the log on, and from `at_ms` (log time) on, what was `absorbed`'s is `survivor`'s."""

    absorbed: int
    survivor: int
    partition: int
    position: int
    at_ms: int
    undone_ms: int = NEVER_MS
    """Until which instant (log time) it held, where somebody has undone it, or made `absorbed` another's."""


class PastRecast(NamedTuple):
    """From a recast on (`model.recast`) the event at this place is `profile`'s; of none: `profile` is there again.

    Where `profile` is 0 the event is nobody's, and for ever: no reader shows it.
    """

    profile: int
    former: int
    """Whose the event was until then."""
    event_partition: int
    """-1: of no event."""
    event_position: int
    at_ms: int
    """Log time of the recast."""
    seq: int
    """The order of recasts, over all partitions: `model.delivery.sequence` of the effect."""
    partition: int
    position: int
    """Where the recast is in the log."""


class PastMove(NamedTuple):
    """A profile entered an audience or left it, as the platform said it then."""

    profile: int
    audience: str
    entered: bool
    at_ms: int
    """Log time of its partition."""
    seq: int
    """The order in which it all happened, over all partitions: `model.delivery.sequence` of the effect."""
    partition: int
    position: int
    """The entry of the log that caused it; of a move that an event caused, that event's place."""
    reason: str
    """`event`, `time`, `merge` or `definition`, as far as effects say it; STANDING; else empty."""
    told: bool
    """False: nobody outside was told (`Definitions.quiet`)."""
    version: int
    """The definitions in force there then; 0: not known."""


STANDING = "standing"
"""The reason of moves that happened before history kept any, or are past its time: the profile was in already."""


def beginning(at_ms: int) -> PastMove:
    """The move of nobody that says from which instant on all are there; before it, only who was in by then."""
    return PastMove(0, "", False, at_ms, 0, 0, 0, "begun", False, 0)


class Names(NamedTuple):
    """What events name beside the ids that stand in columns, told by hashes (`core.identity.naming`)."""

    reading: int
    """In which way their identifiers were read."""
    pairs: Iterable[tuple[int, int]]
    """(hash of an identifier, profile whose an event was when it was admitted that names it), each once or more."""


NAMES_UNREAD = 0
"""Days (since 1970, of event time) before which all events' names are known: none yet."""
NAMES_COMPLETE = (1 << 31) - 1
"""The same: all of them."""


class Extent(NamedTuple):
    """Which part of history is meant: events of these names, of this time, up to these places."""

    names: Collection[str] | None = None
    """As `Past.name`; None: all."""
    since_ms: int = 0
    """Event time, from here on."""
    until_ms: int = NEVER_MS
    """Event time, before this."""
    before: Mapping[int, int] | None = None
    """Partition → position before which an event must lie; partitions that are not named have none. None: no limit."""


EVERYTHING = Extent()


def survivors(merges: Collection[PastMerge], at_ms: int = NEVER_MS) -> dict[int, int]:
    """Absorbed profile → who has its events at this instant, through any number of merges that hold then."""
    taken = {merge.absorbed: merge.survivor for merge in merges if holds(merge, at_ms)}
    for absorbed, first in taken.items():
        survivor = first
        while survivor in taken:
            survivor = taken[survivor]
        taken[absorbed] = survivor
    return taken


def ended(merges: Sequence[PastMerge], recasts: Sequence[PastRecast]) -> list[PastMerge]:
    """All merges of some profiles, each with when it was undone: as history's relations have it."""
    ends: dict[int, list[tuple[int, int, int]]] = {}
    for recast in recasts:
        if recast.event_partition < 0:
            ends.setdefault(recast.profile, []).append((recast.at_ms, recast.partition, recast.position))
    for merge in merges:
        ends.setdefault(merge.absorbed, []).append((merge.at_ms, merge.partition, merge.position))
    return [merge._replace(undone_ms=_end(merge, ends[merge.absorbed])) for merge in merges]


def _end(merge: PastMerge, ends: Sequence[tuple[int, int, int]]) -> int:
    here = merge.partition, merge.position
    later = (
        at_ms
        for at_ms, partition, position in ends
        if at_ms > merge.at_ms or (at_ms == merge.at_ms and partition == here[0] and position > here[1])
    )
    return min(later, default=NEVER_MS)


def holds(merge: PastMerge, at_ms: int) -> bool:
    """Whether it holds at this instant."""
    return merge.at_ms <= at_ms and (merge.undone_ms > at_ms or merge.undone_ms == NEVER_MS)


def signed(profile: int) -> int:
    """A profile id for engines that know only signed 64 bits: two's complement."""
    return profile - (1 << 64) if profile >> 63 else profile


def unsigned(profile: int) -> int:
    """The profile id that `signed` gave."""
    return profile & ((1 << 64) - 1)
