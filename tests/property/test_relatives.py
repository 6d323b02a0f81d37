"""Whose events name an identifier: what history knows of it finds the same people as looking through all events."""

import random
from collections.abc import Callable, Iterator
from contextlib import closing
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from onefold.core.explaining.retrace import read
from onefold.core.identity.identifiers import finder_of
from onefold.core.identity.naming import reading
from onefold.language.reading.check import checked
from onefold.language.stream.compile import compile_definitions
from onefold.limits import DAY_MS
from onefold.model.definitions import Definitions
from onefold.model.delivery import sequence
from onefold.model.identity import NOTHING, IdentifierType, Identity
from onefold.model.past import NAMES_COMPLETE, Past, PastRecast
from onefold.model.rules import Rules
from onefold.ports import History
from onefold.runtime.history.names import NamesKept
from onefold.runtime.history.writing import Historian, Sources
from onefold.runtime.identity.relatives import Sought, relatives
from onefold.storage.history.delta import DeltaHistory, Options
from onefold.testing.clock import ManualClock
from onefold.testing.memory.history import MemoryHistory
from onefold.testing.pasts import pasts
from onefold.testing.world import START_MS, World, rfc3339

CARDS = Identity(
    types=(
        IdentifierType("user_id", unique=True),
        IdentifierType("card", ("properties.card", "context.wallet.card"), "digits"),
        IdentifierType("email", normalise="mailbox"),
        IdentifierType("phone", ("traits.mobile",)),
        IdentifierType("anonymous_id", soft=True),
    ),
    blocked=("shared@example.com",),
)
SPELLED = Identity(
    "adobe-graph-linking",
    types=(IdentifierType("user_id", normalise="lower"), IdentifierType("seat", ("groupId",), "alphanumeric")),
)
RULES = (NOTHING, CARDS, SPELLED)

EMAILS = (
    "Ann@Example.com",
    "ann@example.com",
    "a.nn+shop@gmail.com",
    "ann@gmail.com",
    'bo"b@example.com',
    "shared@example.com",
)
PHONES = ("+49 30 1234567", "+4930 123-45-67", "+1 (212) 555 0100", 4_930_765_432)
CARD = ("1234 567", "1234567", 7_654_321, "99-99")
DEVICES = ("tv-1", "tv\\2", "Tablet 3")


ASKED = 5
"""Names that are looked for one by one; all are together."""


class Crowd:
    """Events of a few people who name what is theirs, and what is others', in every way that there is."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._number = count()

    def events(self, most: int) -> Iterator[dict[str, Any]]:
        """So many more."""
        for _ in range(most):
            yield self._event()

    def _maybe(self) -> bool:
        return self._random.random() < 0.3

    def _event(self) -> dict[str, Any]:
        pick, number = self._random.choice, next(self._number)
        kind = pick(("track", "track", "track", "page", "identify", "identify", "alias", "group"))
        at_ms = START_MS - self._random.randrange(3 * DAY_MS)
        event: dict[str, Any] = {"type": kind, "messageId": f"m{number}", "timestamp": rfc3339(at_ms)}
        if kind == "track":
            event["event"] = pick(("A", "B"))
        if kind == "alias":
            event["previousId"] = f"a{self._random.randrange(5)}"
        event |= self._ids(kind)
        if kind in ("identify", "group") or self._maybe():
            event["traits"] = self._traits()
        event["properties"] = {"card": pick(CARD)} if self._maybe() else {"note": pick(EMAILS)} if self._maybe() else {}
        if context := self._context():
            event["context"] = context
        return event

    def _ids(self, kind: str) -> dict[str, Any]:
        ids: dict[str, Any] = {}
        if kind in ("group", "page") or self._maybe():
            ids["groupId"] = self._random.choice(("G 1", "g1", "g2"))
        if self._maybe() or kind == "alias":
            ids["userId"] = self._random.choice(("u1", "U1", "u2", 3))
        if "userId" not in ids or self._maybe():
            ids["anonymousId"] = f"a{self._random.randrange(5)}"
        return ids

    def _traits(self) -> dict[str, Any]:
        pick = self._random.choice
        told = {"email": pick(EMAILS), "phone": pick(PHONES), "mobile": pick(PHONES)}
        return {name: value for name, value in told.items() if self._maybe()}

    def _context(self) -> dict[str, Any]:
        pick = self._random.choice
        known = {"type": pick(("ticket", "card")), "id": pick(CARD), "collection": pick(("users", "groups"))}
        parts = {
            "traits": self._traits(), "device": {"id": pick(DEVICES)}, "wallet": {"card": pick(CARD)},
            "externalIds": [known],
        }  # fmt: skip
        return {name: part for name, part in parts.items() if self._maybe()}


class Life(NamedTuple):
    """A world with its history, and what it is asked by."""

    world: World
    history: History

    @property
    def rules(self) -> Rules:
        """In force now."""
        state = self.world.state
        return state.rules(state.cursor(0).rules)

    def lives(self, crowd: Crowd, events: int) -> None:
        """More happens, and history has it."""
        for event in crowd.events(events):
            self.world.send(event)
        self.world.fold()
        self.follow()

    def follow(self) -> None:
        """Let the role come to its end, names of the past included."""
        historian = Historian(Sources(self.world.state, self.world.reader), self.history, ManualClock(), 0)
        while historian.turn(self.world.state.newest()):
            pass
        historian.stop()

    def names(self) -> list[str]:
        """Every identifier that an event names, and one that none does."""
        everything = [past for some in self.history.scan() for past in some]
        finder = finder_of(self.rules)
        found = {name for each in read(self.program, everything) for name in finder.find(each.event).identifiers}
        return sorted({*found, "email:nobody@example.com"})

    @property
    def program(self) -> Any:
        """What reads events under these rules."""
        return compile_definitions(checked(Definitions(identity=self.rules.identity)), 0)

    def require_the_same(self) -> int:
        """Both ways find the same of each name, and of all; how many they find."""
        names, program = self.names(), self.program
        total = 0
        for some in [*({name} for name in random.Random(len(names)).sample(names, ASKED)), set(names)]:
            sought = Sought(frozenset(some), self.rules, program)
            quick, slow = (relatives(self.history, self.world.state, sought, quick=quick) for quick in (True, False))
            assert quick == slow, some
            total += len(slow)
        return total

    def is_complete(self) -> bool:
        """Whether the quick way is gone."""
        return self.history.named_to(reading(self.rules)) == NAMES_COMPLETE


def begun(identity: Identity, history: History) -> Life:
    """A new one."""
    assert history.try_hold()
    return Life(World(Definitions(version=1, identity=identity)), history)


def parted(life: Life, seed: int) -> None:
    """Some events become others', as recasts have it."""
    chance, cursor = random.Random(seed), life.world.state.newest()
    everything = [past for some in life.history.scan() for past in some]
    recasts = [_recast(past, chance.choice(everything).profile, n, cursor) for n, past in enumerate(everything[::5])]
    life.history.append([], [], cursor, recasts=recasts)


