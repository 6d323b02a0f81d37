"""What history does not have yet: merges, splits and moves of commits that came after its cursor, from the state."""

from typing import NamedTuple

from onefold.errors import NotInHistory
from onefold.limits import HISTORY_LAG_MAX_BYTES
from onefold.model import effect
from onefold.model.delivery import sequence
from onefold.model.effect import Admitted, Merged, Split
from onefold.model.past import PastMerge, PastMove, PastRecast
from onefold.ports import State
from onefold.runtime.history.moves import MOVING, InForce, moves

_decode = effect.decoder(frozenset((Admitted, Merged, Split, *MOVING)))


class Late(NamedTuple):
    """In the order in which they happened."""

    merges: list[PastMerge]
    moves: list[PastMove]
    returns: list[PastRecast]
    """Who is there again, of those whom a merge had ended."""

    def ends(self, at_ms: int) -> frozenset[int]:
        """Profiles of which merges that history has hold no longer at this instant."""
        back = {each.profile for each in self.returns if each.at_ms <= at_ms}
        return frozenset(back | {merge.absorbed for merge in self.merges if merge.at_ms <= at_ms})


def late_effects(state: State, cursor: int, at_ms: int) -> Late:
    """What commits after the one numbered `cursor` tell, up to this log time or further.

    Raises `NotInHistory` where that is more than one question may read.
    """
    in_force, found = InForce(state), Late([], [], [])
    commits = state.commits(cursor, HISTORY_LAG_MAX_BYTES)
    in_force.look(commit.partition for commit in commits)
    for commit in commits:
        effects = _decode(commit.effects)
        found.merges.extend(
            PastMerge(e.absorbed, e.profile, commit.partition, e.position, e.at_ms)
            for e in effects
            if isinstance(e, Merged)
        )
        here = (commit.number, commit.partition)
        found.returns.extend(_returned(e, here) for e in effects if isinstance(e, Split))
        found.moves.extend(moves(commit, effects, in_force))
    for more in state.commits(commits[-1].number, 1) if commits else ():
        if effect.first(more.effects).at_ms <= at_ms:
            raise NotInHistory("history is too far behind to answer for this instant: `onefold doctor` says why")
    return found


def _returned(effect: Split, commit: tuple[int, int]) -> PastRecast:
    number, partition = commit
    one = effect.profile
    return PastRecast(one, one, -1, -1, effect.at_ms, sequence(number, effect.n), partition, effect.position)
