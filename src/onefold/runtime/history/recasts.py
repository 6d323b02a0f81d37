"""Recasts as history keeps them: from effects, which tell of them, and the log, which has whose events are whose."""

from collections.abc import Iterator, Sequence

import msgspec
import structlog

from onefold.errors import Damaged, NotFoundError
from onefold.limits import HISTORY_LAG_MAX_BYTES
from onefold.model import effect as kinds
from onefold.model import entry as entries
from onefold.model import recast as bodies
from onefold.model.delivery import sequence
from onefold.model.effect import AnyEffect, Recast, Skipped, Split
from onefold.model.past import PastRecast
from onefold.model.position import split
from onefold.model.recast import Recasting
from onefold.ports import Commit, LogReader, State

_PLACE = (1 << 56) - 1
_TAG = b"recast"
log = structlog.get_logger()
_decode = kinds.decoder(frozenset((Recast, Split)))


def recasts(reader: LogReader, commit: Commit, effects: Sequence[AnyEffect | Skipped]) -> Iterator[PastRecast]:
    """What a commit's effects, and the entries that they come from, tell of whose events are whose.

    Where such an entry is no longer in the log, or is damaged there, nobody can tell any more: that is logged, as it is
    of events. Raises `Unavailable` and its kin.
    """
    for n, effect in enumerate(effects):
        if not isinstance(effect, Split | Recast) or not _is_done(effect):
            continue
        here = (effect.at_ms, sequence(commit.number, n), commit.partition, effect.position)
        if isinstance(effect, Split):
            yield PastRecast(effect.profile, effect.profile, -1, -1, *here)
        else:
            body = _read(reader, commit.partition, effect.position)
            for owner, formers in body.events.items():
                for former, places in formers.items():
                    for place in places:
                        yield PastRecast(owner, former, place >> 56, place & _PLACE, *here)


def _is_done(effect: Split | Recast) -> bool:
    return isinstance(effect, Split) or effect.applied


def _read(reader: LogReader, partition: int, place: int) -> Recasting:
    """What the entry at this position of the log has brought; nothing where it is not there."""
    offset, _ = split(place)
    try:
        records = reader.read(partition, offset, 1)
        entry = entries.decode(records[0].data) if records and records[0].offset == offset else None
    except (NotFoundError, Damaged, msgspec.MsgspecError):
        entry = None
    if not isinstance(entry, entries.Recast):
        log.error("what a recast has brought is no longer in the log", partition=partition, offset=offset)
        return Recasting({}, [], {})
    return bodies.decode(entry.body)


def since(state: State, reader: LogReader, cursor: int) -> list[PastRecast]:
    """What commits after this one tell, as far as one question may read."""
    found: list[PastRecast] = []
    for commit in state.commits(cursor, HISTORY_LAG_MAX_BYTES):
        if _TAG in commit.effects:  # Most have none, and are not decoded for it.
            found += recasts(reader, commit, _decode(commit.effects))
    return found
