"""Events that say more than that they happened, through the kernel and through Python: words, links, newcomers."""

import random
from collections.abc import Sequence
from typing import Any, cast

import msgspec
import pytest

from onefold import kernel
from onefold.core.batch import Batch, read
from onefold.core.identity.identifiers import finder_of
from onefold.core.pipeline import step
from onefold.core.run import Run
from onefold.limits import DAY_MS, HOUR_MS
from onefold.model.changes import View
from onefold.model.profile import Profile
from onefold.model.rules import Rules
from onefold.runtime.folding.native_profiles import native_containers
from onefold.testing.seeded import START_MS
from onefold.testing.world import World, define, group, identify, rfc3339, track
from tests.property.test_native_profile import same

pytestmark = pytest.mark.skipif(kernel.native is None, reason=kernel.found.standing)

TRAITS = {
    "orders": 'count("Order Completed")',
    "orders_1h": 'count("Order Completed", within="1h")',
    "latest": 'last("*", properties.category)',
    "plans": 'unique("identify", traits.plan)',
    "points": "traits.points + orders",
    "city": "traits.address.city",
}
AUDIENCES = {
    "pros": 'traits.plan == "pro" or orders_1h > 2',
    "rich": "points > 5",
    "silent": 'last_seen < ago("2h") and orders > 0',
    "berliners": 'city == "Berlin" and orders > 0',
    "in_group": "exists(traits.group.id)",
}
PLAIN = define(TRAITS, AUDIENCES)
WITH_SHARES = define(TRAITS, AUDIENCES | {"half": 'random_share("x", 50) and traits.plan == "pro"'})
FEW_NAMES = define({"orders": 'count("Order Completed")'}, {"pros": 'traits.plan == "pro"'})
"""Of most events nothing is kept."""
FROM_THE_START = define(TRAITS, AUDIENCES | {"never": "orders == 0"})
"""Who comes is in an audience at once."""
VALUES: Sequence[Any] = (
    "pro", "free", "Berlin", "", 'q"uo\\te\n', "ü", "\U0001f600", 1, 1.0, True, 0, -0.0, 7.5, 1 << 62, 1 << 63,
    -(1 << 63), 1 << 80, None, [], [1, None, {"a": 1 << 70}], {}, {"city": "Berlin"}, {"city": ["Berlin"], "zip": None},
)  # fmt: skip
NAMES = ("plan", "points", "address", "email", "phone", "timezone", "é\n", "group", "a.b")


