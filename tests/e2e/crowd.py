"""Simulated people whose clients send small requests over real HTTP, again and again until each is acknowledged.

All that is drawn comes from one seeded chance. Of what was sent only this is remembered: which messages there were,
when each was first tried, and when it was acknowledged. What ought to come of them is for others to say.
"""

import asyncio
import base64
import contextlib
import time
from collections import deque
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from random import Random
from typing import Any, NamedTuple

import aiohttp
import msgspec
from msgspec import Struct

_ACTIVE = 60
"""People who do something at about the same time; others have been, or are yet to come."""
_EVENTS_EACH = 25
_AGAIN_S = (0.05, 0.3)
"""Between a try that failed and the next."""
_ANSWER_WITHIN_S = 10.0
_REMEMBERED = 200
"""Requests that may be sent once more although they were acknowledged."""
_LATE_MS = (0, 0, 0, 0, 200, 2_000, 60_000)
_CATEGORIES = ("shoes", "books", "garden", "music")


class Message(NamedTuple):
    """An event on its way. `good`: it will be admitted; others go into quarantine, whenever they come."""

    id: str
    event: dict[str, Any]
    good: bool = True


class Request(NamedTuple):
    """Events that are sent together, as one batch or alone."""

    path: str
    messages: tuple[Message, ...]

    def body(self) -> bytes:
        """The body, the same in every try."""
        events = [message.event for message in self.messages]
        return msgspec.json.encode({"batch": events} if self.path == "/v1/batch" else events[0])


class Answered(NamedTuple):
    """A request that was acknowledged: when its client first tried, and when it heard. `time.monotonic()` both."""

    begun_s: float
    ended_s: float


class Address(NamedTuple):
    """Where to send, and with which key."""

    url: str
    write_key: str


class Tally(Struct):
    """What the clients know."""

    messages: dict[str, Message] = {}
    first_s: dict[str, float] = {}
    """Message → when it was first tried."""
    acknowledged: set[str] = set()
    answered: list[Answered] = []
    tries: int = 0
    refused: int = 0
    """Answers that said: later."""


