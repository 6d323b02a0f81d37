"""A seeded world of clients, processes and misfortune in one thread: the real parts over ports that fail on command.

Clients send over the real decoding; real workers fold; the real line delivers. Every draw comes from one seed, time is
moved by hand, and processes take turns, also in the middle of each other's operations. Who crashes loses all that it
had in memory, and is started anew. In the end the world heals, everything must come to rest, and `simulation.check`
holds the result against what was promised.
"""

from collections.abc import Callable
from random import Random

from msgspec import Struct
from msgspec.structs import replace

from onefold.clock import Clock
from onefold.errors import Conflict, StorageError
from onefold.limits import DAY_MS, HOUR_MS, MINUTE_MS, NEVER_MS, SECOND_MS
from onefold.model.catalog import VersionRow
from onefold.model.definitions import Definitions
from onefold.model.identity import Identity, TraitRule
from onefold.model.rules import Rules
from onefold.runtime.backfill.plan import called_off, planned
from onefold.runtime.ruling import begin, rules_of
from onefold.runtime.worker import Engines, Worker
from onefold.settings import Settings
from onefold.storage.assignment import FixedAssignment
from onefold.testing.clock import ManualClock
from onefold.testing.memory.history import MemoryHistory
from onefold.testing.memory.log import MemoryLog
from onefold.testing.simulation.collect import Collect
from onefold.testing.simulation.delivery import Deliver, Reached, Shelf
from onefold.testing.simulation.faults import Crash, Fate, FaultyLog, FaultyState, Hazards
from onefold.testing.simulation.history import Chronicle, FaultyHistory
from onefold.testing.simulation.people import BLOCKED, Crowd
from onefold.testing.simulation.reresolve import Reresolver, other_rules
from onefold.testing.simulation.undo import Undoer
from onefold.testing.world import define

SETTINGS = Settings(blocked_identifiers=(BLOCKED,))
RULINGS: tuple[Rules, ...] = tuple(
    rules_of(replace(SETTINGS, dedupe_window_s=window_s)) for window_s in (24 * 3600, 60, 36 * 3600)
)
"""Each start of a worker is with one of them, so that windows shrink and grow."""
Process = Collect | Worker | Deliver | Chronicle | Undoer | Reresolver
_TRACE = 60
_REST_TURNS = 3_000
"""Turns within which a healed world must have come to rest."""
_ROUNDS = 10
"""Within which nobody must differ any more from what the rules in force make of them."""
_SAME_INSTANT_MAX = 100
_TURN_MS = 250
"""Longer than a worker waits before it asks the catalog again."""
_STEPS_MS = (0, 0, 0, 1, 40, SECOND_MS, MINUTE_MS, 20 * MINUTE_MS)

_AGGREGATES = {
    "orders": 'count("Order Completed")',
    "orders_1h": 'count("Order Completed", within="1h")',
    "revenue": 'sum("Order Completed", properties.revenue)',
    "favourite": 'most_frequent("*", properties.category)',
    "categories": 'unique("*", properties.category, within="1d")',
    "latest": 'last("*", properties.category, where=properties.revenue > 5)',
}
SAME_AGGREGATES = (
    define(_AGGREGATES, {"buyers": "orders > 0", "silent": 'last_seen < ago("2h")'}),
    define(_AGGREGATES, {"buyers": "orders > 1", "pros": 'traits.plan == "pro" or orders_1h > 1'}),
    define(_AGGREGATES | {"vip": "orders > 2 and revenue > 9"}, {"silent": 'last_seen < ago("1h")', "vips": "vip"}),
)
"""Versions over the same events: whenever one takes effect, in the end people are the same."""
OTHER_AGGREGATES = (
    *SAME_AGGREGATES,
    define({"orders": _AGGREGATES["orders"]}, {"never": "orders == 0"}),
    define({"ages": 'max("identify", traits.age)', "views_1d": 'count("Product Viewed", within="1d")'}),
)
OTHER_RULES = (
    *OTHER_AGGREGATES,
    replace(SAME_AGGREGATES[0], identity=Identity("adobe-graph-linking", traits=(TraitRule("age", "sum"),))),
    replace(SAME_AGGREGATES[1], identity=Identity("segment", hot=3, traits=(TraitRule("age", "keep-both"),))),
    replace(SAME_AGGREGATES[2], identity=Identity("mparticle-profile-conversion")),
)
"""Rules of identity hold from their place in the log on: who is one person depends on when they came."""


