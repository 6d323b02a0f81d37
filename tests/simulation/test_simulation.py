"""A thousand small disasters: seeded runs of the whole platform, each checked for everything that is promised.

`ONEFOLD_SEEDS=20000` runs as many seeds (half as many of those that also ask history, which take ten times as long),
`ONEFOLD_SEED=n` that one alone. Seeds that ever failed are in `seeds.txt`.
"""

import os
import traceback
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from random import Random

import pytest
from msgspec.structs import replace

from onefold.collect.answer import SUCCESS, Answer
from onefold.errors import Conflict
from onefold.model.changes import Changes, Cursor
from onefold.model.delivery import Delivery, Progress
from onefold.ports import Loaded, Outcome, at_once
from onefold.testing.memory.log import MemoryLog
from onefold.testing.simulation.check import check
from onefold.testing.simulation.collect import Collect
from onefold.testing.simulation.delivery import OK, Deliver, Reached
from onefold.testing.simulation.faults import FaultyState
from onefold.testing.simulation.simulate import Parts, Simulation, plan

SEEDS = int(os.environ.get("ONEFOLD_SEEDS", "200"))
GROUP = 20
CAUGHT_WITHIN = 20
"""Seeds within which the checks must see that a part is broken."""


def wanted(seeds: int = SEEDS) -> list[range]:
    """The seeds to run, some for each test."""
    if (one := os.environ.get("ONEFOLD_SEED")) is not None:
        return [range(int(one), int(one) + 1)]
    return [range(first, min(first + GROUP, seeds)) for first in range(0, seeds, GROUP)]


def kept() -> list[int]:
    """The seeds that have failed before."""
    lines = (Path(__file__).parent / "seeds.txt").read_text().splitlines()
    return [int(line.split()[0]) for line in lines if line[:1].isdigit()]


def lived(
    seed: int, parts: Parts | None = None, *, past: bool = False, undoing: bool = False, reresolving: bool = False
) -> tuple[Simulation, list[str]]:
    """The run of a seed, and what does not hold after it."""
    run = Simulation(seed, parts, past=past, undoing=undoing, reresolving=reresolving)
    try:
        run.run()
        return run, check(run)
    except Exception as error:  # noqa: BLE001 - whatever ends a run is a finding, and needs its seed beside it
        return run, ["".join(traceback.format_exception(error))]


