"""Side by side with stream processors that Python has: the same counts of the same events, in CPU-seconds a million.

`python -m bench.peers [--quick] [--events N] [PEER …]`. A file holds 500-byte JSON events, one a line: 100,000 keys
whose activity follows Zipf's law, six hours in order of time but for one in twenty, up to ten minutes late. Each
job counts the events of each key, in all and by the hour. A job is a process that says what it counted and waits; then
the CPU time of it and all that it has started is read. What starting alone costs is measured with a hundred events,
and taken off. Peers are installed at their newest into `.bench/peers/`, each into an environment of its own; one that
cannot be installed or fails is left out, and said so.

They do not do the same. What each does beside counting is in `PEERS`, and is printed with its figure.
"""

import argparse
import json
import random
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from itertools import accumulate
from pathlib import Path
from typing import Any, NamedTuple

from bench.cpu import tree_cpu_s
from bench.report import Row, table

EVENTS = 1_000_000
KEYS = 100_000
EVENT_BYTES = 500
HOURS = 6
LATE_SHARE = 0.05
LATE_MAX_MS = 600_000
_FEW = 100
"""Events of the run that tells what starting costs."""
_BEGIN_MS = 1_750_003_200_000
"""On the hour."""
_JOBS = Path(__file__).parent / "peer_jobs"
_INSTALLED = Path(__file__).parents[1] / ".bench" / "peers"
_INSTALL_WITHIN_S = 900.0


class Peer(NamedTuple):
    """A stream processor, and what is to be known of its figure."""

    name: str
    requirements: tuple[str, ...]
    """As pip takes them; none: it runs in this environment."""
    does: str


ONEFOLD = Peer(
    "onefold", (),
    "log and state fsynced; duplicates dropped by message id for a day; identity; last hour exact to the millisecond "
    "at every instant, late events included; each change of a count is an effect",
)  # fmt: skip
PEERS = (
    Peer(
        "bytewax", ("bytewax", "msgspec"),
        "state in memory, snapshots into SQLite every ten seconds; clock hours, of which a count comes when the hour "
        "is over; events later than ten minutes are dropped; each change of the lifetime count is an item",
    ),
    Peer(
        "pathway", ("pathway",),
        "state in memory, snapshots; read as one batch (a file that ends), so that each count comes once; clock hours",
    ),
    Peer(
        "flink", ("apache-flink",),
        "SQL in the JVM: no Python an event; state on the heap, snapshots every ten seconds; clock hours, of which a "
        "count comes when the hour is over; later events are dropped; each change of the lifetime count is a row",
    ),
)  # fmt: skip


class Cost(NamedTuple):
    """One run of a job."""

    cpu_s: float
    said: dict[str, Any]
    """`lifetime`: the sum of all counts, and `hours`: that of the counts by hour, as far as it can tell."""


class Failed(Exception):
    """A peer cannot be installed, or its job ended without an answer."""


def measure(*, quick: bool, events: int = 0, names: Sequence[str] = ()) -> list[Row]:
    """A row for ours, and for each peer that runs; the ratio of theirs to ours in its details and as a row."""
    events = events or (200_000 if quick else EVENTS)
    runs = 1 if quick else 3
    peers = [ONEFOLD, *(peer for peer in PEERS if not names or peer.name in names)]
    with tempfile.TemporaryDirectory(prefix="onefold-bench-") as scratch:
        files = Path(scratch) / "few.jsonl", Path(scratch) / "events.jsonl"
        for file, count in zip(files, (_FEW, events), strict=True):
            file.write_bytes(b"".join(line + b"\n" for line in lines(count)))
        found: dict[str, list[float]] = {}
        notes: dict[str, Any] = {}
        for peer in peers:
            try:
                found[peer.name], notes[peer.name] = _of_peer(peer, files, events, runs)
            except Failed as error:
                sys.stderr.write(f"{peer.name} is left out: {error}\n")
    return _rows(peers, found, notes, events)


def _rows(peers: Sequence[Peer], found: dict[str, list[float]], notes: dict[str, Any], events: int) -> list[Row]:
    about = {"events": events, "keys": KEYS, "event_bytes": EVENT_BYTES}
    rows = []
    for peer in peers:
        if peer.name in found:
            details = about | {"does": peer.does} | notes[peer.name]
            what = f"counts of each key, in all and by the hour, by {peer.name}"
            rows.append(Row(what, "CPU-s per million events", found[peer.name], None, "", details))
    ours = found[ONEFOLD.name]
    for peer in peers[1:]:
        if theirs := found.get(peer.name):
            ratios = [a / b for a, b in zip(theirs, ours, strict=True)]
            rows.append(Row(f"what {peer.name} needs, against onefold", "ratio of CPU", ratios, None, "", about))
    return rows