class Crowd:
    """People who share some devices and addresses, log in, say who they are, and say it again."""

    def __init__(self, seed: int) -> None:
        self._chance = random.Random(seed)
        self._people = self._chance.choice((2, 6, 30))
        self._shared = self._chance.choice((0.0, 0.02, 0.3))

    def life(self, length: int = 80) -> list[tuple[int, dict[str, Any]]]:
        """(arrival, event)."""
        now_ms = START_MS
        found: list[tuple[int, dict[str, Any]]] = []
        for number in range(length):
            now_ms += self._chance.choice((0, 0, 1, 1000, HOUR_MS // 2))
            event = self._said() | self._who()
            event["timestamp"] = rfc3339(now_ms - self._chance.choice((0, 0, 0, 1, 1000, HOUR_MS, DAY_MS)))
            event["messageId"] = f"m{number - (self._chance.random() < 0.05)}"
            found.append((now_ms, event))
        return found

    def _who(self) -> dict[str, Any]:
        chance = self._chance
        person = chance.randrange(self._people)
        device = "kiosk" if chance.random() < self._shared else f"a{person}.{chance.randrange(3)}"
        who: dict[str, Any] = {"anonymousId": device} if chance.random() < 0.9 else {}
        if chance.random() < 0.4:
            who["userId"] = f"u{person}"
        return who

    def _said(self) -> dict[str, Any]:
        chance = self._chance
        kind = chance.choices(("track", "page", "screen", "identify", "group", "alias"), weights=(40, 10, 3, 35, 8, 2))[
            0
        ]
        event: dict[str, Any] = {"type": kind, "properties": {"category": chance.choice("abc")}}
        if kind == "track":
            event["event"] = chance.choice(("Order Completed", "Product Viewed", "identify"))
        if kind == "group" and chance.random() < 0.9:
            event["groupId"] = chance.choice(("acme", 7, "ü", None))
        if kind == "alias":
            event["previousId"] = f"a{chance.randrange(self._people)}.0"
        if kind in ("identify", "group") or chance.random() < 0.1:
            event["traits"] = chance.choice((self._traits(), self._traits(), None, {}))
        if chance.random() < 0.2:
            event["context"] = {"traits": chance.choice((self._traits(), None, 5, []))}
        return event

    def _traits(self) -> dict[str, Any]:
        chance = self._chance
        traits = {chance.choice(NAMES): chance.choice(VALUES) for _ in range(chance.randrange(4))}
        if chance.random() < 0.2:
            traits["email"] = f"p{chance.randrange(self._people)}@example.com"
        return traits | {"plan": chance.choice(("pro", "free"))} if chance.random() < 0.5 else traits


@pytest.mark.parametrize("definitions", [PLAIN, WITH_SHARES, FEW_NAMES, FROM_THE_START])
@pytest.mark.parametrize("seed", range(12))
def test_what_events_say_is_heard_alike(definitions: Any, seed: int) -> None:
    """Words that win and lose, identifiers that link and merge, groups and aliases: byte for byte the same."""
    same(definitions, Crowd(seed).life(), seed)


class Taker:
    """Takes events one after the other, with the kernel's own way through the step."""

    def __init__(self) -> None:
        world = World(PLAIN)
        world.fold()
        self._program = world.folding._programs.get(1)
        self._world = world
        self._run = Run(0, self._program, Rules(), containers=native_containers(kernel.native))
        self._view = View({}, kernel.native.People(), {})
        self._cursor = world.folding.cursor(0)

    def read(self, event: dict[str, Any] | msgspec.Raw) -> Batch:
        """One event, as it comes from the log."""
        self._world.send(cast("Any", event))
        record = self._world.reader.read(0, self._cursor.offset, 1)[0]
        batch = read(0, self._cursor, [(record.offset, self._program.records.read(record.data))], finder_of(Rules()))
        self._cursor = batch.cursor
        return batch

    def takes(self, event: dict[str, Any] | msgspec.Raw) -> bool:
        """Whether the kernel takes the event; else Python does."""
        batch = self.read(event)
        self._run.see(self._view)
        taken: int = self._program.taking.take(self._run, batch.incoming, 0)
        if not taken:
            step(self._run, batch, self._view)
        return bool(taken)

    def profile(self, identifier: str) -> Profile:
        """Whose this is by now."""
        return self._view.profiles[self._view.identifiers[identifier]]


ME: dict[str, Any] = {"anonymousId": "a1", "userId": "u1"}
TAKEN = {
    "somebody new, who says something": [identify(anonymousId="a1", traits={"plan": "pro", "a": [1, {"b": None}]})],
    "somebody new, with several identifiers": [identify(**ME, traits={"email": "a@b.cd"}), track("x", **ME)],
    "another identifier": [track("x", anonymousId="a1"), track("x", **ME), track("x", anonymousId="a2", userId="u1")],
    "another identifier, and words": [track("x", anonymousId="a1"), identify(**ME, traits={"email": "a@b.cd"})],
    "words with escapes": [identify(**ME, traits={"plan": 'a "b"\n'})],
    "words of the context": [identify(**ME, context={"traits": {"plan": "pro"}}, traits={"a": 1})],
    "words that are older": [identify(**ME, traits={"plan": "a"}), identify(START_MS - 5, **ME, traits={"plan": "b"})],
    "a group": [group("acme", **ME, traits={"employees": 5}), group(5, **ME)],
}  # fmt: skip


@pytest.mark.parametrize("what", TAKEN)
def test_the_kernel_takes_them(what: str) -> None:
    """What is ordinary is not left to Python."""
    taker = Taker()
    for event in TAKEN[what]:
        assert taker.takes(event), event


LEFT = {
    "a second user id": [track("x", **ME), track("x", anonymousId="a1", userId="u2")],
    "two people": [track("x", anonymousId="a1"), track("x", userId="u1"), track("x", **ME)],
    "two user ids of somebody new": [track("x", context={"externalIds": [{"type": "user_id", "id": "2"}]}, **ME)],
    "words past 64 bits": [identify(**ME, traits={"points": 1 << 70})],
    "an alias": [{"type": "alias", "userId": "u1", "previousId": "a1"}],
    "nobody": [track("x")],
    "a message that has come": [track("x", message="m", **ME), track("x", message="m", **ME)],
}  # fmt: skip


@pytest.mark.parametrize("what", LEFT)
def test_the_kernel_leaves_them(what: str) -> None:
    """What is more than ordinary is left to Python, before anything has changed."""
    taker = Taker()
    *before, last = LEFT[what]
    for event in before:
        taker.takes(event)
    assert not taker.takes(last)


PIECES = (
    "a", "ß", "\U0001f600", "/", "abcdefgh", r"\n", r"\"", r"\\\\", r"\/", r"\b\f\r\t", r"\u00e4", r"\u0000",
    r"\uD83D\uDE00", r"\ud7ff\uE000", r"\u0022", r"\u005C",
)  # fmt: skip


@pytest.mark.parametrize("seed", range(20))
def test_escapes_are_what_they_stand_for(seed: int) -> None:
    """Texts and names of members within words, however they are written, are those that Python reads."""
    chance = random.Random(seed)
    taker = Taker()
    for number in range(20):
        one, other = ("".join(chance.choices(PIECES, k=chance.randrange(8))) for _ in range(2))
        value = f'["{one}",{{"k{other}":"{other}{one}"}}]'
        raw = f'{{"type":"identify","messageId":"m{number}","anonymousId":"a1","traits":{{"{number}":{value}}}}}'
        assert taker.takes(msgspec.Raw(raw.encode()))
        assert taker.profile("anonymous_id:a1").declared[str(number)].value == msgspec.json.decode(value)
