"""Receipts in collect's answers: they name where the events of the request are in the log."""

import pytest

from onefold.limits import RECORD_OFFSET_MAX
from onefold.model import receipt
from tests.unit.collect.asgi import BASIC, Door

LAST = RECORD_OFFSET_MAX - 1


@pytest.mark.parametrize(
    ("partitions", "lasts", "ends"),
    [
        ([0], {0: 0, 1: 9}, {0: 1}),
        ([3, 255], {3: 7, 255: LAST}, {3: 8, 255: LAST + 1}),
        (
            list(range(256)),
            dict.fromkeys(range(256), LAST),
            dict.fromkeys(range(256), LAST + 1),
        ),
    ],
)
def test_a_receipt_is_read_as_it_was_issued(partitions: list[int], lasts: dict[int, int], ends: dict[int, int]) -> None:
    """It names the partitions of the request alone, each up to the end of what it was committed with."""
    issued = receipt.issue(partitions, lasts).decode()
    assert receipt.read(issued) == ends
    assert len(issued) <= receipt.MAX_CHARS


def test_receipts_may_be_joined() -> None:
    """Several mean all of them; of one partition the farthest counts."""
    one, other = receipt.issue([0, 1], {0: 4, 1: 2}).decode(), receipt.issue([0], {0: 8}).decode()
    assert receipt.read(f"{one}, {other}") == receipt.read(f"{other},{one}") == {0: 9, 1: 3}


def test_collect_answers_with_a_receipt() -> None:
    """Whatever was stored has one that ends where the log does; other origins may read it; refusals have none."""
    door = Door()
    batch = [{"type": "track", "event": "A", "userId": f"u{n}"} for n in range(20)]
    for events in (batch, batch[:1], [*batch[:1], 5]):
        reply = door.post("/v1/batch", {"batch": events}, {"authorization": BASIC, "origin": "https://shop.example"})
        ends = receipt.read(reply.headers["onefold-receipt"])
        assert ends is not None
        assert ends == {partition: door.log.ends(partition)[1] for partition in ends}
        assert "onefold-receipt" in reply.headers["access-control-expose-headers"]
    assert "onefold-receipt" not in door.post("/v1/batch", {"batch": batch}, {}).headers


def test_requests_of_one_commit_share_its_end() -> None:
    """A receipt may say more than the request's own records, and never less."""
    door = Door(partitions=1)
    replies = door.all([("/v1/t", {"event": "A", "userId": "u"})] * 3)
    ends = [receipt.read(reply.headers["onefold-receipt"]) for reply in replies]
    assert ends == [{0: 1}, {0: 2}, {0: 3}]
