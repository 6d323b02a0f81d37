"""Explanations, told as short stories over a platform in memory."""

from collections.abc import Mapping
from typing import Any

import pytest

from onefold.core.explaining.explain import explain, present, unsettled
from onefold.errors import NotFoundError
from onefold.language import nodes as n
from onefold.language.stream.probe import probed
from onefold.limits import DAY_MS, HOUR_MS, MINUTE_MS, TURNS_MAX
from onefold.model.definitions import Definitions
from onefold.model.explanation import Explanation, Part
from onefold.model.past import Past
from onefold.model.rules import Rules
from onefold.runtime.past.person_events import PersonEvents
from onefold.testing.memory.history import MemoryHistory
from onefold.testing.world import World, define, identify, track

SHOP = define(
    {
        "carts_1h": 'count("Product Added", within="1h")',
        "orders": 'count("Order Completed")',
        "revenue": 'sum("Order Completed", properties.revenue)',
        "dearest": 'max("Order Completed", properties.revenue)',
        "categories": 'unique("Product Viewed", properties.category)',
        "average": "revenue / orders",
    },
    {
        "abandoners": 'carts_1h > 0 and count("Order Completed", within="1h") == 0',
        "vip": 'orders >= 2 or (average > 100 and traits.plan == "gold")',
        "lapsing": 'last_seen < ago("30d")',
    },
)


def pasts(world: World, who: str = "user_id:u") -> list[Past]:
    """All events of a person."""
    sources = PersonEvents(MemoryHistory(), world.reader, world.state, lambda _: Rules())
    return sources.of(world.profile(who))


def why(
    world: World, name: str, definitions: Definitions = SHOP, *, since: Mapping[str, int] | None = None, skip: int = 0
) -> Explanation:
    """An explanation at the world's present; `skip`: so many events are not kept any more."""
    found = sorted(pasts(world), key=lambda past: past.position)[skip:]
    return explain(probed(definitions, name), world.profile("user_id:u"), found, world.now_ms, since)


def part(found: Explanation, text: str) -> Part:
    """The part that reads so, in the answer or in what it rests on."""
    for each in (found.answer, *found.rests_on):
        for one in each.whole.walk():
            if one.text == text:
                return one
    raise AssertionError(text)


def shopping() -> World:
    """Somebody looks, orders twice, and puts something into the cart."""
    world = World(SHOP)
    world.send(identify(user="u", traits={"plan": "silver"}))
    for category in ("shoes", "hats", "shoes"):
        world.pass_time(MINUTE_MS)
        world.send(track("Product Viewed", user="u", properties={"category": category}))
    world.send(track("Order Completed", user="u", properties={"revenue": 120}))
    world.pass_time(2 * HOUR_MS)
    world.send(track("Order Completed", user="u", properties={"revenue": 40.5}))
    world.pass_time(2 * HOUR_MS)
    world.send(track("Product Added", user="u"))
    world.fold()
    world.pass_time(MINUTE_MS)
    return world


def test_each_condition_has_its_numbers_and_events() -> None:
    """An audience is shown with both sides of every comparison, its traits, and the events behind each."""
    found = why(shopping(), "abandoners")
    assert (found.answer.value, found.answer.whole.kind, found.since_ms) == (True, "and", found.at_ms - MINUTE_MS)
    left, right = found.answer.whole.parts
    assert (left.text, left.value, [side.value for side in left.parts]) == ("carts_1h > 0", True, [1, 0])
    assert (right.value, [side.value for side in right.parts]) == (True, [0, 0])
    orders = right.parts[0].evidence
    assert orders is not None
    assert (orders.named, orders.within, orders.counted, orders.grounds) == (2, 0, 0, ())
    assert orders.from_ms == found.at_ms - HOUR_MS
    (carts,) = found.rests_on
    assert (carts.name, carts.value, carts.expression) == ("carts_1h", 1, SHOP.traits[0].expression)
    (ground,) = found.grounds
    assert (ground.name, ground.at_ms, ground.source) == ("Product Added", found.at_ms - MINUTE_MS, "web")


