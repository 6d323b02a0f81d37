"""A preview says what applying would do: compared with counting by hand over the same history."""

import threading
from typing import Any

import pytest
from msgspec import structs

from onefold.errors import Cancelled, DefinitionError, NotFoundError
from onefold.limits import DAY_MS
from onefold.model.definitions import Audience, Definitions, Destination, Trait
from onefold.model.event import Event
from onefold.model.past import Past, PastMerge
from onefold.model.position import show
from onefold.runtime.previewing import days as preview_days
from onefold.runtime.previewing.preview import Preview, Question, preview
from onefold.storage.history.asking import Asking, Means
from onefold.testing.memory.history import MemoryHistory
from onefold.testing.world import define

NOW_MS = 1_750_000_000_000


def _bought(profile: int, days_ago: int, revenue: float = 10) -> Past:
    at_ms = NOW_MS - days_ago * DAY_MS
    number = profile << 20 | days_ago
    event = Event("track", event="Order", properties={"revenue": revenue})
    return Past(0, number, profile, at_ms, at_ms, number.to_bytes(16, "big"), "web", "Order", event)


def _history() -> MemoryHistory:
    """Person n, of 1 to 40, has bought n days ago, and each third also today."""
    pasts = [_bought(person, person) for person in range(1, 41)]
    pasts += [_bought(person, 0, revenue=100) for person in range(3, 41, 3)]
    return MemoryHistory(pasts)


BEFORE = define({"orders": 'count("Order")'}, {"recent": 'count("Order", within="10d") > 0', "anyone": "orders > 0"})
AFTER = define(
    {"orders": 'count("Order")', "spent": 'sum("Order", properties.revenue)'},
    {
        "recent": 'count("Order", within="5d") > 0',
        "anyone": "orders > 0",
        "rich": "spent > 100",
        "quiet": 'count("Order", within="5d") == 0',
    },
)


def _ask(
    before: Definitions = BEFORE, after: Definitions = AFTER, history: MemoryHistory | None = None, **more: Any
) -> Preview:
    return preview(history or _history(), Question(before, after, NOW_MS, **more))


def test_what_changes_is_counted() -> None:
    """New and changed audiences are counted, with who enters and leaves; what means the same is left alone."""
    found = {one.name: one for one in _ask().audiences}
    assert found.keys() == {"recent", "rich", "quiet"}
    recent = found["recent"]
    thirds = {*range(3, 41, 3)}
    new, old = {1, 2, 3, 4} | thirds, {*range(1, 10)} | thirds
    assert (recent.change, recent.people, recent.before) == ("changed", len(new), len(old))
    assert (recent.enters.people, recent.leaves.people) == (0, len(old - new))
    assert {one.id for one in recent.leaves.samples} == {show(person) for person in old - new}
    assert (found["rich"].change, found["rich"].people, found["rich"].before) == ("new", len(thirds), None)
    assert found["quiet"].people == 40 - len(new)
    assert _ask().people == 40


def test_overlaps_traits_and_samples() -> None:
    """An audience is held against all others, and its people are shown with the traits that it names."""
    rich = next(one for one in _ask(samples=3).audiences if one.name == "rich")
    assert [(one.audience, one.people) for one in rich.overlaps] == [("anyone", 13), ("recent", 13)]
    assert len(rich.samples) == 3
    assert all(repr(one.traits) == "{'spent': 110}" for one in rich.samples)
    assert rich.traits == ["spent"]


def test_the_days_behind_are_what_each_day_would_have_said() -> None:
    """Each day counts what had happened by then, the last one is now; also where nobody is mentioned."""
    found = {one.name: one.movement for one in _ask(days=30).audiences}
    assert {movement.share for movement in found.values()} == {1.0}
    for name in ("recent", "quiet"):
        for days_ago, day in zip(range(30, -1, -1), found[name].days, strict=True):
            recent = {person for person in range(1, 41) if days_ago <= person < days_ago + 5}
            recent |= {*range(3, 41, 3)} if days_ago == 0 else set()
            there = {person for person in range(1, 41) if person >= days_ago}
            expected = recent if name == "recent" else there - recent
            assert day == preview_days.Day(NOW_MS - days_ago * DAY_MS, len(expected)), (name, days_ago)


