"""No event that collect takes may stop the worker, be lost from the counts, or make a person unreadable.

Whoever holds a write key, which is public, can send anything; one event that the fold cannot take would be met again
after every restart and would stop everyone. So arbitrary JSON goes the whole way: collect's decoder, the record, the
real fold over the state on LMDB, and what the API makes of it.
"""

import json
import math
import tempfile
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec import structs

from onefold.collect.answer import Answer
from onefold.collect.decode import Decoder
from onefold.collect.record import records
from onefold.language.functions import DIGITS, DURATION, FUNCTIONS, PATTERN, REGEX, UNIT
from onefold.language.keeping.aggregates import MONOIDS
from onefold.language.nodes import QUANTIFIERS
from onefold.language.reading.check import checked
from onefold.limits import DAY_MS, MIB, MINUTE_MS
from onefold.model import position
from onefold.model.definitions import Audience, Definitions, Trait
from onefold.model.rules import Rules
from onefold.runtime.defining.workspace import load_workspace
from onefold.runtime.folding.fold import Folding
from onefold.runtime.folding.programs import Programs
from onefold.server.operating import tail
from onefold.server.people import profiles as api
from onefold.server.people.profile_answer import answer
from onefold.server.people.projection import EVERYTHING
from onefold.settings import Settings
from onefold.storage.embedded.state import LmdbState, Options
from onefold.testing.world import World, track

RETAIL = Path(__file__).parents[2] / "examples" / "retail"
KINDS = ("track", "identify", "page", "screen", "group", "alias")
NAMES = ("Order Completed", "Product Viewed", "Product Added", "*", "page", "A", "é\0" * 3, "")
PARTITIONS = 2

numbers = st.one_of(
    st.integers(),
    st.integers(-(1 << 70), 1 << 70),
    st.sampled_from([10**n * sign + more for n in (15, 16, 18, 19, 20, 308, 309, 4000) for sign in (1, -1)
                     for more in (0, 1)]),
    st.sampled_from([(1 << n) * sign + more for n in (53, 62, 63, 64) for sign in (1, -1) for more in (-1, 0, 1)]),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from([1.7976931348623157e308, -1.7976931348623157e308, 5e-324, -0.0, 1e290, 9007199254740993.0]),
)  # fmt: skip
characters = st.characters(exclude_categories=["Cs"])
texts = st.one_of(
    st.text(characters, max_size=20),
    st.sampled_from(["", "\0", " ", "null", "__proto__", "a:b", "user_id:1", "1", "İ" * 60, "\U0001f469" * 90,
                     "x" * 395, "ﬃ" * 130, "0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59.999Z", "+4915112345678",
                     "+" + "\u0661" * 12, "2024-W01-1", "a@b.c", "\U0001f469@b.c", "😀" * 63, "İ@İ.İ"]),
)  # fmt: skip
scalars = st.one_of(st.none(), st.booleans(), numbers, texts)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=8,
)
ids = st.one_of(st.sampled_from(["u1", "u2", "a1", "a2", "\U0001f469" * 99, 7, 1 << 63, 1 << 64, -1, 10**300]), texts,
                st.integers())  # fmt: skip
names = st.one_of(st.sampled_from(NAMES), texts)
instants = st.one_of(
    st.sampled_from(["0001-01-01T00:00:00Z", "0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59.999999-23:59",
                     "1970-01-01T00:00:00", "1969-12-31T23:59:59.999999Z", "2023-11-14T22:13:20Z",
                     "2038-01-19T03:14:08Z", "2023-11-14T22:13:19.999Z", "2023-11-14T22:00:00-00:01",
                     "2016-12-31T23:59:59.9999999999Z"]),
    st.datetimes().map(lambda at: at.isoformat() + "Z"),
)  # fmt: skip
external = st.fixed_dictionaries(
    {},
    optional={
        "id": ids | values,
        "type": st.sampled_from(["crm", "user_id", "email", "\0", "😀" * 64, "İ" * 64, "x" * 64]) | texts | values,
        "collection": st.sampled_from(["users", "accounts"]) | values,
        "encoding": values,
    },
)
properties = st.dictionaries(
    st.sampled_from(["revenue", "total", "category", "product_id", "coupon", "x"]) | texts, values, max_size=5
)
traits = st.dictionaries(
    st.sampled_from(["email", "phone", "plan", "group", "x", "at"]) | texts, values | instants, max_size=5
)
contexts = st.fixed_dictionaries(
    {},
    optional={
        "traits": traits | values,
        "device": st.fixed_dictionaries({"id": ids | values}) | values,
        "externalIds": st.lists(external | values, max_size=22) | values,
        "campaign": st.fixed_dictionaries({"source": values}) | values,
        "x": values,
    },
)
events = st.fixed_dictionaries(
    {"type": st.sampled_from(KINDS), "event": names, "userId": ids},
    optional={
        "anonymousId": ids,
        "previousId": ids,
        "groupId": ids,
        "messageId": texts | st.sampled_from(["0:0", "0:10000", "1:0"]),
        "timestamp": instants,
        "originalTimestamp": instants,
        "sentAt": instants,
        "properties": properties,
        "traits": traits,
        "context": contexts,
        "integrations": st.dictionaries(texts, values, max_size=2) | st.booleans(),
        "name": names,
        "unknown": values,
    },
)
pauses = st.sampled_from([0, 1, MINUTE_MS, DAY_MS])
Request = tuple[list[dict[str, Any]], str | None, int]
"""Events, the request's own sentAt, and how long it is until the next one."""
requests = st.lists(
    st.tuples(st.lists(events, min_size=1, max_size=6), st.none() | instants, pauses), min_size=1, max_size=4
)