def test_the_instant_at_which_it_turns_is_the_very_next_one() -> None:
    """The audience is left when the window ends, and each part says when it turns itself."""
    world = shopping()
    found = why(world, "abandoners")
    ends_ms = world.now_ms - MINUTE_MS + HOUR_MS
    assert found.answer.turn is not None
    assert (found.answer.turn.at_ms, found.answer.turn.value) == (ends_ms, False)
    counted = part(found, 'count("Product Added", within="1h")')
    assert counted.turn is not None
    assert (counted.turn.at_ms, counted.turn.value) == (ends_ms, 0)
    assert part(found, 'count("Order Completed", within="1h") == 0').turn is None
    assert why(world, "vip").answer.turn is None


def test_a_moving_comparison_turns_at_its_millisecond() -> None:
    """Who was last seen just now is lapsing one millisecond after thirty days."""
    found = why(shopping(), "lapsing")
    assert found.answer.turn is not None
    assert found.answer.turn.at_ms == found.at_ms - MINUTE_MS + 30 * DAY_MS + 1
    (seen,) = (one for one in found.answer.whole.parts if one.kind == "builtin")
    assert (seen.instant, seen.value) == (True, found.at_ms - MINUTE_MS)
    assert [ground.name for ground in found.grounds] == ["Product Added"]


def test_only_what_decided_is_listed() -> None:
    """A maximum rests on one event, a list on one of each value, a sum on all; of an `or` one true side suffices."""
    world = shopping()
    assert [ground.value for ground in why(world, "dearest").grounds] == [None]
    (dearest,) = why(world, "dearest").answer.whole.walk()
    assert dearest.evidence is not None
    assert [ground.value for ground in dearest.evidence.grounds] == [120]
    assert len(why(world, "categories").grounds) == 2
    assert len(why(world, "revenue").grounds) == 2
    vip = why(world, "vip")
    assert [ground.name for ground in vip.grounds] == ["Order Completed"] * 2
    declared = part(vip, "traits.plan").evidence
    assert declared is not None
    assert [ground.name for ground in declared.grounds] == ["identify"]


def test_columns_lead_back_to_the_expression() -> None:
    """A part's columns cut its text out of the expression."""
    found = why(shopping(), "vip")
    for one in found.answer.whole.walk():
        assert found.answer.expression[one.column : one.end] == one.text


def test_traits_are_explained_once_and_after_who_names_them() -> None:
    """A trait that two others name is there once, behind both; so the answer stays as small as the definitions."""
    chain = {"t0": "count()", **{f"t{i}": f"t{i - 1} + t{i - 1}" for i in range(1, 40)}}
    definitions = define(chain, {"many": "t39 > t1"})
    world = World(definitions)
    world.send(track("A", user="u"))
    world.fold()
    found = why(world, "many", definitions)
    assert [trait.name for trait in found.rests_on] == [f"t{i}" for i in range(39, -1, -1)]
    assert found.answer.value is True
    assert len(found.grounds) == 1


def test_a_definition_that_began_later_says_since_when() -> None:
    """The state's value stands; beside it that of all events, and when the definition began to count."""
    world = World(define({}))
    world.send(*[track("Order Completed", user="u")] * 3)
    world.pass_time(HOUR_MS)
    began_ms = world.now_ms
    definitions = define({"orders": 'count("Order Completed")'}, {"buyers": "orders > 2"}, version=2)
    world.define(definitions)
    world.send(track("Order Completed", user="u"))
    world.fold()
    found = why(world, "buyers", definitions)
    counted = part(found, 'count("Order Completed")')
    assert (counted.value, counted.derived, counted.differs) == (1, 4, True)
    assert [note.reason for note in counted.notes] == ["unexplained"]
    assert (len(found.grounds), found.confirmed) == (4, False)
    slot = n.slot(n.Aggregate(0, "count", "Order Completed"))
    assert unsettled(found) == {slot}
    for since_ms in (began_ms, began_ms - HOUR_MS + 1, began_ms - HOUR_MS):
        found = why(world, "buyers", definitions, since={slot: since_ms})
        (note,) = part(found, 'count("Order Completed")').notes
        assert note.reason == "counted_since"
        assert note.at_ms is not None
        assert began_ms - HOUR_MS < note.at_ms <= began_ms
        assert (len(found.grounds), found.confirmed) == (1, True)
    assert found.answer.value is False
    assert part(found, "orders > 2").derived is True


