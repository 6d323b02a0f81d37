"""Pathway's counts, one worker, with persistence. It reads a file that ends as one batch."""

import json
import sys
from datetime import timedelta
from pathlib import Path

import pathway as pw


class Event(pw.Schema):
    """What is counted of an event."""

    anonymousId: str  # noqa: N815 - as it is on the wire
    timestamp: str


def main(file: Path, scratch: Path) -> None:
    """Count, say what came out, and wait."""
    lifetime_file, hours_file = scratch / "lifetime.jsonl", scratch / "hours.jsonl"
    events = pw.io.jsonlines.read(str(file), schema=Event, mode="static", name="events")
    lifetime = events.groupby(events.anonymousId).reduce(events.anonymousId, n=pw.reducers.count())
    timed = events.select(events.anonymousId, at=events.timestamp.dt.strptime("%Y-%m-%dT%H:%M:%S%.fZ"))
    hours = timed.windowby(
        timed.at, window=pw.temporal.tumbling(duration=timedelta(hours=1)), instance=timed.anonymousId
    ).reduce(key=pw.this._pw_instance, start=pw.this._pw_window_start, n=pw.reducers.count())  # noqa: SLF001 - Pathway's own names for columns
    pw.io.jsonlines.write(lifetime, str(lifetime_file))
    pw.io.jsonlines.write(hours, str(hours_file))
    backend = pw.persistence.Backend.filesystem(str(scratch / "state"))
    pw.run(monitoring_level=pw.MonitoringLevel.NONE, persistence_config=pw.persistence.Config(backend))
    found = {"lifetime": _sum(lifetime_file), "hours": _sum(hours_file), "keys": _count(lifetime_file)}
    print(json.dumps(found), flush=True)
    sys.stdin.readline()


def _sum(file: Path) -> int:
    with file.open() as rows:
        return sum(row["n"] * row["diff"] for row in map(json.loads, rows))


def _count(file: Path) -> int:
    with file.open() as rows:
        return sum(row["diff"] for row in map(json.loads, rows))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
