"""Batches that the kernel judges against Python's judgement: the same answers, and the same bytes in the log."""

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onefold import kernel
from onefold.collect.answer import Answer
from onefold.collect.decode import Decoder, Intake
from onefold.collect.record import records
from onefold.limits import EVENT_MAX_BYTES, EVENT_NAME_MAX_CHARS, MESSAGE_ID_MAX_CHARS, RECORD_SPLIT_BYTES
from onefold.model.event import EventType
from onefold.settings import Settings
from tests.property.test_collect import bodies, envelopes, fuzzing

pytestmark = pytest.mark.skipif(kernel.native is None, reason=kernel.found.standing)

KINDS: tuple[EventType, ...] = ("track", "page", "screen", "identify", "group", "alias")
SCALARS = (
    "0", "-0", "1.5", "-7", "1e2", "1E+05", "1e-300", "1e308", "1e309", "-1e400", "1e0099", "01", "1.", ".5", "+1",
    "--1", "NaN", "Infinity", "123456789012345678", "1234567890123456789", "9" * 30, "0." + "1" * 40, "9" * 400 + ".5",
    "true", "false", "null", "nul", '""', '"shoes"', '"a\\"b\\\\c\\/\\n"', '"\\u00e9"', '"\\ud83d\\ude00"',
    '"\\ud83d"', '"\\ude00\\ud83d"', '"\\ud83dx"', '"\\ud83d\\u0041"', '"\\u12g4"', '"\\x41"', '"\\u0000"', '"\x01"',
    '"tab\there"', '"größe"', '"\U0001f600"', '"]},{["',
)  # fmt: skip
NESTED = (
    "{}", '{"a":[1,{"b":"c"}]}', "[]", "[1,[2,[3]]]", '{"a":{"b":[1,{"c":{}}]}}', '{"a":1,"a":"2"}', '{"a":[[[[]]]]}',
    '{"a":[[[[[]]]]]}', "[1,]", '{"a":1,}', '{"a" 1}', "{1:2}", "[1 2]", '{"\\ud800":1}', '{"\\u0061":1,"größe":[ ]}',
    '{"a":[[[[{}]]]]}', '{"x":[{},{}],"y":[null]}',
)  # fmt: skip
IDS = ('"u1"', '"u2"', '"  "', '""', "null", "7", "-3", "0", "-0", "9223372036854775807", "9223372036854775808", "1.5",
       "true", '"ü"', '"\\u00fc"', '"a\\"b"', '["u1"]')  # fmt: skip
TIMES = (
    '"2025-06-15T15:06:40.000Z"', '"2025-06-15T17:06:40+02:00"', '"2025-06-15T15:06:40"', '"2025-02-29T00:00:00Z"',
    '"2025-06-15"', '"0001-01-01T00:00:00+23:59"', '"9999-12-31T23:59:59.999999Z"', '"9999-12-31T23:59:59-10:00"',
    '"2025-06-15T23:59:60Z"', '"2025-06-15T15:06:40.1234567Z"', '"2025-06-15T15:06:40+24:00"',
    '"\\u0032025-06-15T15:06:40Z"', "null", "5", '""',
)  # fmt: skip


def _long(most: int) -> tuple[str, ...]:
    return f'"{"x" * most}"', f'"{"x" * (most + 1)}"', f'"{"ü" * most}"', f'"{"ü" * (most + 1)}"'


FIELDS: dict[str, tuple[str, ...]] = {
    "type": ('"track"', '"page"', '"identify"', '"screen"', '"group"', '"alias"', '"other"', "null", '"tr\\u0061ck"'),
    "event": ('"Order Completed"', '"Ansicht ü"', '"\\u0041"', '""', "null", "3", *_long(EVENT_NAME_MAX_CHARS)),
    "messageId": ('"m1"', '"m2"', '""', "null", "5", *_long(MESSAGE_ID_MAX_CHARS)),
    "userId": IDS, "anonymousId": IDS, "previousId": IDS, "groupId": IDS,
    "timestamp": TIMES, "originalTimestamp": TIMES, "sentAt": TIMES,
    "name": ('"a"', '"a\\"b"', *SCALARS), "category": ('"ü"', "null", *SCALARS),
    "channel": ('"web"', *SCALARS, *NESTED), "version": SCALARS, "receivedAt": SCALARS, "rudderId": SCALARS,
    "properties": NESTED, "traits": NESTED, "context": NESTED,
    "integrations": ("{}", "true", '{"All":false}', "null", *NESTED),
    "_metadata": ("{}", '{"a":[[1]]}', *NESTED, *SCALARS),
}  # fmt: skip
STRANGE = {"writeKey": ('"k"',), "x": ("1",), "user\\u0049d": ('"u1"',)}
"""Fields that are not plainly sound."""