def assert_holds(seed: int, *, past: bool = False, undoing: bool = False, reresolving: bool = False) -> Simulation:
    """Run a seed; where something does not hold, say what, how it came to it, and how to run it again."""
    run, problems = lived(seed, past=past, undoing=undoing, reresolving=reresolving)
    if problems:
        again = f"ONEFOLD_SEED={seed} pytest {Path(__file__).relative_to(Path.cwd())}"
        raise AssertionError("\n".join([*problems, f"{run.plan}", *run.trace, f"again: {again}"]))
    return run


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("seeds", wanted(), ids=lambda seeds: f"{seeds[0]}-{seeds[-1]}")
def test_all_that_is_promised_holds_through_misfortune(seeds: range) -> None:
    """Whatever fails in between, in the end nothing is lost, nothing counts twice, and all is delivered in order."""
    for seed in seeds:
        assert_holds(seed)


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("seeds", wanted(), ids=lambda seeds: f"{seeds[0]}-{seeds[-1]}")
def test_versions_computed_over_history_meet_the_stream(seeds: range) -> None:
    """Whoever crashes wherever, in the end people are as if the last version had been in force from the first event."""
    for seed in seeds:
        assert_holds(seed, past=True)


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("seeds", wanted(SEEDS // 2), ids=lambda seeds: f"{seeds[0]}-{seeds[-1]}")
def test_links_are_undone_through_misfortune(seeds: range) -> None:
    """Whoever crashes or is faster while people are taken apart, in the end they are as if the links had never been."""
    applied = 0
    for seed in seeds:
        applied += assert_holds(seed, undoing=True).state.counts().get("recasts", 0)
    assert applied or len(seeds) < GROUP


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("seeds", wanted(SEEDS // 2), ids=lambda seeds: f"{seeds[0]}-{seeds[-1]}")
def test_the_past_is_brought_under_other_rules_through_misfortune(seeds: range) -> None:
    """Rules change and are brought over the past while events come and everything falls over: nobody is lost by it.

    In the end everybody is who, and what, a fold of all events under the last rules makes of them.
    """
    applied = 0
    for seed in seeds:
        applied += assert_holds(seed, reresolving=True).state.counts().get("recasts", 0)
    assert applied or len(seeds) < GROUP


@pytest.mark.parametrize("seed", [340])
def test_events_that_are_gone_through_late_end_no_command(seed: int) -> None:
    """What a partition that was behind brings while the past is re-resolved waits for the next round."""
    assert_holds(seed, reresolving=True)


@pytest.mark.parametrize("seed", kept())
def test_what_failed_once_holds(seed: int) -> None:
    """Seeds that have found a mistake find none any more."""
    assert_holds(seed)


def test_a_seed_says_it_all() -> None:
    """The same seed gives the same run, operation by operation, and the same state."""
    first, second = assert_holds(7), assert_holds(7)
    assert (first.trace, first.fate.steps, first.fate.met) == (second.trace, second.fate.steps, second.fate.met)
    assert first.state.digest() == second.state.digest()
    assert first.reached == second.reached


def test_every_misfortune_happens() -> None:
    """The runs meet each kind of fault, several workers, and several partitions: what never happens proves nothing."""
    met: Counter[str] = Counter()
    for seed in range(CAUGHT_WITHIN):
        run = assert_holds(seed)
        met.update(run.fate.met)
    assert set(met) == {"crash", "crash of everyone", "interleave", "conflict", "full", "partial"}, met
    plans = [plan(seed) for seed in range(CAUGHT_WITHIN)]
    assert any(one.alone for one in plans)
    assert any(not one.alone and len(one.workers) > one.partitions for one in plans)


# --- the checks can fail -------------------------------------------------------------------------------------
class ForgetfulLog(MemoryLog):
    """Loses the last record of an append, now and then, and says nothing."""

    def append(self, batches: Mapping[int, Sequence[bytes]]) -> dict[int, int]:
        """As `LogWriter.append`, but for what it loses."""
        short = {p: records[:-1] if len(records) > 1 else records for p, records in batches.items()}
        return super().append(short)


class CursorFirst(FaultyState):
    """Commits the cursor without the profiles, once in a while."""

    def _write(self, changes: Changes, encoded: Mapping[int, bytes], number: int) -> None:
        if number % 7 == 3:
            changes = replace(changes, profiles={})
        super()._write(changes, encoded, number)


class CursorLast(FaultyState):
    """Commits everything, but at times not the cursor."""

    def _write(self, changes: Changes, encoded: Mapping[int, bytes], number: int) -> None:
        before = (
            self.cursor(changes.partition) if self._fate is None else self._cursors.get(changes.partition, Cursor())
        )
        super()._write(changes, encoded, number)
        if number % 7 == 3:
            self._cursors[changes.partition] = before


class Careless(FaultyState):
    """Does not look whether somebody was faster."""

    def _check(self, changes: Changes, loaded: Loaded) -> None:
        """Everything is fine."""


class Deaf(FaultyState):
    """Says that it has committed where somebody was faster: what a worker does that skips `Conflict`."""

    def commit(
        self,
        parts: Sequence[Changes],
        loaded: Loaded,
        encoded: Mapping[int, bytes],
        waiting: Callable[[], object] = at_once,
    ) -> int:
        """As `State.commit`, but without `Conflict`."""
        try:
            return super().commit(parts, loaded, encoded, waiting)
        except Conflict:
            for changes in parts:
                self._cursors[changes.partition] = changes.cursor
            return self._number


class Forgetting(FaultyState):
    """Remembers no message."""

    def _write(self, changes: Changes, encoded: Mapping[int, bytes], number: int) -> None:
        super()._write(replace(changes, messages={}), encoded, number)


class Polite(Collect):
    """Acknowledges what the log has refused."""

    def _append(self, lanes: dict[int, list[bytes]]) -> Answer | None:
        return SUCCESS if super()._append(lanes) else None


class Hasty(Deliver):
    """Writes down that a delivery was made before it is."""

    def _send(self, delivery: Delivery, reached: list[Reached], chance: Random, failing: float) -> Outcome:
        luck = chance.random()
        return OK if luck < 0.05 else super()._send(delivery, reached, chance, failing)


class Unordered(Deliver):
    """Attempts whatever comes, without lanes."""

    def _send(self, delivery: Delivery, reached: list[Reached], chance: Random, failing: float) -> Outcome:
        behind = [one for one in self.line.lanes.abreast(delivery) if one is not delivery][:1]
        reached += [Reached(other.seq, other.key, other.profile, other.type, other.payload) for other in behind]
        return super()._send(delivery, reached, chance, failing)


class Ahead(Deliver):
    """Its low-water mark runs ahead of what is delivered."""

    def _write(self) -> None:
        if progress := self.line.progress():
            self._shelf.write(_further(progress, self._cursor))
            self._fate.disturb("deliver: written")
            self.line.ledger.written(progress)


def _further(progress: Progress, to: int) -> Progress:
    return replace(progress, low_water=max(progress.low_water, to))


BROKEN = {
    "a log that drops a record": Parts(log=ForgetfulLog),
    "a state that commits the cursor without the profiles": Parts(state=CursorFirst),
    "a state that commits all but the cursor": Parts(state=CursorLast),
    "a state that never conflicts": Parts(state=Careless),
    "a worker that skips a conflict": Parts(state=Deaf),
    "a state that forgets messages": Parts(state=Forgetting),
    "a collector that acknowledges what was refused": Parts(collect=Polite),
    "a deliverer that does not send": Parts(deliver=Hasty),
    "a deliverer that does not keep order": Parts(deliver=Unordered),
    "a deliverer whose mark runs ahead": Parts(deliver=Ahead),
}


@pytest.mark.parametrize("what", BROKEN)
def test_the_checks_see_what_is_broken(what: str) -> None:
    """Each broken part is noticed within a few seeds: the checks are worth something."""
    assert any(lived(seed, BROKEN[what])[1] for seed in range(CAUGHT_WITHIN)), what
