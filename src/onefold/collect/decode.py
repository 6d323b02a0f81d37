"""From a body to events: those that are taken, as the bytes that came, and those that are not, each with its reason.

The fast way decodes a whole batch at once, typed, which proves every event readable by the step; what is stored are
the bytes that came, in one piece where nothing parts them, else as raw spans. Whatever the fast way does not like goes
the careful way, event by event. Where there is a kernel, it judges batches that are fit for the fast way, undecoded.
"""

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Raw, Struct

from onefold.collect import split
from onefold.collect.answer import Answer, not_json, refusal, too_large
from onefold.collect.check import FREE, Passed, Plain, Sent, examine, with_type
from onefold.collect.routing import partition
from onefold.collect.runs import Run, array, cut
from onefold.kernel import native as _native
from onefold.limits import (
    EVENT_NAME_MAX_CHARS,
    MESSAGE_ID_MAX_CHARS,
    QUARANTINED_BODY_MAX_BYTES,
    RECORD_SPLIT_BYTES,
)
from onefold.model.entry import Rejected
from onefold.model.event import EventType
from onefold.settings import Settings


class Intake(Struct):
    """What one request brought."""

    write_keys: tuple[str, ...]
    """The write key that lay in the body, if any."""
    sent_at_ms: int | None
    lanes: list[list[Raw]]
    """The accepted events of each partition, in the order of the request: one by one, or several with their commas."""
    accepted: int
    rejected: list[Rejected]
    size: int
    """Bytes that storing it will take, about."""


class _Envelope(Struct):
    sentAt: datetime | None = None
    writeKey: str | None = None
    context: dict[str, Raw] | None = None
    integrations: dict[str, Raw] | bool | None = None


class _EmptyBatch(_Envelope, kw_only=True):
    batch: Annotated[list[Raw], Meta(max_length=0)]


class _RawBatch(_Envelope):
    batch: list[Raw] = []


_decode_empty = msgspec.json.Decoder(_EmptyBatch).decode
_decode_plain = msgspec.json.Decoder(list[Plain]).decode
_decode_spans = msgspec.json.Decoder(list[Raw]).decode
_decode_raw = msgspec.json.Decoder(_RawBatch).decode
_decode_envelope = msgspec.json.Decoder(_Envelope).decode
_decode_sent = msgspec.json.Decoder(Sent).decode
_decode_members = msgspec.json.Decoder(dict[str, Raw]).decode

_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_BOM = b"\xef\xbb\xbf"
_STRICT = re.compile(r"JSON is malformed: (.*) \(byte (\d+)\)")
"""What msgspec says: what is wrong, and where."""
_KEY = re.compile(rb'"writeKey"\s*+:\s*+"[^"]*+"')
_SHARED = ("context", "integrations")


