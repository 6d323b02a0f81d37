"""What time alone does to traits and audiences: ages, birthdays, hours of the day, silence; each at its millisecond."""

from datetime import UTC, datetime
from itertools import pairwise

import pytest

from onefold.language.scalars.dates import dated
from onefold.limits import DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS
from onefold.model.effect import Entered, Left
from onefold.testing.world import START_MS, World, define, identify, rfc3339, track


def at(text: str) -> int:
    """An instant in milliseconds."""
    return int(datetime.fromisoformat(text).timestamp() * 1000)


def world_at(text: str, traits: dict[str, str], audiences: dict[str, str], zone: str = "UTC") -> World:
    """A world that begins at an instant, with these definitions in this time zone."""
    world = World()
    world.now_ms = at(text)
    definitions = define(traits, audiences)
    world.define(type(definitions)(1, traits=definitions.traits, audiences=definitions.audiences, timezone=zone))
    return world


def moves(world: World, audience: str) -> list[tuple[str, int, str]]:
    """When the audience was entered and left, and why."""
    return [
        ("in" if isinstance(effect, Entered) else "out", effect.at_ms, getattr(effect, "reason", ""))
        for effect in world.effects()
        if isinstance(effect, Entered | Left) and effect.audience == audience
    ]


def test_a_birthday_begins_and_ends_at_local_midnight() -> None:
    """Also over the change of clocks: in New York this birthday has 23 hours."""
    world = world_at("2026-03-01T12:00Z", {}, {"today": "is_anniversary(traits.born)"}, zone="America/New_York")
    world.send(identify(user="u", traits={"born": "1990-03-08"}))
    world.pass_time(30 * DAY_MS)
    assert moves(world, "today") == [
        ("in", at("2026-03-08T00:00-05:00"), ""),
        ("out", at("2026-03-09T00:00-04:00"), "time"),
    ]


def test_who_is_born_on_29_february_has_a_birthday_every_year() -> None:
    """On 28 February, but in leap years; and is a year older from then on."""
    world = world_at("2026-01-01T00:00Z", {"age": "years_since(traits.born)"}, {"today": "is_anniversary(traits.born)"})
    world.send(identify(user="u", traits={"born": "2000-02-29"}))
    days = []
    for _ in range(3 * 365):
        world.pass_time(DAY_MS)
        if world.person("user_id:u").audiences:
            days.append((world.now_ms - at("2026-01-01T00:00Z"), world.person("user_id:u").computed["age"]))
    shown = [(dated(at("2026-01-01T00:00Z") + ms), age) for ms, age in days]
    assert shown == [
        (datetime(2026, 2, 28, tzinfo=UTC), 26),
        (datetime(2027, 2, 28, tzinfo=UTC), 27),
        (datetime(2028, 2, 29, tzinfo=UTC), 28),
    ]


def test_an_age_is_reached_at_midnight_and_wakes_nobody_before() -> None:
    """Few ticks are needed for a comparison that turns years ahead."""
    world = world_at("2026-06-01T08:00Z", {}, {"adult": "years_since(traits.born) >= 18"}, zone="Europe/Berlin")
    world.send(identify(user="u", traits={"born": "2009-09-15"}))
    world.pass_time(2 * 365 * DAY_MS)
    assert moves(world, "adult") == [("in", at("2027-09-15T00:00+02:00"), "")]
    assert world.folding.cursor(0).offset < 16


@pytest.mark.parametrize(("unit", "ms"), [("s", SECOND_MS), ("m", MINUTE_MS), ("h", HOUR_MS), ("d", DAY_MS)])
def test_silence_is_counted_in_any_unit(unit: str, ms: int) -> None:
    """A comparison turns at its very millisecond, both ways, and only these wake the person."""
    world = World(
        define({}, {"third": f'elapsed(last_seen, "{unit}") == 3', "late": f'elapsed(last_seen, "{unit}") > 2.5'})
    )
    world.send(track("A", user="u"))
    world.pass_time(10 * ms)
    assert moves(world, "third") == [("in", START_MS + 3 * ms, ""), ("out", START_MS + 4 * ms, "time")]
    assert moves(world, "late") == [("in", START_MS + 3 * ms, "")]
    assert world.folding.cursor(0).offset <= 5
    world.send(track("A", user="u"))
    world.fold()
    assert world.person("user_id:u").audiences == ()


