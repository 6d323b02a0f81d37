"""From an intake to the records that the log keeps."""

from collections.abc import Iterator

from msgspec import Raw

from onefold.collect.decode import Intake
from onefold.collect.routing import partition
from onefold.limits import RECORD_SPLIT_BYTES
from onefold.model import entry
from onefold.model.entry import Outgoing, Rejected

Records = dict[int, list[bytes]]


def records(intake: Intake, source: str, at_ms: int) -> Records:
    """Records by partition. What was rejected goes with the first of them, or where its body's hash says."""
    made: Records = {}
    rejected = intake.rejected
    for lane, events in enumerate(intake.lanes):
        if events:
            made[lane] = [
                entry.encode(Outgoing(source, at_ms, run, intake.sent_at_ms)) for run in _runs(events, intake.size)
            ]
    if rejected:
        home = next(iter(made), partition(rejected[0].body[:1000], len(intake.lanes)))
        made.setdefault(home, []).extend(
            entry.encode(Outgoing(source, at_ms, [], intake.sent_at_ms, run)) for run in _rejected_runs(rejected)
        )
    return made


def _runs(events: list[Raw], size: int) -> Iterator[list[Raw]]:
    """Nearly always one: a request is smaller than a record."""
    if size <= RECORD_SPLIT_BYTES:
        yield events
        return
    run: list[Raw] = []
    filled = 0
    for event in events:
        if run and filled + len(event) > RECORD_SPLIT_BYTES:
            yield run
            run, filled = [], 0
        run.append(event)
        filled += len(event)
    yield run


def _rejected_runs(rejected: list[Rejected]) -> Iterator[list[Rejected]]:
    """A refused body may grow sixfold when it is written as a JSON string; a record has room for that."""
    run: list[Rejected] = []
    filled = 0
    for each in rejected:
        if run and filled + len(each.body) > RECORD_SPLIT_BYTES // 2:
            yield run
            run, filled = [], 0
        run.append(each)
        filled += len(each.body)
    yield run
