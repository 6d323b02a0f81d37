"""Bytewax's counts, one worker, with recovery. Events are decoded by msgspec, as ours are."""

import json
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import bytewax.operators as op
import bytewax.operators.windowing as win
import msgspec
from bytewax.connectors.files import FileSource
from bytewax.dataflow import Dataflow
from bytewax.outputs import DynamicSink, StatelessSinkPartition
from bytewax.recovery import RecoveryConfig, init_db_dir
from bytewax.testing import run_main

HOUR = timedelta(hours=1)
LATE = timedelta(minutes=10)


class Event(msgspec.Struct):
    """What is counted of an event."""

    anonymousId: str  # noqa: N815 - as it is on the wire
    timestamp: datetime


class Counted(StatelessSinkPartition[tuple[str, Any]], DynamicSink[tuple[str, Any]]):
    """Takes what comes; one for each stream."""

    def __init__(self) -> None:
        self.latest: dict[str, Any] = {}
        self.total = 0

    def build(self, _step: str, _worker: int, _workers: int) -> "Counted":
        """There is one worker."""
        return self

    def write_batch(self, items: list[tuple[str, Any]]) -> None:
        """Keep the latest of each key; of hours (which window, how many) the sum."""
        for key, value in items:
            if type(value) is tuple:
                self.total += value[1]
            else:
                self.latest[key] = value


def main(file: Path, scratch: Path) -> None:
    """Count, say what came out, and wait."""
    lifetime, hours = Counted(), Counted()
    decode = msgspec.json.Decoder(Event).decode
    flow = Dataflow("counts")
    events = op.map("decode", op.input("file", flow, FileSource(file, batch_size=1000)), decode)
    keyed = op.key_on("key", events, lambda event: event.anonymousId)
    counts = op.stateful_map("lifetime", keyed, lambda n, _: ((n or 0) + 1, (n or 0) + 1))
    # The events' time is not the system's: asked for wake-ups by that, it would look at every key all the time.
    clock = win.EventClock(lambda event: event.timestamp, LATE, to_system_utc=lambda _: None)
    windower = win.TumblingWindower(length=HOUR, align_to=datetime(2025, 1, 1, tzinfo=UTC))
    hourly = win.count_window("hourly", events, clock, windower, lambda event: event.anonymousId)
    op.output("lifetime_out", counts, lifetime)
    op.output("hourly_out", hourly.down, hours)
    init_db_dir(scratch, 1)
    run_main(flow, recovery_config=RecoveryConfig(scratch))
    found = {"lifetime": sum(lifetime.latest.values()), "hours": hours.total, "keys": len(lifetime.latest)}
    print(json.dumps(found), flush=True)
    sys.stdin.readline()


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