def test_a_trait_that_counts_hours_changes_with_each() -> None:
    """Its value is exact whenever one looks."""
    world = World(define({"idle": 'elapsed(last_seen, "h")'}))
    world.send(track("A", user="u"))
    for hours in range(5):
        world.fold()
        assert world.person("user_id:u").computed == {"idle": hours}
        world.pass_time(HOUR_MS - 1)
        assert world.person("user_id:u").computed == {"idle": hours}
        world.pass_time(1)


def test_office_hours_follow_daylight_saving() -> None:
    """The hour is the local one on both sides of a change of clocks."""
    world = world_at("2025-10-24T12:00Z", {}, {"open": "9 <= hour(now()) < 17"}, zone="Europe/Berlin")
    world.send(track("A", user="u"))
    world.pass_time(4 * DAY_MS)
    assert world.folding.cursor(0).offset < 30
    entered = [at_ms for what, at_ms, _ in moves(world, "open") if what == "in"]
    assert entered[1:] == [
        at("2025-10-25T09:00+02:00"), at("2025-10-26T09:00+01:00"), at("2025-10-27T09:00+01:00"),
        at("2025-10-28T09:00+01:00"),
    ]  # fmt: skip


def test_each_persons_own_time_zone() -> None:
    """The zone may be a declared trait, and a person who has none has no hour."""
    world = world_at("2026-01-01T00:30Z", {"hour_there": "hour(now(), traits.zone)"}, {})
    world.send(identify(user="u", traits={"zone": "Asia/Kathmandu"}), identify(user="v", traits={"zone": "Moon"}))
    world.pass_time(20 * MINUTE_MS)
    assert world.person("user_id:u").computed == {"hour_there": 6}
    assert world.person("user_id:v").computed == {}
    world.send(identify(user="v", traits={"zone": "UTC"}))
    world.fold()
    assert world.person("user_id:v").computed == {"hour_there": 0}


def test_days_to_a_birthday_count_down_at_midnight() -> None:
    """As a trait each day, as a comparison on its days alone."""
    world = world_at(
        "2026-01-30T12:00Z",
        {"days": "days_until_anniversary(traits.born)"},
        {"week": "days_until_anniversary(traits.born) <= 7"},
    )
    world.send(identify(user="u", traits={"born": "1990-02-10"}))
    world.pass_time(DAY_MS)
    assert world.person("user_id:u").computed == {"days": 10}
    world.pass_time(20 * DAY_MS)
    assert moves(world, "week") == [("in", at("2026-02-03T00:00Z"), ""), ("out", at("2026-02-11T00:00Z"), "time")]
    assert world.person("user_id:u").computed == {"days": 355}


def test_what_time_alone_decides_holds_for_new_people() -> None:
    """A person who comes is judged by the present, not by the beginning of time."""
    world = World(
        define({"this_hour": "hour(now())"}, {"since": 'now() > "2023-01-01"', "until": 'now() < "2023-01-01"'})
    )
    world.send(track("A", user="u"))
    world.fold()
    assert world.person("user_id:u").audiences == ("since",)
    assert world.person("user_id:u").computed == {"this_hour": 22}
    assert [type(effect) for effect in world.effects() if isinstance(effect, Left)] == []


def test_what_has_no_value_from_the_beginning_is_judged_all_the_same() -> None:
    """An audience of those who lack a trait that never had a value has them."""
    world = World(define({"t": "events / 0"}, {"lacking": "not exists(t)"}))
    world.send(track("A", user="u"))
    world.fold()
    assert world.person("user_id:u").audiences == ("lacking",)


def test_a_trait_may_be_an_instant() -> None:
    """It is kept, compared and shown as one, and follows late events."""
    world = World(
        define(
            {"last_a": 'last("A", time)', "first_a": 'first("A", time)', "again": "date_add(last_a, '7d')"},
            {"due": "again < now()", "on_start": f'last_a == "{rfc3339(START_MS)}"'},
        )
    )
    world.send(track("A", START_MS, user="u"), track("A", START_MS - 5, user="u"))
    world.fold()
    person = world.person("user_id:u")
    assert person.computed == {
        "last_a": dated(START_MS), "first_a": dated(START_MS - 5), "again": dated(START_MS + 7 * DAY_MS)
    }  # fmt: skip
    assert person.audiences == ("on_start",)
    world.pass_time(7 * DAY_MS)
    assert world.person("user_id:u").audiences == ("on_start",)
    world.pass_time(1)
    assert world.person("user_id:u").audiences == ("due", "on_start")


