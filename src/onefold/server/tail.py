"""The live tail: one reader of the state's effects, and any number of subscribers that can be slow without harm.

The reader looks for new commits only while somebody listens. Each subscriber has a bounded queue; when it is
full the oldest effects give way and the subscriber is told how many it missed.
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import Iterable
from typing import Any

from msgspec import Struct

from onefold.errors import Overloaded, StorageError
from onefold.limits import TAIL_QUEUE_MAX, TAIL_SUBSCRIBERS_MAX
from onefold.model import effect as effects
from onefold.model import position
from onefold.model.effect import AnyEffect
from onefold.ports import State
from onefold.server import instants

POLL_S = 0.05
COMMITS_MAX = 256

KINDS = tuple(kind.__struct_config__.tag for kind in AnyEffect.__args__)
"""The kinds of effects, as they are called in the tail."""


class Shown(Struct, omit_defaults=True):
    """An effect as the tail shows it. `id` is its idempotency key, the same that deliveries carry."""

    kind: str
    id: str
    at: str
    profile: str = ""
    event: str = ""
    name: str = ""
    audience: str = ""
    reason: str = ""
    source: str = ""
    traits: dict[str, Any] | None = None
    absorbed: str = ""
    a: str = ""
    b: str = ""
    rule: str = ""


class Filter(Struct, frozen=True):
    """What a subscriber wants to see; an empty set lets everything pass."""

    kinds: frozenset[str] = frozenset()
    names: frozenset[str] = frozenset()
    audiences: frozenset[str] = frozenset()

    def wants(self, shown: Shown) -> bool:
        """Whether the subscriber wants this effect: each filter that is given must hold."""
        return (
            (not self.kinds or shown.kind in self.kinds)
            and (not self.names or shown.name in self.names)
            and (not self.audiences or shown.audience in self.audiences)
        )


class Subscriber:
    """One reader's queue. `take` waits for what comes next."""

    def __init__(self, wanted: Filter, limit: int = TAIL_QUEUE_MAX) -> None:
        self._wanted = wanted
        self._queue: deque[Shown] = deque(maxlen=limit)
        self._dropped = 0
        self._news = asyncio.Event()
        self.closed = False

    def offer(self, found: Iterable[Shown]) -> None:
        """Put what is wanted into the queue; never waits."""
        for shown in found:
            if self._wanted.wants(shown):
                self._dropped += len(self._queue) == self._queue.maxlen
                self._queue.append(shown)
        if self._queue:
            self._news.set()

    def close(self) -> None:
        """Let `take` return at once, with what is left, from now on."""
        self.closed = True
        self._news.set()

    async def take(self, timeout_s: float) -> tuple[int, list[Shown]]:
        """How many were dropped since the last call, and all that waits; nothing after `timeout_s` without news."""
        if not self._news.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._news.wait(), timeout_s)
        taken, dropped = list(self._queue), self._dropped
        self._queue.clear()
        self._dropped = 0
        if not self.closed:
            self._news.clear()
        return dropped, taken


class Tail:
    """The one reader. `run` is its task."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._subscribers: set[Subscriber] = set()
        self._after: int | None = None
        self._closed = False

    def subscribe(self, wanted: Filter) -> Subscriber:
        """Give a new subscriber all effects of commits from now on. Raises `Overloaded` where there are too many."""
        if len(self._subscribers) >= TAIL_SUBSCRIBERS_MAX or self._closed:
            raise Overloaded(f"at most {TAIL_SUBSCRIBERS_MAX} may follow the live tail at once", retry_after_s=10)
        if not self._subscribers:
            self._after = self._newest()
        subscriber = Subscriber(wanted)
        self._subscribers.add(subscriber)
        return subscriber

    def unsubscribe(self, subscriber: Subscriber) -> None:
        """Forget a subscriber."""
        self._subscribers.discard(subscriber)

    def poll(self) -> None:
        """Read new commits once and offer them to every subscriber."""
        if not self._subscribers:
            return
        assert self._after is not None
        for number, partition, found in self._state.effects(self._after, COMMITS_MAX):
            self._after = number
            shown = [show(partition, effect) for effect in found]
            for subscriber in self._subscribers:
                subscriber.offer(shown)

    async def run(self) -> None:
        """Poll for ever. What storage refuses is tried again."""
        while True:
            try:
                self.poll()
            except StorageError:
                await asyncio.sleep(1)
            await asyncio.sleep(POLL_S)

    def close(self) -> None:
        """End every stream, so that the server can stop."""
        self._closed = True
        for subscriber in self._subscribers:
            subscriber.close()

    def _newest(self) -> int:
        newest, _ = self._state.touched_since(0)
        return newest


def show(partition: int, effect: AnyEffect) -> Shown:
    """An effect of a commit of this partition, as the tail shows it."""
    tag = type(effect).__struct_config__.tag
    shown = Shown(str(tag), effects.key(partition, effect), instants.show(effect.at_ms))
    if effect.profile:
        shown.profile = position.show(effect.profile)
    for name in ("name", "audience", "reason", "source", "traits", "a", "b", "rule"):
        if hasattr(effect, name):
            setattr(shown, name, getattr(effect, name))
    if isinstance(effect, effects.Merged):
        shown.absorbed = position.show(effect.absorbed)
    if isinstance(effect, effects.Admitted | effects.RejectedEvent):
        shown.event = f"{partition:02x}-{effect.position:x}"
    return shown
