"""Simulated clients: people who share no device with others, or do, and SDKs that send, retry and repeat themselves.

Every event carries a mark, so that it is known again wherever it turns up, also in quarantine and also without a
messageId. Who sent it and whether it is good is remembered here; nothing of that reaches the platform.
"""

import re
from random import Random
from typing import Any

import msgspec
from msgspec import Struct

from onefold.clock import Clock
from onefold.limits import HOUR_MS, MESSAGE_ID_MAX_CHARS, MINUTE_MS, SECOND_MS
from onefold.testing.world import rfc3339

SOURCES = {"wk_web": "web", "wk_app": "app"}
BLOCKED = "null"
"""A user id that the rules of the simulation block."""

_MARK = re.compile(r'"mark": ?"(e\d+)"')
_LATE_MS = (0, 0, 0, 0, 999, SECOND_MS, MINUTE_MS, HOUR_MS, 30 * HOUR_MS)
_SKEWS_MS = (0, 0, 0, 5_000, -5_000, HOUR_MS)
_REVENUES: tuple[Any, ...] = (1, 0.1, 7.77, 30, 1e16, "x", None)
_ENDLESS = "x" * (MESSAGE_ID_MAX_CHARS + 1)


class Sent(Struct):
    """An event as it was meant. `person` -1: nobody's. `body` is what is sent, perhaps no JSON at all."""

    mark: str
    person: int
    body: bytes
    good: bool


class Request(Struct):
    """Events on their way. It is tried until it is answered for good."""

    kind: str
    key: str
    events: list[Sent]
    skew_ms: int
    tries: int = 0
    stored: bool = False
    """An answer has come that says that the events are in the log."""
    ended: bool = False

    def body(self, now_ms: int) -> bytes:
        """The body of a try; each says anew when it is sent."""
        sent_at = rfc3339(now_ms + self.skew_ms).encode()
        if self.kind != "batch":
            return self.events[0].body
        return b'{"sentAt":"%b","batch":[%b]}' % (sent_at, b",".join(event.body for event in self.events))


class Crowd:
    """All people and their clients. `shared`: some of them use one device, so that links are refused."""

    def __init__(self, chance: Random, clock: Clock, people: int, *, shared: bool) -> None:
        self._chance = chance
        self._clock = clock
        self._people = people
        self._shared = shared
        self.events: dict[str, Sent] = {}
        self.requests: list[Request] = []

    def speak(self) -> None:
        """Somebody does something; some client has a new request."""
        chance = self._chance
        skew_ms = chance.choice(_SKEWS_MS)
        if self.requests and chance.random() < 0.15:
            request = chance.choice(self.requests)
            self.requests.append(Request(request.kind, request.key, request.events, request.skew_ms))
        elif chance.random() < 0.25:
            event = self._event(skew_ms, "track")
            self.requests.append(Request("track", chance.choice([*SOURCES]), [event], skew_ms))
        else:
            events = [self._event(skew_ms) for _ in range(chance.randint(1, 6))]
            self.requests.append(Request("batch", chance.choice([*SOURCES]), events, skew_ms))

    def waiting(self) -> list[Request]:
        """Requests that have no final answer yet."""
        return [request for request in self.requests if not request.ended]

    def _event(self, skew_ms: int, kind: str = "") -> Sent:
        chance = self._chance
        mark, person = f"e{len(self.events)}", chance.randrange(self._people)
        if not kind and chance.random() < 0.1:
            sent = self._bad(mark)
        else:
            fields = self._fields(
                kind or chance.choice(("track", "track", "track", "identify", "page", "alias")), person
            )
            happened_ms = self._clock.now_ms() + skew_ms - chance.choice(_LATE_MS)
            sent = Sent(mark, person, _encoded(mark, happened_ms, chance, fields), good=True)
        self.events[mark] = sent
        return sent

    def _fields(self, kind: str, person: int) -> dict[str, Any]:
        chance = self._chance
        user = {"userId": f"u{person}"}
        device = {"anonymousId": f"a{person}.{chance.randrange(3)}"}
        if self._shared and chance.random() < 0.2:
            device = {"anonymousId": "a.shared"}
        if kind == "identify":
            traits = {"plan": chance.choice(("pro", "free", None)), "age": chance.randrange(5)}
            if chance.random() < 0.4:
                traits["email"] = f"P{person}@Example.com"
            return {"type": kind, **user, **(device if chance.random() < 0.6 else {}), "traits": traits}
        if kind == "alias":
            return {"type": kind, **user, "previousId": f"a{person}.{chance.randrange(3)}"}
        if kind == "page" and chance.random() < 0.5:
            return {"type": kind, **device}
        properties = {"revenue": chance.choice(_REVENUES), "category": chance.choice("abc")}
        who = chance.choice((user, device, user | device))
        name = {"event": chance.choice(("Order Completed", "Product Viewed"))} if kind == "track" else {"name": "Home"}
        return {"type": kind, **who, **name, "properties": properties}

    def _bad(self, mark: str) -> Sent:
        """Something that can never be admitted."""
        context = f'"context":{{"mark":"{mark}"}}'
        body = self._chance.choice(
            (
                f'{{"type":"track","userId":"u0",{context}}}',
                f'{{"type":"page",{context}}}',
                f'{{"type":"dance","userId":"u0",{context}}}',
                f'{{"type":"page","userId":"u0","properties":{{"n":NaN}},{context}}}',
                f"[{{{context}}}]",
                f'{{"type":"page","userId":"u0","messageId":"{_ENDLESS}",{context}}}',
                f'{{"type":"page","userId":"{BLOCKED}","messageId":"{mark}",{context}}}',
            )
        )
        return Sent(mark, -1, body.encode(), good=False)


def marks(text: str) -> list[str]:
    """The marks of the events in a text."""
    return _MARK.findall(text)


def _encoded(mark: str, happened_ms: int, chance: Random, fields: dict[str, Any]) -> bytes:
    event = {**fields, "context": {"mark": mark}}
    if chance.random() < 0.7 or "properties" in fields or "traits" in fields:
        # Without an id the place in the log decides between events of one instant: not of those that could tell.
        event["messageId"] = f"m-{mark}"
    if chance.random() < 0.9:
        event["timestamp"] = rfc3339(happened_ms)
    return msgspec.json.encode(event)
