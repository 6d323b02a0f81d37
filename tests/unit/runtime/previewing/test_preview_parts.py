"""People taken some after others come to what all of them at once do, and merged people are of one part."""

from contextlib import closing

import pytest

from onefold.language.reading.check import checked
from onefold.language.sql.compile import Given, compile_sql
from onefold.limits import DAY_MS, PREVIEW_CELLS_MAX
from onefold.model.event import Event
from onefold.model.past import Past, PastMerge
from onefold.runtime.previewing.parts import EVERYBODY, copy_mentioned, copy_seen, find_roots, parts, share
from onefold.storage.history.asking import Asking, Means
from onefold.testing.memory.history import MemoryHistory
from onefold.testing.world import define

NOW_MS = 1_750_000_000_000
PEOPLE = 60


def _history() -> MemoryHistory:
    """Sixty profiles with two orders each, of which those above forty became those below."""
    pasts = [
        Past(0, n << 20 | k, n, NOW_MS - k * DAY_MS, NOW_MS, (n << 8 | k).to_bytes(16, "big"), "web", "Order", event)
        for n in range(1, PEOPLE + 1)
        for k, event in enumerate([Event("track", event="Order", properties={"revenue": n})] * 2)
    ]
    return MemoryHistory(pasts, [PastMerge(n, n - 40, 0, n, NOW_MS - 5) for n in range(41, PEOPLE + 1)])


@pytest.mark.parametrize("number", [1, 2, 7])
@pytest.mark.parametrize("mentioned_only", [True, False])
def test_parts_are_the_whole(number: int, mentioned_only: bool) -> None:  # noqa: FBT001 (a parameter of the test)
    """Each person is in one part, with all of their events, whoever they were before."""
    definitions = checked(define({"revenue": 'sum("Order", properties.revenue)', "seen": "events"}))
    plan = compile_sql({"": definitions})
    with closing(Asking(_history(), Means())) as asking:
        assert find_roots(asking, NOW_MS) == PEOPLE - 40
        assert copy_mentioned(asking, plan, [NOW_MS]) == 2 * PEOPLE
        copy_seen(asking, NOW_MS)
        given = Given(EVERYBODY.picked, EVERYBODY.seen, mentioned_only)
        whole = asking.rows(plan.values([NOW_MS], given))
        found = [asking.rows(plan.values([NOW_MS], part)) for part in parts(asking, given, number * PREVIEW_CELLS_MAX)]
        some = asking.rows(plan.values([NOW_MS], share(asking, given, 1)))
    assert len(found) == number
    assert sorted(row for rows in found for row in rows) == sorted(whole)
    assert len(whole) == 40
    assert set(some) < set(whole)
