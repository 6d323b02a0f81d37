"""Records that the kernel reads against Python's reading of them: the same events, times, fingerprints and people."""

import itertools
import json
import random
from typing import Any

import msgspec
import pytest

from onefold import kernel
from onefold.core.batch import Incoming, Read, read
from onefold.core.identity.identifiers import finder_of
from onefold.language.stream.excerpt import decoder, records
from onefold.model.changes import Cursor
from onefold.model.entry import Received
from onefold.model.rules import Rules
from onefold.testing.world import World, define

pytestmark = pytest.mark.skipif(kernel.native is None, reason=kernel.found.standing)

PROPERTIES, CONTEXT = {"price", "category", "kind of", "größe"}, {"campaign", "device", "locale"}
NOW_MS = 1_750_000_000_000
TIMES = (
    "2025-06-15T15:06:40.000Z", "2025-06-15T15:06:39.9995Z", "2025-06-15T17:06:40.123+02:00", "2025-06-15T15:06:40",
    "2025-02-29T00:00:00Z", "2024-02-29T23:59:60Z", "0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59.999999Z",
    "1969-12-31T23:59:59.5-05:30", "2025-06-15t15:06:40z", "2025-06-15 15:06:40Z", "2025-13-15T15:06:40Z",
    "2025-06-15T15:06:40.1234567Z", "2025-06-15T24:00:00Z", "yesterday", "", None, 5,
)  # fmt: skip
IDS = ("u1", "u2", " u1 ", "", "ü", "a\tb", 'q"', 7, -3, 1 << 63, 1 << 64, 1.5, True, None, ["u1"], "x" * 600)
VALUES: tuple[Any, ...] = (
    0, -0.0, 1.5, 1e300, -7, 1 << 63, 1 << 70, "shoes", "sch\u00f6n", 'a"b\\c\n', "\U0001f600", "", None, True, False,
    [], [1, [2, {"a": None}]], {}, {"source": "mail", "deep": {"er": [1.0]}},
)  # fmt: skip


class Sender:
    """Events of any kind, right and wrong, from a seed."""

    def __init__(self, seed: int) -> None:
        self._chance = random.Random(seed)

    def record(self) -> bytes:
        """An entry as collect writes it, or nearly."""
        events = [self._event() for _ in range(self._chance.randrange(6))]
        entry: dict[str, Any] = {"kind": "received", "source": self._chance.choice(("web", "läden", ""))}
        entry |= {"at_ms": NOW_MS + self._chance.randrange(5), "events": events}
        if self._chance.random() < 0.3:
            entry["sent_at_ms"] = self._chance.choice((NOW_MS, NOW_MS - 5_000, None, 1.5))
        if self._chance.random() < 0.1:
            entry["rejected"] = [{"reason": "no", "body": "{}"}]
        text = json.dumps(entry, ensure_ascii=self._chance.random() < 0.3)
        return self._damaged(text).encode(errors="replace")

    def _damaged(self, text: str) -> str:
        """Mostly as it is; else with a member twice, with white space, or with something wrong somewhere."""
        chance = self._chance
        if chance.random() < 0.1:
            text = text.replace("{", '{"price":1,"type":"page",', 2)
        if chance.random() < 0.1:
            text = text.replace(",", " ,\n\t").replace(":", " : ", 3)
        if chance.random() < 0.1:
            place = chance.randrange(len(text))
            text = text[:place] + chance.choice(('"', "{", "]", "\\", "0", "\x01", "")) + text[place + 1 :]
        return text

    def _event(self) -> dict[str, Any]:
        one = self._chance.choice
        kinds = ("track", "track", "track", "page", "screen", "identify", "group", "alias", "other")
        event: dict[str, Any] = {"type": one(kinds)}
        for name, values in (
            ("messageId", ("m1", "m2", "", "ü", None, 5)), ("userId", IDS), ("anonymousId", IDS), ("previousId", IDS),
            ("event", ("Order Completed", "Ansicht ü", "", None, 3)), ("timestamp", TIMES), ("sentAt", TIMES),
            ("originalTimestamp", TIMES), ("traits", ({"email": "a@b.c"}, {}, None, 5)), ("extra", VALUES),
        ):  # fmt: skip
            if self._chance.random() < 0.4:
                event[name] = one(values[:3]) if self._chance.random() < 0.7 else one(values)
        for name, members in (("properties", PROPERTIES), ("context", CONTEXT | {"traits", "externalIds"})):
            if self._chance.random() < 0.6:
                chosen = [each for each in sorted(members | {"other"}) if self._chance.random() < 0.4]
                event[name] = {each: one(VALUES) for each in chosen} if self._chance.random() < 0.95 else one(VALUES)
        items = list(event.items())
        self._chance.shuffle(items)
        return dict(items)


def by_python(record: bytes) -> Received | None:
    """What Python's decoder says; None: it is no entry."""
    try:
        entry = decoder(PROPERTIES, CONTEXT)(record)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    assert isinstance(entry, Received)
    return entry


