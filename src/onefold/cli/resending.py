"""Events out of quarantine, mended or as they are, made ready and sent to collect as any sender would.

A quarantined event keeps its own time: what it said of when it happened and was sent is moved so that the platform
computes what it would have computed when it first came. It gets a `messageId` from its place, unless it has one, so
that sending it twice counts once.
"""

import base64
import http.client
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple
from urllib.parse import urlsplit

import msgspec
from msgspec import Raw, Struct

from onefold.errors import InvalidRequest
from onefold.language.instants import parse_instant
from onefold.server import instants

TRIES = 5
"""Of one request that is answered 429 or 503."""
WAIT_MAX_S = 30.0
_TIMEOUT_S = 30.0
_BATCH_EVENTS = 100
_BATCH_BYTES = 256 * 1024

_decode_members = msgspec.json.Decoder(dict[str, Raw]).decode
_encode = msgspec.json.encode


NOTHING = Raw(b"null")


class Kept(Struct, forbid_unknown_fields=True, omit_defaults=True):
    """An event in quarantine, a line of `onefold quarantine list --json`: `body` is text where it is no JSON object."""

    id: str
    source: str
    at: str
    reason: str = ""
    event: Raw = NOTHING
    body: str = ""


class Fresh(NamedTuple):
    """An event to send. `name` tells it in the report: its place in quarantine, or its line."""

    name: str
    source: str
    event: bytes


class Fate(Struct, frozen=True):
    """How one event fared: `accepted`, `rejected` (received, and in quarantine anew) or `refused` (not received)."""

    name: str
    source: str
    outcome: str
    reason: str = ""


def made_ready(kept: Kept, name: str, now_ms: int) -> Fresh:
    """A quarantined event as one to send now. Raises `InvalidRequest` where it is no JSON object."""
    members = _members(kept, name)
    members.pop("writeKey", None)
    if (came_ms := parse_instant(kept.at)) is not None:
        _keep_time(members, came_ms, now_ms)
    if not _has(members, "messageId") and kept.id:
        members["messageId"] = Raw(_encode(f"quarantine-{kept.id}"))
    return Fresh(name, kept.source, _encode(members))


def read_lines(lines: Iterable[bytes], source: str, now_ms: int) -> Iterator[Fresh | Fate]:
    """The events in JSON lines: lines of `quarantine list --json`, or bare events, which are of `source`.

    A line that is neither is refused, and the others go on.
    """
    for number, line in enumerate(lines, 1):
        if line.strip():
            name = f"line {number}"
            try:
                yield _from_line(line, name, source, now_ms)
            except InvalidRequest as error:
                yield Fate(name, source, "refused", str(error))


def send(url: str, write_key: str, events: Sequence[Fresh]) -> Iterator[Fate]:
    """Send events of one source to collect, in their order. Raises `OSError` where nobody answers."""
    for batch in _batches(events):
        status, answer = _post(url, write_key, b'{"batch":[%b]}' % b",".join(one.event for one in batch))
        rejected = {each.index: each.reason for each in answer.rejected}
        taken = status == 200 or bool(rejected)
        for index, one in enumerate(batch):
            if not taken:
                yield Fate(one.name, one.source, "refused", f"{status}: {answer.message}")
            elif index in rejected:
                yield Fate(one.name, one.source, "rejected", rejected[index])
            else:
                yield Fate(one.name, one.source, "accepted")


def _from_line(line: bytes, name: str, source: str, now_ms: int) -> Fresh:
    try:
        members = _decode_members(line)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidRequest(f"no JSON object: {error}") from error
    if "type" in members:
        if not source:
            raise InvalidRequest("a bare event does not say where it came from: name its source with --source")
        return Fresh(name, source, line.strip())
    try:
        kept = msgspec.json.decode(line, type=Kept)
    except msgspec.MsgspecError as error:
        raise InvalidRequest(
            f"neither an event with its `type` nor a line of `onefold quarantine list --json`: {error}"
        ) from error
    return made_ready(kept, kept.id or name, now_ms)


def _members(kept: Kept, name: str) -> dict[str, Raw]:
    text = bytes(kept.event) if bytes(kept.event) != b"null" else kept.body.encode()
    if not text:
        raise InvalidRequest(f"the log does not keep {name} any more")
    try:
        return _decode_members(text)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise InvalidRequest(f"{name} cannot be sent as it is, mend it first: {error}") from error


def _keep_time(members: dict[str, Raw], came_ms: int, now_ms: int) -> None:
    """An event that does not say when it happened did so when it first came; a sender's clock is wrong as it was."""
    sent_ms = _instant(members["sentAt"]) if _has(members, "sentAt") else None
    if not _has(members, "timestamp") and not _has(members, "originalTimestamp"):
        members["timestamp"] = _shown(came_ms)
        sent_ms = came_ms if sent_ms is not None else None
    if sent_ms is not None:
        members["sentAt"] = _shown(sent_ms + now_ms - came_ms)


def _shown(at_ms: int) -> Raw:
    return Raw(_encode(instants.show(at_ms)))


def _has(members: dict[str, Raw], field: str) -> bool:
    return bytes(members.get(field, b"null")) not in {b"null", b'""'}


def _instant(raw: Raw) -> int | None:
    try:
        return parse_instant(msgspec.json.decode(raw, type=str))
    except msgspec.MsgspecError:
        return None


def _batches(events: Sequence[Fresh]) -> Iterator[list[Fresh]]:
    batch: list[Fresh] = []
    size = 0
    for one in events:
        if batch and (len(batch) == _BATCH_EVENTS or size + len(one.event) > _BATCH_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(one)
        size += len(one.event)
    if batch:
        yield batch


class _Rejected(Struct):
    index: int
    reason: str


class _Answer(Struct):
    message: str = ""
    rejected: list[_Rejected] = []


def _post(url: str, write_key: str, body: bytes) -> tuple[int, _Answer]:
    """One request, again after `Retry-After` while it is refused for now."""
    place = urlsplit(url)
    basic = base64.b64encode(f"{write_key}:".encode()).decode()
    headers = {"content-type": "application/json", "authorization": f"Basic {basic}"}
    for left in reversed(range(TRIES)):
        connection = http.client.HTTPConnection(place.hostname or "", place.port, timeout=_TIMEOUT_S)
        try:
            connection.request("POST", "/v1/batch", body, headers)
            answer = connection.getresponse()
            content = answer.read()
        finally:
            connection.close()
        if answer.status not in (429, 503) or not left:
            break
        time.sleep(min(WAIT_MAX_S, float(answer.getheader("retry-after", "1"))))
    return answer.status, msgspec.json.decode(content, type=_Answer)
