"""State machines of delivery and breaker: every pair of state and event is either in the table or our own mistake."""

from itertools import product

import pytest

from onefold import limits
from onefold.model import delivery as deliveries
from onefold.model.delivery import Delivery
from onefold.runtime import backoff
from onefold.runtime.delivering import breaker
from onefold.runtime.delivering.breaker import Breaker
from onefold.runtime.delivering.throttle import Throttle


@pytest.mark.parametrize(("state", "event"), list(product(deliveries.STATES, deliveries.EVENTS)))
def test_delivery_moves_by_its_table(state: deliveries.State, event: deliveries.Event) -> None:
    """What is in the table happens; anything else is refused and changes nothing."""
    delivery = Delivery(1, "k", 1, "event", b"", state=state)
    if (state, event) in deliveries.TRANSITIONS:
        deliveries.move(delivery, event)
        assert delivery.state == deliveries.TRANSITIONS[state, event]
    else:
        with pytest.raises(KeyError):
            deliveries.move(delivery, event)
        assert delivery.state == state


@pytest.mark.parametrize("end", ["delivered", "expired"])
def test_all_states_lead_to_the_ends(end: str) -> None:
    """From every state but the other end there is a way to `delivered` and to `expired`, and none out of them."""
    reached = {end}
    while more := {state for (state, _), to in deliveries.TRANSITIONS.items() if to in reached} - reached:
        reached |= more
    assert reached | {"delivered", "expired"} == set(deliveries.STATES)
    assert end not in {state for state, _ in deliveries.TRANSITIONS}


def test_breaker_table_is_total_but_for_what_cannot_be() -> None:
    """Success and failure have an answer in every state; only a closed breaker trips, only an open one probes."""
    missing = set(product(breaker.STATES, breaker.EVENTS)) - set(breaker.TRANSITIONS)
    assert missing == {("open", "trip"), ("half_open", "trip"), ("closed", "probe"), ("half_open", "probe")}


def test_breaker_opens_probes_and_closes() -> None:
    """Ten failures open it, one probe goes out after BREAKER_PROBE_S, and its success closes it."""
    it = Breaker()
    assert [it.failed(0) for _ in range(limits.BREAKER_FAILURES)] == [False] * (limits.BREAKER_FAILURES - 1) + [True]
    probe_ms = int(limits.BREAKER_PROBE_S * 1000)
    assert not it.admits(probe_ms - 1)
    assert it.admits(probe_ms)
    assert not it.admits(probe_ms)
    it.failed(probe_ms)
    assert not it.admits(2 * probe_ms - 1)
    assert it.admits(2 * probe_ms)
    it.succeeded()
    assert (it.state, it.failures, it.admits(2 * probe_ms)) == ("closed", 0, True)


def test_throttle_halves_and_grows() -> None:
    """Throttling answers halve it down to one, successes raise it to its ceiling, Retry-After pauses it."""
    it = Throttle(8)
    it.failed(500, None, 0)
    assert it.limit == 8
    for limit in (4, 2, 1, 1):
        it.failed(429, None, 0)
        assert it.limit == limit
    for _ in range(20):
        it.succeeded()
    assert it.limit == 8
    it.failed(503, 10.0, 1000)
    assert not it.admits(10_999, 0)
    assert it.admits(11_000, 0)
    it.failed(429, 1e9, 0)
    assert it.paused_until_ms == limits.DELIVERY_RETRY_AFTER_MAX_S * 1000


@pytest.mark.parametrize("attempts", range(1, 12))
def test_waits_are_jittered_within_the_schedule(attempts: int) -> None:
    """A wait is between nothing and its schedule; Retry-After is kept; after the last comes None."""
    if attempts > len(limits.DELIVERY_RETRY_SCHEDULE_S):
        assert backoff.wait_ms(attempts, 0.5, 5) is None
        return
    most_ms = limits.DELIVERY_RETRY_SCHEDULE_S[attempts - 1] * 1000
    assert backoff.wait_ms(attempts, 0.0) == 1
    assert backoff.wait_ms(attempts, 0.5) == most_ms // 2
    assert backoff.wait_ms(attempts, 0.0, 3.0) == 3000
    assert backoff.wait_ms(attempts, 0.0, 1e12) == limits.DELIVERY_RETRY_AFTER_MAX_S * 1000