def shown(incoming: Incoming) -> tuple[Any, ...]:
    """All that the step may ask of it."""
    who, account = incoming.who, incoming.account
    times = incoming.position, incoming.received_ms, incoming.at_ms
    return repr(incoming.event), incoming.source, *times, incoming.fingerprint, who.identifiers, who.owner, account


@pytest.mark.parametrize("seed", range(40))
def test_records_are_read_as_python_reads_them(seed: int) -> None:
    """What the kernel reads is what Python reads; what Python refuses, or would read otherwise, the kernel leaves."""
    sender, rules = Sender(seed), Rules()
    reader, mine, theirs = records(PROPERTIES, CONTEXT), finder_of(rules), finder_of(rules)
    here = 0
    for offset in range(60):
        record = sender.record()
        run: Read | None = reader.read(record)
        if run is None:
            continue
        here += 1
        entry = by_python(record)
        assert entry is not None, record
        assert len(run) == len(entry.events)
        before = Cursor(offset=offset, now_ms=NOW_MS + 2)
        found, expected = (read(3, before, [(offset, each)], finder) for each, finder in ((run, theirs), (entry, mine)))
        assert found.cursor == expected.cursor
        assert list(map(shown, found.incoming)) == list(map(shown, expected.incoming)), record
    assert here


def test_what_collect_writes_is_read() -> None:
    """The kernel leaves nothing to Python of records with ordinary events."""
    event: dict[str, Any] = {
        "type": "track",
        "event": "Order Completed",
        "userId": "u1",
        "timestamp": TIMES[0],
        "messageId": "m1",
    }
    event |= {"properties": {"price": 1.5, "more": [{"a": "b"}]}, "context": {"library": {"name": "analytics.js"}}}
    record = json.dumps({"kind": "received", "source": "web", "at_ms": NOW_MS, "events": [event] * 3}).encode()
    assert len(records(PROPERTIES, CONTEXT).read(record)) == 3


ASKING = define(
    {
        "price": 'last("*", properties.price)',
        "categories": 'unique("*", properties.category)',
        "revenue": 'sum("Order Completed", properties.price)',
        "channel": 'last("*", context.campaign.source)',
        "deep": 'last("*", context.campaign.deep.er)',
        "orders": 'count("Order Completed", where=properties.category == "shoes")',
    },
    {"buyers": "orders > 0", "mailed": 'channel == "mail"'},
)


@pytest.mark.parametrize("seed", range(20))
def test_what_definitions_read_of_events_is_the_same(seed: int) -> None:
    """Values of all kinds, found in the record where they are asked for: the same state as with Python's profiles."""
    chance = random.Random(seed)
    worlds = [World(ASKING, native=each) for each in (kernel.native, None)]
    for n in range(60):
        event: dict[str, Any] = {"type": chance.choice(("track", "page")), "messageId": f"m{n}"}
        event |= {"anonymousId": f"a{chance.randrange(3)}", "event": "Order Completed"}
        event["properties"] = {"price": chance.choice(VALUES), "category": chance.choice((*VALUES, "shoes"))}
        event["context"] = {"campaign": chance.choice(VALUES)}
        for world in worlds:
            world.send(event)
            if n % 7 == 0:
                world.fold()
    for world in worlds:
        world.fold()
    theirs, mine = worlds
    assert theirs.state.digest() == mine.state.digest()
    assert theirs.effects() == mine.effects()
    assert theirs.state.counts() == mine.state.counts()


SPELLED = (
    "u1", " u1 ", "  ", "", "NULL", "null", "Null ", "ü", "İ", "a\u00a0", "\u2003b", "c\x7f", "k:l", '""', "x" * 391,
    "x" * 392, "x" * 393, "ü" * 200, 0, -0, -1, 7, 10**18, -(1 << 63), "007", "-1",
)  # fmt: skip


@pytest.mark.parametrize("blocked", [(), ("null", "0", "ü", "u1")])
def test_ids_are_spelled_as_python_spells_them(blocked: tuple[str, ...]) -> None:
    """One spelling, blocked values and too long ones; each is found once, and remembered."""
    rules = Rules(blocked=frozenset(blocked))
    mine, theirs = finder_of(rules), finder_of(rules)
    read_native, read_python = records((), ()).read, decoder((), ())
    for user, anonymous in 2 * list(itertools.product((None, *SPELLED), SPELLED)):
        event = {"type": "track", "userId": user, "anonymousId": anonymous}
        said = {"kind": "received", "source": "", "at_ms": NOW_MS, "events": [event]}
        record = json.dumps(said, ensure_ascii=False).encode()
        if (run := read_native(record)) is None:  # Text with escapes is Python's.
            continue
        [found], entry = run.incoming(0, 0, NOW_MS, theirs), read_python(record)
        assert isinstance(entry, Received)
        assert found.who.identifiers == mine.find(entry.events[0]).identifiers, record