def test_audiences_of_audiences_follow_at_once() -> None:
    """Whatever moves an audience moves those that name it, in the same event or instant, in order."""
    few = {f"few_{k}": f'count("A") >= {k}' for k in range(1, 5)}
    gated = {f"plan_{k}": f'favourite == "{k}" and events > 1' for k in "abc"}
    world = World(
        define(
            {"favourite": 'last("A", properties.kind)'},
            {
                "above": 'in_audience("both") and not in_audience("silent")',
                "both": 'in_audience("few_3") and in_audience("plan_b")',
                "silent": 'last_seen < ago("1h")',
                **few,
                **gated,
            },
        )
    )
    for kind in ("a", "a", "b", "b"):
        world.send(track("A", user="u", properties={"kind": kind}))
        world.pass_time(1)
    world.pass_time(HOUR_MS - 1)
    assert {"above", "both", "few_3", "plan_b"} < set(world.person("user_id:u").audiences)
    world.pass_time(1)
    assert {"both", "silent"} < set(world.person("user_id:u").audiences)
    assert [move[0] for move in moves(world, "above")] == ["in", "out"]
    order = [effect.audience for effect in world.effects() if isinstance(effect, Entered)]
    assert order.index("plan_b") < order.index("both") < order.index("above")


def test_consent_is_what_the_latest_event_said() -> None:
    """By event time, for each purpose by itself; anything but `true` is none."""
    world = World(define({}, {"may": 'consent("marketing")'}))
    for late_ms, said in ((0, True), (10, False), (-10, False), (-20, "true"), (-30, True)):
        context = {"consent": {"categoryPreferences": {"marketing": said}}}
        world.send(track("A", START_MS - 100 - late_ms, user="u", context=context))
        world.fold()
    world.send(track("A", START_MS, user="u", context={"consent": {"categoryPreferences": {"ads": False}}}))
    world.fold()
    assert [what for what, _, _ in moves(world, "may")] == ["in", "out", "in"]
    assert world.person("user_id:u").audiences == ("may",)


def test_a_share_stays_with_a_person_through_merges() -> None:
    """Whoever of the two came first, the user id decides, and the group of a known person never changes."""
    rule = {"half": 'random_share("t", 50)', "rest": 'not random_share("t", 50)'}
    for number in range(12):
        user, one, two = f"u{number}", f"a{number}", f"b{number}"
        world = World(define({}, rule))
        world.send(track("A", user=user))
        world.fold()
        (group,) = world.person(f"user_id:{user}").audiences
        world.send(track("A", anonymous=one), track("A", anonymous=two))
        world.send(track("A", user=user, anonymous=one), track("A", user=user, anonymous=two))
        world.fold()
        assert world.person(f"user_id:{user}").audiences == (group,)
        turned = World(define({}, rule))
        turned.send(track("A", anonymous=one), track("A", user=user, anonymous=one))
        turned.fold()
        assert turned.person(f"user_id:{user}").audiences == (group,)


def test_time_zones_change_with_the_definitions() -> None:
    """A new version with another zone judges everybody again."""
    world = world_at("2026-01-01T23:30Z", {"today": "day(now())"}, {}, zone="UTC")
    world.send(track("A", user="u"))
    world.fold()
    assert world.person("user_id:u").computed == {"today": 1}
    definitions = define({"today": "day(now())"}, version=2)
    world.define(type(definitions)(2, traits=definitions.traits, timezone="Asia/Tokyo"))
    world.fold()
    assert world.person("user_id:u").computed == {"today": 2}


def test_timers_are_few() -> None:
    """A year of a weekday costs one tick a day, and two more where clocks change."""
    world = world_at("2025-01-01T12:00Z", {"today": "weekday(now())"}, {}, zone="Europe/Berlin")
    world.send(track("A", user="u"))
    world.pass_time(365 * DAY_MS)
    ticks = [effect.at_ms for effect in world.effects()][3:]
    assert len(ticks) == 365
    assert {later - sooner for sooner, later in pairwise(ticks)} == {23 * HOUR_MS, DAY_MS, 25 * HOUR_MS}
    assert world.folding.cursor(0).offset < 372
