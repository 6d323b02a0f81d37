"""Which effects a destination has subscribed to, found among many without making an object of each."""

from collections.abc import Iterable

from onefold.model import effect as effects
from onefold.model.definitions import Destination
from onefold.model.effect import (
    Admitted,
    AnyEffect,
    Changed,
    Created,
    Entered,
    Hot,
    Left,
    LinkRefused,
    Merged,
    Moved,
    RejectedEvent,
    Skipped,
    Split,
)

KINDS: dict[type[AnyEffect], str] = {
    Created: "created",
    Merged: "merged",
    Split: "split",
    Changed: "changed",
    LinkRefused: "link_refused",
    Moved: "moved",
    Hot: "hot",
    RejectedEvent: "rejected",
}
"""Effects that `Destination.effects` names."""

Pick = tuple[int, AnyEffect]
"""An effect and its place in its commit."""

_ALL = "*"
_MOVES = (Entered, Left)
_SOUGHT_MAX = 8
"""Names that are sought in the bytes of a commit; to seek more would cost more than to decode it."""


class Subscription:
    """What a destination, or several of them together, have chosen; made quick to ask."""

    def __init__(self, destinations: Iterable[Destination]) -> None:
        events: set[str] = set()
        audiences: set[str] = set()
        others: set[str] = set()
        for destination in destinations:
            events.update(destination.events)
            audiences.update(destination.audiences)
            others.update(destination.effects)
        self._events = frozenset(events)
        self._audiences = frozenset(audiences)
        self._others = frozenset(kind for kind, name in KINDS.items() if name in others or _ALL in others)
        kinds = self._others
        kinds |= {Admitted} if events else set()
        kinds |= {Entered, Left} if audiences else set()
        self._decode = effects.decoder(kinds)
        self._sought = self._spellings()

    def __contains__(self, effect: AnyEffect) -> bool:
        if isinstance(effect, Admitted):
            return effect.name in self._events or _ALL in self._events
        if isinstance(effect, Entered | Left):
            return effect.audience in self._audiences or _ALL in self._audiences
        return type(effect) in self._others

    def pick(self, encoded: bytes) -> list[Pick]:
        """Those of a commit's effects that are chosen, in their order."""
        if len(self._sought) <= _SOUGHT_MAX and not any(name in encoded for name in self._sought):
            return []
        found = self._decode(encoded)
        picks = [*self._of_events(found), *self._of_audiences(found), *self._of_others(found)]
        picks.sort(key=_place)
        return picks

    def among(self, picks: list[Pick]) -> list[Pick]:
        """Those that are chosen of what a wider choice has picked."""
        return [pick for pick in picks if pick[1] in self]

    def _of_events(self, found: list[AnyEffect | Skipped]) -> list[Pick]:
        if not self._events:
            return []
        if _ALL in self._events:
            return [(n, effect) for n, effect in enumerate(found) if type(effect) is Admitted]
        names = self._events
        return [(n, effect) for n, effect in enumerate(found) if type(effect) is Admitted and effect.name in names]

    def _of_audiences(self, found: list[AnyEffect | Skipped]) -> list[Pick]:
        if not self._audiences:
            return []
        if _ALL in self._audiences:
            return [(n, effect) for n, effect in enumerate(found) if isinstance(effect, _MOVES)]
        names = self._audiences
        return [
            (n, effect) for n, effect in enumerate(found) if isinstance(effect, _MOVES) and effect.audience in names
        ]

    def _of_others(self, found: list[AnyEffect | Skipped]) -> list[Pick]:
        kinds = self._others
        return [(n, effect) for n, effect in enumerate(found) if type(effect) in kinds] if kinds else []  # type: ignore[misc]  # `kinds` has no Skipped

    def _spellings(self) -> tuple[bytes, ...]:
        """Bytes of which some occur wherever a chosen effect is encoded: its name, or its kind where any will do."""
        kinds = {kind.__struct_config__.tag for kind in self._others}
        events = {"admitted"} if _ALL in self._events else self._events
        audiences = {"entered", "left"} if _ALL in self._audiences else self._audiences
        return tuple(str(name).encode() for name in sorted({*kinds, *events, *audiences}))


def _place(pick: Pick) -> int:
    return pick[0]
