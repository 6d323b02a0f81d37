"""What deliveries say, and who subscribed to what."""

import json
from collections.abc import Sequence

import pytest
from msgspec import Raw

from onefold.errors import NotFoundError
from onefold.model import profile as profiles
from onefold.model.changes import Changes, Cursor
from onefold.model.definitions import Destination
from onefold.model.delivery import sequence
from onefold.model.effect import (
    Admitted,
    AnyEffect,
    Changed,
    Created,
    Entered,
    Hot,
    Left,
    LinkRefused,
    Merged,
    Moved,
    RejectedEvent,
)
from onefold.model.entry import Outgoing, Tick, encode
from onefold.model.position import position, profile_id, show
from onefold.model.profile import Profile
from onefold.ports import Record
from onefold.runtime.delivering.payload import Head, Payloads, tag_of
from onefold.runtime.delivering.selecting import Subscription
from onefold.runtime.delivering.tail import Tail
from onefold.testing.memory.state import MemoryState

PERSON = profile_id(0, position(3, 0))
OTHER = profile_id(0, position(4, 0))
HEAD = (PERSON, position(3, 1), 2, 1_750_000_000_123)
EFFECTS: dict[str, AnyEffect] = {
    "event": Admitted(*HEAD, "Order Completed"),
    "profile.created": Created(*HEAD),
    "profile.merged": Merged(*HEAD, OTHER, "user_id:1", "email:a@b.c", "same_event"),
    "link.refused": LinkRefused(*HEAD, "user_id:1", "user_id:2", "one_user_id"),
    "identifier.moved": Moved(*HEAD, OTHER, "anonymous_id:a", "newest_link"),
    "identifier.hot": Hot(*HEAD, "email:team@b.c", 250),
    "profile.changed": Changed(*HEAD, {"orders": 3, "gone": None}),
    "audience.entered": Entered(*HEAD, "vip"),
    "audience.left": Left(*HEAD, "vip", "time"),
    "event.rejected": RejectedEvent(0, *HEAD[1:], "web", "not_json"),
}
PARTICULARS: dict[str, dict[str, object]] = {
    "event": {"event": {"type": "track", "nonsense": [1]}},
    "profile.created": {},
    "profile.merged": {"absorbed": show(OTHER), "link": ["user_id:1", "email:a@b.c"], "rule": "same_event"},
    "link.refused": {"link": ["user_id:1", "user_id:2"], "rule": "one_user_id"},
    "identifier.moved": {"identifier": "anonymous_id:a", "former": show(OTHER), "rule": "newest_link"},
    "identifier.hot": {"identifier": "email:team@b.c", "others": 250},
    "profile.changed": {"traits": {"orders": 3, "gone": None}},
    "audience.entered": {"audience": "vip"},
    "audience.left": {"audience": "vip", "reason": "time"},
}


class Shelf:
    """A log with one record of events, at offset 3, and another's at 4, which lost what came after it."""

    partitions = 1

    def read(self, _partition: int, offset: int, _max_bytes: int) -> Sequence[Record]:
        """As `LogReader.read`."""
        if offset > 4:
            return []
        if offset == 4:
            return [Record(4, encode(Tick(5)))]
        if offset != 3:
            raise NotFoundError("gone")
        events = [Raw(b'{"type":"page"}'), Raw(b'{"type":"track","nonsense":[1]}')]
        return [Record(3, encode(Outgoing("web", 5, events)))]


def payloads() -> Payloads:
    """Over a state that knows one person."""
    state = MemoryState()
    known = {"user_id:1": 5, "email:a@b.c": 6, "email:d@e.f": 7}
    person = Profile(PERSON, 1, 1, 1, 1, identifiers=known)
    changes = Changes(0, Cursor(1), {PERSON: person}, {}, {}, {}, {}, {}, [], [], {})
    state.commit([changes], state.load((), (), ()), {PERSON: profiles.encode(person)})
    return Payloads(state, Shelf())  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", EFFECTS)
def test_each_effect_has_its_payload(kind: str) -> None:
    """Type, time, person and particulars of every effect."""
    delivery = payloads().make(sequence(9, 1), 0, EFFECTS[kind], "aa")
    assert delivery
    body = json.loads(delivery.payload)
    assert (body["type"], body["timestamp"], delivery.type) == (kind, "2025-06-15T15:06:40.123Z", kind)
    assert delivery.key == "msg_00-30001-2-aa"
    if kind == "event.rejected":
        assert body["data"] == {"profile": None, "source": "web", "reason": "not_json"}
    else:
        identifiers = {"user_id": ["1"], "email": ["a@b.c", "d@e.f"]}
        assert body["data"] == {"profile": show(PERSON), "identifiers": identifiers} | PARTICULARS[kind]


@pytest.mark.parametrize("place", [position(2, 0), position(3, 2), position(4, 0), position(5, 0)])
def test_an_event_that_is_gone_from_the_log_is_no_delivery(place: int) -> None:
    """Without its body there is nothing to send: retention removed it, or the log ends before it, or is another."""
    assert payloads().make(sequence(9, 1), 0, Admitted(PERSON, place, 0, 5, "page"), "aa") is None


def test_head_is_the_beginning_of_a_profile() -> None:
    """The fields that are read without the rest are the first ones of a stored profile."""
    assert Profile.__struct_fields__[: len(Head.__struct_fields__)] == Head.__struct_fields__


def test_tags_differ_by_destination_and_stay() -> None:
    """The same effect has another key at another destination, for ever the same one at each."""
    assert tag_of("crm") != tag_of("mail")
    assert tag_of("crm") == "40003030"


@pytest.mark.parametrize(
    ("destination", "wanted"),
    [
        (Destination("d"), set()),
        (Destination("d", events=("*",)), {"event"}),
        (Destination("d", events=("Order Completed",)), {"event"}),
        (Destination("d", events=("page",), audiences=("other",)), set()),
        (Destination("d", audiences=("vip",)), {"audience.entered", "audience.left"}),
        (Destination("d", effects=("merged", "rejected")), {"profile.merged", "event.rejected"}),
        (Destination("d", events=("*",), audiences=("*",), effects=("*",)), set(EFFECTS)),
    ],
)
def test_subscriptions(destination: Destination, wanted: set[str]) -> None:
    """Events and audiences by name, other effects by kind, `*` for all."""
    subscription = Subscription([destination])
    assert {kind for kind, effect in EFFECTS.items() if effect in subscription} == wanted


def test_tail_serves_the_near_and_the_far() -> None:
    """Whoever asks, from wherever, sees every commit once and in order."""
    state = MemoryState()

    def commit() -> None:
        changes = Changes(
            0, Cursor(state.touched_since(1 << 62)[0] + 1), {}, {}, {}, {}, {}, {}, [EFFECTS["event"]], [], {}
        )
        state.commit([changes], state.load((), (), ()), {})

    for _ in range(40):
        commit()
    tail = Tail(state)
    for _ in range(40):
        commit()
    while tail.poll():
        pass
    for start in (0, 10, 39, 40, 41, 79, 80):
        seen, cursor = [], start
        while found := tail.after(cursor):
            seen += [commit.number for commit in found]
            cursor = seen[-1]
        assert seen == list(range(start + 1, 81))
