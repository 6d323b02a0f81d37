"""Records of the log, decoded and read into the batches that the step takes."""

from collections.abc import Iterable

import msgspec

from onefold.core.batch import Batch, Read, Unreadable, name_accounts, read
from onefold.core.identity.identifiers import Finder
from onefold.language.stream.program import Program
from onefold.model.changes import Cursor
from onefold.model.entry import Entry, Received
from onefold.ports import Record

_CACHED_EVENTS = 200
"""Events decoded and folded before the next are decoded: what fits a second-level cache."""
_CACHED_NATIVE_EVENTS = 1_000
"""The same of the kernel's, which are places in their records: what a batch costs by itself is shared by more."""


def next_batch(
    program: Program, finder: Finder, after: tuple[int, Cursor], records: Iterable[Record], max_events: int
) -> Batch | None:
    """The next run of events of a partition that is there, small enough to stay in the processor's cache.

    None where another kind of entry comes first.
    """
    partition, cursor = after
    received: list[tuple[int, Read | Received | Unreadable]] = []
    events, most = 0, min(max_events, _CACHED_EVENTS if program.records is None else _CACHED_NATIVE_EVENTS)
    for record in records:
        entry = _with_events(program, record)
        if entry is None:
            break
        received.append((record.offset, entry))
        events += _size(entry)
        if events >= most:
            break
    if not received:
        return None
    batch = read(partition, cursor, received, finder)
    if program.accounts is not None:
        name_accounts(batch, finder)
    return batch


def entry_of(program: Program, record: Record) -> Entry | Unreadable:
    """The entry of a record, or why it is none."""
    try:
        return program.decode(record.data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        return Unreadable(str(error), record.data)


def _with_events(program: Program, record: Record) -> Read | Received | Unreadable | None:
    """What the kernel reads of a record, else Python; None: an entry without events."""
    if program.records is not None and (run := program.records.read(record.data)) is not None:
        found: Read = run
        return found
    entry = entry_of(program, record)
    return entry if isinstance(entry, Received | Unreadable) else None


def _size(entry: Read | Received | Unreadable) -> int:
    if isinstance(entry, Unreadable):
        return 1
    return len(entry.events) if isinstance(entry, Received) else len(entry)