def _recast(past: Past, owner: int, n: int, cursor: int) -> PastRecast:
    owner = 0 if n % 7 == 6 else owner
    return PastRecast(owner, past.profile, past.partition, past.position, START_MS, sequence(cursor, n), 0, 1 << 40)


@pytest.mark.parametrize("rules", range(len(RULES)))
def test_names_find_what_events_say(rules: int) -> None:
    """Random lives, named as they are written: the same people, also where recasts have made events others'."""
    for seed in range(5):
        life = begun(RULES[rules], MemoryHistory())
        life.lives(Crowd(seed), 60)
        assert life.is_complete()
        assert life.require_the_same() > 5
        parted(life, seed)
        life.require_the_same()


def test_a_past_without_names_gets_them() -> None:
    """What was written before names were kept is read in the background; until then all events are looked through."""
    for seed in range(3):
        crowd, history = Crowd(seed), MemoryHistory()
        life = begun(CARDS, history)
        for event in crowd.events(60):
            life.world.send(event)
        life.world.fold()
        history.append(*pasts(life.world), life.world.state.newest())
        assert not life.is_complete()
        found = life.require_the_same()
        life.follow()
        assert life.is_complete()
        assert life.require_the_same() == found
        life.lives(crowd, 20)
        life.require_the_same()


def test_other_rules_have_the_past_named_anew() -> None:
    """Where rules come to read identifiers otherwise, and back, the same people are found at every step."""
    for seed in range(2):
        crowd = Crowd(seed)
        life = begun(NOTHING, MemoryHistory())
        for version, identity in enumerate((CARDS, SPELLED, NOTHING, CARDS), 2):
            life.lives(crowd, 20)
            life.world.define(Definitions(version=version, identity=identity))
            life.world.fold()
            assert not life.is_complete()
            life.require_the_same()
            life.follow()
            assert life.is_complete()
            life.require_the_same()


def test_tables_on_the_disk_know_the_same(tmp_path: Path) -> None:
    """The same in Delta tables, through compaction and forgetting."""
    clock = ManualClock(START_MS + 3 * DAY_MS)
    for seed in range(2):
        options = Options(keep_days={"B": 4, "*": 5})
        with closing(DeltaHistory(tmp_path / str(seed), options=options, clock=clock)) as history:
            life, crowd = begun(CARDS, history), Crowd(seed)
            for _ in range(10):
                life.lives(crowd, 12)
            tidied(history)
            assert life.require_the_same() > 5
            parted(life, seed)
            life.require_the_same()
            clock.advance(DAY_MS)
            tidied(history)
            assert life.is_complete()
            life.require_the_same()


def tidied(history: History) -> None:
    """Until there is nothing left to tidy."""
    while history.tidy():
        pass


def test_reading_the_past_goes_on_after_an_error(tmp_path: Path) -> None:
    """A day that could not be read to its end is read again, and nothing is missing."""
    broken: list[Callable[[], None]] = []

    class Failing(MemoryHistory):
        def connect(self, spill: str = "") -> Any:
            if broken:
                broken.pop()()
            return super().connect(spill)

    def fail() -> None:
        raise OSError("away")

    history = Failing()
    life = begun(CARDS, history)
    for event in Crowd(1).events(60):
        life.world.send(event)
    life.world.fold()
    history.append(*pasts(life.world), life.world.state.newest())
    kept = NamesKept(life.world.state, history)
    broken += [fail, fail]
    for _ in range(2):
        with pytest.raises(OSError, match="away"):
            kept.turn()
    while kept.turn():
        pass
    assert life.is_complete()
    life.require_the_same()
