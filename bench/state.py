"""What the state costs: CPU microseconds an event for load, dedupe and commit; memory and opening time.

`python -m bench.state [--profiles N] [--events N] [--batches N] [--messages N]`. People act with a Zipf distribution
and are created in the order in which they first appear, as in life; profiles have 400 bytes. Every commit is fsynced.
"""

import argparse
import bisect
import itertools
import os
import random
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from onefold.limits import NEVER_MS
from onefold.model.changes import Changes, Cursor
from onefold.model.effect import Admitted
from onefold.model.position import profile_id
from onefold.model.profile import Profile
from onefold.ports import Loaded
from onefold.storage.embedded.state import LmdbState

NOW_MS = 1_700_000_000_000
PROFILE = os.urandom(400)
ONE = Profile(1, 0, 0, 0, 0)


def main() -> None:
    """Fill a state, then measure batches on top of it."""
    options = argparse.ArgumentParser()
    options.add_argument("--profiles", type=int, default=100_000)
    options.add_argument("--messages", type=int, default=1_000_000)
    options.add_argument("--events", type=int, default=5_000, help="events a batch")
    options.add_argument("--batches", type=int, default=60)
    options.add_argument("--open", type=Path, help=argparse.SUPPRESS)
    given = options.parse_args()
    if given.open:
        return opened(given.open)
    path = Path(tempfile.mkdtemp(prefix="onefold-bench-")) / "state"
    try:
        with closing(LmdbState(path)) as state:
            fill(state, given.profiles, given.messages)
            what = f"{given.profiles:,} profiles of 400 bytes, {given.messages:,} messages"
            print(f"{what}, batches of {given.events:,} events")
            measure(state, given.profiles, given.events, given.batches)
            print(f"file {state.stats().environment.used_bytes / 1e6:.0f} MB")
        subprocess.run([sys.executable, "-m", "bench.state", "--open", str(path)], check=True)
    finally:
        shutil.rmtree(path.parent)


def fill(state: LmdbState, profiles: int, messages: int) -> None:
    """Profiles with one identifier and every second one a timer; then messages."""
    for offset, ids in enumerate(chunks(range(profiles), 50_000), 1):
        made = changes(offset)
        made.profiles = dict.fromkeys(map(person, ids), ONE)
        made.identifiers = {identifier(n): person(n) for n in ids}
        made.due = {person(n): (NEVER_MS, NOW_MS + n) for n in ids if n % 2}
        state.commit([made], state.load((), (), ()), dict.fromkeys(made.profiles, PROFILE))
    for some in chunks(range(messages), 50_000):
        made = changes(0)
        made.messages = dict.fromkeys((os.urandom(16) for _ in some), NOW_MS)
        state.commit([made], state.load((), (), ()), {})


def measure(state: LmdbState, profiles: int, events: int, batches: int) -> None:
    """Batches as a worker would make them: once with nothing cached, once with profiles and identifiers cached."""
    weights = list(itertools.accumulate(1 / (n + 1) for n in range(profiles)))
    rng = random.Random(1)
    for cached in (False, True):
        spent: dict[str, list[float]] = {"load": [], "dedupe": [], "commit": []}
        distinct = []
        for n in range(batches):
            picks = [bisect.bisect(weights, rng.random() * weights[-1]) for _ in range(events)]
            distinct.append(len(set(picks)))
            one_batch(state, (n, picks), spent, cached=cached)
        people_a_batch = statistics.mean(distinct)
        print(f"{'cached' if cached else 'nothing cached'}: {people_a_batch:,.0f} people a batch")
        for name, seconds in spent.items():
            total = sum(seconds) * 1e6 / batches
            rates = f"{total / events:6.2f} us CPU an event  {total / people_a_batch:6.2f} us a profile"
            median_ms, worst_ms = statistics.median(seconds) * 1e3, max(seconds) * 1e3
            print(f"  {name:8} {rates}  median {median_ms:5.1f} ms, worst {worst_ms:6.1f} ms a batch")
        print(f"  {'all':8} {sum(map(sum, spent.values())) * 1e6 / batches / events:6.2f} us CPU an event")


