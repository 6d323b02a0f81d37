"""Onefold's counts: a file's events through collect's decoder into a log, and from there folded into a state.

All but the HTTP server that a platform has before this, and the follower of effects behind it. Time is that of the
events: every batch is received when its latest event happens, and a tick is written where a timer is due, as a worker
does.
"""

import json
import sys
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime
from itertools import islice
from pathlib import Path

import msgspec

from onefold.clock import SystemClock
from onefold.collect.decode import Decoder, Intake
from onefold.collect.record import records
from onefold.language.values import milliseconds
from onefold.model import profile as profiles
from onefold.model.entry import Defined, Tick, encode
from onefold.ports import LogWriter, State
from onefold.runtime.folding.fold import Folding
from onefold.runtime.folding.programs import Programs
from onefold.runtime.heap import without_collector
from onefold.settings import Settings
from onefold.storage.place import Place
from onefold.testing.world import define

BATCH_EVENTS = 100
GROUP = 100
"""Batches that a commit of the log takes, as under load."""
_LOOKED_AT = 8
COUNTS = define({"views": 'count("Product Viewed")', "views_1h": 'count("Product Viewed", within="1h")'})


class _Dated(msgspec.Struct):
    timestamp: datetime


def main(file: Path, scratch: Path) -> None:
    """Count, say what came out, and wait."""
    place = Place.open(Settings(data=scratch / "data", partitions=1))
    with (
        closing(place.log_writer(SystemClock())) as log, closing(place.state()) as state,
        closing(place.log_reader()) as reader, without_collector(), file.open("rb") as lines,
    ):  # fmt: skip
        log.append({0: [encode(Defined(0, 1, msgspec.to_builtins(COUNTS)))]})
        folding = Folding(reader, state, Programs(lambda _: COUNTS))
        batches = _batches(lines)
        while group := list(islice(batches, GROUP)):
            log.append({0: [record for record, _ in group]})
            _fold(folding, log, state, group[-1][1])
        print(json.dumps(_counted(state)), flush=True)
        sys.stdin.readline()


def _batches(lines: Iterator[bytes]) -> Iterator[tuple[bytes, int]]:
    """(record, when it is received)."""
    decoder, dated = Decoder(Settings(), 1), msgspec.json.Decoder(_Dated)
    latest_ms = 0
    while some := list(islice(lines, BATCH_EVENTS)):
        # The latest event is among the last few, as few are late.
        latest_ms = max(latest_ms, *(milliseconds(dated.decode(each).timestamp) for each in some[-_LOOKED_AT:]))
        intake = decoder.batch(b'{"batch":[%b]}' % b",".join(some))
        assert isinstance(intake, Intake)
        assert not intake.rejected
        for record in records(intake, "default", latest_ms)[0]:
            yield record, latest_ms


def _fold(folding: Folding, log: LogWriter, state: State, now_ms: int) -> None:
    while folding.advance(0):
        pass
    while state.next_due_ms(0) <= now_ms:
        log.append({0: [encode(Tick(now_ms))]})
        folding.advance(0)


def _counted(state: State) -> dict[str, int]:
    found = {"lifetime": 0, "hours": 0, "keys": 0}
    after = 0
    while ids := state.profile_ids(0, after, 10_000):
        for data in state.survivors(ids).values():
            computed = profiles.decode(data).computed
            found["lifetime"] += computed.get("views", 0)
            found["hours"] += computed.get("views_1h", 0)
            found["keys"] += 1
        after = ids[-1]
    return found


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