class Sender:
    """Bodies of batches, nearly all of them sound, from a seed."""

    def __init__(self, seed: int) -> None:
        self._chance = random.Random(seed)

    def body(self) -> bytes:
        """A batch with some envelope, now and then damaged."""
        one, chance = self._chance.choice, self._chance.random
        comma = one((",", ",", ", ", " ,\n\t"))
        text = comma.join(self._event() for _ in range(self._chance.choice((0, 1, 2, 3, 12))))
        text = f'"batch":{one(("", " "))}[{one(("", " "))}{text}{one(("", " "))}]'
        around = (
            '"sentAt":"2025-06-15T15:06:40.000Z"',
            '"writeKey":"k"',
            '"x":["]"]',
            '"context":{}',
            '"context":{"a":1}',
        )
        members = [*(each for each in around[: 3 if chance() < 0.9 else 5] if chance() < 0.3), text]
        self._chance.shuffle(members)
        text = f"{{{comma.join(members)}}}"
        if chance() < 0.1:
            place = self._chance.randrange(len(text))
            text = text[:place] + one(('"', "{", "]", "\\", "0", "\x01", ",", "}", "")) + text[place + 1 :]
        body = text.encode()
        if chance() < 0.05:
            place = self._chance.randrange(len(body))
            body = body[:place] + bytes([self._chance.randrange(128, 256)]) + body[place + 1 :]
        return body

    def alone(self) -> bytes:
        """One event, now and then with something around it."""
        around = self._chance.choice(("", "", "", "", " ", "\n", ",", "{}"))
        return (
            f"{around}{self._event()}".encode() if self._chance.random() < 0.5 else f"{self._event()}{around}".encode()
        )

    def _event(self) -> str:
        one, chance = self._chance.choice, self._chance.random
        sound = {"type": '"track"', "event": '"Order Completed"', "userId": one(IDS[:2]), "anonymousId": one(IDS[:2])}
        members = {name: value for name, value in sound.items() if name == "type" or chance() < 0.9}
        for name, values in FIELDS.items():
            if chance() < 0.15:
                members[name] = one(values[:2])
            if chance() < 0.01:
                members[name] = one(values)
        if chance() < 0.02:
            name, values = one(list(STRANGE.items()))
            members[name] = one(values)
        if chance() < 0.2:
            members["properties"] = f'{{"a":{one(SCALARS[:6])},"b":{one(SCALARS if chance() < 0.1 else SCALARS[:6])}}}'
        items = [f'"{name}":{value}' for name, value in members.items()]
        if chance() < 0.02:
            items.append(one(items))
        self._chance.shuffle(items)
        return f"{{{one((',', ', ')).join(items)}}}"


def shown(found: Intake | Answer) -> Any:
    """What becomes of it: records, byte for byte, or the answer."""
    if isinstance(found, Answer):
        return found
    return records(found, "web", 5), found.write_keys, found.sent_at_ms, found.accepted, found.rejected, found.size


def pair(partitions: int, event_max_bytes: int = EVENT_MAX_BYTES, batch_max_events: int = 2_500) -> list[Decoder]:
    """A decoder with the kernel, and one without."""
    settings = Settings(event_max_bytes=event_max_bytes, batch_max_events=batch_max_events)
    return [Decoder(settings, partitions, native) for native in (kernel.native, None)]