def definitions() -> Definitions:
    """The retail example, and each aggregate over each kind of field, with windows and without."""
    retail = load_workspace(RETAIL)
    rich = [
        Trait(f"rich_{name}_{field.replace('.', '_')}_{number}", f'{name}("*", {field}{within})')
        for name in MONOIDS
        if name != "count"
        for field in ("properties.x", "traits.x", "context.x")
        for number, within in enumerate(("", ', within="1h"'))
    ]
    rich += [
        Trait("plus", "rich_max_properties_x_0 + rich_max_traits_x_0"),
        Trait("less", "plus - plus"),
        Trait("times", "traits.x * traits.x"),
        Trait("minus", "-traits.x"),
        Trait("share", "traits.x / rich_sum_properties_x_0"),
        Trait("rest", "traits.x % rich_min_properties_x_1"),
        Trait("declared", "traits.x"),
        Trait("louder", "upper(traits.x)"),
    ]
    rich += [Trait(f"function_{name}", _called(name)) for name in FUNCTIONS]
    rich.append(Trait("hours", 'count("*", where=hour(time) > 3 and any(properties.x, item == 1 or x.x > 1))'))
    audiences = [
        *(Audience(f"{each}_items", f"{each}(traits.x, item.x > 1 or any(item, x == 1))") for each in QUANTIFIERS),
        Audience("of_share", 'random_share("a", 50) or consent("x") or in_audience("soon")'),
        Audience("soon", 'traits.at > ago("30d")'),
        Audience("same", "traits.x == rich_last_properties_x_0"),
        Audience("larger", "traits.x > rich_first_traits_x_1 or contains(traits.x, traits.plan)"),
    ]
    return structs.replace(
        retail, version=1, traits=retail.traits + tuple(rich), audiences=retail.audiences + tuple(audiences),
        sources=(), destinations=(), timezone="UTC",
    )  # fmt: skip


def _called(name: str) -> str:
    """A call of a function with what events declare, of whatever kind it will be."""
    function, seen = FUNCTIONS[name], []
    literals = {PATTERN: '"%a_"', REGEX: '"^a+"', DURATION: '"-9w"', UNIT: '"h"', DIGITS: "3"}
    for number, kind in enumerate(function.params):
        seen.append(literals.get(kind, ("traits.x", "traits.at", "traits.plan", "traits.x.x")[number % 4]))
    return f"{name}({', '.join(seen)})"


DEFINITIONS = definitions()


def _unknown(version: int) -> Definitions:
    raise AssertionError(version)


PROGRAMS = Programs(_unknown)
"""Compiled once for all examples."""


class Platform(World):
    """A world behind collect's own decoder, over the state on disk."""

    def __init__(self, state: LmdbState) -> None:
        super().__init__(DEFINITIONS, partitions=PARTITIONS, state=state)
        self._decoder = Decoder(Settings(), PARTITIONS)
        self.accepted = self.refused = 0
        self.fold()

    def new_folding(self) -> Folding:
        """As any worker, but what is compiled already is not compiled again."""
        return Folding(self.reader, self.state, PROGRAMS)

    def request(self, body: bytes) -> None:
        """Take a batch as collect does."""
        intake = self._decoder.batch(body)
        assert not isinstance(intake, Answer), intake
        self.accepted += intake.accepted
        self.refused += len(intake.rejected)
        self.writer.append(records(intake, "web", self.now_ms))

    def check(self) -> None:
        """The counts close, every person and effect can be read and shown, and whoever is indexed is found."""
        counts = self.state.counts()
        unread = counts.get("quarantined.undecodable", 0)
        assert unread == 0, counts
        assert counts.get("quarantined.invalid", 0) == self.refused
        assert counts["received"] == self.accepted + self.refused
        closed = sum(n for name, n in counts.items() if name.startswith(("admitted", "duplicate", "quarantined.")))
        assert closed == counts["received"], counts
        for partition in range(PARTITIONS):
            for number in self.state.profile_ids(partition, 0, 1 << 30):
                profile = api.find(self.state, Rules(), position.show(number))
                shown = answer(profile, EVERYTHING)
                assert json.loads(msgspec.json.encode(shown))["id"] == position.show(number)
                assert all(is_sound(value) for value in profile.computed.values())
                for identifier in profile.identifiers:
                    assert self.state.lookup(identifier) == number
        for _, partition, effects in self.state.effects(0, 1 << 30):
            for effect in effects:
                json.loads(msgspec.json.encode(tail.show(partition, effect)))


