"""Replay: folding the log again into an empty state, against the rate at which it was folded live."""

import asyncio
import sys
import tempfile
import time
from pathlib import Path

from bench.report import Bound, Row, table
from bench.running import platform, send_all, until_folded
from bench.workload import BATCH_EVENTS, World, definitions
from onefold.runtime import replay
from onefold.settings import Settings
from onefold.storage.place import Place


def measure(*, quick: bool) -> list[Row]:
    """Replay's rate divided by the live rate of the same events; a replay that is not equal has no number."""
    events = 100_000 if quick else 400_000
    bodies = World().bodies(events // BATCH_EVENTS)
    ratios: list[float] = []
    rates: list[tuple[float, float]] = []
    for _ in range(1 if quick else 3):
        with tempfile.TemporaryDirectory(prefix="onefold-bench-") as scratch:
            data = Path(scratch) / "data"
            with platform(definitions(), data=data) as running:
                requests = [running.request("/v1/batch", body) for body in bodies]
                began_s = time.perf_counter()
                asyncio.run(send_all(requests, running.port))
                until_folded(running, events)
                live = events / (time.perf_counter() - began_s)
            again = events * _share_a_second(data)
            ratios.append(again / live)
            rates.append((live, again))
    details = {"events": events, "events_per_s_live_and_replayed": rates}
    return [Row("replay from the log against the live rate", "x", ratios, Bound(1, 3, most=False), "", details)]


def _share_a_second(data: Path) -> float:
    """Which share of the log a replay folds in a second, from its first batch to its last."""
    marks: list[tuple[float, float]] = []

    def mark(done: int, total: int) -> None:
        marks.append((done / total, time.perf_counter()))

    found = replay.verify(Place.open(Settings(data=data)), mark)
    assert found.equal, found
    return (marks[-1][0] - marks[0][0]) / (marks[-1][1] - marks[0][1])


if __name__ == "__main__":
    sys.stdout.write(table(measure(quick="--quick" in sys.argv)) + "\n")