class Decoder:
    """Bodies to events, under the limits of the settings, for a log of so many partitions."""

    def __init__(self, settings: Settings, partitions: int, native: Any = _native) -> None:
        """`native`: the kernel, or None."""
        self._partitions = partitions
        self._event_max_bytes = settings.event_max_bytes
        self._max_events = settings.batch_max_events
        self._shared_max_bytes = settings.import_max_bytes
        self._judge = native and native.Judge(
            partitions, settings.event_max_bytes, MESSAGE_ID_MAX_CHARS, EVENT_NAME_MAX_CHARS
        )

    def batch(self, body: bytes) -> Intake | Answer:
        """The events of a batch, or why the request as a whole is refused."""
        apart = self._partitions == 1 and len(body) > self._event_max_bytes
        run_max_bytes = self._event_max_bytes if apart else len(body)
        if (intake := self._batch_natively(body, run_max_bytes)) is not None:
            return intake
        plain = self._plain(body, run_max_bytes) or (apart and self._plain(body, len(body)))
        if not plain:
            return self._batch_carefully(body)
        envelope, runs = plain
        if not 0 < (events := sum(len(decoded) for _, decoded in runs)) <= self._max_events:
            return self._miscounted(events)
        intake = self._intake(envelope, len(body))
        first = 0
        for run, decoded in runs:
            self._take_plain(intake, first, decoded, run)
            first += len(decoded)
        return intake

    def _batch_natively(self, body: bytes, run_max_bytes: int) -> Intake | None:
        """The same by the kernel, if it is sure of every event. More than a record is for Python to split."""
        if self._judge is None or len(body) > RECORD_SPLIT_BYTES or (found := _cut(body, run_max_bytes)) is None:
            return None
        envelope, runs = found
        intake = self._intake(envelope, len(body))
        for begin, end in runs:
            if (judged := self._judge.events(body, begin, end)) is None:
                return None
            events, lanes = judged
            intake.accepted += events
            if lanes is None:
                intake.lanes[0].append(Raw(memoryview(body)[begin:end]))
            else:
                for lane, taken in zip(intake.lanes, lanes, strict=True):
                    if taken:
                        lane.append(Raw(taken))
        return intake if 0 < intake.accepted <= self._max_events else None

    def _plain(self, body: bytes, run_max_bytes: int) -> tuple[_Envelope, list[tuple[bytes, list[Plain]]]] | None:
        """The body as an envelope and runs of plain events; None where a cut is wrong, or where it is not plain."""
        if (found := _cut(body, run_max_bytes)) is None:
            return None
        envelope, runs = found
        arrays = [array(body, run) for run in runs]
        try:
            return envelope, [(each, _decode_plain(each)) for each in arrays]
        except _UNREADABLE:
            return None

    def single(self, body: bytes, type_: EventType) -> Intake | Answer:
        """The one event of a body, as one of this type."""
        if self._judge is not None and (lane := self._judge.event(body, type_)) is not None:
            return self._alone(body, lane)
        try:
            sent = _decode_sent(body)
        except _UNREADABLE:
            return self._single_carefully(body, type_)
        intake = self._intake(sent, len(body))
        intake.sent_at_ms = None
        if sent.type != type_ or sent.writeKey is not None:
            self._take_carefully(intake, [with_type(body, type_)])
        else:
            self._take_plain(intake, 0, [sent], b"[%b]" % body)
        return intake

    def _alone(self, event: bytes, lane: int) -> Intake:
        intake = Intake((), None, [[] for _ in range(self._partitions)], 1, [], len(event))
        intake.lanes[lane].append(Raw(event))
        return intake

    def _take_plain(self, intake: Intake, first: int, events: Sequence[Plain], run: bytes) -> None:
        """Take a run, whose first event is number `first` of its request; what is not plainly sound is examined."""
        lanes, partitions, max_bytes = intake.lanes, self._partitions, self._event_max_bytes
        if partitions == 1 and len(run) <= max_bytes + len(b"[]") and all(map(_plain_primary, events)):
            intake.accepted += len(events)
            lanes[0].append(Raw(memoryview(run)[1:-1]))
            return
        for index, (event, span) in enumerate(zip(events, _decode_spans(run), strict=True), first):
            primary = _plain_primary(event)
            if primary and len(span) <= max_bytes:
                intake.accepted += 1
                lanes[partition(primary if primary.__class__ is str else str(primary), partitions)].append(span)
            else:
                self._take_one(intake, index, bytes(span))

    def _take_carefully(self, intake: Intake, bodies: Sequence[bytes]) -> None:
        for index, body in enumerate(bodies):
            self._take_one(intake, index, body)

    def _take_one(self, intake: Intake, index: int, body: bytes) -> None:
        verdict = examine(body, self._event_max_bytes)
        if isinstance(verdict, Passed):
            intake.accepted += 1
            intake.lanes[partition(verdict.primary, self._partitions)].append(Raw(verdict.body))
        else:
            intake.rejected.append(Rejected(index, verdict, _as_text(body)))

    def _batch_carefully(self, body: bytes) -> Intake | Answer:
        body = body.removeprefix(_BOM)
        taken = _take_apart(body)
        if isinstance(taken, Answer):
            return taken
        envelope, bodies = taken
        if not 0 < len(bodies) <= self._max_events:
            return self._miscounted(len(bodies))
        intake = self._intake(envelope, len(body))
        shared = _shared(envelope)
        if (size := sum(map(len, shared.values())) * len(bodies)) > self._shared_max_bytes:
            return too_large(f"context and integrations of the batch, given to each event, would have {size} bytes")
        self._take_carefully(intake, [_merged(each, shared) for each in bodies] if shared else bodies)
        return intake

    def _single_carefully(self, body: bytes, type_: EventType) -> Intake | Answer:
        body = body.removeprefix(_BOM)
        try:
            members = _decode_members(body)
            typed = with_type(body, type_)
            key = _decode_envelope(b'{"writeKey":%b}' % bytes(members.get("writeKey", b"null"))).writeKey
        except msgspec.ValidationError as error:
            return refusal(400, "invalid_event", f"event is not a valid rudder event: {error}")
        except _UNREADABLE:
            parts = split.members(body)
            if isinstance(parts, split.Unsplittable):
                return _malformed(body, parts)
            typed, key = body, _text(parts.get(b'"writeKey"'))
        intake = self._intake(_Envelope(writeKey=key), len(body))
        self._take_carefully(intake, [typed])
        return intake

    def _intake(self, envelope: _Envelope | Sent, size: int) -> Intake:
        keys = (envelope.writeKey,) if envelope.writeKey else ()
        sent_at_ms = milliseconds(envelope.sentAt) if envelope.sentAt else None
        return Intake(keys, sent_at_ms, [[] for _ in range(self._partitions)], 0, [], size)

    def _miscounted(self, events: int) -> Answer:
        if events == 0:
            return refusal(400, "empty_batch", "empty batch payload: $.batch has no events")
        return too_large(f"the batch has {events} events; {self._max_events} are allowed: send several batches")