def is_sound(value: Any) -> bool:
    """A trait has a value, and its numbers are numbers."""
    if isinstance(value, list):
        return all(item is None or is_sound(item) for item in value)
    if isinstance(value, dict):
        return is_sound(list(value.values()))
    return value is not None and (not isinstance(value, float) or math.isfinite(value))


def survive(sent: list[Request]) -> None:
    """All of it, through a platform of its own."""
    with tempfile.TemporaryDirectory() as folder:
        state = LmdbState(Path(folder) / "state", options=Options(map_bytes=256 * MIB))
        try:
            platform = Platform(state)
            for batch, sent_at, later_ms in sent:
                envelope = {"batch": batch} if sent_at is None else {"batch": batch, "sentAt": sent_at}
                platform.request(json.dumps(envelope).encode())
                platform.fold()
                platform.pass_time(later_ms)
            platform.pass_time(2 * DAY_MS)
            platform.check()
        finally:
            state.close()


@settings(deadline=None, max_examples=60, suppress_health_check=list(HealthCheck))
@given(requests)
def test_nothing_that_collect_takes_is_poison(sent: list[Request]) -> None:
    """Whatever the decoder accepts folds, is counted once, and can be read and shown."""
    survive(sent)


_HUGE = 10**4_000
FIRST = "0001-01-01T00:00:00+23:59"
LAST = "9999-12-31T23:59:59.999999-23:59"
_POISON: dict[str, dict[str, Any]] = {
    "a trait past every double": {"type": "identify", "traits": {"x": _HUGE}},
    "deep within a trait": {"type": "identify", "traits": {"x": [{"y": [-_HUGE]}]}},
    "in traits of the context": {"type": "identify", "context": {"traits": {"x": _HUGE}}},
    "a group's id": {"type": "group", "groupId": _HUGE},
    "a sum's number": {"type": "track", "event": "Order Completed", "properties": {"revenue": _HUGE, "x": _HUGE}},
    "a value to compare": {"type": "track", "event": "A", "properties": {"category": _HUGE, "x": [_HUGE]}},
    "doubles that add up to more": {
        "type": "identify", "traits": {"x": 1.7e308}, "properties": {"x": 1.7e308},
    },
    "a namespace of wide characters": {
        "type": "page", "context": {"externalIds": [{"type": "\U0001f469" * 64, "id": "x" * 334}]},
    },
    "a namespace that grows in lower case": {
        "type": "page", "context": {"externalIds": [{"type": "İ" * 64, "id": "x" * 300}]},
    },
    "a user id of many digits": {"type": "page", "userId": _HUGE},
    "an identifier with NUL": {"type": "page", "userId": "a\0b"},
    "the first instant": {"type": "page", "timestamp": FIRST, "sentAt": LAST},
    "the last instant": {"type": "page", "timestamp": LAST, "sentAt": FIRST},
    "a trait that is an instant": {"type": "identify", "traits": {"at": LAST}},
}  # fmt: skip


@pytest.mark.parametrize("name", _POISON)
def test_what_was_tried_before(name: str) -> None:
    """What attackers have tried stays harmless, also to who sends right before and after them."""
    good = {"type": "identify", "userId": "good", "traits": {"x": 1}}
    survive([([good, {"userId": "bad"} | _POISON[name], good], None, MINUTE_MS)])


@pytest.mark.parametrize("character", ['\\"', "\\\\", "\\n", "\\x1f", "\\x7f", "é", " ", "."])
def test_definitions_that_pass_can_be_folded(character: str) -> None:
    """A field's name that no decoder can be made for is refused when definitions are checked, not when they run."""
    made = Definitions(1, (), (Trait("t", f'last("*", properties["a{character}b"])'),))
    if checked(made).problems:
        return
    world = World(made)
    world.send(track("A", user="u"))
    world.fold()
    assert world.profile("user_id:u").version == 1


def test_definitions_fit_into_a_record() -> None:
    """Definitions that no record of the log could hold are refused when they are checked."""
    text = "x" * 3_900
    made = Definitions(1, (), tuple(Trait(f"t{n}", f'last("*", properties.{text})') for n in range(2_500)))
    assert [problem.code for problem in checked(made).problems] == ["too_large"]


def test_a_message_id_cannot_take_the_place_of_another_event() -> None:
    """An event without a messageId is named by its place in the log, and no sender can guess a name that drops it."""
    world = World()
    world.send(*[track("A", user="thief", message=f"0:{place:x}") for place in range(1 << 16, (1 << 16) + 4)])
    world.send(track("A", user="victim"))
    world.fold()
    assert world.profile("user_id:victim").events == 1
