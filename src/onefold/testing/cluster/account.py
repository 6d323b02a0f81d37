"""The account of a cluster at rest: every event and every delivery, and the same log in the embedded engine."""

import json
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, closing
from typing import Any, NamedTuple

from onefold.demo.client import Sending
from onefold.limits import MIB
from onefold.model import entry
from onefold.model.entry import Received
from onefold.ports import LogReader, State
from onefold.runtime.replay import verify
from onefold.storage.place import Place
from onefold.testing.cluster.rest import untaken

_SHOWN = 5


class Evidence:
    """What the senders know: how often each message was acknowledged, and how often that remained open."""

    def __init__(self) -> None:
        self.acknowledged: Counter[str] = Counter()
        self.unsure: Counter[str] = Counter()

    def note(self, events: list[dict[str, Any]], sending: Sending) -> None:
        """A batch was acknowledged, after so many tries."""
        for event in events:
            self.acknowledged[event["messageId"]] += 1
            self.unsure[event["messageId"]] += sending.unsure


class Line(NamedTuple):
    """A part of the account."""

    title: str
    text: str
    closes: bool


def account(place: Place, evidence: Evidence, verified: Counter[str]) -> Iterator[Line]:
    """The account of a platform whose roles have stopped, a line at a time, as each is found.

    `verified`: the messages that the receiver of the webhooks has verified, each once.
    """
    with ExitStack() as stack:
        log = stack.enter_context(closing(place.log_reader()))
        state = stack.enter_context(closing(place.state(readonly=True)))
        written = _written(log)
        yield _sent(evidence, written)
        yield _folded(state, written)
        yield from _delivered(place, state, verified)
    yield _embedded(place)


def _sent(evidence: Evidence, written: Counter[str]) -> Line:
    acknowledged = evidence.acknowledged
    wrong = [
        message
        for message in written.keys() | acknowledged.keys()
        if not 0 <= written[message] - acknowledged[message] <= evidence.unsure[message]
    ]
    again = written.total() - acknowledged.total()
    text = f"{acknowledged.total():,} sent and acknowledged"
    text += f" + {again:,} by tries that failed halfway" if again else ""
    text += f" = {written.total():,} in the log"
    if wrong:
        named = ", ".join(
            f"{message} acknowledged {acknowledged[message]}, in the log {written[message]}"
            for message in sorted(wrong)[:_SHOWN]
        )
        text += f"; {len(wrong):,} messages do not agree: {named}"
    return Line("events", text, not wrong)


def _folded(state: State, written: Counter[str]) -> Line:
    counts = state.counts()
    received, admitted, duplicate = (counts.get(name, 0) for name in ("received", "admitted", "duplicate"))
    quarantined = sum(n for name, n in counts.items() if name.startswith("quarantined."))
    text = (
        f"{written.total():,} in the log = {received:,} received = {admitted:,} admitted + {duplicate:,} duplicate"
        f" + {quarantined:,} quarantined"
    )
    return Line("fold", text, written.total() == received == admitted + duplicate + quarantined)


def _delivered(place: Place, state: State, verified: Counter[str]) -> Iterator[Line]:
    with closing(place.deliveries(readonly=True)) as book:
        lag = untaken(state, book)
        total: Counter[str] = Counter()
        for counts in book.counts().values():
            for name, n in counts.items():
                total[name.partition(".")[0]] += n
    ended = {name: total[name] for name in ("delivered", "pending", "filtered", "parked")}
    text = f"{total['taken']:,} taken = {' + '.join(f'{n:,} {name}' for name, n in ended.items())}"
    text += "; there are effects that it has not followed" if lag else ""
    yield Line("deliveries", text, total["taken"] == sum(ended.values()) and not lag)
    text = f"{total['delivered']:,} delivered = {verified.total():,} webhooks received, each once, and verified"
    yield Line("webhooks", text, total["delivered"] == verified.total() > 0)


def _embedded(place: Place) -> Line:
    found = verify(place, lambda _done, _total: None)
    names = sorted(found.live.keys() | found.replayed.keys())
    differ = ", ".join(name for name in names if found.live.get(name) != found.replayed.get(name))
    text = f"{found.events:,} events of {found.records:,} records folded again into LMDB: "
    if found.equal:
        text += "the same people, traits and memberships, byte for byte"
    elif found.same_people:
        text += f"the same people, traits and memberships; interleaved differently: {differ}"
    else:
        text += f"DIFFERENT people; parts that differ: {differ}"
    return Line("embedded", text, found.same_people)


def _written(log: LogReader) -> Counter[str]:
    """How often each message lies in the log, also where it rests in quarantine."""
    found: Counter[str] = Counter()
    for partition in range(log.partitions):
        offset, end = log.ends(partition)
        while offset < end:
            records = log.read(partition, offset, MIB)
            for record in records:
                found.update(_messages(record.data))
            offset = records[-1].offset + 1
    return found


def _messages(data: bytes) -> Iterator[str]:
    read = entry.decode(data)
    if isinstance(read, Received):
        yield from (event.messageId or "" for event in read.events)
        yield from (json.loads(rejected.body)["messageId"] for rejected in read.rejected)
