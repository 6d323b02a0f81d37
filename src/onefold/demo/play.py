"""The demo itself: the shop sends, probes measure, the story unfolds, and the platform is asked what became of it."""

import asyncio
import contextlib
import time
import uuid
from collections import Counter
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from onefold.demo.client import Client, Sending, Target
from onefold.demo.measures import Audience, Chapter, Measures
from onefold.demo.receiver import Receiver
from onefold.demo.shop import Event, Shop, stamp, story

TICK_S = 0.1
PROBE_EVENT = "Latency Probed"
STORY_WAIT_S = 3.0
READY_WITHIN_S = 30.0
_TAIL = "merged,link_refused,entered,left"
_CHANGES_SHOWN = 2


@dataclass(frozen=True)
class Options:
    """How to play."""

    rate: float
    """Events a second."""
    for_s: float | None
    """How long; None: until interrupted."""
    seed: int
    probe_s: float = 0.25
    """Between one probe and the next."""
    look_s: float = 0.5
    """Between one look at the platform's counts and the next."""
    glance_s: float = 0.001
    """Between two looks for a profile that is to change: what `visible` is measured to."""
    settle_s: float = 15.0
    """How long the platform may take in the end until the account closes."""


class Play:
    """One run of the demo against a platform."""

    def __init__(self, target: Target, receiver: Receiver, options: Options, measures: Measures) -> None:
        self._client = Client(target)
        self._receiver = receiver
        self._options = options
        self._measures = measures
        self._shop = Shop(options.seed)
        self._run = uuid.uuid4().hex[:5]
        self._base: Counter[str] = Counter()
        self._now: Counter[str] = Counter()
        self._probes: dict[str, float] = {}
        self._sending: set[asyncio.Task[None]] = set()
        self.on_sent: Callable[[list[Event], Sending], None] | None = None
        """Told of every batch that was acknowledged."""

    async def run(self, stopped: asyncio.Event) -> None:
        """Play until the time is over or `stopped`, then wait until the platform has settled everything."""
        async with self._client:
            await self._client.ready(READY_WITHIN_S)
            self._base = await self._first_look()
            self._measures.began_s = time.monotonic()
            watching = [asyncio.create_task(part) for part in (self._watch(), self._follow())]
            playing = [asyncio.create_task(part) for part in (self._trade(), self._probe(), self._tell())]
            try:
                await self._until_over(stopped, [*playing, *watching])
                await _cancel(playing)
                await asyncio.gather(*self._sending)
                await self._settle()
            finally:
                await _cancel([*playing, *watching, *self._sending])

    def heard(self, payload: dict[str, Any], at_s: float) -> None:
        """A verified webhook came: if it is for a probe, that is a measurement."""
        message_id = _message_id(payload)
        if message_id and (began := self._probes.pop(message_id, None)) is not None:
            self._measures.webhook.add(at_s - began)

    async def _until_over(self, stopped: asyncio.Event, tasks: list[asyncio.Task[None]]) -> None:
        """Raises what a player raised; the end of a story ends nothing."""
        stop = asyncio.create_task(stopped.wait())
        over = time.monotonic() + (self._options.for_s or float("inf"))
        pending: set[asyncio.Task[Any]] = {stop, *tasks}
        while stop in pending and pending and (left := over - time.monotonic()) > 0:
            timeout = None if left == float("inf") else left
            done, pending = await asyncio.wait(pending, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        stop.cancel()

    # --- sending ---------------------------------------------------------------------------------------------
    async def _trade(self) -> None:
        history = self._shop.history(8, _now_ms())
        await self._finish(self._send(history, "import"))
        due = 0.0
        next_s = time.monotonic()
        while True:
            due += self._options.rate * TICK_S
            if due >= 1:
                for batch in self._shop.batch(int(due), _now_ms()):
                    self._send_soon(batch.events)
                due -= int(due)
            next_s += TICK_S
            await asyncio.sleep(max(0.0, next_s - time.monotonic()))

    def _send_soon(self, events: list[Event]) -> None:
        task = asyncio.create_task(self._send(events))
        self._sending.add(task)
        task.add_done_callback(self._sending.discard)

    async def _send(self, events: list[Event], path: str = "batch") -> None:
        sending = await self._client.send(events, path)
        measures, n = self._measures, len(events)
        measures.acknowledged.add(sending.took_s)
        measures.sent += n
        measures.resent += n * sending.refused
        measures.unsure += n * sending.unsure
        measures.rate.add(n)
        if self.on_sent:
            self.on_sent(events, sending)

    async def _probe(self) -> None:
        """Measure how long it takes until an event is visible in its profile, and until its webhook arrives."""
        user, sent = f"probe-{self._run}", 0
        while True:
            sent += 1
            message_id = f"probe-{self._run}-{sent}"
            event = stamp({"type": "track", "event": PROBE_EVENT, "userId": user}, message_id, _now_ms())
            began = time.perf_counter()
            self._probes[message_id] = began
            await self._finish(self._send([event]))
            await self._visible(f"user_id:{user}", sent)
            self._measures.visible.add(time.perf_counter() - began)
            await asyncio.sleep(self._options.probe_s)

    async def _finish(self, sending: Coroutine[Any, Any, None]) -> None:
        """Wait for a request, and let it end even when the player is cancelled: what was sent must be counted."""
        task = asyncio.create_task(sending)
        self._sending.add(task)
        task.add_done_callback(self._sending.discard)
        await asyncio.shield(task)

    async def _visible(self, identifier: str, events: int) -> dict[str, Any]:
        while True:
            found = await self._client.profile(identifier)
            if found and found["events"] >= events:
                return found
            await asyncio.sleep(self._options.glance_s)

    # --- one person ------------------------------------------------------------------------------------------
    async def _tell(self) -> None:
        name, steps = story(self._run)
        self._measures.heroine = name
        pause_s = min(STORY_WAIT_S, 0.75 * (self._options.for_s or 60) / len(steps))
        views: dict[str, dict[str, Any]] = {}
        last: dict[str, Any] = {}
        for number, step in enumerate(steps):
            await asyncio.sleep(pause_s if number else 1.0)
            before = await self._client.profile(f"anonymous_id:{step.device}") or {}
            events = [stamp(event, f"{step.device}-{number}-{n}", _now_ms()) for n, event in enumerate(step.events)]
            began = time.perf_counter()
            await self._finish(self._send(events))
            after = await self._visible(f"anonymous_id:{step.device}", before.get("events", 0) + len(events))
            took_ms = (time.perf_counter() - began) * 1000
            others = {one for device, view in views.items() if device != step.device for one in _identifiers(view)}
            became = _became(last if _same(last, after) else views.get(step.device), after, others)
            where = step.device.partition("-")[0]
            self._measures.story.append(Chapter(self._measures.elapsed_s(), where, step.words, became, took_ms))
            views[step.device] = last = after

    # --- asking ----------------------------------------------------------------------------------------------
    async def _follow(self) -> None:
        measures = self._measures
        async for effect in self._client.tail(_TAIL):
            kind = effect.get("kind")
            measures.merges += kind == "merged"
            measures.refused_links += kind == "link_refused"
            if kind in ("entered", "left"):
                audience = measures.audiences.setdefault(effect["audience"], Audience())
                audience.entered += kind == "entered"
                audience.left += kind == "left"
                audience.left_by_time += effect.get("reason") == "time"
                audience.changed_at_s = measures.elapsed_s()

    async def _watch(self) -> None:
        while True:
            await self._look()
            await asyncio.sleep(self._options.look_s)

    async def _first_look(self) -> Counter[str]:
        until = time.monotonic() + READY_WITHIN_S
        while not self._now and time.monotonic() < until:
            await self._look()
        return self._now

    async def _look(self) -> None:
        measures, deliveries = self._measures, Counter[str]()
        samples = await self._client.metrics()
        if ("onefold_up", 0.0) in ((name, value) for name, _, value in samples):
            return  # An engine is away, and so are its counts.
        self._now = Counter()
        for name, labels, value in samples:
            if name == "onefold_events_total":
                self._now[labels["outcome"]] += int(value)
            elif name == "onefold_quarantined_events_total":
                self._now[f"quarantined.{labels['reason']}"] += int(value)
            elif name == "onefold_profiles":
                measures.profiles = int(value)
            elif name == "onefold_audience_members":
                measures.audiences.setdefault(labels["audience"], Audience()).size = int(value)
            elif name == "onefold_deliveries":
                deliveries[labels["outcome"]] += int(value)
        self._now["delivered"] = deliveries["delivered"]
        since = Counter({name: n - self._base[name] for name, n in self._now.items()})
        measures.folded = Counter({name: n for name, n in since.items() if not name.startswith("quarantined.")})
        quarantined = {name.partition(".")[2]: n for name, n in since.items() if name.startswith("quarantined.")}
        measures.quarantined = Counter(quarantined)
        measures.delivered, measures.pending = since["delivered"], deliveries["pending"]
        measures.parked = sum(n for name, n in deliveries.items() if name.startswith("parked"))
        measures.received, measures.forged = self._receiver.received.total(), self._receiver.forged

    async def _settle(self) -> None:
        """Wait until the account closes, or for as long as that may take."""
        until = time.monotonic() + self._options.settle_s
        while not self._measures.account_closes() and time.monotonic() < until:
            await asyncio.sleep(0.1)
            await self._look()


def summary(measures: Measures) -> dict[str, Any]:
    """The whole run, for machines."""
    return {
        "ok": measures.account_closes(),
        "seconds": round(measures.elapsed_s(), 1),
        "sent": measures.sent,
        "resent": measures.resent,
        "received": measures.folded["received"],
        "admitted": measures.folded["admitted"],
        "duplicate": measures.folded["duplicate"],
        "quarantined": dict(measures.quarantined),
        "profiles": measures.profiles,
        "merges": measures.merges,
        "links_refused": measures.refused_links,
        "audiences": {
            name: {"size": one.size, "entered": one.entered, "left": one.left, "left_by_time": one.left_by_time}
            for name, one in sorted(measures.audiences.items())
        },
        "deliveries": {"delivered": measures.delivered, "pending": measures.pending, "parked": measures.parked},
        "webhooks": {"verified": measures.received, "forged": measures.forged},
        "latency": {
            "acknowledged": measures.acknowledged.summary(),
            "visible_in_profile": measures.visible.summary(),
            "webhook_received": measures.webhook.summary(),
        },
    }


def _became(before: dict[str, Any] | None, after: dict[str, Any], others: set[str]) -> list[str]:
    """What the platform made of a step, in words. `others`: identifiers that were known elsewhere before."""
    told = []
    known = before or {}
    new = [one for one in _identifiers(after) if one not in _identifiers(known)]
    if before is None:
        told.append(f"a new profile, known by {', '.join(new)}")
    elif len(after.get("merges", ())) > len(before.get("merges", ())):
        shared = sorted({"email", "user_id"} & {one.partition(":")[0] for one in new if one in others})
        told.append(f"two profiles become one, by the same {' and '.join(shared) or 'identifier'}")
    elif new:
        told.append(f"now also known by {', '.join(new)}")
    was, now = _audiences(known), _audiences(after)
    told += [f"enters {', '.join(sorted(now - was))}"] if now - was else []
    told += [f"leaves {', '.join(sorted(was - now))}"] if was - now else []
    old = known.get("computed", {})
    changes = [f"{name} {_value(value)}" for name, value in after.get("computed", {}).items() if old.get(name) != value]
    if changes and before is not None:
        told.append(", ".join(changes[:_CHANGES_SHOWN]))
    return told


def _same(a: dict[str, Any], b: dict[str, Any]) -> bool:
    return bool(a) and a.get("id") == b.get("id")


def _identifiers(profile: dict[str, Any]) -> list[str]:
    found = profile.get("identifiers", {}).items()
    return [_short(f"{namespace}:{one['value']}") for namespace, values in found for one in values]


def _audiences(profile: dict[str, Any]) -> set[str]:
    return {one["name"] for one in profile.get("audiences", ())}


def _short(identifier: str) -> str:
    return identifier if len(identifier) <= 36 else identifier[:33] + "…"


def _value(value: Any) -> str:
    return f"{value:,.10g}" if isinstance(value, int | float) and not isinstance(value, bool) else str(value)[:30]


def _message_id(payload: Any) -> str:
    if isinstance(payload, dict):
        if isinstance(found := payload.get("messageId"), str):
            return found
        for value in payload.values():
            if isinstance(value, dict) and (found := _message_id(value)):
                return found
    return ""


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


async def _cancel(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    for task in tasks:
        with contextlib.suppress(asyncio.CancelledError):
            await task
