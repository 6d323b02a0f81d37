"""The kernel's handlers of events against the generated Python: the same profile, byte for byte, the same effects."""

import json
import os
import random
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

import pytest
from msgspec import structs

from bench import workload
from onefold import kernel
from onefold.core.run import Run
from onefold.core.timers import wake
from onefold.language.reading.check import checked
from onefold.language.stream.compile import compile_definitions
from onefold.language.stream.program import Handler, Program
from onefold.limits import NEVER_MS
from onefold.model import profile as profiles
from onefold.model.definitions import Definitions
from onefold.model.profile import Declared, Profile
from onefold.model.rules import Rules
from onefold.testing.reference.values import Occurrence
from onefold.testing.seeded import START_MS, Seeded

native: Any = pytest.importorskip("onefold_kernel")
pytestmark = pytest.mark.skipif(kernel.native is None, reason="the kernel is left out")

CASES = int(os.environ.get("ONEFOLD_PARITY_CASES", "300"))
DAYS_MS = 86_400_000


class Told(NamedTuple):
    """What is told of an event."""

    changed: list[tuple[str, Any]]
    moves: list[tuple[str, bool]]


def is_native(handler: Handler) -> bool:
    """Whether the kernel does what an event of this name does."""
    return isinstance(getattr(handler.on, "__self__", None), native.Handler)


class Both:
    """One person twice: as the kernel keeps it, and as Python does."""

    def __init__(self, program: Program, start_ms: int) -> None:
        self._program = program
        self._plain = Profile(7, start_ms, start_ms, start_ms, start_ms, version=1, identifiers={"user_id:u": start_ms})
        self._plain.computed = dict(program.blank_traits)
        self._plain.audiences = dict.fromkeys(program.blank_audiences, start_ms)
        self._native = native.Profile.decode(profiles.encode(self._plain))
        self.handled = 0
        """Events that the kernel has handled."""

    def take(self, now_ms: int, occurrence: Occurrence) -> None:
        """An event for both."""
        if self._plain.due_ms <= now_ms:
            self.turn(now_ms)
        handler = self._program.handlers.get(occurrence.name, self._program.handlers["*"])
        event = as_read(self._program, occurrence)
        self.handled += is_native(handler)
        told = []
        for profile in (self._plain, self._native):
            changed: dict[str, Any] = {}
            moves: list[tuple[str, bool]] = []
            self._fold(profile, handler, (now_ms, occurrence, event), changed, moves)
            told.append(Told(list(changed.items()), moves))
        assert told[0] == told[1]
        assert list(map(repr, told[0].changed)) == list(map(repr, told[1].changed))
        self.are_alike()

    def _fold(
        self, profile: Any, handler: Handler, event: tuple[int, Occurrence, Any], changed: Any, moves: Any
    ) -> None:
        now_ms, occurrence, read = event
        tie = occurrence.tie.to_bytes(16)
        seen = profile.saw(occurrence.at_ms, now_ms, occurrence.tie)
        if seen == 3:
            profile.first_seen_ms = profile.last_seen_ms = occurrence.at_ms
        also: Iterable[str] = self._program.at_first if seen == 3 else ()
        if occurrence.type == "identify":
            for name, value in occurrence.traits.items():
                if value is not None:
                    profile.declared[name] = Declared(value, occurrence.at_ms, tie, 0)
                    also = (*also, f"traits.{name}")
        if also:
            if handler.put is not None:
                handler.put(profile, read, occurrence.at_ms, tie, now_ms)
            self._program.judge_some((*handler.triggers, *also), profile, now_ms, changed, moves)
        elif handler.on is not None:
            on: Any = handler.on
            if profile is self._plain and is_native(handler):
                on = on.__self__.instead
            on(profile, read, occurrence.at_ms, tie, now_ms, seen, changed, moves)

    def turn(self, now_ms: int) -> None:
        """Time alone does what it does."""
        effects = []
        for profile in (self._plain, self._native):
            run = Run(0, self._program, Rules())
            run.at(0, now_ms)
            wake(run, profile)
            effects.append(run.effects)
        assert effects[0] == effects[1]
        self.are_alike()

    def turn_to_the_end(self) -> int:
        """Whatever time still does; how often that was done by the kernel."""
        turned = 0
        while (now_ms := self._plain.due_ms) < NEVER_MS and turned < 50:
            assert self._program.wake is not None
            probe = native.Profile.decode(self._native.encode())
            assert self._program.wake(probe, now_ms, [], {}, [])
            self.turn(now_ms)
            turned += 1
        return turned

    def are_alike(self) -> None:
        """Both are stored as the same bytes."""
        stored = self._native.encode()
        assert stored == profiles.encode(self._plain), (profiles.decode(stored), self._plain)
        if random.random() < 0.2:
            self._native = native.Profile.decode(stored)


