"""How many events a source may send: buckets that fill at the source's rate and may run into debt."""

from hypothesis import given
from hypothesis import strategies as st

from onefold.collect.rate import Rates
from onefold.settings import Settings
from onefold.testing.clock import ManualClock
from tests.unit.collect.asgi import Door

SENT = st.lists(st.tuples(st.integers(0, 5_000), st.integers(1, 300)), max_size=60)
"""Milliseconds to wait, then events in one request."""


def test_without_a_rate_nothing_is_limited_or_kept() -> None:
    """The default costs one look."""
    rates = Rates(0, 0, ManualClock())
    assert [rates.take("shop", 10**9) for _ in range(3)] == [0, 0, 0]
    assert rates.limited == {}


def test_a_burst_passes_and_then_the_rate_holds() -> None:
    """After its burst a source waits until its rate has made room; the refused are counted."""
    clock = ManualClock()
    rates = Rates(10, 20, clock)
    assert [rates.take("shop", 1) for _ in range(21)] == [0] * 20 + [1]
    clock.advance(100)
    assert rates.take("shop", 5) == 0
    clock.advance(399)
    assert rates.take("shop", 7) == 1
    clock.advance(2)
    assert rates.take("shop", 1) == 0
    assert rates.limited == {"shop": 8}


def test_a_large_batch_passes_and_is_paid_back() -> None:
    """No batch is too large for ever; `Retry-After` says when its debt is paid."""
    clock = ManualClock()
    rates = Rates(10, 0, clock)
    assert rates.take("shop", 100) == 0
    assert rates.take("shop", 1) == 9
    clock.advance(9_001)
    assert rates.take("shop", 100) == 0


def test_sources_do_not_share() -> None:
    """One that floods takes nothing from another."""
    rates = Rates(1, 1, ManualClock())
    assert rates.take("loud", 1000) == 0
    assert rates.take("loud", 1) > 0
    assert rates.take("quiet", 1) == 0


@given(SENT, st.integers(1, 200), st.integers(0, 500))
def test_never_more_than_the_rate_and_never_less(sent: list[tuple[int, int]], per_s: int, burst: int) -> None:
    """In any run what passes is at most burst + rate * time + one request; who comes back when told passes."""
    clock = ManualClock()
    rates = Rates(per_s, burst, clock)
    passed = refused = 0
    for wait_ms, events in sent:
        clock.advance(wait_ms)
        allowed = (burst or per_s) + per_s * clock.monotonic_s()
        if wait_s := rates.take("shop", events):
            refused += events
            later = ManualClock()
            later.advance(int(clock.monotonic_s() * 1000) + wait_s * 1000 + 1)
            again = Rates(per_s, burst, later)
            again._full_at_s = dict(rates._full_at_s)  # as if that time had passed
            assert again.take("shop", 1) == 0
        else:
            assert passed < allowed + 1e-6
            passed += events
    assert rates.limited.get("shop", 0) == refused


def test_collect_answers_429_with_retry_after() -> None:
    """A source over its rate is told when to come back; nothing of the request is kept, bad events count too."""
    door = Door(Settings(source_events_per_s=2, source_burst_events=4))
    batch = {"batch": [{"type": "page", "userId": "u"}] * 9 + [{"type": "page"}]}
    page = {"userId": "u"}
    first, second, third, pixel = door.all(
        [("/v1/batch", batch), ("/v1/page", page), ("/v1/b", batch), ("/v1/p", page)]
    )
    assert first.status == 200
    assert (second.status, second.json["code"], second.headers["retry-after"]) == (429, "rate_limited", "3")
    assert (third.status, pixel.status) == (429, 429)
    assert len(door.events()) == 9
