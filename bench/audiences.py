"""What ten thousand audiences of every kind cost: to apply, to check, to compile, to keep in memory, and for an event.

`python -m bench audiences [--quick]`. Each number of audiences has a process of its own, so that its memory is its own.
Two mixes: `people` is what people write (`bench.workload`: conditions repeat, and name the events of a shop);
`everything` is `onefold.testing.many`, random expressions over every construct of the language, each a different one.
"""

import json
import resource
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path
from typing import Any

from bench.report import Row
from bench.step import folded, log_of
from bench.workload import BATCH_EVENTS, World, many_audiences
from onefold.language.reading.check import checked
from onefold.language.stream.compile import compile_definitions
from onefold.model.definitions import Definitions
from onefold.settings import Settings
from onefold.storage.embedded.state import LmdbState
from onefold.storage.place import Place
from onefold.testing.many import many

COUNTS = (10, 10_000)
MIXES = ("people", "everything")


def measured(mix: str, audiences: int, events: int) -> dict[str, Any]:
    """Everything of one mix, in this process."""
    definitions = many_audiences(audiences) if mix == "people" else many(audiences)
    before_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    checked_s, found = _timed(lambda: checked(definitions))
    assert not found.problems
    compiled_s, program = _timed(lambda: compile_definitions(found, 1))
    after_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with tempfile.TemporaryDirectory(prefix="onefold-bench-") as scratch:
        applied_s, _ = _timed(lambda: _apply(Path(scratch) / "data", definitions))
        log = log_of(World().bodies(events // BATCH_EVENTS), definitions)
        with closing(LmdbState(Path(scratch) / "state")) as state:
            costs = folded(state, log, events, 32_768)
    return {
        "traits": len(definitions.traits),
        "check, s": checked_s,
        "compile, s": compiled_s,
        "save, s": applied_s,
        "memory, MB": (after_kib - before_kib) / 1024,
        "generated code, MB": len(program.source) / 1e6,
        "an event, us": costs.whole,
    }


def _timed(what: Any) -> tuple[float, Any]:
    begin_s = time.process_time()
    made = what()
    return time.process_time() - begin_s, made


def _apply(data: Path, definitions: Definitions) -> None:
    with closing(Place.open(Settings(data=data)).catalog()) as catalog:
        catalog.save_definitions(definitions, "bench")


def _apart(mix: str, audiences: int, events: int) -> dict[str, Any]:
    command = [sys.executable, "-m", "bench.audiences", mix, str(audiences), str(events)]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def measure(*, quick: bool) -> list[Row]:
    """10,000 against 10, each in a process of its own."""
    events, runs = (20_000, 1) if quick else (100_000, 3)
    rows = []
    for mix in MIXES:
        pairs = [tuple(_apart(mix, count, events) for count in COUNTS) for _ in range(runs)]
        what = f"10,000 audiences ({mix})"
        details = {"with 10": [few for few, _ in pairs], "with 10,000": [lots for _, lots in pairs], "events": events}
        for name, unit in (("check", "s"), ("compile", "s"), ("memory", "MB")):
            found = [lots[f"{name}, {unit}"] for _, lots in pairs]
            rows.append(Row(f"{what}: {name}", f"{unit} of CPU" if unit == "s" else unit, found, None, "", details))
        ratios = [lots["an event, us"] / few["an event, us"] for few, lots in pairs]
        rows.append(Row(f"{what}: an event in the worker, against 10", "ratio of CPU", ratios, None, "", details))
    return rows


if __name__ == "__main__":
    sys.stdout.write(json.dumps(measured(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))))
