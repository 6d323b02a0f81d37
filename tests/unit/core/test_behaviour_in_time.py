"""What people do and do not do, in time: stories in which mostly nobody sends anything."""

from datetime import UTC, datetime
from typing import Any

from msgspec import structs

from onefold.limits import DAY_MS, HOUR_MS, MINUTE_MS
from onefold.model.effect import Entered, Left
from onefold.testing.world import START_MS, World, define, identify, track


def moves(world: World) -> list[tuple[int, str, bool]]:
    """(milliseconds since the start, audience, entered)."""
    return [
        (effect.at_ms - START_MS, effect.audience, isinstance(effect, Entered))
        for effect in world.effects()
        if isinstance(effect, Entered | Left)
    ]


def test_a_cart_is_abandoned_at_the_very_millisecond_and_forgotten_a_day_after() -> None:
    """A negated last step is over by time alone; so is the time for which the sequence is looked at."""
    world = World(define({}, {"abandoned": 'sequence("Added", absent="Ordered", within="1h", during="1d")'}))
    world.send(track("Added", user="u"))
    world.pass_time(HOUR_MS - 1)
    assert moves(world) == []
    world.pass_time(2 * DAY_MS)
    assert moves(world) == [(HOUR_MS, "abandoned", True), (DAY_MS, "abandoned", False)]


def test_an_order_that_was_late_takes_back_what_time_had_said() -> None:
    """It arrives after the hour, but happened within it."""
    world = World(define({}, {"abandoned": 'sequence("Added", absent="Ordered", within="1h")'}))
    world.send(track("Added", user="u"))
    world.pass_time(2 * HOUR_MS)
    world.send(track("Ordered", user="u", at_ms=START_MS + 30 * MINUTE_MS))
    world.fold()
    assert moves(world) == [(HOUR_MS, "abandoned", True), (2 * HOUR_MS, "abandoned", False)]


def test_the_same_product_through_all_steps_on_two_devices() -> None:
    """Steps of two profiles make one sequence when they turn out to be one person, with the right product only."""
    text = 'sequence_count("Viewed", step("Added", within="1h"), "Ordered", same=properties.product_id, within="1d")'
    world = World(define({"bought": text}))

    def send(name: str, product: int, **who: Any) -> None:
        world.send(track(name, properties={"product_id": product}, **who))
        world.pass_time(MINUTE_MS)

    send("Viewed", 1, anonymous="phone")
    send("Viewed", 2, anonymous="phone")
    send("Added", 1, user="u")
    send("Added", 3, user="u")
    send("Ordered", 1, user="u")
    send("Ordered", 2, user="u")
    assert world.person("user_id:u").computed == {"bought": 0}
    world.send(identify(user="u", anonymous="phone"))
    world.fold()
    assert world.person("user_id:u").computed == {"bought": 1}


def test_orders_of_the_hour_before_last_come_and_go_by_time_alone() -> None:
    """What was done enters the window at its near end and leaves it at its far end, to the millisecond."""
    world = World(define({}, {"then": 'did("Ordered", within=between("2h", "1h"))'}))
    world.send(track("Ordered", user="u"))
    world.pass_time(10 * MINUTE_MS)
    world.send(track("Ordered", user="u"))
    world.pass_time(5 * HOUR_MS)
    assert moves(world) == [(HOUR_MS, "then", True), (2 * HOUR_MS + 10 * MINUTE_MS, "then", False)]


def _at(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


def _world(now: str, timezone: str, **traits: str) -> World:
    world = World(structs.replace(define(traits), timezone=timezone))
    world.now_ms = _at(now)
    return world


def _sent(world: World, **fields: Any) -> dict[str, Any]:
    world.send({**track("Ordered", user="u"), **fields})
    world.fold()
    return world.person("user_id:u").computed


def test_a_day_of_twenty_three_hours_ends_after_twenty_three() -> None:
    """In the night in which clocks are put forward, in the workspace's zone."""
    world = _world("2025-03-29T23:00:00", "Europe/Berlin", today='count("Ordered", within="this_day")')
    assert _sent(world) == {"today": 1}
    world.pass_time(23 * HOUR_MS - 1)
    assert world.person("user_id:u").computed == {"today": 1}
    world.pass_time(1)
    assert world.person("user_id:u").computed == {"today": 0}


def test_a_month_is_that_of_the_person_wherever_they_go() -> None:
    """The zone that a person declares wins over that of their events, and these over the workspace's."""
    text = 'count("Ordered", within="this_month", timezone="person")'
    world = _world("2025-06-30T10:00:00", "America/New_York", orders=text)
    assert _sent(world) == {"orders": 1}
    world.pass_time(10 * HOUR_MS)
    assert _sent(world, context={"timezone": "Asia/Tokyo"}, messageId="2") == {"orders": 1}
    world.send(identify(user="u", traits={"timezone": "Europe/Berlin"}))
    world.fold()
    assert world.person("user_id:u").computed == {"orders": 2}
    world.pass_time(2 * HOUR_MS)
    assert world.person("user_id:u").computed == {"orders": 0}


def test_a_streak_breaks_when_a_whole_day_has_passed() -> None:
    """Not before: until then today's part of it may still come."""
    world = _world("2025-06-01T12:00:00", "UTC", current='streak("Ordered")', longest='longest_streak("Ordered")')
    for day in range(3):
        assert _sent(world, messageId=str(day)) == {"current": day + 1, "longest": day + 1}
        world.pass_time(DAY_MS)
    world.pass_time(12 * HOUR_MS - 1)
    assert world.person("user_id:u").computed == {"current": 3, "longest": 3}
    world.pass_time(1)
    assert world.person("user_id:u").computed == {"current": 0, "longest": 3}


def test_who_is_only_asked_whether_it_is_long_ago_is_woken_once() -> None:
    """`time_since` changes every day, but a comparison only where the literal is passed."""
    world = World(define({}, {"lapsed": 'time_since("Ordered") >= 30'}))
    world.send(track("Ordered", user="u"))
    world.fold()
    assert world.state.next_due_ms(0) == START_MS + 30 * DAY_MS
    world.pass_time(40 * DAY_MS)
    assert moves(world) == [(30 * DAY_MS, "lapsed", True)]


def test_a_declared_value_that_changes_only_its_type_inside_an_object_is_a_change() -> None:
    """`1.0` and `true` are equal to Python, but not to a person's address."""
    world = World(define({"flat": "traits.address.flat"}))
    for flat in (1.0, True):
        world.send(identify(user="u", traits={"address": {"flat": flat}}))
        world.pass_time(1)
    assert world.person("user_id:u").computed["flat"] is True
