"""What a step reads and what it leaves behind: the data that passes between core and state."""

from collections.abc import Mapping
from typing import NamedTuple

from msgspec import Struct

from onefold.model.effect import AnyEffect
from onefold.model.profile import Profile
from onefold.model.quarantined import Quarantined
from onefold.model.rules import Rules


class Cursor(Struct, frozen=True, array_like=True):
    """How far a partition has been folded. Lies in the same commit as what the fold produced."""

    offset: int = 0
    """The next record to read."""
    now_ms: int = 0
    """The partition's time: the largest that its entries have said."""
    version: int = 0
    """The definitions in force."""
    sweeping: int = -1
    """Profiles at home here with a larger id are still to be judged under `version`; -1: all have been."""
    rules: int = 0
    """The fingerprint of the rules in force (`model.rules`)."""
    forgotten_ms: int = 0
    """Messages admitted before it are forgotten: the window in force here has let go of them at some time."""
    since: int = 0
    """The offset of the entry that put `version` into force: its definitions gather from here on."""
    filled: int = -1
    """Profiles at home here with a larger id have yet to get what history holds of them; -1: nothing is to come."""


class Changed(NamedTuple):
    """What others have changed: whoever remembers it must look again."""

    profiles: set[int]
    """Changed, or absorbed."""
    identifiers: set[str]
    """New, or moved to another profile."""


class View(Struct):
    """What a batch touches, loaded before the step. The step owns it and may change it."""

    identifiers: dict[str, int]
    """Identifier → profile id, for those that have one."""
    profiles: dict[int, Profile]
    """Profile id → profile: all those that `identifiers` names, and all timers' and sweeps'."""
    seen: dict[bytes, int]
    """Fingerprints of those messages of the batch that were admitted before → when (log time, ms)."""


class Changes(Struct):
    """What one batch did; the state commits it whole or not at all."""

    partition: int
    cursor: Cursor
    profiles: dict[int, Profile]
    """New versions of every profile that the batch touched and that still exists."""
    identifiers: dict[str, int]
    """Identifiers that are new or moved → profile id."""
    absorbed: dict[int, int]
    """Profiles that ended in a merge → the survivor."""
    due: dict[int, tuple[int, int]]
    """Profile id → (armed before, to be armed now), in ms; NEVER_MS: not armed. Only where they differ."""
    members: Mapping[str, dict[int, int]]
    """Audience → profile id → when it entered, in ms; 0: it is not a member."""
    messages: dict[bytes, int]
    """Fingerprints of the admitted messages → log time, ms."""
    effects: list[AnyEffect]
    quarantined: list[Quarantined]
    counts: dict[str, int]
    """What to add to the partition's counts: `received`, `admitted`, `duplicate`, `quarantined.<reason>`, …"""
    rules: Rules | None = None
    """Rules that came into force; the state keeps them under their fingerprint."""
    freed: list[str] = []
    """Identifiers that led to somebody and lead to nobody any more."""
    returned: list[int] = []
    """Of `profiles` those that may have ended in a merge before, and are people of their own again."""
