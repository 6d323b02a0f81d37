"""What the worker role costs while nothing happens, and how soon it folds what comes now and then.

`python -m bench.idle [--events N] [--every MS] [--workers N] [--partitions N]`. This process appends one record of one
event of 500 bytes at a time, to a partition by chance, and looks every 0.2 ms how far the state is. From the append's
return (it is fsynced then) to the commit that has folded it (fsynced, too). CPU time is that of the worker processes.
"""

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import msgspec

from bench.report import percentile
from onefold.clock import SystemClock
from onefold.model.entry import Outgoing, encode
from onefold.settings import Settings
from onefold.storage.directory import DataDirectory
from onefold.storage.embedded.catalog import SqliteCatalog
from onefold.storage.embedded.log import LmdbLogWriter
from onefold.storage.embedded.state import LmdbState

ROLE = (
    "import sys, pathlib; from onefold.runtime.worker import run; from onefold.settings import Settings; "
    "run(Settings(data=pathlib.Path(sys.argv[1]), workers=int(sys.argv[2])), int(sys.argv[3]))"
)
IDLE_S = 20.0
LOOK_S = 0.0002
PAD = "x" * 420


def cpu_s(processes: list[subprocess.Popen[bytes]]) -> float:
    """CPU time of processes so far."""
    used = 0
    for process in processes:
        fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
        used += int(fields[11]) + int(fields[12])
    return used / os.sysconf("SC_CLK_TCK")


def measure(arguments: argparse.Namespace, path: Path) -> None:
    """Idle first, then a low rate."""
    directory = DataDirectory.open(path)
    SqliteCatalog(directory.catalog, SystemClock()).bootstrap()
    log = LmdbLogWriter(directory.log, arguments.partitions)
    LmdbState(directory.state).close()
    state = LmdbState(directory.state, readonly=True)
    settings = Settings(data=path, workers=arguments.workers)
    workers = [
        subprocess.Popen([sys.executable, "-c", ROLE, str(path), str(settings.workers), str(index)])
        for index in range(settings.workers)
    ]
    try:
        fold_one(log, state, 0, 0)
        time.sleep(2)
        before_s = cpu_s(workers)
        time.sleep(IDLE_S)
        print(f"idle, {settings.workers} workers: {100 * (cpu_s(workers) - before_s) / IDLE_S:.2f} % of a core")
        before_s = cpu_s(workers)
        dice, waits = random.Random(1), []
        for n in range(1, arguments.events + 1):
            time.sleep(arguments.every / 1000 * (0.5 + dice.random()))
            waits.append(1000 * fold_one(log, state, n, dice.randrange(arguments.partitions)))
        used_ms = 1000 * (cpu_s(workers) - before_s) / arguments.events
        shown = ", ".join(f"p{q} {percentile(waits, q / 100):.2f}" for q in (50, 90, 99))
        print(f"append -> folded, ms: {shown}; {used_ms:.2f} ms of CPU an event")
        took_s = []
        for worker in workers:
            began_s = time.monotonic()
            worker.send_signal(signal.SIGTERM)
            worker.wait(10)
            took_s.append(time.monotonic() - began_s)
        print(f"stopped after {max(took_s):.2f} s")
    finally:
        for worker in workers:
            worker.kill()


def fold_one(log: LmdbLogWriter, state: LmdbState, n: int, partition: int) -> float:
    """Append one event and wait until it is folded; seconds."""
    event = {"type": "track", "event": "Seen", "userId": f"u{n % 50}", "properties": {"pad": PAD}}
    raw = msgspec.Raw(msgspec.json.encode(event))
    offset = log.append({partition: [encode(Outgoing("web", SystemClock().now_ms(), [raw]))]})[partition]
    began_s = time.monotonic()
    while state.cursor(partition).offset <= offset:
        time.sleep(LOOK_S)
    return time.monotonic() - began_s


def main() -> None:
    """Read the arguments and measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=400)
    parser.add_argument("--every", type=float, default=50.0)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--partitions", type=int, default=1)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="onefold-bench-") as path:
        measure(arguments, Path(path) / "data")


if __name__ == "__main__":
    main()