def natively(decoder: Decoder, body: bytes) -> bool:
    """Whether the kernel takes all of it."""
    return decoder._batch_natively(body, len(body)) is not None


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("partitions", [1, 3])
def test_batches_are_judged_as_python_judges_them(seed: int, partitions: int) -> None:
    """Events right and wrong, at the edges of every limit: the same answers and records; many are the kernel's."""
    sender, taken = Sender(seed), 0
    for event_max_bytes in (150, 300, EVENT_MAX_BYTES):
        mine, theirs = pair(partitions, event_max_bytes, batch_max_events=11)
        for _ in range(60):
            body = sender.body()
            taken += natively(mine, body)
            assert shown(mine.batch(body)) == shown(theirs.batch(body)), body
    assert taken > 20


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("partitions", [1, 3])
def test_events_that_are_sent_alone_are_judged_the_same(seed: int, partitions: int) -> None:
    """One event a request, of the kind that the path says or of another: as Python judges it."""
    sender, taken = Sender(seed), 0
    for event_max_bytes in (150, EVENT_MAX_BYTES):
        mine, theirs = pair(partitions, event_max_bytes)
        for _ in range(100):
            body = sender.alone()
            for kind in KINDS:
                assert shown(mine.single(body, kind)) == shown(theirs.single(body, kind)), body
                taken += mine._judge.event(body, kind) is not None
    assert taken > 20


@fuzzing
@given(bodies(envelopes), st.integers(1, 3), st.sampled_from([50, 100, EVENT_MAX_BYTES]))
def test_whatever_comes_is_judged_the_same(body: bytes, partitions: int, event_max_bytes: int) -> None:
    """JSON of any kind, damaged or not."""
    mine, theirs = pair(partitions, event_max_bytes)
    assert shown(mine.batch(body)) == shown(theirs.batch(body))


@pytest.mark.parametrize("name", [*FIELDS, *STRANGE])
@pytest.mark.parametrize("partitions", [1, 3])
def test_every_value_of_every_field(name: str, partitions: int) -> None:
    """One field at a time, with everything that is tried of any field."""
    mine, theirs = pair(partitions)
    for value in (*(FIELDS | STRANGE)[name], *IDS, *TIMES, *SCALARS, *NESTED):
        rest = {"type": '"track"', "event": '"e"', "userId": '"u"', "anonymousId": '"a"', name: value}
        members = ",".join(f'"{each}":{said}' for each, said in rest.items())
        body = f'{{"batch":[{{{members}}},{{"type":"page","userId":"v"}}]}}'.encode()
        assert shown(mine.batch(body)) == shown(theirs.batch(body)), body


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("partitions", [1, 3])
def test_ordinary_events_are_the_kernels(kind: EventType, partitions: int) -> None:
    """Nothing of what SDKs usually send is left to Python, whatever its kind and its letters."""
    event = f"""{{"type":"{kind}","event":"Ansicht","userId":"größe","anonymousId":7,"groupId":"g","previousId":"p",
        "messageId":"m","timestamp":"2025-06-15T15:06:40.000Z",
        "properties":{{"url":"https:\\/\\/a.b","price":1.5e3,"a":[{{"b":"\\ud83d\\ude00"}}]}},
        "context":{{"library":{{"name":"analytics.js"}}}},"integrations":{{"All":true}},"_metadata":{{"n":[]}}}}"""
    body = f'{{"sentAt":"2025-06-15T15:06:40.000Z","batch":[{",".join([event] * 5)}]}}'.encode()
    mine, theirs = pair(partitions)
    assert natively(mine, body)
    assert shown(mine.batch(body)) == shown(theirs.batch(body))
    assert mine._judge.event(event.encode(), kind) is not None
    assert shown(mine.single(event.encode(), kind)) == shown(theirs.single(event.encode(), kind))


@pytest.mark.parametrize("partitions", [1, 2])
def test_what_makes_several_records_is_parted_the_same(partitions: int) -> None:
    """An import larger than a record is Python's; one that just fits is the kernel's."""
    event = b'{"type":"group","userId":"u","groupId":"%s"}' % (b"x" * 3_000)
    mine, theirs = pair(partitions)
    for count in (RECORD_SPLIT_BYTES // len(event) - 1, RECORD_SPLIT_BYTES // len(event) + 2):
        body = b'{"batch":[%b]}' % b",".join([event] * count)
        assert natively(mine, body) == (len(body) <= RECORD_SPLIT_BYTES)
        assert shown(mine.batch(body)) == shown(theirs.batch(body))
