"""What an event costs the core, by stage, with few and with many audiences.

`python -m bench.step [--audiences 20] [--events 200000] [--profile FILE]` folds requests of the workload as a worker
does, records already in memory, into a real state on disk, and prints CPU microseconds an event for each stage:
decode (the log's records), read (times, fingerprints, identifiers), load (state and caches), step (admit, resolve,
fold, judge), encode (profiles), commit (fsynced). `measure` is the published row: 1,000 audiences against 10.
"""

import argparse
import cProfile
import pstats
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import msgspec

from bench.report import Bound, Row, table
from bench.workload import BATCH_EVENTS, RARE, Options, World, definitions, every_family, many_audiences
from onefold.collect.decode import Decoder, Intake
from onefold.collect.record import records
from onefold.core import pipeline
from onefold.limits import STEP_MAX_EVENTS
from onefold.model import entry as entries
from onefold.model.definitions import Definitions
from onefold.model.entry import Defined
from onefold.ports import Record, State
from onefold.runtime.folding import batches
from onefold.runtime.folding.fold import Folding
from onefold.runtime.folding.programs import Programs
from onefold.runtime.heap import without_collector
from onefold.settings import Settings
from onefold.storage.embedded.state import LmdbState

STAGES = ("decode", "read", "load", "step", "encode", "commit")
_START_MS = 1_750_000_000_000


CASES: tuple[tuple[Callable[[int, int], Definitions], int, str], ...] = (
    (many_audiences, 10 + len(RARE), "over 50 event names"),
    (many_audiences, 10, "over 10 event names"),
    (every_family, 10 + len(RARE), "of every family of the language, over 50 event names"),
)


class Costs(NamedTuple):
    """CPU microseconds an event, by stage and in all; `warm`: the same over the second half of the events."""

    stages: dict[str, float]
    whole: float
    warm_stages: dict[str, float]
    warm: float
    profiles: int

    def core(self, *, warm: bool = False) -> float:
        """Without what is the disk's."""
        return (self.warm if warm else self.whole) - (self.warm_stages if warm else self.stages)["commit"]


class Clocks:
    """CPU time by stage. A stage within a stage is counted once, in the inner one."""

    def __init__(self) -> None:
        self.spent: dict[str, float] = dict.fromkeys(STAGES, 0.0)
        self._inner = 0.0

    def timed(self, stage: str, call: Callable[..., Any]) -> Callable[..., Any]:
        """The call, and its time noted."""

        def clocked(*args: Any, **named: Any) -> Any:
            outer, self._inner = self._inner, 0.0
            begin = time.process_time()
            try:
                return call(*args, **named)
            finally:
                took = time.process_time() - begin
                self.spent[stage] += took - self._inner
                self._inner = outer + took

        return clocked

    @contextmanager
    def on(self, state: State, fold: Folding) -> Iterator[None]:
        """Clocks on every stage, for as long as this lasts."""
        before = [(batches, "_with_events"), (batches, "read"), (pipeline, "step")]
        kept = [(owner, name, getattr(owner, name)) for owner, name in before]
        try:
            for owner, name, call in kept:
                setattr(owner, name, self.timed("decode" if name == "_with_events" else name, call))
            for name, stage in (("_load", "load"), ("_commit", "encode")):
                setattr(fold, name, self.timed(stage, getattr(fold, name)))
            remembered = fold._remembered  # noqa: SLF001 - a part of loading
            remembered.settle = self.timed("load", remembered.settle)  # type: ignore[method-assign]
            state.commit = self.timed("commit", state.commit)  # type: ignore[method-assign]
            yield
        finally:
            for owner, name, call in kept:
                setattr(owner, name, call)


