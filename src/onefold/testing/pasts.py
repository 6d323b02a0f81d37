"""What history keeps of a platform in memory: its admitted events with whose they were, and its merges."""

from collections.abc import Iterator
from typing import Any

from onefold.core.batch import Incoming, read
from onefold.core.identity.identifiers import Finder
from onefold.language.stream.excerpt import decoder
from onefold.model import entry as entries
from onefold.model.changes import Cursor
from onefold.model.effect import Admitted, Merged
from onefold.model.entry import Received
from onefold.model.event import Event
from onefold.model.past import Past, PastMerge
from onefold.model.rules import Rules
from onefold.testing.reference.values import Occurrence
from onefold.testing.world import World

_WHOLE_LOG = 1 << 40
_excerpt = decoder((), ())


def pasts(world: World) -> tuple[list[Past], list[PastMerge]]:
    """Everything that the world has admitted and merged so far, from its log and its effects."""
    admitted: dict[tuple[int, int], Admitted] = {}
    merges: list[PastMerge] = []
    for _, partition, effects in world.state.effects(0, 1 << 30):
        for effect in effects:
            if isinstance(effect, Admitted):
                admitted[partition, effect.position] = effect
            elif isinstance(effect, Merged):
                merges.append(PastMerge(effect.absorbed, effect.profile, partition, effect.position, effect.at_ms))
    found = [
        Past(
            partition, incoming.position, admitted[place].profile, incoming.at_ms, incoming.received_ms,
            incoming.fingerprint, incoming.source, admitted[place].name, event,
        )
        for partition in range(world.partitions)
        for incoming, event in _events(world, partition)
        if (place := (partition, incoming.position)) in admitted
    ]  # fmt: skip
    return found, merges


def occurrence(past: Past) -> Occurrence:
    """The event as the reference sees it."""
    event = past.event
    return Occurrence(
        past.at_ms,
        int.from_bytes(past.tie, "big"),
        past.name,
        event.type,
        event.properties or {},
        event.context or {},
        event.traits or {},
    )


def _events(world: World, partition: int) -> Iterator[tuple[Incoming, Event]]:
    """Every event of a partition's log, as the step reads it, and whole."""
    finder, cursor = Finder(Rules()), Cursor()
    for record in world.reader.read(partition, 0, _WHOLE_LOG):
        excerpt: Any = _excerpt(record.data)
        whole = entries.decode(record.data)
        if isinstance(whole, Received):
            batch = read(partition, cursor, [(record.offset, excerpt)], finder)
            cursor = batch.cursor
            yield from zip(batch.incoming, whole.events, strict=True)
