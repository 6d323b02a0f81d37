"""Cutting the events out of a batch: cuts that cannot be right do not decode, or are not made."""

import msgspec
import pytest

from onefold.collect.answer import Answer
from onefold.collect.decode import Decoder, Intake
from onefold.collect.runs import array, cut
from onefold.settings import Settings

EVENT = b'{"type":"page","userId":"u"}'


def test_the_parts_make_the_body() -> None:
    """The envelope keeps all that is around the events, and the runs are the events."""
    body = b'{"a":1, "batch" : [ {} , {"b":[]}\t], "c":"x"}'
    parts = cut(body, 100)
    assert parts is not None
    assert parts.envelope == b'{"a":1, "batch" : [], "c":"x"}'
    assert [array(body, run) for run in parts.runs] == [b'[ {} , {"b":[]}\t]']


@pytest.mark.parametrize("between", [b",", b", "])
def test_no_run_is_longer_than_an_event_may_be(between: bytes) -> None:
    """What does not fit is cut between events, so that whatever decodes holds no event that is too large."""
    events = between.join([EVENT] * 7)
    body = b'{"batch":[%b]}' % events
    parts = cut(body, 3 * len(EVENT))
    assert parts is not None
    assert [len(msgspec.json.decode(array(body, run))) for run in parts.runs] == [2, 2, 2, 1]
    assert all(end - begin <= 3 * len(EVENT) for begin, end in parts.runs)
    uncut = cut(body, len(EVENT) - 1)
    assert uncut is not None
    assert [array(body, run) for run in uncut.runs] == [b"[%b]" % events]


@pytest.mark.parametrize(
    ("body", "accepted"),
    [
        (b'{"x":{"batch":[{"type":"page","userId":"no"}]},"batch":[%b]}', 1),
        (b'{"batch":[%b],"x":{"batch":[{"type":"page","userId":"no"}]}}', 1),
        (b'{"batch":[{"type":"page","userId":"no"}],"batch":[%b,%b]}', 2),
        (b'{"batch":[{"type":"page","userId":"no"}],"b\\u0061tch":[%b,%b]}', 2),
        (b'{"x":"\\"batch\\":[","batch":[%b]}', 1),
        (b'{"batch":[%b],"x":["]"]}', 1),
        (b'{"batch":[%b],"x":[[{"type":"page","userId":"no"}]]}', 1),
        (b'{"batch":[%b],"x":"],{}"}', 1),
        (b'{"batch":null,"x":[%b]}', None),
        (b'{"x":{"batch":[%b]}}', None),
        (b'[{"batch":[%b]}]', None),
        (b'{"batch":[[%b]]}', 0),
        (b'{"batch":[%b,]}', 1),
        (b'{"batch":[%b}]', None),
    ],
)
@pytest.mark.parametrize("partitions", [1, 2])
def test_where_the_batch_is_not_where_it_seems(body: bytes, accepted: int | None, partitions: int) -> None:
    """Only the events of the outermost `batch`, the last of that name, are taken; None: the request is refused."""
    taken = Decoder(Settings(), partitions).batch(body.replace(b"%b", EVENT))
    if accepted is None:
        assert isinstance(taken, Answer)
        return
    assert isinstance(taken, Intake)
    assert taken.accepted == accepted
    assert b"".join(bytes(each) for lane in taken.lanes for each in lane).replace(b",{", b"{") == EVENT * accepted
