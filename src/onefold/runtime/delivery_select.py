"""Which effects a destination has subscribed to."""

from collections.abc import Container

from onefold.model.definitions import Destination
from onefold.model.effect import (
    Admitted,
    AnyEffect,
    Changed,
    Created,
    Entered,
    Left,
    LinkRefused,
    Merged,
    RejectedEvent,
)

KINDS: dict[type[AnyEffect], str] = {
    Created: "created",
    Merged: "merged",
    Changed: "changed",
    LinkRefused: "link_refused",
    RejectedEvent: "rejected",
}
"""Effects that `Destination.effects` names."""


class _All(Container[str]):
    def __contains__(self, name: object) -> bool:
        return True


class Subscription:
    """A destination's choice, made quick to ask."""

    def __init__(self, destination: Destination) -> None:
        self._events = _names(destination.events)
        self._audiences = _names(destination.audiences)
        self._effects = _names(destination.effects)

    def __contains__(self, effect: AnyEffect) -> bool:
        if isinstance(effect, Admitted):
            return effect.name in self._events
        if isinstance(effect, Entered | Left):
            return effect.audience in self._audiences
        return KINDS[type(effect)] in self._effects


def _names(names: tuple[str, ...]) -> Container[str]:
    return _All() if "*" in names else frozenset(names)