class Plan(Struct, frozen=True):
    """What a seed has drawn for its run."""

    partitions: int
    workers: tuple[tuple[int, ...], ...]
    """The partitions of each worker; where two have the same one they are zombies to each other."""
    collectors: int
    people: int
    steps: int
    failing: float
    """How often the destination fails."""
    hazards: Hazards

    @property
    def alone(self) -> bool:
        """One partition: the log has one order, and everything about the state is said by it."""
        return self.partitions == 1


class Parts(Struct, frozen=True):
    """The engines; a test of the checks puts broken ones here."""

    log: Callable[[int], MemoryLog] = MemoryLog
    state: Callable[[], FaultyState] = FaultyState
    deliver: type[Deliver] = Deliver
    collect: type[Collect] = Collect


class Versions:
    """A catalog of definitions, in memory."""

    def __init__(self, clock: Clock | None = None) -> None:
        """`clock`: by which it is known when each was saved; without one, at the beginning of time."""
        self._versions: list[Definitions] = []
        self._saved_ms: list[int] = []
        self._clock = clock
        self.paused = False

    def save(self, definitions: Definitions) -> None:
        """The next version."""
        version = len(self._versions) + 1
        self._versions.append(replace(definitions, version=version))
        self._saved_ms.append(0 if self._clock is None else self._clock.now_ms())

    def save_definitions(self, definitions: Definitions, author: str, *, base: int | None = None) -> Definitions:
        """As `Catalog.save_definitions`."""
        assert author
        if base is not None and base != len(self._versions):
            raise Conflict(f"version {base} is not the latest")
        self.save(definitions)
        return self._versions[-1]

    def versions(self) -> list[VersionRow]:
        """As `Catalog.versions`."""
        return [VersionRow(number, "nobody", at_ms) for number, at_ms in enumerate(self._saved_ms, start=1)]

    def backfill_paused(self) -> bool:
        """As `Catalog.backfill_paused`."""
        return self.paused

    def generation(self) -> int:
        """As `Catalog.generation`."""
        return len(self._versions)

    def watch(self) -> int | None:
        """There are no signs."""
        return None

    def definitions(self, version: int | None = None) -> Definitions:
        """As `Catalog.definitions`."""
        if not self._versions:
            return Definitions()
        return self._versions[-1 if version is None else version - 1]


def plan(seed: int) -> Plan:
    """What this seed runs."""
    chance = Random(seed)  # noqa: S311 - to be replayed, not to be secret
    partitions = chance.choice((1, 1, 2, 3))
    everything = tuple(range(partitions))
    workers: list[tuple[int, ...]] = (
        [everything] if partitions == 1 or chance.random() < 0.5 else [(p,) for p in everything]
    )
    if chance.random() < 0.5:
        workers.append(everything)
    return Plan(
        partitions=partitions,
        workers=tuple(workers),
        collectors=chance.choice((1, 2)),
        people=chance.randint(1, 5),
        steps=chance.choice((30, 60, 120)),
        failing=chance.choice((0.0, 0.1, 0.4)),
        hazards=Hazards.drawn(chance),
    )