class Lane:
    """One partition of a log, in memory; `ports.LogReader` as far as folding needs it."""

    partitions = 1

    def __init__(self, data: Iterable[bytes]) -> None:
        self._records = [Record(offset, each) for offset, each in enumerate(data)]
        self._per_read = max(1, (8 << 20) // (BATCH_EVENTS * 500))

    def read(self, partition: int, offset: int, max_bytes: int) -> list[Record]:  # noqa: ARG002 - as the port says
        """The records from `offset` on, about 8 MiB of them."""
        return self._records[offset : offset + self._per_read]

    def has_come(self, partition: int, offset: int) -> bool:  # noqa: ARG002 - as the port says
        """Whether there is more."""
        return offset < len(self._records)

    def ends(self, partition: int) -> tuple[int, int]:  # noqa: ARG002 - as the port says
        """All of it."""
        return 0, len(self._records)

    def watch(self, partitions: Iterable[int]) -> int | None:  # noqa: ARG002 - as the port says
        """Nothing comes."""
        return None

    def close(self) -> None:
        """Nothing to let go of."""


def log_of(bodies: Sequence[bytes], defined: Definitions, gap_ms: int = 2) -> list[bytes]:
    """The records that collect writes for these requests, after the one with the definitions."""
    plain = msgspec.to_builtins(msgspec.structs.replace(defined, version=1))
    made = [entries.encode(Defined(_START_MS, 1, plain))]
    decoder = Decoder(Settings(), 1)
    for n, body in enumerate(bodies):
        intake = decoder.batch(body)
        assert isinstance(intake, Intake)
        assert not intake.rejected
        made += records(intake, "default", _START_MS + n * gap_ms)[0]
    return made


def costs(log: Sequence[bytes], events: int, step_events: int = STEP_MAX_EVENTS) -> Costs:
    """Fold a log from an empty state, as a worker that is `step_events` behind."""
    with (
        tempfile.TemporaryDirectory(prefix="onefold-bench-") as scratch,
        closing(LmdbState(Path(scratch) / "state")) as state,
    ):
        return folded(state, log, events, step_events)


def folded(state: State, log: Sequence[bytes], events: int, step_events: int) -> Costs:
    """What it costs this process to fold a log into an empty state."""
    fold = Folding(Lane(log), state, Programs(_never))
    fold.advance(0, step_events)  # the definitions: compiled before the clock starts
    clocks = Clocks()
    with without_collector(), clocks.on(state, fold):
        begin = time.process_time()
        half = _run(fold, len(log) // 2, step_events)
        middle, first = time.process_time(), dict(clocks.spent)
        rest = _run(fold, len(log), step_events)
        end = time.process_time()
    assert half + rest == len(log) - 1
    counts = state.counts()
    assert counts["received"] == counts["admitted"] == events, counts
    warm_events = events * rest / (half + rest)
    return Costs(
        {stage: 1e6 * clocks.spent[stage] / events for stage in STAGES},
        1e6 * (end - begin) / events,
        {stage: 1e6 * (clocks.spent[stage] - first[stage]) / warm_events for stage in STAGES},
        1e6 * (end - middle) / warm_events,
        counts["profiles"],
    )


def _run(fold: Folding, until: int, step_events: int) -> int:
    done = 0
    while took := fold.advance(0, step_events, until):
        done += took
    return done


def _never(version: int) -> Definitions:
    raise AssertionError(f"version {version} is in the log")


def measure(*, quick: bool) -> list[Row]:
    """1,000 audiences against 10, interleaved; rules over 50 event names, and over the 10 of the workload."""
    events, runs = (40_000, 3) if quick else (200_000, 5)
    bodies = World().bodies(events // BATCH_EVENTS)
    rows = []
    for made, names, label in CASES:
        few, many = (log_of(bodies, made(count, names)) for count in (10, 1_000))
        pairs = [(costs(few, events), costs(many, events)) for _ in range(runs)]
        details = {
            "with 10, us an event": [round(a.whole, 2) for a, _ in pairs],
            "with 1,000, us an event": [round(b.whole, 2) for _, b in pairs],
            "step alone, ratio": median(b.stages["step"] / a.stages["step"] for a, b in pairs),
            "events": events,
            "profiles": pairs[0][0].profiles,
            "stages with 1,000": {stage: median(b.stages[stage] for _, b in pairs) for stage in STAGES},
            "stages with 10": {stage: median(a.stages[stage] for a, _ in pairs) for stage in STAGES},
        }
        ratios = [b.whole / a.whole for a, b in pairs]
        what = f"an event in the worker (decode to fsync) with 1,000 audiences {label} against 10"
        rows.append(Row(what, "ratio of CPU", ratios, Bound(2.0, 1.2), "", details))
    return rows


def main() -> None:
    """Print one breakdown, or with --compare the published rows."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--audiences", type=int, nargs="*", default=[20], help="20 is the workload's own")
    parser.add_argument("--names", type=int, default=50, help="event names that generated audiences are spread over")
    parser.add_argument("--events", type=int, default=200_000)
    parser.add_argument("--step-events", type=int, default=STEP_MAX_EVENTS)
    parser.add_argument("--people", type=int, default=100_000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--profile", type=Path, help="write cProfile's statistics of one run here, and print the top")
    parser.add_argument("--compare", action="store_true", help="1,000 audiences against 10")
    given = parser.parse_args()
    if given.compare:
        sys.stdout.write(table(measure(quick=False)) + "\n")
        return
    bodies = World(Options(people=given.people)).bodies(given.events // BATCH_EVENTS)
    logs = {n: log_of(bodies, definitions() if n == 20 else many_audiences(n, given.names)) for n in given.audiences}
    if given.profile:
        _profile(next(iter(logs.values())), given)
        return
    found: dict[int, list[Costs]] = {n: [] for n in logs}
    for _ in range(given.runs):
        for audiences, log in logs.items():
            found[audiences].append(costs(log, given.events, given.step_events))
    for audiences, runs in found.items():
        _print(audiences, runs, given)


def _print(audiences: int, runs: list[Costs], given: argparse.Namespace) -> None:
    print(
        f"\n{audiences} audiences, 10 traits; {given.events:,} events of 500 bytes, requests of {BATCH_EVENTS}, up to "
        f"{given.step_events:,} events a step, {runs[0].profiles:,} profiles at the end; CPU us an event, median of "
        f"{len(runs)} runs (min - max); every commit fsynced"
    )
    for title, stages, whole in (
        ("from empty", [run.stages for run in runs], [run.whole for run in runs]),
        ("second half", [run.warm_stages for run in runs], [run.warm for run in runs]),
    ):
        print(f"  {title}")
        for stage in STAGES:
            _line(stage, [each[stage] for each in stages])
        _line("other", [all_ - sum(each.values()) for each, all_ in zip(stages, whole, strict=True)])
        _line("all", whole)


def _line(name: str, values: list[float]) -> None:
    print(f"    {name:8} {median(values):6.2f}  ({min(values):.2f} - {max(values):.2f})")


def _profile(log: Sequence[bytes], given: argparse.Namespace) -> None:
    with cProfile.Profile(time.process_time) as profiler:
        costs(log, given.events, given.step_events)
    profiler.dump_stats(given.profile)
    pstats.Stats(profiler).sort_stats("tottime").print_stats(40)


if __name__ == "__main__":
    main()
