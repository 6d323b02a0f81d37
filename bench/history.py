"""History: what an event costs to write and to keep, and how fast one person's events are found among ten million."""

import random
import resource
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec
import xxhash
from msgspec import Raw

from bench.report import Bound, Row, table
from bench.workload import BATCH_EVENTS, World, definitions
from onefold.clock import SystemClock
from onefold.limits import DAY_MS
from onefold.model.entry import Defined, Outgoing, encode
from onefold.model.event import Event
from onefold.model.past import Past
from onefold.ports import State, TrimmingWriter
from onefold.runtime.folding.fold import Folding
from onefold.runtime.folding.programs import Programs
from onefold.runtime.heap import seldom_collected
from onefold.runtime.history.writing import Historian, Sources
from onefold.settings import Settings
from onefold.storage.history.delta import DeltaHistory
from onefold.storage.place import Place

DAYS = 30
_FLUSH = 50_000
_LOOKS = 50
_BASE_MS = 1_700_006_400_000
_decode = msgspec.json.Decoder(Event).decode


def measure(*, quick: bool) -> list[Row]:
    """Writing by the role; size and reading of a long history."""
    with tempfile.TemporaryDirectory(prefix="onefold-bench-") as scratch:
        written = [_written(Path(scratch) / f"role-{n}", 200_000) for n in range(1 if quick else 3)]
        many = 1_000_000 if quick else 10_000_000
        kept = _kept(Path(scratch) / "long", many)
    what = "history role: log and effects read, tables written and tidied, CPU-s per million events"
    role = Row(what, "s", written, None, "", {"json_decode_alone_us": _decoding_us()})
    return [role, *kept]


def _written(path: Path, events: int) -> float:
    """CPU-s per million events of the role alone, over a log and a state that are there."""
    place, clock = Place.open(Settings(data=path, partitions=1)), SystemClock()
    with closing(place.log_writer()) as log, closing(place.state()) as state:
        _fold(log, place, state, events)
        with closing(place.log_reader()) as reader, closing(place.history()) as history:
            assert history.try_hold()
            began_s = _cpu_s()
            historian = Historian(Sources(state, reader), history, clock, flush_s=5)
            with seldom_collected():
                while historian.turn():
                    pass
                historian.stop()
            while history.tidy():
                pass
            return (_cpu_s() - began_s) / events * 1e6


def _fold(log: TrimmingWriter, place: Place, state: State, events: int) -> None:
    made = World().events(events)
    now_ms = _BASE_MS
    log.append({0: [encode(Defined(now_ms, 1, msgspec.to_builtins(definitions())))]})
    while batch := list(islice(made, BATCH_EVENTS)):
        now_ms += 2
        log.append({0: [encode(Outgoing("web", now_ms, [Raw(event) for event in batch]))]})
    with closing(place.log_reader()) as reader:
        folding = Folding(reader, state, Programs(lambda _: definitions()), alone=True)
        while folding.advance(0):
            pass


def _kept(path: Path, events: int) -> list[Row]:
    """Write a long history of some 30 days, tidy it, and look people up in it."""
    with closing(DeltaHistory(path)) as history:
        assert history.try_hold()
        made, began_s, done = _pasts(events), _cpu_s(), 0
        while some := list(islice(made, _FLUSH)):
            done += len(some)
            history.append(some, [], done)
            history.tidy()
        while history.tidy():
            pass
        spent = _cpu_s() - began_s
    files = [file for file in path.rglob("*.parquet") if "_delta_log" not in file.parts]
    with closing(DeltaHistory(path, readonly=True)) as history:
        live = history.size()
        people = random.Random(1).sample(range(1, 50_000), _LOOKS)
        first_ms = _timed_ms(history, people[0])
        looks = [_timed_ms(history, person) for person in people[1:]]
    details: dict[str, Any] = {
        "events": events,
        "days": DAYS,
        "files": live.files,
        "files_on_disk": len(files),
        "cpu_s_made_and_written": spent,
    }
    details |= {"first_look_ms": first_ms, "looks_ms": sorted(looks)}
    size = Row(
        "history: bytes on disk per 500-byte event", "B", [live.size_bytes / events], Bound(120, 60), "", details
    )
    look = Row(f"one person's events found among {events:,}, ms", "ms", looks, None, "", details)
    return [size, look]


def _timed_ms(history: DeltaHistory, person: int) -> float:
    began_s = time.perf_counter()
    history.of_profiles([person])
    return (time.perf_counter() - began_s) * 1000


def _pasts(events: int) -> Iterator[Past]:
    """Events of the workload as history gets them, spread over the days."""
    for n, body in enumerate(World().events(events)):
        event = _decode(body)
        at_ms = _BASE_MS + n * DAYS * DAY_MS // events
        tie = xxhash.xxh3_128_digest(f"web\0{event.messageId}".encode())
        name = event.event if event.type == "track" and event.event is not None else event.type
        profile = int(str(event.anonymousId)[:8], 16) + 1
        yield Past(n % 2, n // 2, profile, at_ms, at_ms + 40, tie, "web", name, event)


def _decoding_us() -> float:
    """What it costs to decode one of these events into a struct: how fast the machine is just now."""
    bodies = list(World().events(50_000))
    began_s = _cpu_s()
    for body in bodies:
        _decode(body)
    return (_cpu_s() - began_s) / len(bodies) * 1e6


def _cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    sys.stdout.write(table(measure(quick="--quick" in sys.argv)) + "\n")
