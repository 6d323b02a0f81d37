"""A batch: a run of log entries, read into the events that the step will take one by one.

Reading is the part of the step that needs no state: it corrects times, names messages that came without an id, and
finds the identifiers, so that the state can be loaded in two look-ups for all events together.
"""

from collections.abc import Iterable, Iterator
from typing import Protocol

import xxhash
from msgspec import Struct, structs

from onefold.core.identity.identifiers import Who
from onefold.language.values import milliseconds
from onefold.model.changes import Cursor
from onefold.model.entry import Received
from onefold.model.event import Excerpt
from onefold.model.position import position


class Finding(Protocol):
    """Says whose events are: `core.identity.identifiers.Finder`."""

    def find(self, event: Excerpt) -> Who:
        """Who an event is of."""
        ...


class FindingAccounts(Protocol):
    """Says which accounts events name: `core.identity.identifiers.Finder`."""

    def find_account(self, event: Excerpt) -> Who | None:
        """The account that an event names, by its one identifier."""
        ...


class Incoming(Struct, gc=False):
    """One event on its way through the step."""

    event: Excerpt
    source: str
    position: int
    received_ms: int
    """Log time: never earlier than that of any entry before it."""
    at_ms: int
    """When it happened, by the sender's clock corrected by ours; never after `received_ms`."""
    fingerprint: bytes
    """Of source and messageId; without one, of the place in the log, which no messageId can pretend to be.

    It also orders events of the same instant, whatever order they came in.
    """
    who: Who
    account: Who | None = None
    """The account that it names, where the definitions ask for accounts (`name_accounts`)."""


def as_of(incoming: Incoming, who: Who) -> Incoming:
    """The same event of somebody else; whoever has read it, it is Python's own."""
    of = incoming
    return Incoming(of.event, of.source, of.position, of.received_ms, of.at_ms, of.fingerprint, who, of.account)


class Refused(Struct):
    """What can never be admitted, on its way into quarantine."""

    kind: str
    """`invalid`: collect refused the event; `undecodable`: the record is no entry."""
    reason: str
    body: str
    source: str
    position: int
    received_ms: int


class Unreadable(Struct):
    """A record of the log that is no entry."""

    reason: str
    data: bytes


class Read(Protocol):
    """Events of one entry as the kernel has read them (`Program.records`)."""

    at_ms: int

    def __len__(self) -> int:
        """How many they are."""
        ...

    def incoming(self, partition: int, first: int, now_ms: int, finder: Finding) -> list[Incoming]:
        """The same as `Incoming`, of which the first is at position `first`; to be asked once.

        `finder` is one that the kernel knows, with `find_anew` and `whos`.
        """
        ...


Entry = Received | Read | Unreadable


class Batch(Struct):
    """Events of consecutive entries of one partition."""

    partition: int
    cursor: Cursor
    """Where the partition will be when this batch is committed."""
    incoming: list[Incoming]
    refused: list[Refused]
    """Both lists are in the order of positions, and belong into one order."""

    def messages(self) -> list[bytes]:
        """The fingerprint of every message in the batch."""
        return [incoming.fingerprint for incoming in self.incoming]


def name_accounts(batch: Batch, finder: FindingAccounts) -> None:
    """Find the accounts that the events name."""
    find = finder.find_account
    for incoming in batch.incoming:
        incoming.account = find(incoming.event)


def named_by(events: Iterable[Incoming]) -> list[Who]:
    """Whose these events are, and the accounts that they name, each once as far as one may tell from the outside."""
    people = {id(incoming.who): incoming.who for incoming in events}
    accounts = {id(named): named for incoming in events if (named := incoming.account) is not None}
    return [*people.values(), *accounts.values()]


def read(partition: int, before: Cursor, entries: Iterable[tuple[int, Entry]], finder: Finding) -> Batch:
    """Read the events of entries, given as (offset, entry) in log order from `before` on."""
    now_ms, offset = before.now_ms, before.offset
    incoming: list[Incoming] = []
    refused: list[Refused] = []
    for offset_here, entry in entries:
        offset = offset_here + 1
        if isinstance(entry, Unreadable):
            body = entry.data.decode(errors="backslashreplace")
            refused.append(Refused("undecodable", entry.reason, body, "", position(offset_here, 0), now_ms))
            continue
        now_ms = max(now_ms, entry.at_ms)
        if not isinstance(entry, Received):
            first = position(offset_here, 0)
            incoming += entry.incoming(partition, first, now_ms, finder)
            continue
        incoming += _read_entry(partition, offset_here, entry, now_ms, finder)
        for index, bad in enumerate(entry.rejected, start=len(entry.events)):
            place = position(offset_here, index)
            refused.append(Refused("invalid", bad.reason, bad.body, entry.source, place, now_ms))
    return Batch(partition, structs.replace(before, offset=offset, now_ms=now_ms), incoming, refused)


def _read_entry(partition: int, offset: int, entry: Received, now_ms: int, finder: Finding) -> Iterator[Incoming]:
    digest, find = xxhash.xxh3_128_digest, finder.find
    source, sent_at_ms, received_ms = entry.source, entry.sent_at_ms, entry.at_ms
    first = position(offset, 0)
    event: Excerpt
    for place, event in enumerate(entry.events, start=first):
        message = event.messageId
        original = event.originalTimestamp or event.timestamp
        at_ms = now_ms if original is None else milliseconds(original)
        if original is not None and (event.sentAt is not None or sent_at_ms is not None):
            sent_ms = sent_at_ms if event.sentAt is None else milliseconds(event.sentAt)
            at_ms = _corrected(at_ms, sent_ms, received_ms)
        yield Incoming(
            event,
            source,
            place,
            now_ms,
            at_ms if 0 <= at_ms <= now_ms else min(max(at_ms, 0), now_ms),
            digest((f"{source}\0{message}" if message else f"\0{source}\0{partition}:{place:x}").encode()),
            find(event),
        )


def _corrected(original_ms: int, sent_ms: int | None, received_ms: int) -> int:
    """DESIGN §5: received - (sent - original), which takes the sender's clock out."""
    return original_ms if sent_ms is None else received_ms - (sent_ms - original_ms)
