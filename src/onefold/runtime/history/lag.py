"""How far history is behind the state."""

from onefold.clock import Clock
from onefold.model import effect
from onefold.ports import State


def lag_ms(state: State, settled: int, clock: Clock) -> int:
    """Age of the oldest effect of the commits after `settled`; 0 where there is none. Reads one commit at the most."""
    for commit in state.commits(settled, 1):
        return max(0, clock.now_ms() - effect.first(commit.effects).at_ms)
    return 0
