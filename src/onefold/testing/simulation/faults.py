"""Ports that fail on command: at every I/O operation of the simulation the world may end for whoever makes it.

An operation is disturbed before it begins and after it has taken effect. What may happen there: the process dies; all
processes die; another one takes its turn in between; the disk is full for a while; somebody else was faster; of an
append's partitions only some are written. All of it is drawn from one seeded generator, so that a run repeats itself.
"""

import copy
from collections.abc import Callable, Iterable, Mapping, Sequence
from random import Random

from msgspec import Struct

from onefold.errors import Conflict, StorageError, StorageFull
from onefold.ports import Record
from onefold.testing.memory.log import MemoryLog
from onefold.testing.memory.state import MemoryState

_FULL_MAX_STEPS = 60


class Crash(BaseException):
    """`kill -9`: no product code may catch it, so it is no `Exception`. `everyone`: the whole machine's processes."""

    def __init__(self, where: str, *, everyone: bool = False) -> None:
        super().__init__(where)
        self.everyone = everyone


class Hazards(Struct, frozen=True):
    """How likely each misfortune is at each operation where it can happen."""

    crash: float = 0.0
    crash_of_everyone: float = 0.0
    interleave: float = 0.0
    conflict: float = 0.0
    full: float = 0.0
    partial: float = 0.0

    @classmethod
    def drawn(cls, chance: Random) -> "Hazards":
        """A different mix for every seed: what never meets in one run meets in another."""

        def sometimes(most: float) -> float:
            return chance.choice((0.0, most / 4, most))

        return cls(
            crash=sometimes(0.03),
            crash_of_everyone=sometimes(0.008),
            interleave=sometimes(0.25),
            conflict=sometimes(0.1),
            full=sometimes(0.02),
            partial=sometimes(0.1),
        )


class Fate:
    """Decides at every operation what happens to whom, and counts the operations."""

    def __init__(self, chance: Random, interleave: Callable[[], None]) -> None:
        self._chance = chance
        self._hazards = Hazards()
        self._interleave = interleave
        self._full_until = 0
        self.steps = 0
        self.met: dict[str, int] = {}
        """Misfortune → how often; a fault that no run ever meets proves nothing."""

    def strike(self, hazards: Hazards) -> None:
        """From here on things go wrong."""
        self._hazards = hazards

    def heal(self) -> None:
        """From here on nothing goes wrong."""
        self._hazards = Hazards()
        self._full_until = 0

    def disturb(self, where: str) -> None:
        """Between two operations. Raises `Crash`."""
        self.steps += 1
        hazards = self._hazards
        if self._happens("crash of everyone", hazards.crash_of_everyone):
            raise Crash(where, everyone=True)
        if self._happens("crash", hazards.crash):
            raise Crash(where)
        if self._happens("interleave", hazards.interleave):
            self._interleave()

    def before_write(self, where: str) -> None:
        """Before something is written. Raises `StorageFull`."""
        if self._happens("full", self._hazards.full):
            self._full_until = self.steps + self._chance.randrange(_FULL_MAX_STEPS)
        if self.steps < self._full_until:
            raise StorageFull(f"{where}: the disk is full")

    def conflicts(self) -> bool:
        """Whether a commit finds that somebody else was faster, although nobody was."""
        return self._happens("conflict", self._hazards.conflict)

    def written(self, partitions: int) -> int | None:
        """After how many of its partitions an append fails; None: it does not."""
        return self._chance.randint(0, partitions) if self._happens("partial", self._hazards.partial) else None

    def _happens(self, name: str, likely: float) -> bool:
        happens = likely > 0 and self._chance.random() < likely
        if happens:
            self.met[name] = self.met.get(name, 0) + 1
        return happens


class FaultyLog:
    """One process's handle on the log that all share; both ports."""

    def __init__(self, log: MemoryLog, fate: Fate, who: str) -> None:
        self._log = log
        self._fate = fate
        self._who = who
        self.partitions = log.partitions

    def append(self, batches: Mapping[int, Sequence[bytes]]) -> dict[int, int]:
        """As `LogWriter.append`."""
        where = f"{self._who}: append"
        self._fate.disturb(where)
        self._fate.before_write(where)
        if (written := self._fate.written(len(batches))) is not None:
            self._log.fail_next(append=StorageError(f"{where}: failed after {written} partitions"), after=written)
        lasts = self._log.append(batches)
        self._fate.disturb(where + "ed")
        return lasts

    def read(self, partition: int, offset: int, max_bytes: int) -> list[Record]:
        """As `LogReader.read`."""
        self._fate.disturb(f"{self._who}: read")
        return self._log.read(partition, offset, max_bytes)

    def has_come(self, partition: int, offset: int) -> bool:
        """As `LogReader.has_come`."""
        self._fate.disturb(f"{self._who}: look")
        return self._log.has_come(partition, offset)

    def ends(self, partition: int) -> tuple[int, int]:
        """As `LogReader.ends`."""
        self._fate.disturb(f"{self._who}: ends")
        return self._log.ends(partition)

    def watch(self, partitions: Iterable[int]) -> int | None:
        """As `LogReader.watch`."""
        return self._log.watch(partitions)

    def close(self) -> None:
        """Nothing to let go of."""


class FaultyState(MemoryState):
    """The state that all share. `handle` gives each process its own; this one itself never fails."""

    _fate: Fate | None = None
    _who = ""

    def handle(self, fate: Fate, who: str) -> "FaultyState":
        """A handle for one process, which knows its own commits from those of others."""
        handle = copy.copy(self)
        handle.__dict__.update(_failures={}, _own=set(), _fate=fate, _who=who)
        return handle

    def _failure(self, method: str, *, after: bool) -> Exception | None:
        if self._fate is None:
            return None
        where = f"{self._who}: {method}{' done' if after else ''}"
        self._fate.disturb(where)
        if method == "commit" and not after:
            self._fate.before_write(where)
            if self._fate.conflicts():
                return Conflict(f"{where}: somebody was faster")
        return None