def _cut(body: bytes, run_max_bytes: int) -> tuple[_Envelope, list[Run]] | None:
    """An envelope that says nothing for its events, and where these are, as far as can be seen without reading them."""
    if (parts := cut(body, run_max_bytes)) is None:
        return None
    try:
        envelope = _decode_empty(parts.envelope)
    except _UNREADABLE:
        return None
    return None if envelope.context or envelope.integrations else (envelope, parts.runs)


def _plain_primary(event: Plain) -> str | int | None:
    """What the partition of an event is found by that plainly has what its kind needs; else nothing that is true."""
    named = event.event if event.type == "track" else event.type in FREE
    return (event.userId or event.anonymousId) if named else None


def milliseconds(at: datetime) -> int:
    """Since 1970; a time without a zone is taken as UTC."""
    delta = (at if at.tzinfo else at.replace(tzinfo=UTC)) - _EPOCH
    return (delta.days * 86_400 + delta.seconds) * 1_000 + delta.microseconds // 1_000


def _take_apart(body: bytes) -> tuple[_Envelope, Sequence[bytes]] | Answer:
    """A batch body as its envelope and its events' bytes, the strict way or else the tolerant way."""
    try:
        raw = _decode_raw(body)
    except msgspec.ValidationError as error:
        return _bad_envelope(error)
    except _UNREADABLE:
        return _take_apart_tolerantly(body)
    else:
        return raw, [bytes(each) for each in raw.batch]


def _take_apart_tolerantly(body: bytes) -> tuple[_Envelope, Sequence[bytes]] | Answer:
    members = split.members(body)
    if isinstance(members, split.Unsplittable):
        return _malformed(body, members)
    events = split.elements(members.pop(b'"batch"', b"[]"))
    if isinstance(events, split.Unsplittable):
        return not_json(f"$.batch: {events}")
    names = [each.encode() for each in _Envelope.__struct_fields__]
    rest = b",".join(b'"%b":%b' % (name, members[key]) for name in names if (key := b'"%b"' % name) in members)
    try:
        return _decode_envelope(b"{%b}" % rest), events
    except msgspec.ValidationError as error:
        return _bad_envelope(error)
    except _UNREADABLE as error:
        return not_json(f"around the batch: {error}")


def _malformed(body: bytes, found: split.Unsplittable) -> Answer:
    """Why nobody can say where a body's parts end: what a strict reader says, where it stops before that is `found`."""
    try:
        _decode_members(body)
    except msgspec.DecodeError as error:
        if (said := _STRICT.fullmatch(f"{error}")) and (at := int(said[2])) < found.byte:
            found = split.unexpected(body, at, said[1])
    except _UNREADABLE:
        pass
    return not_json(f"{found}")


def _bad_envelope(error: msgspec.ValidationError) -> Answer:
    return refusal(400, "invalid_batch", f"{error}")


def _shared(envelope: _Envelope) -> dict[str, bytes]:
    """What the batch says for all of its events."""
    given: dict[str, Any] = {name: getattr(envelope, name) for name in _SHARED}
    return {name: msgspec.json.encode(value) for name, value in given.items() if value}


def _merged(body: bytes, shared: dict[str, bytes]) -> bytes:
    """The event with what its batch says for all; where both speak, the event is right. Not an event: as it is."""
    try:
        members = _decode_members(body)
    except _UNREADABLE:
        return body
    for name, value in shared.items():
        members[name] = _under(value, members.get(name))
    return msgspec.json.encode(members)


def _under(shared: bytes, own: Raw | None) -> Raw:
    if own is None or bytes(own) == b"null":
        return Raw(shared)
    try:
        return Raw(msgspec.json.encode(_decode_members(shared) | _decode_members(own)))
    except _UNREADABLE:
        return own


def _text(value: bytes | None) -> str | None:
    try:
        return msgspec.json.decode(value, type=str) if value else None
    except _UNREADABLE:
        return None


def _as_text(body: bytes) -> str:
    """For quarantine: without the write key, which is a credential."""
    return _KEY.sub(b'"writeKey":""', body[:QUARANTINED_BODY_MAX_BYTES]).decode(errors="backslashreplace")
