"""The live tail: one reader of the state's effects, and any number of subscribers that can be slow without harm.

The reader looks for new commits only while somebody listens, and decodes only kinds that somebody wants. Each
subscriber has a bounded queue; when it is full the oldest effects give way and the subscriber is told how many it
missed. What gave way was never made ready to be shown.
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import Collection, Iterable
from typing import Any, get_args

from msgspec import Struct

from onefold.errors import Overloaded, StorageError
from onefold.limits import TAIL_QUEUE_MAX, TAIL_SUBSCRIBERS_MAX
from onefold.model import effect as effects
from onefold.model import position
from onefold.model.effect import Admitted, AnyEffect, Entered, Left, Skipped
from onefold.ports import Commit, State
from onefold.runtime.bell import Bell
from onefold.server import instants

AT_ONCE_BYTES = 256 * 1024
"""Of effects, read in one go: the event loop has requests to answer."""

_TYPES: dict[str, type[AnyEffect]] = {
    str(kind.__struct_config__.tag): kind for kind in get_args(AnyEffect) if kind is not effects.Hushed
}

KINDS = tuple(_TYPES)
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
    former: str = ""
    identifier: str = ""
    others: int = 0
    identifiers: list[str] = []
    by: str = ""
    why: str = ""
    applied: bool = True


class Filter(Struct, frozen=True):
    """What a subscriber wants to see; an empty set lets everything pass."""

    kinds: frozenset[str] = frozenset()
    names: frozenset[str] = frozenset()
    audiences: frozenset[str] = frozenset()

    def types(self) -> frozenset[type[AnyEffect]]:
        """The types of effects that can pass: one without a name passes no filter of names."""
        types = {_TYPES[kind] for kind in self.kinds or KINDS}
        types &= {Admitted} if self.names else types
        types &= {Entered, Left} if self.audiences else types
        return frozenset(types)

    def choose(self, found: Iterable[AnyEffect | Skipped]) -> list[AnyEffect]:
        """The effects that pass: each filter that is given must hold."""
        types, names, audiences = self.types(), self.names, self.audiences
        chosen = [effect for effect in found if type(effect) in types and not isinstance(effect, Skipped)]
        if names:
            return [effect for effect in chosen if isinstance(effect, Admitted) and effect.name in names]
        if audiences:
            return [effect for effect in chosen if isinstance(effect, Entered | Left) and effect.audience in audiences]
        return chosen


class Subscriber:
    """One reader's queue. `take` waits for what comes next."""

    def __init__(self, wanted: Filter, limit: int = TAIL_QUEUE_MAX, profiles: Collection[int] = ()) -> None:
        """`profiles`: those whose effects alone it wants; of everybody where there are none."""
        self.wanted = wanted
        self._profiles = set(profiles)
        self._limit = limit
        self._queue: deque[tuple[int, AnyEffect]] = deque(maxlen=limit)
        self._dropped = 0
        self._news = asyncio.Event()
        self.closed = False

    def offer(self, partition: int, found: Iterable[AnyEffect | Skipped]) -> None:
        """Put what is wanted of a partition's effects into the queue; never waits."""
        chosen = self.wanted.choose(found)
        if self._profiles:
            chosen = [effect for effect in chosen if self._concerns(effect)]
        self._dropped += max(0, len(self._queue) + len(chosen) - self._limit)
        self._queue.extend((partition, effect) for effect in chosen)
        if self._queue:
            self._news.set()

    def follow(self, profile: int) -> None:
        """This profile's effects are wanted, too."""
        self._profiles.add(profile)

    def _concerns(self, effect: AnyEffect) -> bool:
        """Whether this is about one of the profiles; whoever absorbs one of them is one of them from then on."""
        if isinstance(effect, effects.Merged) and effect.absorbed in self._profiles:
            self._profiles.add(effect.profile)
        if isinstance(effect, effects.Split) and effect.former in self._profiles:
            return True
        return effect.profile in self._profiles

    def close(self) -> None:
        """Let `take` return at once, with what is left, from now on."""
        self.closed = True
        self._news.set()

    async def take(self, timeout_s: float) -> tuple[int, list[Shown]]:
        """How many were dropped since the last call, and all that waits; nothing after `timeout_s` without news."""
        if not self._news.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._news.wait(), timeout_s)
        taken, dropped = [show(partition, effect) for partition, effect in self._queue], self._dropped
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
        self._after = 0
        self._somebody = asyncio.Event()
        self._closed = False

    def subscribe(self, wanted: Filter, profiles: Collection[int] = ()) -> Subscriber:
        """Give a new subscriber all effects of commits from now on, or those of these profiles (as `Subscriber`).

        Raises `Overloaded` where there are too many.
        """
        if len(self._subscribers) >= TAIL_SUBSCRIBERS_MAX or self._closed:
            raise Overloaded(f"at most {TAIL_SUBSCRIBERS_MAX} may follow the live tail at once", retry_after_s=10)
        if not self._subscribers:
            self._after = self._state.newest()
        subscriber = Subscriber(wanted, profiles=profiles)
        self._subscribers.add(subscriber)
        self._somebody.set()
        return subscriber

    def unsubscribe(self, subscriber: Subscriber) -> None:
        """Forget a subscriber."""
        self._subscribers.discard(subscriber)
        if not self._subscribers:
            self._somebody.clear()

    def poll(self) -> bool:
        """Read new commits once and offer them to every subscriber; False: there were none, or nobody listens."""
        if not self._subscribers:
            return False
        return self._offer(self._read())

    def _read(self) -> list[Commit]:
        return self._state.commits(self._after, AT_ONCE_BYTES)

    def _offer(self, commits: list[Commit]) -> bool:
        decode = effects.decoder(frozenset().union(*(each.wanted.types() for each in self._subscribers)))
        for commit in commits:
            if commit.number <= self._after:
                continue  # Read before everybody had gone and somebody else had come.
            self._after = commit.number
            found = decode(commit.effects)
            for subscriber in self._subscribers:
                subscriber.offer(commit.partition, found)
        return bool(commits)

    async def run(self) -> None:
        """Poll for ever, while somebody listens. What storage refuses is tried again."""
        with contextlib.closing(Bell(self._state)) as bell:
            while True:
                await self._somebody.wait()
                try:
                    found = self.poll() if self._state.local else self._offer(await asyncio.to_thread(self._read))
                except StorageError:
                    found = False
                    await asyncio.sleep(1)
                await bell.rest(found=found)

    def close(self) -> None:
        """End every stream, so that the server can stop."""
        self._closed = True
        for subscriber in self._subscribers:
            subscriber.close()


_SAME = (
    "name", "audience", "reason", "source", "traits", "a", "b", "rule", "identifier", "others", "identifiers", "by",
    "why", "applied",
)  # fmt: skip
"""Fields that are shown as they are, of the effects that have them."""


def show(partition: int, effect: AnyEffect) -> Shown:
    """An effect of a commit of this partition, as the tail shows it."""
    tag = type(effect).__struct_config__.tag
    shown = Shown(str(tag), effects.key(partition, effect), instants.show(effect.at_ms))
    if effect.profile:
        shown.profile = position.show(effect.profile)
    for name in _SAME:
        if hasattr(effect, name):
            setattr(shown, name, getattr(effect, name))
    if isinstance(effect, effects.Merged):
        shown.absorbed = position.show(effect.absorbed)
    if isinstance(effect, effects.Moved | effects.Split):
        shown.former = position.show(effect.former)
    if isinstance(effect, effects.Admitted | effects.RejectedEvent):
        shown.event = f"{partition:02x}-{effect.position:x}"
    return shown