def as_read(program: Program, occurrence: Occurrence) -> Any:
    """The event as the step's decoder reads it."""
    parts = (json.dumps(part) for part in (occurrence.properties, occurrence.context, occurrence.traits))
    return program.read(occurrence.type, occurrence.name, *parts)


def compiled(definitions: Definitions) -> Program | None:
    """Their program; None where they are wrong."""
    found = checked(definitions)
    return None if found.problems else compile_definitions(found, 1)


@pytest.mark.parametrize("hundred", range(CASES // 100))
def test_random_definitions(hundred: int) -> None:
    """After every event of a random history the two are one, whatever the definitions; many are handled natively."""
    handled = 0
    for seed in range(hundred * 100, hundred * 100 + 100):
        seeded = Seeded(seed)
        if (program := compiled(seeded.definitions(most=2))) is None:
            continue
        both = Both(program, seeded.start_ms)
        for now_ms, occurrence in seeded.history(most=30):
            both.take(now_ms, occurrence)
        handled += both.handled
    assert handled


def shoppers(seed: int, size: int) -> Iterator[tuple[int, Occurrence]]:
    """What somebody does in the benchmark's shop, at a pace at which windows matter; some of it late."""
    chance = random.Random(seed)
    now_ms = START_MS
    names = [name for name, _ in workload.MIX] + ["Signed In", "Email Opened"]
    weights = [share for _, share in workload.MIX] + [0.05, 0.05]
    for tie in range(size):
        now_ms += chance.choice((0, 1, 1_000, 60_000, 3_600_000, 86_400_000))
        late_ms = chance.choice((0, 0, 0, 1, 1_000, 3_600_000))
        name = chance.choices(names, weights)[0]
        product = chance.randrange(5_000)
        properties = {
            "product_id": f"p-{product}", "category": ("shoes", "books", "toys", "music")[product % 4],
            "price": product % 300 + 0.5, "quantity": product % 3 + 1,
            "revenue": chance.choice((product % 500 + 0.25, product)),
        }  # fmt: skip
        context = {"campaign": {"source": chance.choice(("google", "direct"))}}
        type_ = "page" if name == "page" else "track"
        yield now_ms, Occurrence(now_ms - late_ms, tie, name, type_, properties, context, {})


SHOPS: dict[str, Callable[[], Definitions]] = {
    "the workload": workload.definitions,
    "many audiences": lambda: workload.many_audiences(500),
    "every family": lambda: workload.every_family(240),
}


@pytest.mark.parametrize("shop", SHOPS)
def test_shoppers(shop: str) -> None:
    """The benchmark's definitions, over hundreds of events of some people."""
    program = compiled(SHOPS[shop]())
    assert program is not None
    turned = 0
    for seed in range(5):
        both = Both(program, START_MS)
        for now_ms, occurrence in shoppers(seed, 300):
            both.take(now_ms, occurrence)
        turned += both.turn_to_the_end()
    assert turned


HOSTILE = (
    1 << 63,
    -(1 << 63),
    (1 << 63) - 1,
    1 << 200,
    -(1 << 64),
    1e300,
    -0.0,
    [1 << 70],
    {"a": 1 << 64},
    "\0",
    True,
    None,
)


@pytest.mark.parametrize("shop", SHOPS)
def test_what_is_beyond_the_kernel_python_does(shop: str) -> None:
    """Whole numbers past 64 bits, and whatever else an event can carry, come to the same as in Python."""
    program = compiled(SHOPS[shop]())
    assert program is not None
    chance = random.Random(7)
    both = Both(program, START_MS)
    for now_ms, occurrence in shoppers(7, 300):
        hostile = {name: chance.choice(HOSTILE) for name in occurrence.properties if chance.random() < 0.2}
        both.take(now_ms, structs.replace(occurrence, properties=occurrence.properties | hostile))


def test_a_handler_may_be_called_while_it_is_at_work() -> None:
    """Python that stands in for it may come to the same handler again, as another thread may, too."""
    program = compiled(workload.definitions())
    assert program is not None
    occurrence = next(each for _, each in shoppers(1, 100) if each.name == "Product Viewed")
    event = as_read(program, occurrence)
    on: Any = program.handlers["Product Viewed"].on
    told: list[dict[str, Any]] = []

    class Curious:
        """A profile of Python's that asks what comes of the event to the kernel's, while the handler takes it."""

        def __init__(self) -> None:
            self._profile = Profile(7, 1, 1, 1, 1)

        def __getattr__(self, name: str) -> Any:
            if name == "slots":
                told.append({})
                other = native.Profile.decode(profiles.encode(Profile(7, 1, 1, 1, 1)))
                on(other, event, START_MS, b"", START_MS, 3, told[-1], [])
            return getattr(self._profile, name)

    changed: dict[str, Any] = {}
    on(Curious(), event, START_MS, b"", START_MS, 3, changed, [])
    assert told == [changed]
