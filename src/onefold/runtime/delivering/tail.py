"""The newest effects, read from the state once for all destinations; who is far behind reads for itself.

Nothing is read while nobody follows, and of what is read only that is decoded which somebody has subscribed to.
"""

from collections import deque

from onefold.model import effect
from onefold.model.definitions import Destination
from onefold.ports import Commit as Encoded
from onefold.ports import State
from onefold.runtime.delivering.selecting import Pick, Subscription

_AT_ONCE_BYTES = 256 * 1024
"""Read in one go: an event loop must not be kept waiting."""
_KEPT_BYTES = 4 * 1024 * 1024


class Commit:
    """One commit. `picks` are those of its effects that anybody wants, decoded when they are asked for first."""

    __slots__ = ("_encoded", "_picks", "_subscription", "count", "number", "partition")

    def __init__(self, encoded: Encoded) -> None:
        self.number = encoded.number
        self.partition = encoded.partition
        self.count = effect.count(encoded.effects)
        self._encoded = encoded.effects
        self._subscription: Subscription | None = None
        self._picks: list[Pick] = []

    @property
    def size_bytes(self) -> int:
        """As it was read."""
        return len(self._encoded)

    @property
    def at_ms(self) -> int:
        """When the first of its effects happened; the others happened later, if not then."""
        return effect.first(self._encoded).at_ms

    def picks(self, subscription: Subscription) -> list[Pick]:
        """What this subscription chooses; the last answer is remembered."""
        if subscription is not self._subscription:
            self._picks = subscription.pick(self._encoded)
            self._subscription = subscription
        return self._picks


class Tail:
    """Follows the state's effects. `newest` is the last commit that has been read, or passed over."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._kept: deque[Commit] = deque()
        self._bytes = 0
        self._followers: dict[str, Destination] = {}
        self._wanted = Subscription(())
        self.newest = state.newest()
        self._first = self.newest

    def follow(self, destination: Destination) -> None:
        """This destination, by its name, follows from now on, or has another subscription than before."""
        self._followers[destination.name] = destination
        self._wanted = Subscription(self._followers.values())

    def leave(self, name: str) -> None:
        """A destination follows no more."""
        self._followers.pop(name, None)
        self._wanted = Subscription(self._followers.values())

    def poll(self) -> bool:
        """Read what is new, or pass over it where nobody follows; False: nothing."""
        return self._read() if self._followers else self._pass()

    def after(self, commit: int) -> list[Commit]:
        """Some commits after this one, oldest first; empty: there are none yet."""
        if commit >= self.newest:
            return []
        if commit < self._first:
            return [Commit(encoded) for encoded in self._state.commits(commit, _AT_ONCE_BYTES)]
        found = []
        for kept in reversed(self._kept):
            if kept.number <= commit:
                break
            found.append(kept)
        return found[::-1]

    def picks(self, commit: Commit, subscription: Subscription) -> list[Pick]:
        """The effects of this commit that a follower's subscription chooses; what all want is decoded once."""
        return subscription.among(commit.picks(self._wanted))

    def _read(self) -> bool:
        found = self._state.commits(self.newest, _AT_ONCE_BYTES)
        for encoded in found:
            self._kept.append(Commit(encoded))
            self._bytes += len(encoded.effects)
            self.newest = encoded.number
        while self._bytes > _KEPT_BYTES and len(self._kept) > 1:
            self._forget()
        return bool(found)

    def _pass(self) -> bool:
        while self._kept:
            self._forget()
        before, self.newest = self.newest, self._state.newest()
        self._first = self.newest
        return self.newest > before

    def _forget(self) -> None:
        forgotten = self._kept.popleft()
        self._first = forgotten.number
        self._bytes -= forgotten.size_bytes
