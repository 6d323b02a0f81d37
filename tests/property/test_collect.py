"""Fuzzing of collect: every answer is from the defined set, and received = accepted + rejected always closes."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from onefold.collect import split
from onefold.collect.answer import Answer
from onefold.collect.check import Passed, examine
from onefold.collect.decode import Decoder, Intake
from onefold.collect.record import records
from onefold.limits import EVENT_MAX_BYTES, JSON_MAX_DEPTH
from onefold.model import entry
from onefold.model.entry import Received
from onefold.model.event import Event, EventType
from onefold.settings import Settings
from tests.unit.collect.asgi import Door

CODES: dict[int, set[str | None]] = {
    200: {None},
    400: {"invalid_json", "invalid_event", "invalid_batch", "empty_batch"},
    401: {"unauthorized"},
    413: {"too_large"},
}

FIELDS = ["type", "userId", "anonymousId", "event", "groupId", "previousId", "messageId", "timestamp", "sentAt",
          "properties", "traits", "context", "integrations", "writeKey", "x", "name", "_metadata"]  # fmt: skip
TYPES = ["track", "identify", "page", "screen", "group", "alias"]
WORDS = ["u", "", *TYPES, "2024-01-01T00:00:00Z", "\ud800", "é", "\x00", '"', "\\", "]}"]

scalars = st.one_of(
    st.none(), st.booleans(), st.integers(), st.integers(10**18, 10**40), st.floats(), st.sampled_from(WORDS), st.text()
)
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(FIELDS), inner), max_leaves=12
)
good_events = st.fixed_dictionaries(
    {"type": st.just("track"), "userId": st.sampled_from(["a", "b", 7]), "event": st.just("e")},
    optional={"properties": st.dictionaries(st.text(max_size=3), values, max_size=3), "channel": st.just("web")},
)
events = st.one_of(good_events, st.dictionaries(st.sampled_from(FIELDS), values, max_size=6), values)
envelopes = st.fixed_dictionaries(
    {"batch": st.lists(events, max_size=6)},
    optional={"sentAt": values, "context": values, "integrations": values, "writeKey": values, "x": values},
)


@st.composite
def bodies(draw: st.DrawFn, of: st.SearchStrategy[Any]) -> bytes:
    """JSON as Python writes it (NaN and lone surrogates included), sometimes damaged by cuts and foreign bytes."""
    body = json.dumps(draw(of), ensure_ascii=draw(st.booleans())).encode(errors="surrogatepass")
    for _ in range(draw(st.integers(0, 2))):
        at, length = draw(st.integers(0, len(body))), draw(st.integers(0, 3))
        body = (
            body[:at]
            + draw(st.binary(max_size=3) | st.sampled_from([b'"', b"}", b"]", b"[", b"{", b","]))
            + body[at + length :]
        )
    return body


anything = st.one_of(bodies(envelopes), bodies(events), st.binary(max_size=200))
paths = st.sampled_from(["/v1/batch", "/v1/import", *(f"/v1/{each}" for each in TYPES)])
fuzzing = settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@fuzzing
@given(paths, anything)
def test_every_answer_is_defined_and_the_count_closes(path: str, body: bytes) -> None:
    """Whatever comes: a defined status and code, and the log holds just what the answer says."""
    door = Door()
    reply = door.post(path, body)
    answer = reply.json
    assert answer.get("code") in CODES[reply.status]
    accepted = [event for each in door.entries() for event in each.events]
    rejected = door.rejected()
    if "accepted" in answer:
        assert answer["accepted"] == len(accepted)
        assert sorted((each.index, each.reason) for each in rejected) == sorted(
            (each["index"], each["reason"]) for each in answer["rejected"]
        )
        assert rejected
    else:
        assert rejected == []
        assert bool(accepted) == (reply.status == 200)


@fuzzing
@given(bodies(envelopes), st.integers(1, 2), st.sampled_from([50, 100, EVENT_MAX_BYTES]))
def test_the_careful_way_agrees_with_the_fast_way(body: bytes, partitions: int, event_max_bytes: int) -> None:
    """The typed decode of a batch, cut at its events, gives the same verdicts as looking at each event alone."""
    decoder = Decoder(Settings(event_max_bytes=event_max_bytes), partitions)
    fast, careful = decoder.batch(body), decoder._batch_carefully(body)
    assert type(fast) is type(careful)
    if isinstance(fast, Intake) and isinstance(careful, Intake):
        assert _shown(fast) == _shown(careful)
    else:
        assert fast == careful


@fuzzing
@given(bodies(st.one_of(good_events, events)), st.sampled_from(TYPES))
def test_a_plain_event_alone_is_judged_as_in_a_batch(body: bytes, type_: EventType) -> None:
    """The one typed decode of an event that is sent alone gives the verdict of the careful way."""
    decoder = Decoder(Settings(), 1)
    fast, careful = decoder.single(body, type_), decoder._single_carefully(body, type_)
    if isinstance(fast, Intake) and isinstance(careful, Intake):
        assert (fast.accepted, msgspec.to_builtins(fast.rejected)) == (
            careful.accepted, msgspec.to_builtins(careful.rejected)
        )  # fmt: skip
        assert [msgspec.json.decode(each) for each in fast.lanes[0]] == [
            msgspec.json.decode(each) for each in careful.lanes[0]
        ]
    else:
        assert fast == careful


@pytest.mark.parametrize("partitions", [1, 2])
@pytest.mark.parametrize("separators", [(",", ":"), (", ", ": ")])
@pytest.mark.parametrize("around", [{}, {"sentAt": "2024-01-01T00:00:00Z", "writeKey": "k", "x": ["]"]}])
def test_the_fast_way_is_taken(partitions: int, separators: tuple[str, str], around: dict[str, Any]) -> None:
    """Ordinary events never go the careful way, so that its cost is not theirs; nor do batches larger than an event."""
    event = {"type": "track", "event": "e", "userId": "u", "properties": {"a": [{}, {}], "b": "},{"}}
    body = json.dumps(around | {"batch": [event] * 900}, separators=separators).encode()
    assert len(body) > 2 * EVENT_MAX_BYTES

    class Fast(Decoder):
        def _batch_carefully(self, body: bytes) -> Intake | Answer:
            raise AssertionError(body[:100])

    intake = Fast(Settings(), partitions).batch(body)
    assert isinstance(intake, Intake)
    assert intake.accepted == 900


@fuzzing
@given(bodies(events))
@example(b'{"type":"page","userId":"u","x":' + b"[" * 63 + b"]" * 63 + b"}")
@example(b'{"type":"page","userId":"u","x":' + b"[" * 64 + b"]" * 64 + b"}")
def test_what_passes_can_be_read_by_everyone(body: bytes) -> None:
    """An accepted event decodes in the step and as plain JSON, and is no deeper than is allowed."""
    verdict = examine(body, EVENT_MAX_BYTES)
    if isinstance(verdict, Passed):
        event = msgspec.json.decode(verdict.body, type=Event)
        assert verdict.primary == str(event.userId if event.userId not in (None, "") else event.anonymousId)
        value = msgspec.json.decode(verdict.body)
        assert msgspec.json.decode(msgspec.json.encode(value)) == value
        assert _depth(value) <= JSON_MAX_DEPTH


@fuzzing
@given(bodies(envelopes), st.integers(1, 5))
def test_records_hold_every_event_once(body: bytes, partitions: int) -> None:
    """However many partitions: the records hold the accepted events, in order for each person, and the rejected."""
    intake = Decoder(Settings(), partitions).batch(body)
    if not isinstance(intake, Intake):
        return
    made = records(intake, "s", 5)
    decoded = [entry.decode(each) for lane in made.values() for each in lane]
    assert all(isinstance(each, Received) for each in decoded)
    assert sum(len(each.events) for each in decoded if isinstance(each, Received)) == intake.accepted
    assert [r for each in decoded if isinstance(each, Received) for r in each.rejected] == intake.rejected


@fuzzing
@given(st.lists(values, max_size=5), st.sampled_from(["", " ", "\n\t"]))
def test_splitting_is_parsing(items: list[Any], blank: str) -> None:
    """On sound JSON the tolerant splitter finds the same parts as a parser."""
    text = json.dumps(items, separators=(f"{blank},{blank}", f"{blank}:{blank}"))
    parts = split.elements(text.encode())
    assert isinstance(parts, list)
    assert [_same(json.loads(each)) for each in parts] == [_same(each) for each in json.loads(text)]
    body = json.dumps({str(n): each for n, each in enumerate(items)}).encode()
    members = split.members(body)
    assert isinstance(members, dict)
    assert list(members) == [b'"%d"' % n for n in range(len(items))]


def _shown(intake: Intake) -> Any:
    return (
        intake.write_keys, intake.sent_at_ms, intake.accepted,
        # Events that stayed together are parted again; of blanks between them nothing is promised.
        [[each for run in lane for each in _parted(bytes(run))] for lane in intake.lanes],
        [msgspec.to_builtins(each) for each in intake.rejected],
    )  # fmt: skip


def _parted(run: bytes) -> list[bytes]:
    return [bytes(each) for each in msgspec.json.decode(b"[%b]" % run, type=list[msgspec.Raw])]


def _depth(value: Any) -> int:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
    return 0 if inner is None else 1 + max(map(_depth, inner), default=0)


def _same(value: Any) -> str:
    return json.dumps(value)
