"""Lanes: one after the other within a profile, and no lane is ever forgotten."""

from onefold.model.delivery import Delivery
from onefold.runtime.delivering.lanes import Lanes

PROFILE = 7


def delivery(seq: int) -> Delivery:
    """A delivery of the one profile here."""
    return Delivery(seq, f"msg_{seq}", PROFILE, "event", b"{}")


def test_a_lane_goes_on_with_what_came_before_the_one_that_failed() -> None:
    """While one is under way an earlier one is queued, by a replay or after a crash; when that one fails, it is next.

    After a crash a kept delivery may be under way before those in front of it are taken again from the effects.
    """
    lanes = Lanes()
    earlier, later = delivery(1), delivery(2)
    lanes.add(later)
    assert lanes.has_ready(0)
    assert lanes.take() is later
    lanes.add(earlier)
    assert not lanes.has_ready(0)
    later.due_ms = 1_000
    lanes.again(later)
    assert lanes.next_due_ms() == 0
    assert lanes.has_ready(0)
    assert lanes.take() is earlier
    lanes.finish(earlier)
    assert not lanes.has_ready(999)
    assert lanes.next_due_ms() == 1_000
    assert lanes.has_ready(1_000)
    assert lanes.take() is later
