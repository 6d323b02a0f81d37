"""The timers that are measured are due when the plan says."""

from bench.timers import LONG, Plan, phases


def test_windows_expire_at_the_rates_of_the_plan() -> None:
    """One rate after the other, each as many as it says in its time, and the crowd in one millisecond."""
    plan = Plan(1_000, 0.0, ((10, 2), (100, 1)), 50)
    slow, quick, crowd = phases(plan, 5_000)
    assert [len(phase.due_ms) for phase in (slow, quick, crowd)] == [20, 100, 50]
    assert (slow.due_ms[0], slow.last_ms) == (5_000, 6_900)
    assert slow.last_ms < quick.first_ms
    assert quick.last_ms == quick.first_ms + 990
    assert set(crowd.due_ms) == {crowd.first_ms}


def test_most_timers_are_only_armed() -> None:
    """What is measured is few among a million."""
    looked_at = sum(len(phase.due_ms) for phase in phases(LONG, 0))
    assert looked_at * 5 < LONG.people == 1_000_000
