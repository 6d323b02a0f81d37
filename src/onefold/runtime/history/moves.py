"""Moves as history keeps them: from effects, which say who entered or left, and cursors, which say in which version."""

from collections.abc import Callable, Iterable, Iterator, Sequence

from onefold.model.definitions import is_shadow
from onefold.model.delivery import sequence
from onefold.model.effect import Admitted, AnyEffect, Created, Entered, Hushed, Left, Merged, Skipped, Split
from onefold.model.past import STANDING, PastMove, beginning
from onefold.model.position import split
from onefold.ports import Commit, State

MOVING = (Created, Entered, Hushed, Left)
"""Kinds of effects that tell of moves, or of why; beside `Admitted`, `Merged` and `Split`."""

_AT_ONCE = 5_000


class InForce:
    """Which definitions were in force where.

    A cursor knows since which entry the newest are; who remembers an older cursor knows what was in force until then.
    """

    def __init__(self, state: State) -> None:
        self._state = state
        self._known: dict[int, tuple[int, int, int]] = {}
        """Partition → version before; offset since which another is in force; that version."""

    def look(self, partitions: Iterable[int]) -> None:
        """Look where these partitions are; to be called after the commits were read that are asked about."""
        for partition in set(partitions):
            cursor = self._state.cursor(partition)
            _, _, before = self._known.get(partition, (0, 0, 0))
            if partition not in self._known or before != cursor.version:
                self._known[partition] = before, cursor.since, cursor.version

    def at(self, partition: int, position: int) -> int:
        """The version there; 0: not known, as it was before anybody looked."""
        before, since, version = self._known[partition]
        return version if split(position)[0] >= since else before


def moves(commit: Commit, effects: Sequence[AnyEffect | Skipped], in_force: InForce) -> Iterator[PastMove]:
    """The moves that a commit's effects tell of, in their order."""
    merged = happened = parted = -1
    """Positions of the latest merge, of the latest event that came to its own profile, and of the latest split."""
    for n, effect in enumerate(effects):
        match effect:
            case Admitted(position=position) | Created(position=position):
                happened = position
            case Merged(position=position):
                merged, happened = position, -1
            case Split(position=position):
                parted = position
            case Left(reason=reason):
                yield _move(commit, n, effect, reason, in_force)
            case Entered(position=position):
                reason = "split" if position == parted else "event" if position == happened else ""
                reason = "merge" if not reason and position == merged else reason
                yield _move(commit, n, effect, reason, in_force)
            case Hushed():
                yield _move(commit, n, effect, "definition", in_force)


def _move(commit: Commit, n: int, effect: Entered | Left | Hushed, reason: str, in_force: InForce) -> PastMove:
    partition, position = commit.partition, effect.position
    return PastMove(
        effect.profile,
        effect.audience,
        effect.entered if isinstance(effect, Hushed) else isinstance(effect, Entered),
        effect.at_ms,
        sequence(commit.number, n),
        partition,
        position,
        reason,
        not isinstance(effect, Hushed),
        in_force.at(partition, position),
    )


def standing(state: State, partitions: int, beat: Callable[[], None]) -> Iterator[PastMove]:
    """Who is in which audience, as moves that were before all others, and last of all from which instant on that holds.

    It is read while people come and go. Whoever moves meanwhile has effects, too, that come after what is read here; so
    once time has come to where it was at the end, both together say who was in. Of an empty state it holds from ever.
    `beat` is called with each page that is read.
    """
    empty = not state.counts().get("profiles", 0)
    for audience in state.sizes():
        after = -1
        while not is_shadow(audience) and (members := state.members(audience, after, _AT_ONCE)):
            after = members[-1][0]
            beat()
            for profile, entered_ms in members:
                yield PastMove(profile, audience, True, entered_ms, 0, 0, 0, STANDING, True, 0)
    latest_ms = max(state.cursor(partition).now_ms for partition in range(partitions))
    yield beginning(0 if empty else latest_ms)