def test_one_audience_and_what_hangs_on_it() -> None:
    """One audience is previewed by name though it stays the same; a changed trait changes who names it."""
    told = Destination("crm", url="https://crm.example", audiences=("anyone",))
    after = Definitions(
        traits=(Trait("orders", 'count("Order", within="1d")'),),
        audiences=(Audience("anyone", "orders > 0"),),
        destinations=(told, Destination("everything", audiences=("*",)), Destination("none")),
    )
    (changed,) = [one for one in _ask(after=after).audiences if one.change == "changed"]
    assert (changed.name, changed.traits, changed.destinations) == ("anyone", ["orders"], ["crm", "everything"])
    (same,) = _ask(after=BEFORE, audience="recent").audiences
    assert (same.change, same.people, same.enters.people) == ("same", same.before, 0)
    (gone,) = [one for one in _ask(after=after).audiences if one.change == "gone"]
    assert (gone.name, gone.people, gone.leaves.people) == ("recent", 0, gone.before)
    assert _ask(after=BEFORE).audiences == []


def test_audiences_that_read_accounts_are_counted() -> None:
    """Each person by what their account's events make, on each day; an account that means something else moves them."""
    pasts = []
    for person in range(1, 41):
        past = _bought(person, person)
        context = {"groupId": f"g{person % 4}"} if person <= 20 else {}
        pasts.append(structs.replace(past, event=structs.replace(past.event, context=context)))
    definitions = Definitions(
        account_traits=(Trait("bought", 'sum("Order", properties.revenue, within="10d")'),),
        audiences=(Audience("lively", "account.bought >= 30"), Audience("alone", "not exists(account.id)")),
    )
    stricter = structs.replace(definitions, account_traits=(Trait("bought", 'sum("Order", properties.revenue)'),))
    history = MemoryHistory(pasts)
    found = {one.name: one for one in _ask(Definitions(), definitions, history, days=10).audiences}
    groups = {group: [n for n in range(1, 10) if n % 4 == group] for group in range(4)}
    lively = [person for person in range(1, 21) if len(groups[person % 4]) >= 3]
    assert (found["lively"].people, found["alone"].people) == (len(lively), 20)
    then = {group: [n for n in range(10, 20) if n % 4 == group] for group in range(4)}
    earlier = [person for person in range(10, 21) if len(then[person % 4]) >= 3]
    assert found["lively"].movement.days[0].people == len(earlier)
    (changed,) = _ask(definitions, stricter, history).audiences
    assert (changed.name, changed.change, changed.before, changed.people) == ("lively", "changed", len(lively), 20)


def test_questions_that_cannot_be_asked() -> None:
    """An unknown audience is named with the nearest; definitions with mistakes are refused."""
    with pytest.raises(NotFoundError, match="did you mean 'recent'"):
        _ask(audience="recemt")
    with pytest.raises(DefinitionError, match="unknown"):
        _ask(after=define({"t": "unknown_name + 1"}))


def test_merged_people_are_one() -> None:
    """Whoever has been merged is counted once, as of each day."""
    history = MemoryHistory([_bought(1, 20), _bought(2, 20)], [PastMerge(2, 1, 0, 0, NOW_MS - DAY_MS)])
    (found,) = _ask(define({}), define({}, {"a": 'count("Order") > 0'}), history, days=3).audiences
    assert [day.people for day in found.movement.days] == [2, 2, 1, 1]
    (found,) = _ask(define({}), define({}, {"a": 'count("Other") == 0'}), history, days=3).audiences
    assert [day.people for day in found.movement.days] == [2, 2, 1, 1]


def test_a_preview_can_be_ended() -> None:
    """Whoever asked can end it from another thread, and it ends by itself after its time."""
    asking = Asking(_history(), Means())
    forever = "SELECT count(*) FROM range(1000000000) a, range(1000000000) b WHERE a.range * b.range % 7 = 3"
    threading.Timer(0.2, asking.cancel).start()
    with pytest.raises(Cancelled):
        asking.rows(forever)
    asking.close()
    asking = Asking(_history(), Means(timeout_s=0.2))
    with pytest.raises(Cancelled, match=r"longer than 0\.2 s"):
        asking.rows(forever)
    asking.close()


def test_what_has_no_sql_is_counted_too() -> None:
    """A construct without SQL is computed in Python, beside others; a random share is left out, with the reason."""
    audiences = {
        "twice": 'sequence("Order", then="Order", within="50d")',
        "big_last": 'case(last("Order", properties.revenue) > 50, true, false) == true',
        "some": 'random_share("test", 10)',
    }
    found = _ask(define({}), define({}, audiences), days=2)
    thirds = len(range(3, 41, 3))
    assert {one.name: one.people for one in found.audiences} == {"twice": thirds, "big_last": thirds}
    assert [day.people for day in found.audiences[0].movement.days] == [0, 0, thirds]
    assert "random_share" in found.left_out["some"]