def _of_peer(peer: Peer, files: tuple[Path, Path], events: int, runs: int) -> tuple[list[float], dict[str, Any]]:
    """CPU-s per million events of each run, and what is to be noted."""
    python = _installed(peer)
    few, many = files
    starting = run(peer, python, few, _FEW).cpu_s
    costs = [run(peer, python, many, events) for _ in range(runs)]
    per_million = [(cost.cpu_s - starting) / (events - _FEW) * 1e6 for cost in costs]
    return per_million, {"starting_cpu_s": starting, "counted": costs[-1].said, "version": _version(peer, python)}


def run(peer: Peer, python: Path, file: Path, events: int) -> Cost:
    """Let a peer's job count the events of a file. Raises `Failed` where it does not come to so many."""
    with tempfile.TemporaryDirectory(prefix="onefold-bench-") as scratch:
        command = [str(python), str(_JOBS / f"{peer.name}_counts.py"), str(file), scratch]
        with (Path(scratch) / "stderr").open("w+") as errors:
            job = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True)
            assert job.stdout is not None
            answer = next((line for line in job.stdout if line.startswith('{"lifetime"')), "")
            spent = tree_cpu_s(job.pid) if answer else 0.0
            job.communicate("\n")
            if not answer:
                errors.seek(0)
                raise Failed("\n".join(errors.read().splitlines()[-5:]) or f"it ended with {job.returncode}")
    said = json.loads(answer)
    if said["lifetime"] != events:
        raise Failed(f"it counted {said['lifetime']} events of {events}")
    return Cost(spent, said)


# --- what is installed -------------------------------------------------------------------------------------------
def _installed(peer: Peer) -> Path:
    """The Python that has the peer; installed now where it is not there."""
    if not peer.requirements:
        return Path(sys.executable)
    home = _INSTALLED / peer.name
    python, done = home / "bin" / "python", home / "installed"
    if not done.exists():
        sys.stderr.write(f"installing {peer.name} into {home} …\n")
        _call([sys.executable, "-m", "venv", "--clear", str(home)])
        _call([str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *peer.requirements])
        done.touch()
    return python


def _version(peer: Peer, python: Path) -> str:
    if not peer.requirements:
        return ""
    asked = f"import importlib.metadata; print(importlib.metadata.version({peer.requirements[0]!r}))"
    return _call([str(python), "-c", asked]).strip()


def _call(command: Sequence[str]) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_INSTALL_WITHIN_S, check=False)
    except subprocess.TimeoutExpired as error:
        raise Failed(f"it took more than {_INSTALL_WITHIN_S:.0f} s to install") from error
    if done.returncode:
        raise Failed("\n".join(done.stderr.splitlines()[-3:]))
    return done.stdout


# --- what is counted ---------------------------------------------------------------------------------------------
def lines(events: int, seed: int = 1) -> Iterator[bytes]:
    """The events, as the file has them. The same arguments make the same bytes."""
    rng = random.Random(seed)
    keys = rng.choices(range(KEYS), cum_weights=list(accumulate(1 / (n + 1) for n in range(KEYS))), k=events)
    for n, key in enumerate(keys):
        at_ms = _BEGIN_MS + n * HOURS * 3_600_000 // events
        if rng.random() < LATE_SHARE:
            at_ms = max(_BEGIN_MS, at_ms - rng.randrange(LATE_MAX_MS))
        at = datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3]
        event = (
            f'{{"type":"track","event":"Product Viewed","anonymousId":"{key:08x}-0000-4000-8000-000000000000",'
            f'"messageId":"{rng.getrandbits(128):032x}","timestamp":"{at}Z",'
            f'"properties":{{"product_id":"p-{n % 5_000}","price":{n % 300 + 0.5},"currency":"EUR"}},'
            f'"context":{{"library":{{"name":"analytics.js","version":"2.1.0"}},"userAgent":"Mozilla/5.0 '
        )
        yield f'{event:x<{EVENT_BYTES - 3}}"}}}}'.encode()


def main() -> None:
    """Print the rows, and what each does."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("peers", nargs="*", metavar="PEER", help=", ".join(peer.name for peer in PEERS))
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--events", type=int, default=0)
    given = parser.parse_args()
    rows = measure(quick=given.quick, events=given.events, names=given.peers)
    sys.stdout.write(table(rows) + "\n")
    for row in rows:
        sys.stdout.write(f"{row.what}: {row.details}\n")


if __name__ == "__main__":
    main()