class People:
    """Who does what: an endless supply of requests. No two people share an identifier; each has several."""

    def __init__(self, chance: Random) -> None:
        self._chance = chance
        self._events = 0
        self._instants: dict[int, set[int]] = {}
        self._recent: deque[Request] = deque(maxlen=_REMEMBERED)

    def request(self) -> Request:
        """Something new, or now and then something that was sent before, which makes duplicates."""
        chance = self._chance
        if self._recent and chance.random() < 0.06:
            return chance.choice(self._recent)
        if chance.random() < 0.3:
            message = self._good()
            request = Request(f"/v1/{message.event['type']}", (message,))
        else:
            request = Request("/v1/batch", tuple(self._any() for _ in range(chance.randint(1, 5))))
        self._recent.append(request)
        return request

    def _any(self) -> Message:
        return self._bad() if self._chance.random() < 0.02 else self._good()

    def _good(self) -> Message:
        chance = self._chance
        self._events += 1
        person = max(0, self._events // _EVENTS_EACH - int(chance.expovariate(1 / _ACTIVE)))
        name = f"m{self._events}"
        event = self._fields(chance.choice(("track",) * 6 + ("page", "page", "identify", "alias")), person)
        return Message(name, {"messageId": name, "timestamp": self._timestamp(person), **event})

    def _bad(self) -> Message:
        """What can never be admitted: of nobody, or no event at all."""
        self._events += 1
        name = f"bad{self._events}"
        event = self._chance.choice(({"type": "page", "userId": "null"}, {"type": "dance", "userId": "u0"}))
        return Message(name, {"messageId": name, **event}, good=False)

    def _fields(self, kind: str, person: int) -> dict[str, Any]:
        chance = self._chance
        user = {"userId": f"u{person}"}
        device = {"anonymousId": f"a{person}.{chance.randrange(4)}"}
        if kind == "identify":
            traits = {"plan": chance.choice(("free", "pro")), "age": chance.randrange(18, 90)}
            mail = {"email": f"P{person}@Example.com"} if chance.random() < 0.5 else {}
            return {"type": kind, **chance.choice((user, device, user | device)), "traits": traits | mail}
        if kind == "alias":
            return {"type": kind, **user, "previousId": f"a{person}.{chance.randrange(4)}"}
        who = chance.choice((user, device, device, user | device))
        if kind == "page":
            return {"type": kind, **who, "name": "Home", "properties": {"category": chance.choice(_CATEGORIES)}}
        properties = {"revenue": chance.choice((0.1, 1, 7.77, 30, 1e9)), "category": chance.choice(_CATEGORIES)}
        name = chance.choice(("Order Completed", "Product Viewed", "Product Viewed"))
        return {"type": kind, **who, "event": name, "properties": properties}

    def _timestamp(self, person: int) -> str:
        """An instant that no other event of this person has, so that `first` and `last` have one answer."""
        at_ms = time.time_ns() // 1_000_000 - self._chance.choice(_LATE_MS)
        taken = self._instants.setdefault(person, set())
        while at_ms in taken:
            at_ms -= 1
        taken.add(at_ms)
        at = datetime.fromtimestamp(at_ms / 1000, UTC)
        return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


class Clients:
    """Some clients that share a supply of requests; each sends one after the other, and none gives up."""

    def __init__(self, addresses: Sequence[Address], people: People, chance: Random, pause_s: float) -> None:
        """Each client has one of the addresses; `pause_s` is what a client rests between requests, on average."""
        self._addresses = addresses
        self._people = people
        self._chance = chance
        self._pause_s = pause_s
        self._stopping = asyncio.Event()
        self.tally = Tally()

    async def run(self, clients: int) -> None:
        """Send until `stop`, and then until everything that was begun is acknowledged."""
        async with contextlib.AsyncExitStack() as stack:
            sessions = [await stack.enter_async_context(_session(address)) for address in self._addresses]
            await asyncio.gather(*(self._send_all(sessions[n % len(sessions)]) for n in range(clients)))

    def stop(self) -> None:
        """Begin nothing new."""
        self._stopping.set()

    async def _send_all(self, session: aiohttp.ClientSession) -> None:
        while not self._stopping.is_set():
            await self._send(session, self._people.request())
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), self._chance.expovariate(1 / self._pause_s))

    async def _send(self, session: aiohttp.ClientSession, request: Request) -> None:
        begun_s = time.monotonic()
        for message in request.messages:
            self.tally.messages.setdefault(message.id, message)
            self.tally.first_s.setdefault(message.id, begun_s)
        body = request.body()
        while True:
            if await self._try(session, request, body):
                break
            await asyncio.sleep(self._chance.uniform(*_AGAIN_S))
        self.tally.acknowledged.update(message.id for message in request.messages)
        self.tally.answered.append(Answered(begun_s, time.monotonic()))

    async def _try(self, session: aiohttp.ClientSession, request: Request, body: bytes) -> bool:
        """Whether the request was acknowledged; one of bad events only is refused, and they are kept all the same."""
        self.tally.tries += 1
        try:
            async with session.post(request.path, data=body) as answer:
                text = await answer.text()
        except (aiohttp.ClientError, TimeoutError, OSError):
            return False
        if answer.status in (429, 503):
            self.tally.refused += 1
            return False
        assert answer.status == 200 or (answer.status == 400 and not _any_good(request.messages)), (
            f"{answer.status} {text} to {body!r}"
        )
        return True


def _session(address: Address) -> aiohttp.ClientSession:
    key = base64.b64encode(f"{address.write_key}:".encode()).decode()
    headers = {"authorization": f"Basic {key}", "content-type": "application/json"}
    return aiohttp.ClientSession(address.url, headers=headers, timeout=aiohttp.ClientTimeout(total=_ANSWER_WITHIN_S))


def _any_good(messages: Iterable[Message]) -> bool:
    return any(message.good for message in messages)