def one_batch(
    state: LmdbState, batch_of: tuple[int, list[int]], spent: dict[str, list[float]], *, cached: bool
) -> None:
    """Load, look for duplicates, commit; note what each took."""
    n, picks = batch_of
    people = set(picks)
    messages = [os.urandom(16) for _ in picks]
    names = [] if cached else [identifier(p) for p in people]
    loaded: Loaded = clocked(spent["load"], lambda: state.load(names, (), ()))
    clocked(spent["dedupe"], lambda: state.load((), (), messages))
    made = batch(n, picks, people, messages)
    encoded = dict.fromkeys(made.profiles, PROFILE)
    clocked(spent["commit"], lambda: state.commit([made], loaded, encoded))


def batch(n: int, picks: list[int], people: set[int], messages: list[bytes]) -> Changes:
    """What a step leaves: every event an effect, a tenth of the people another timer, a few memberships."""
    made = changes(n + 1_000)
    made.profiles = {person(p): ONE for p in people}
    made.identifiers = {f"email:new{n}-{i}@example.com": person(p) for i, p in enumerate(picks[:: len(picks) // 250])}
    made.due = {person(p): (NEVER_MS, NOW_MS + n * 1_000) for p in list(people)[::10]}
    members: dict[str, dict[int, int]] = {}
    for p in picks[::50]:
        members.setdefault(f"audience{p % 20}", {})[person(p)] = NOW_MS
    made.members = members
    made.messages = dict.fromkeys(messages, NOW_MS + n)
    made.effects = [Admitted(person(p), (n << 16) + i, 0, NOW_MS + n, "Product Viewed") for i, p in enumerate(picks)]
    made.counts = {"received": len(picks), "admitted": len(picks)}
    return made


def opened(path: Path) -> None:
    """In a fresh process: time to the first answer, and memory, before and after reading every profile."""
    base = memory_mb()
    begin = time.perf_counter()
    with closing(LmdbState(path)) as state:
        state.load([identifier(1)], (), [b"\0" * 16])
        took_ms = (time.perf_counter() - begin) * 1e3
        people = state.counts()["profiles"]
        print(f"open to first answer {took_ms:.1f} ms with {people:,} profiles; {memory_mb() - base:.0f} MB of its own")
        for ids in chunks(range(0, people, 7), 10_000):
            state.load([identifier(n) for n in ids], (), ())
        print(f"after many loads {memory_mb() - base:.0f} MB of its own (pages of the map are the system's cache)")
    print(f"peak {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB, with such pages")


def changes(offset: int) -> Changes:
    """Changes with nothing in them."""
    return Changes(partition=0, cursor=Cursor(offset, NOW_MS), profiles={}, identifiers={}, absorbed={}, due={},
                   members={}, messages={}, effects=[], quarantined=[], counts={})  # fmt: skip


def person(n: int) -> int:
    """A profile's id: people are created in this order, about one in three events apart."""
    return profile_id(0, n * 3 << 16 | n % 7)


def identifier(n: int) -> str:
    """As long as a UUID with its namespace."""
    return f"anonymous_id:{n * 0x9E3779B97F4A7C15 % (1 << 64):016x}-0000-4000-{n:012d}"


def chunks(numbers: range, size: int) -> Iterator[range]:
    """Runs of at most `size`."""
    return (numbers[start : start + size] for start in range(0, len(numbers), size))


def clocked(into: list[float], call: Callable[[], Any]) -> Any:
    """Call, and note the CPU seconds of user and kernel that it took."""
    begin = time.process_time()
    result = call()
    into.append(time.process_time() - begin)
    return result


def memory_mb() -> float:
    """Memory of this process that is not pages of files."""
    fields = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(fields["RssAnon"].split()[0]) / 1024


if __name__ == "__main__":
    main()
