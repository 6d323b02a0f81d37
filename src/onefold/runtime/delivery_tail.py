"""The newest effects, read from the state once for all destinations; who is far behind reads for itself."""

from collections import deque

from onefold.model.effect import AnyEffect
from onefold.ports import State

Commit = tuple[int, int, list[AnyEffect]]

_AT_ONCE = 16
"""Commits read in one go: an event loop must not be kept waiting by their decoding."""
_KEPT_EFFECTS = 50_000


class Tail:
    """Follows the state's effects. `newest` is the last commit that has been read."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._kept: deque[Commit] = deque()
        self._effects = 0
        self.newest, _ = state.touched_since(1 << 62)
        self._first = self.newest

    def poll(self) -> bool:
        """Read what is new; False: nothing."""
        found = self._state.effects(self.newest, _AT_ONCE)
        for commit in found:
            self._kept.append(commit)
            self._effects += len(commit[2])
            self.newest = commit[0]
        while self._effects > _KEPT_EFFECTS and len(self._kept) > 1:
            self._first, _, forgotten = self._kept.popleft()
            self._effects -= len(forgotten)
        return bool(found)

    def after(self, commit: int) -> list[Commit]:
        """Some commits after this one, oldest first; empty: there are none yet."""
        if commit >= self.newest:
            return []
        if commit < self._first:
            return self._state.effects(commit, _AT_ONCE)
        found = []
        for kept in reversed(self._kept):
            if kept[0] <= commit:
                break
            found.append(kept)
        return found[::-1]