class Simulation:
    """One run of one seed. `run` it, then look at what is left."""

    def __init__(
        self,
        seed: int,
        parts: Parts | None = None,
        *,
        past: bool = False,
        undoing: bool = False,
        reresolving: bool = False,
    ) -> None:
        """`past`: with the history role, and every version is computed over history before it comes into force.

        `undoing`: with the history role and one version, while somebody has links undone.
        `reresolving`: with the history role and versions of other rules of identity, which are brought over the past.
        """
        parts = parts or Parts()
        self.seed = seed
        self.past = past
        self.undoing = undoing
        self.reresolving = reresolving
        self.remembers = past or undoing or reresolving
        """Whether there is a history role."""
        self.plan = plan(seed)
        self.chance = Random(f"run {seed}")  # noqa: S311 - to be replayed, not to be secret
        self.clock = ManualClock(seed=seed)
        self.fate = Fate(self.chance, self._somebody_else)
        self.log = parts.log(self.plan.partitions)
        self.state = parts.state()
        self.catalog = Versions(self.clock if reresolving else None)
        self.shelf = Shelf()
        self.tables = MemoryHistory()
        self.reached: list[Reached] = []
        self.crowd = Crowd(self.chance, self.clock, self.plan.people, shared=self.plan.alone or reresolving)
        self.trace: list[str] = []
        self.failing = self.plan.failing
        self._parts = parts
        self._open = False
        """Whether it is the hour in which links are undone."""
        self._busy: set[str] = set()
        self._processes: dict[str, Process] = {}
        self._starts: dict[str, Callable[[], Process]] = {
            **{f"collect-{n}": self._collect(f"collect-{n}") for n in range(self.plan.collectors)},
            **{f"worker-{n}": self._worker(f"worker-{n}", list(own)) for n, own in enumerate(self.plan.workers)},
            "deliver": self._deliver,
            **({"history": self._history} if self.remembers else {}),
            **({"undoer": self._undoer} if undoing else {}),
            **({"reresolver": self._reresolver} if reresolving else {}),
        }

    def run(self) -> None:
        """Live through misfortune, heal, come to rest, and let every window pass."""
        begin(self.log, self.log, RULINGS[0], self.clock)
        self.catalog.save(self._definitions()[0])
        if self.remembers or not self.plan.alone:
            self._rest()
        self.fate.strike(self.plan.hazards)
        self._open = True
        for _ in range(self.plan.steps):
            self._step()
        self._open = False
        self.fate.heal()
        self.failing = 0.0
        self.catalog.paused = False
        self._rest()
        if self.reresolving:
            self._reresolve()
        self._pass_time(2 * DAY_MS)

    @property
    def end_ms(self) -> int:
        """The instant at which the run ended."""
        return self.clock.now_ms()

    # --- steps ---------------------------------------------------------------------------------------------
    def _step(self) -> None:
        luck = self.chance.random()
        if self.past and luck < 0.06:
            self._redefine()
        elif luck < 0.3:
            self.crowd.speak()
        elif luck < 0.92:
            self._act(self.chance.choice([*self._starts]))
        elif luck < 0.94:
            self._define()
        elif luck < 0.95:
            self._jump()
        self.clock.advance(self.chance.choice(_STEPS_MS))

    def _define(self) -> None:
        """Definitions that are in force at once."""
        if self.past or self.undoing:
            return
        wanted = self.chance.choice(self._definitions())
        self.catalog.save(other_rules(wanted, self.chance) if self.reresolving else wanted)
        self._note("new definitions")

    def _redefine(self) -> None:
        """Definitions that are to come; or what is to come is paused, goes on, or is called off."""
        latest = self.catalog.definitions()
        if latest.coming is None:
            wanted = self.chance.choice(self._definitions())
            self.catalog.save(planned(latest, wanted, backfill=True, quiet=False))
            self._note("definitions that are to be computed")
        elif self.chance.random() < 0.3:
            self.catalog.save(called_off(latest))
            self._note("what was to come is called off")
        else:
            self.catalog.paused = not self.catalog.paused
            self._note("paused" if self.catalog.paused else "goes on")

    def _jump(self) -> None:
        """Set the clock. With several partitions only forward: how late an event is may then differ by partition."""
        jumps = (2 * HOUR_MS, 25 * HOUR_MS, *((-HOUR_MS, -DAY_MS) if self.plan.alone else ()))
        jump_ms = self.chance.choice(jumps)
        self.clock.jump(jump_ms)
        self._note(f"clock jumps by {jump_ms} ms")

    def _somebody_else(self) -> None:
        """In the middle of somebody's operation, another process has a turn."""
        self._act(self.chance.choice([*self._starts]))

    def _act(self, name: str) -> bool:
        """Give a process a turn; whoever fails is started anew when it is next its turn. True: it did something."""
        if name in self._busy:
            return False
        self._busy.add(name)
        try:
            return self._turn(name)
        except StorageError as error:
            self._die(name, f"{type(error).__name__}: {error}")
        except Crash as crash:
            self._die(name, f"crash at {crash}")
            if crash.everyone:
                self._processes.clear()
                if len(self._busy) > 1:
                    raise
        finally:
            self._busy.discard(name)
        return True

    def _turn(self, name: str) -> bool:
        process = self._processes.get(name)
        if process is None:
            process = self._starts[name]()
            self._processes[name] = process
            self._note(f"{name} starts")
        match process:
            case Collect():
                return process.turn(self.crowd) > 0
            case Worker():
                return process.turn() > 0
            case Chronicle():
                return process.turn()
            case Undoer() | Reresolver():
                return process.turn(open_=self._open)
            case Deliver():
                return process.turn(self.reached, self.clock, self.chance, self.failing)

    def _die(self, name: str, why: str) -> None:
        self._processes.pop(name, None)
        self._note(f"{name} ends: {why}")

    def _note(self, what: str) -> None:
        self.trace.append(f"{self.fate.steps}: {what}")
        del self.trace[:-_TRACE]

    # --- rest ----------------------------------------------------------------------------------------------
    def _rest(self) -> None:
        """Until nobody has anything to do. A world that is healed must come to rest."""
        quiet = 0
        for _ in range(_REST_TURNS):
            busy = [self._act(name) for name in self._starts]
            quiet = 0 if any(busy) else quiet + 1
            self.clock.advance(_TURN_MS)
            if quiet > 2:
                return
        raise AssertionError(f"seed {self.seed}: the world is healed, but does not come to rest")

    def _reresolve(self) -> None:
        """Until nobody differs from what the rules in force make of them."""
        for _ in range(_ROUNDS):
            found = self._reresolver().once()
            self._rest()
            if not found.done and not found.left:
                return
        raise AssertionError(f"seed {self.seed}: somebody differs again and again: {found}")

    def _pass_time(self, ms: int) -> None:
        """Let all that waits for an instant have it."""
        until_ms = self.clock.now_ms() + ms
        last_ms, again = -1, 0
        while (due_ms := self._next_ms()) <= until_ms:
            again = again + 1 if due_ms == last_ms else 0
            last_ms = due_ms
            assert again < _SAME_INSTANT_MAX, f"seed {self.seed}: what is due at {due_ms} does not happen"
            self.clock.advance(max(0, due_ms - self.clock.now_ms()))
            self._rest()
        self.clock.advance(max(0, until_ms - self.clock.now_ms()))
        self._rest()

    def _next_ms(self) -> int:
        timers = [self.state.next_due_ms(partition) for partition in range(self.plan.partitions)]
        deliver = self._processes.get("deliver")
        retry_ms = deliver.wake_ms(self.clock.now_ms()) if isinstance(deliver, Deliver) else NEVER_MS
        return min(*timers, retry_ms)

    # --- processes -------------------------------------------------------------------------------------------
    def _definitions(self) -> tuple[Definitions, ...]:
        if self.past:
            return OTHER_AGGREGATES
        return OTHER_RULES if self.plan.alone and not self.reresolving else SAME_AGGREGATES

    def _collect(self, name: str) -> Callable[[], Collect]:
        return lambda: self._parts.collect(FaultyLog(self.log, self.fate, name), self.clock, self.chance, SETTINGS)

    def _worker(self, name: str, own: list[int]) -> Callable[[], Worker]:
        def start() -> Worker:
            log = FaultyLog(self.log, self.fate, name)
            state = self.state.handle(self.fate, name)
            rules = self.chance.choice(RULINGS)
            return Worker(FixedAssignment(own), Engines(log, log, state, self.catalog), rules, self.clock)

        return start

    def _deliver(self) -> Deliver:
        log = FaultyLog(self.log, self.fate, "deliver")
        return self._parts.deliver(self.state.handle(self.fate, "deliver"), log, self.shelf, self.fate)

    def _undoer(self) -> Undoer:
        log, state = FaultyLog(self.log, self.fate, "undoer"), self.state.handle(self.fate, "undoer")
        history = FaultyHistory(self.tables, self.fate, "undoer")
        return Undoer(log, state, self.catalog, history, (self.clock, self.chance))

    def _reresolver(self) -> Reresolver:
        log, state = FaultyLog(self.log, self.fate, "reresolver"), self.state.handle(self.fate, "reresolver")
        history = FaultyHistory(self.tables, self.fate, "reresolver")
        return Reresolver(log, state, self.catalog, history, (self.clock, self.chance, self._somebody_else))

    def _history(self) -> Chronicle:
        log = FaultyLog(self.log, self.fate, "history")
        state = self.state.handle(self.fate, "history")
        return Chronicle(log, state, self.catalog, FaultyHistory(self.tables, self.fate, "history"), self.clock)
