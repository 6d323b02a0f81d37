"""Gather: what events of the past come to, in the slots of aggregates, just as the step would have put them there."""

from collections.abc import Iterable
from typing import Any, NamedTuple

from onefold.language.stream.excerpt import Reader
from onefold.language.stream.program import Program
from onefold.model.profile import Profile


class PastEvent(NamedTuple):
    """What an aggregate may ask of an event that history keeps; objects are JSON text."""

    at_ms: int
    tie: bytes
    type: str
    name: str
    properties: str | None
    context: str | None
    traits: str | None


def gather(events: Iterable[PastEvent], program: Program, now_ms: int) -> dict[str, Any]:
    """The states of the program's aggregates over these events of one person, in any order; `{}` for none.

    Windows hold what had not left them by `now_ms`.
    """
    person = Profile(0, 0, 0, 0, 0)
    handlers, read = program.handlers, program.read
    for event in events:
        put = handlers[event.name if event.name in handlers else "*"].put
        if put is not None:
            put(person, _excerpt(read, event), event.at_ms, event.tie, now_ms)
    return person.slots


def _excerpt(read: Reader, event: PastEvent) -> Any:
    return read(event.type, event.name, event.properties, event.context, event.traits)
