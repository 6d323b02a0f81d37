"""What collect answers: the defined set of refusals, in the shape that Segment's SDKs parse."""

from typing import NamedTuple

import msgspec

from onefold.errors import Overloaded, StorageError, StorageFull
from onefold.model.entry import Rejected

Headers = tuple[tuple[bytes, bytes], ...]


class Answer(NamedTuple):
    """A whole HTTP answer, but for what CORS adds."""

    status: int
    body: bytes
    headers: Headers = ()
    content_type: bytes = b"application/json"


SUCCESS = Answer(200, b'{"success":true}')


def refusal(status: int, code: str, message: str, headers: Headers = ()) -> Answer:
    """`{"code", "message"}`, as Segment's SDKs read it."""
    return Answer(status, msgspec.json.encode({"code": code, "message": message}), headers)


def not_json(what: str) -> Answer:
    """The body cannot be taken apart; `what` says what was found and at which byte."""
    return refusal(400, "invalid_json", f"invalid json: {what}")


def too_large(what: str) -> Answer:
    """`what` says which limit, in bytes or events, and by how much."""
    return refusal(413, "too_large", f"request size exceeds max limit: {what}")


def unauthorized(key_given: bool) -> Answer:  # noqa: FBT001 — it is the one thing that the answer depends on
    """RudderStack's two texts, which authors of SDKs search for."""
    message = "invalid write key" if key_given else "failed to read writekey from header, query or body"
    return refusal(401, "unauthorized", message, ((b"www-authenticate", b'Basic realm="write key"'),))


def limited(wait_s: int) -> Answer:
    """This source sends more than it may; others go on."""
    message = (
        "this source sends more events a second than it may; nothing of this request was taken, send it again later"
    )
    return refusal(429, "rate_limited", message, ((b"retry-after", b"%d" % wait_s),))


def overloaded(error: Overloaded) -> Answer:
    """Refused, not lost: come back later."""
    return _later(error.code, str(error), error.retry_after_s)


def not_stored(error: StorageError) -> Answer:
    """The log took nothing, so nothing is acknowledged."""
    return _later(error.code, "the log could not store the events; send them again", 30 if _full(error) else 5)


def partly(accepted: int, rejected: list[Rejected]) -> Answer:
    """Good events were taken, bad ones rest in quarantine: 200. Nothing but bad ones: 400."""
    answer = {
        "success": accepted > 0,
        "accepted": accepted,
        "rejected": [{"index": each.index, "reason": each.reason} for each in rejected],
    }
    if accepted:
        return Answer(200, msgspec.json.encode(answer))
    named = {"code": "invalid_event", "message": rejected[0].reason}
    return Answer(400, msgspec.json.encode(named | answer))


def _later(code: str, message: str, retry_after_s: int) -> Answer:
    return refusal(503, code, message, ((b"retry-after", b"%d" % retry_after_s),))


def _full(error: StorageError) -> bool:
    return isinstance(error, StorageFull)
