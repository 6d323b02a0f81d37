"""What has become of a recast that was written into the log: whether it was folded, and whether it was done."""

from collections.abc import Callable

from onefold.clock import Clock
from onefold.errors import NotFoundError
from onefold.model import effect
from onefold.model.effect import Recast
from onefold.model.position import position
from onefold.ports import State
from onefold.runtime.bell import Rest

_LOOK_S = 0.005
_FIND_BYTES = 1 << 20
_told = effect.decoder(frozenset((Recast,)))


def came_true(clock: Clock, there: Callable[[], bool], within_s: float) -> bool:
    """Wait until something that others do is there; False: it is not, in this time."""
    until_s, rest = clock.monotonic_s() + within_s, Rest()
    try:
        while not there():
            if clock.monotonic_s() > until_s:
                return False
            rest.pause(_LOOK_S)
    finally:
        rest.close()
    return True


def is_folded(state: State, clock: Clock, record: tuple[int, int], within_s: float) -> bool:
    """Wait until a worker has folded this record (partition, offset); False: none has, in this time."""
    partition, offset = record
    return came_true(clock, lambda: state.cursor(partition).offset > offset, within_s)


def applied(state: State, after: int, partition: int, offset: int) -> bool:
    """Whether the recast in this record was done, or came too late; commits after `after` say it.

    Raises `NotFoundError` where their effects are no longer kept.
    """
    place = position(offset, 0)
    while commits := state.commits(after, _FIND_BYTES):
        for commit in commits:
            after = commit.number
            for each in _told(commit.effects) if commit.partition == partition else ():
                if isinstance(each, Recast) and each.position == place:
                    return each.applied
    raise NotFoundError("the effects of what was written are no longer kept: look at what has come of it, or try again")