def test_events_that_are_not_kept_any_more_are_missed() -> None:
    """Where history and log have not all events, it says how many are missing, and the state's value stands."""
    found = why(shopping(), "orders", skip=5)
    (note,) = found.answer.whole.notes
    assert (found.answer.value, found.answer.whole.derived, note.reason) == (2, 1, "events_missing")
    assert "5 of 7 events" in note.text
    assert (found.seen, found.events, found.confirmed) == (2, 7, False)


def test_windows_in_panes_and_samples_say_so() -> None:
    """What is not exact any more is marked, with its bound, whether it differs or not."""
    definitions = define(
        {"busy": 'count("A", within="1d")', "kinds": 'unique_count("A", properties.n)'}, {"many": "busy > 5"}
    )
    world = World(definitions)
    for start in range(0, 1_100, 100):
        world.pass_time(1_000)
        at_ms = world.now_ms
        events = [track("A", at_ms - i, user="u", properties={"n": start + i}) for i in range(100)]
        world.send(*events)
    world.fold()
    (busy,) = why(world, "busy", definitions).answer.whole.notes
    assert (busy.reason, "2 ms" in busy.text) == ("window_in_panes", True)
    (kinds,) = why(world, "kinds", definitions).answer.whole.notes
    assert kinds.reason == "sample"


def test_a_late_timer_is_told() -> None:
    """Where no worker has come in time, the answer is of the instant at which the profile was judged last."""
    world = shopping()
    profile, events = world.profile("user_id:u"), pasts(world)
    later_ms = world.now_ms + 2 * HOUR_MS
    assert present(profile, later_ms) == profile.now_ms
    found = explain(probed(SHOP, "abandoners"), profile, events, later_ms)
    assert (found.answer.value, found.late_ms, found.at_ms) == (True, profile.due_ms, profile.now_ms)
    assert why(world, "abandoners").late_ms is None


def test_the_look_into_the_future_is_bounded() -> None:
    """After so many instants it says until when nothing changes, instead of looking on."""
    traits = {f"w{i}": f'count("A", within="{i + 1}d")' for i in range(5)}
    definitions = define(traits, {"never": " or ".join(f"{name} > 5000" for name in traits)})
    world = World(definitions)
    for _ in range(10):
        at_ms = world.now_ms
        world.send(*(track("A", at_ms - i, user="u") for i in range(100)))
        world.pass_time(1_000)
    world.fold()
    found = why(world, "never", definitions)
    assert found.answer.turn is None
    assert found.beyond_ms is not None
    assert found.beyond_ms > world.now_ms
    assert TURNS_MAX < 5_000


def test_an_absorbed_persons_events_count() -> None:
    """After a merge the events of both are looked at, each under the name that it had then."""
    world = World(SHOP)
    world.send(track("Order Completed", user="u", properties={"revenue": 1}))
    world.send(track("Order Completed", anonymous="a", properties={"revenue": 2}))
    world.fold()
    world.send(track("Order Completed", user="u", anonymous="a", properties={"revenue": 4}))
    world.fold()
    found = why(world, "revenue")
    assert (found.answer.value, found.answer.whole.differs, found.seen) == (7, False, 3)


@pytest.mark.parametrize(("name", "near"), [("abandonners", "abandoners"), ("ordrs", "orders"), ("zzzzzz", "")])
def test_an_unknown_name_is_answered_with_the_nearest(name: str, near: str) -> None:
    """Who misspelt a name is told which was meant."""
    with pytest.raises(NotFoundError) as caught:
        probed(SHOP, name)
    assert (f"did you mean `{near}`" in str(caught.value)) == bool(near)


def test_numbers_of_any_size_are_read_again() -> None:
    """An event with numbers past 64 bits is explained like any other."""
    world = World(SHOP)
    huge: Any = {"revenue": 10**30, "other": -(10**25), "deep": {"n": [10**20]}}
    world.send(track("Order Completed", user="u", properties=huge))
    world.fold()
    found = why(world, "revenue")
    assert (found.answer.value, found.answer.whole.differs) == (1e30, False)
